//! Two nodes' QUIC endpoints in virtual time: what a call costs, what every fault of the paths and of a process does to
//! it, and that bulk leaves room for what is urgent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use stellara_machine::units::UnixMs;
use stellara_node::certs::{Lifetime, seeded};
use stellara_node::ports::peer_link::{
    FrameRx, FrameTx, LinkError, Peer, PeerIdentity, PeerLink as _, PeerService, ServiceError,
    StreamClass,
};
use stellara_node::transport::quic::{QuicEndpoint, QuicLink, QuicOptions, QuicRx, QuicTx};
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_sim::fake::network::{Ailment, Latencies, NetworkOptions, SimNetwork};
use stellara_sim::fake::udp::{SimUdp, UdpCounts, UdpOptions, address_of};
use stellara_sim::runtime::{
    NodeTag, RunReport, SimRuntime, SimTime, TraceHash, jump_wall_clock_ms, kill_node, now,
    pause_node, resume_node, sleep, spawn_on, wall_clock_of,
};

mod faults;

const ONE_WAY: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

type Endpoint = QuicEndpoint<SimRuntime>;

/// Echoes calls and streams, and keeps when datagrams came.
#[derive(Debug, Default)]
struct Echo {
    datagrams: Mutex<Vec<SimTime>>,
}

impl Echo {
    fn heard(&self) -> Vec<SimTime> {
        self.datagrams.lock().expect("no holder panics").clone()
    }
}

impl PeerService for Echo {
    fn admit(&self, _from: &PeerIdentity) -> Result<(), String> {
        Ok(())
    }

    async fn call(
        &self,
        _from: PeerIdentity,
        _class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        Ok(request)
    }

    async fn stream<Tx: FrameTx, Rx: FrameRx>(
        &self,
        _from: PeerIdentity,
        _class: StreamClass,
        mut tx: Tx,
        mut rx: Rx,
    ) {
        while let Ok(Some(frame)) = rx.recv().await {
            // The echo of bulk is its size.
            let size = u32::try_from(frame.len()).expect("a frame is small");
            let echo = Bytes::copy_from_slice(&size.to_be_bytes());
            if tx.send(echo).await.is_err() {
                return;
            }
        }
        tx.finish().await.ok();
    }

    fn datagram(&self, _from: PeerIdentity, _payload: Bytes) {
        let mut datagrams = self.datagrams.lock().expect("no holder panics");
        datagrams.push(now());
    }
}

/// Nodes 1 and 2; the test is node 1's code.
#[derive(Clone)]
struct Stage {
    network: SimNetwork,
    udp: SimUdp,
    own: Arc<Endpoint>,
    link: QuicLink<SimRuntime>,
    echo: Arc<Echo>,
    issued_at: UnixMs,
}

impl Stage {
    async fn start(&self, node_id: NodeId) -> Arc<Endpoint> {
        start(&self.udp, self.issued_at, node_id, Arc::clone(&self.echo)).await
    }

    fn crash(&self, node_id: NodeId) {
        kill_node(NodeTag(node_id));
        self.udp.unbind(node_id);
    }

    async fn call(&self, limit: Duration) -> Result<Bytes, LinkError> {
        let request = Bytes::from_static(b"hello");
        self.link
            .call(&peer(2), StreamClass::Vote, request, limit)
            .await
    }

    async fn open(&self, class: StreamClass) -> (QuicTx, QuicRx) {
        let opened = self.link.open(&peer(2), class).await;
        opened.expect("the peer is there")
    }
}

async fn start(udp: &SimUdp, issued_at: UnixMs, node_id: NodeId, echo: Arc<Echo>) -> Arc<Endpoint> {
    let udp = udp.clone();
    let starting = spawn_on(NodeTag(node_id), async move {
        let identity = PeerIdentity {
            node_id,
            region: "here".to_owned(),
            cluster_id: "test".to_owned(),
        };
        let certs = seeded(&[7; 32], &identity, Lifetime::default(), issued_at);
        let certs = certs.expect("the identity is plain");
        let options = QuicOptions::new(address_of(node_id));
        let endpoint = Endpoint::over(udp.ground(node_id), options, &certs);
        let endpoint = endpoint.expect("the socket is there");
        endpoint.serve(echo);
        Arc::new(endpoint)
    });
    starting.await.expect("nobody kills the node")
}

fn peer(node_id: NodeId) -> Peer {
    Peer {
        node_id,
        info: NodeInfo {
            region: "here".to_owned(),
            peer_address: address_of(node_id).to_string(),
            public_address: String::new(),
        },
    }
}

/// A clean path, for tests of times.
fn clean() -> UdpOptions {
    UdpOptions {
        overtaking_ppm: 0,
        ..UdpOptions::default()
    }
}

fn check<F>(
    udp: UdpOptions,
    test: impl FnOnce(Stage) -> F + Send + 'static,
) -> (RunReport, UdpCounts)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut runtime = SimRuntime::with_seed(9);
    let driven = runtime.drive(async {
        let latency = Latencies::both_ways(&[(1, 2, ONE_WAY)]);
        let network = SimNetwork::new(NetworkOptions::clean(latency));
        let udp = SimUdp::new(network.clone(), udp);
        let echo = Arc::new(Echo::default());
        let issued_at = UnixMs(wall_clock_of(NodeTag(1)).0);
        let one = start(&udp, issued_at, 1, Arc::new(Echo::default())).await;
        let two = start(&udp, issued_at, 2, Arc::clone(&echo)).await;
        drop(two);
        let stage = Stage {
            network,
            udp: udp.clone(),
            link: one.link(),
            own: one,
            echo,
            issued_at,
        };
        let testing = spawn_on(NodeTag(1), test(stage));
        testing.await.expect("the test does not panic");
        let counts = udp.counts();
        for node_id in [1, 2] {
            kill_node(NodeTag(node_id));
            udp.unbind(node_id);
        }
        counts
    });
    let counts = driven.expect("the run ends with its test");
    let report = runtime.report();
    assert!(report.is_clean(), "{report:?}");
    (report, counts)
}

#[test]
fn a_call_takes_a_round_trip_and_the_first_a_handshake_more() {
    check(clean(), |stage| async move {
        assert_eq!(stage.link.round_trip(2), None);
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
        assert_eq!(now().as_ms(), 200);
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
        assert_eq!(now().as_ms(), 300);
        let measured = stage.link.round_trip(2).unwrap();
        assert!((100..=130).contains(&measured.as_millis()), "{measured:?}");
        let limit = Duration::from_millis(60);
        assert_eq!(stage.call(limit).await, Err(LinkError::TimedOut { limit }));
    });
}

#[test]
fn a_stream_keeps_its_order_over_losses_and_a_short_cut() {
    check(UdpOptions::default(), |stage| async move {
        let (mut tx, mut rx) = stage.open(StreamClass::Append).await;
        // The hello is through: a connection without one is given up.
        stage.call(LIMIT).await.unwrap();
        stage.network.set_loss_ppm(100_000);
        for nth in 0_usize..100 {
            tx.send(Bytes::from(vec![0; nth])).await.unwrap();
        }
        stage.network.cut(1, 2);
        sleep(Duration::from_secs(2)).await;
        stage.network.heal(1, 2);
        tx.finish().await.unwrap();
        for nth in 0_u32..100 {
            assert_eq!(rx.recv().await.unwrap().unwrap()[..], nth.to_be_bytes());
        }
        assert_eq!(rx.recv().await, Ok(None));
    });
}

#[test]
fn a_long_cut_ends_the_connection_and_another_is_made() {
    check(clean(), |stage| async move {
        let (_tx, mut rx) = stage.open(StreamClass::Append).await;
        stage.call(LIMIT).await.unwrap();
        let cut_at = now();
        stage.network.cut(1, 2);
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        let idle = (now() - cut_at).as_millis();
        assert!((7_000..9_000).contains(&idle), "{idle} ms");
        let unreachable = stage.call(LIMIT).await;
        assert!(
            matches!(unreachable, Err(LinkError::Unreachable { .. })),
            "{unreachable:?}"
        );
        stage.network.heal(1, 2);
        sleep(Duration::from_millis(500)).await;
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
    });
}

#[test]
fn a_restarted_peer_says_at_once_that_it_knows_nothing() {
    check(clean(), |stage| async move {
        let (mut tx, mut rx) = stage.open(StreamClass::Append).await;
        stage.call(LIMIT).await.unwrap();
        stage.crash(2);
        sleep(Duration::from_millis(300)).await;
        let again = stage.start(2).await;
        let back_at = now();
        tx.send(Bytes::from_static(b"are you there?"))
            .await
            .unwrap();
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert!(now() - back_at <= ONE_WAY * 2, "{:?}", now() - back_at);
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
        drop(again);
    });
}

/// Sends bulk on one stream while datagrams go every 190 ms and calls one after the other.
async fn bulk(stage: Stage) {
    const BULK_BYTES: usize = 4 * 1024 * 1024;
    const FRAME_BYTES: usize = 256 * 1024;
    stage.network.set_loss_ppm(10_000);
    stage.call(LIMIT).await.expect("the peer answers");
    let (mut tx, mut rx) = stage.open(StreamClass::Snapshot).await;
    let sending = spawn_on(NodeTag(1), async move {
        for _ in 0..BULK_BYTES / FRAME_BYTES {
            let frame = Bytes::from(vec![7; FRAME_BYTES]);
            tx.send(frame).await.expect("the peer takes it");
        }
        tx.finish().await.expect("the peer is there");
        while rx.recv().await.expect("the peer echoes").is_some() {}
        now()
    });
    let started = now();
    let beating = spawn_on(NodeTag(1), {
        let stage = stage.clone();
        async move {
            let mut sent = 0;
            while now() < started + Duration::from_secs(20) {
                let beat = Bytes::from_static(b"beat");
                let said = stage.link.datagram(&peer(2), beat);
                said.expect("there is a connection");
                sent += 1;
                sleep(Duration::from_millis(190)).await;
            }
            sent
        }
    });
    let mut slowest = Duration::ZERO;
    while now() < started + Duration::from_secs(20) {
        let asked = now();
        stage.call(LIMIT).await.expect("the peer answers");
        slowest = slowest.max(now() - asked);
    }
    let sent: usize = beating.await.expect("nobody kills the node");
    let ended = sending.await.expect("nobody kills the node");
    let took = ended - started;
    // Cubic under this loss carries some 150 kB a second: the bulk was under way all the time.
    assert!(took > Duration::from_secs(10), "{took:?}");
    let heard = stage.echo.heard();
    assert!(heard.len() * 100 >= sent * 95, "{} of {sent}", heard.len());
    let gap = heard.windows(2).map(|two| two[1] - two[0]).max();
    let gap = gap.expect("some were heard");
    println!("bulk {took:?}, gap {gap:?}, slowest call {slowest:?}");
    assert!(gap < Duration::from_millis(700), "{gap:?}");
    assert!(slowest < Duration::from_millis(900), "{slowest:?}");
}

#[test]
fn bulk_on_lossy_paths_leaves_room_for_heartbeats_and_calls() {
    check(UdpOptions::default(), bulk);
}

fn bulk_hash(duplicate_ppm: u32) -> TraceHash {
    let test = move |stage: Stage| async move {
        // For the whole run.
        let _ = stage.network.hold(Ailment::Duplicate { duplicate_ppm });
        bulk(stage).await;
    };
    check(UdpOptions::default(), test).0.trace_hash
}

#[test]
fn the_same_run_is_the_same_history_and_another_path_another() {
    let first = bulk_hash(100);
    println!("bulk {first}");
    assert_eq!(first, bulk_hash(100));
    assert_ne!(first, bulk_hash(10_000));
}

#[test]
fn a_paused_peer_loses_what_its_socket_cannot_hold() {
    let (_, counts) = check(
        UdpOptions {
            buffer_bytes: 5_000,
            ..clean()
        },
        |stage| async move {
            let (mut tx, mut rx) = stage.open(StreamClass::Append).await;
            stage.call(LIMIT).await.unwrap();
            pause_node(NodeTag(2));
            tx.send(Bytes::from(vec![7; 50_000])).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            resume_node(NodeTag(2));
            let echo = rx.recv().await.unwrap().unwrap();
            assert_eq!(echo[..], 50_000_u32.to_be_bytes());
        },
    );
    assert!(counts.overflowed > 0, "{counts:?}");
}

#[test]
fn certificates_are_held_to_the_nodes_own_wall_clock() {
    check(clean(), |stage| async move {
        // Its clock is two years ahead: everyone's certificates have expired.
        jump_wall_clock_ms(NodeTag(1), 730 * DAY_MS);
        let refused = stage.call(LIMIT).await;
        assert!(
            matches!(&refused, Err(LinkError::Refused { reason }) if reason.contains("not in date")),
            "{refused:?}"
        );
        jump_wall_clock_ms(NodeTag(1), -730 * DAY_MS);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
    });
}
