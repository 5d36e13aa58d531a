//! The simulated network by itself: times, order, cuts, loss, and what a caller is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use stellara_node::ports::peer_link::{
    FrameRx, FrameTx, LinkError, Peer, PeerIdentity, PeerLink as _, PeerService, ServiceError,
    StreamClass,
};
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_sim::fake::network::{Ailment, Latencies, NetworkOptions, SimLink, SimNetwork};
use stellara_sim::runtime::{NodeTag, SimRuntime, kill_node, now, sleep, spawn_on};

const ONE_WAY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);

/// Echoes calls and streams, refuses votes, and counts datagrams.
#[derive(Debug, Default)]
struct Echo {
    datagrams: Mutex<u32>,
}

impl PeerService for Echo {
    fn admit(&self, from: &PeerIdentity) -> Result<(), String> {
        if from.region == "nowhere" {
            return Err("nobody comes from nowhere".to_owned());
        }
        Ok(())
    }

    async fn call(
        &self,
        _from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        if class == StreamClass::Vote {
            let detail = "no votes here".to_owned();
            return Err(ServiceError::NotPermitted { detail });
        }
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
            if tx.send(frame).await.is_err() {
                return;
            }
        }
        tx.finish().await.ok();
    }

    fn datagram(&self, _from: PeerIdentity, _payload: Bytes) {
        *self.datagrams.lock().expect("no holder panics") += 1;
    }
}

fn identity(node_id: NodeId, region: &str) -> PeerIdentity {
    PeerIdentity {
        node_id,
        region: region.to_owned(),
        cluster_id: "test".to_owned(),
    }
}

fn peer(node_id: NodeId) -> Peer {
    let info = NodeInfo::default();
    Peer { node_id, info }
}

/// Nodes 1 and 2 with a clean path, and 3 that nobody admits.
fn check<F: Future<Output = ()>>(test: impl FnOnce(SimNetwork, SimLink, Arc<Echo>) -> F) {
    let mut runtime = SimRuntime::with_seed(9);
    let driven = runtime.drive(async {
        let latency = Latencies::both_ways(&[(1, 2, ONE_WAY), (2, 3, ONE_WAY)]);
        let network = SimNetwork::new(NetworkOptions {
            idle: IDLE,
            ..NetworkOptions::clean(latency)
        });
        let echo = Arc::new(Echo::default());
        network.serve(identity(1, "here"), Arc::new(Echo::default()));
        network.serve(identity(2, "here"), Arc::clone(&echo));
        network.serve(identity(3, "nowhere"), Arc::new(Echo::default()));
        test(network.clone(), network.link(1), echo).await;
        for node_id in 1..=3 {
            network.silence(node_id);
        }
    });
    driven.expect("the run ends with its test");
    assert!(runtime.report().is_clean(), "{:?}", runtime.report());
}

async fn call(link: &SimLink, class: StreamClass, limit: Duration) -> Result<Bytes, LinkError> {
    link.call(&peer(2), class, Bytes::from_static(b"hello"), limit)
        .await
}

#[test]
fn a_call_takes_a_round_trip_and_the_first_a_handshake_more() {
    check(|_, link, _| async move {
        assert_eq!(link.round_trip(2), None);
        let answer = call(&link, StreamClass::Forward, LIMIT).await;
        assert_eq!(answer.unwrap(), "hello");
        assert_eq!(now().as_ms(), 200);
        assert_eq!(link.round_trip(2), Some(ONE_WAY * 2));
        call(&link, StreamClass::Forward, LIMIT).await.unwrap();
        assert_eq!(now().as_ms(), 300);
    });
}

#[test]
fn refusals_and_limits_are_told_apart() {
    check(|network, link, _| async move {
        let refused = call(&link, StreamClass::Vote, LIMIT).await;
        assert!(
            matches!(refused, Err(LinkError::Refused { .. })),
            "{refused:?}"
        );
        let limit = Duration::from_millis(60);
        let late = call(&link, StreamClass::Forward, limit).await;
        assert_eq!(late, Err(LinkError::TimedOut { limit }));
        let stranger = network.link(3);
        let refused = call(&stranger, StreamClass::Forward, LIMIT).await;
        assert!(
            matches!(refused, Err(LinkError::Refused { .. })),
            "{refused:?}"
        );
        network.cut(1, 2);
        sleep(IDLE + ONE_WAY).await;
        let cut = call(&link, StreamClass::Forward, LIMIT).await;
        assert!(matches!(cut, Err(LinkError::Unreachable { .. })), "{cut:?}");
    });
}

#[test]
fn a_stream_keeps_its_order_over_losses_and_a_short_cut() {
    check(|network, link, _| async move {
        let (mut tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        network.set_loss_ppm(200_000);
        for nth in 0_u8..100 {
            tx.send(Bytes::copy_from_slice(&[nth])).await.unwrap();
        }
        sleep(ONE_WAY).await;
        network.cut(1, 2);
        sleep(IDLE / 2).await;
        network.heal(1, 2);
        tx.finish().await.unwrap();
        for nth in 0_u8..100 {
            assert_eq!(rx.recv().await.unwrap().unwrap(), [nth].as_slice());
        }
        assert_eq!(rx.recv().await, Ok(None));
        assert!(now().as_ms() > 2_600, "what was cut came later: {}", now());
    });
}

#[test]
fn a_long_cut_and_a_restart_break_streams() {
    check(|network, link, echo| async move {
        let (_tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        let cut_at = now();
        network.cut_one_way(1, 2);
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert_eq!(now() - cut_at, IDLE);
        network.heal_one_way(1, 2);

        let (_tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        kill_node(NodeTag(2));
        network.silence(2);
        let killed_at = now();
        sleep(Duration::from_secs(1)).await;
        network.serve(identity(2, "here"), echo);
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert_eq!((now() - killed_at).as_secs(), 1);
        call(&link, StreamClass::Forward, LIMIT).await.unwrap();
    });
}

#[test]
fn datagrams_get_lost_and_never_wait() {
    check(|network, link, echo| async move {
        let send = || link.datagram(&peer(2), Bytes::from_static(b"beat"));
        assert!(matches!(send(), Err(LinkError::Unreachable { .. })));
        sleep(Duration::from_secs(1)).await;
        let got = || *echo.datagrams.lock().unwrap();
        send().unwrap();
        sleep(ONE_WAY * 2).await;
        assert_eq!(got(), 1, "the first try made the connection");
        network.set_loss_ppm(500_000);
        for _ in 0..100 {
            send().unwrap();
        }
        sleep(ONE_WAY * 2).await;
        let arrived = got();
        assert!((20..80).contains(&arrived), "{arrived} of 100 arrived");
        network.cut_one_way(1, 2);
        send().unwrap();
        sleep(ONE_WAY * 2).await;
        assert_eq!(got(), arrived);
        let long = link.datagram(&peer(2), Bytes::from(vec![0; 2_000]));
        assert!(matches!(long, Err(LinkError::TooLarge { .. })));
    });
}

#[test]
fn a_dropped_end_is_told_to_the_other() {
    check(|_, link, _| async move {
        let (mut tx, rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        drop(rx);
        tx.send(Bytes::from_static(b"echo me")).await.unwrap();
        // The echo finds nobody reading and ends; its end of our stream then goes too.
        let closed = spawn_on(NodeTag(1), async move {
            while tx.send(Bytes::from_static(b"more")).await.is_ok() {
                sleep(ONE_WAY).await;
            }
            now()
        });
        let at = closed.await.unwrap();
        assert!(at.as_ms() < 1_000, "{at}");
    });
}

#[test]
fn what_a_clog_holds_arrives_at_its_end() {
    check(|network, link, echo| async move {
        let (mut tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        let clog = Ailment::Clog { from: 1, to: 2 };
        let (first, second) = (network.hold(clog), network.hold(clog));
        tx.send(Bytes::from_static(b"held")).await.unwrap();
        link.datagram(&peer(2), Bytes::from_static(b"beat"))
            .unwrap();
        sleep(Duration::from_secs(2)).await;
        network.release(first);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(
            *echo.datagrams.lock().unwrap(),
            0,
            "the other holds it still"
        );
        network.release(second);
        let released = now();
        assert_eq!(rx.recv().await.unwrap().unwrap(), "held");
        assert_eq!(
            now() - released,
            ONE_WAY,
            "the echo takes its way, the frame none"
        );
        assert_eq!(*echo.datagrams.lock().unwrap(), 1);
    });
}

#[test]
fn a_clog_that_lasts_breaks_the_connection_and_what_it_held_is_gone() {
    check(|network, link, echo| async move {
        let (_tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        let clog = network.hold(Ailment::Clog { from: 2, to: 1 });
        link.datagram(&peer(2), Bytes::from_static(b"beat"))
            .unwrap();
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert_eq!(*echo.datagrams.lock().unwrap(), 1, "the other way is free");
        network.release(clog);
        call(&link, StreamClass::Forward, LIMIT).await.unwrap();
    });
}

#[test]
fn datagrams_come_twice_and_streams_do_not() {
    check(|network, link, echo| async move {
        let (mut tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        let twice = network.hold(Ailment::Duplicate {
            duplicate_ppm: 1_000_000,
        });
        link.datagram(&peer(2), Bytes::from_static(b"beat"))
            .unwrap();
        tx.send(Bytes::from_static(b"once")).await.unwrap();
        tx.finish().await.unwrap();
        assert_eq!(rx.recv().await.unwrap().unwrap(), "once");
        assert_eq!(rx.recv().await, Ok(None));
        assert_eq!(*echo.datagrams.lock().unwrap(), 2);
        network.release(twice);
        link.datagram(&peer(2), Bytes::from_static(b"beat"))
            .unwrap();
        sleep(ONE_WAY * 2).await;
        assert_eq!(*echo.datagrams.lock().unwrap(), 3);
    });
}

#[test]
fn a_narrow_way_holds_a_snapshot_up_and_no_vote() {
    check(|network, link, _| async move {
        call(&link, StreamClass::Forward, LIMIT).await.unwrap();
        let narrow = network.hold(Ailment::Slow {
            from: 1,
            to: 2,
            add_permille: 1_000,
            bytes_per_s: Some(100_000),
        });
        assert_eq!(link.round_trip(2), Some(ONE_WAY * 3));
        let (mut tx, mut rx) = link.open(&peer(2), StreamClass::Snapshot).await.unwrap();
        let begun = now();
        tx.send(Bytes::from(vec![7; 1_000_000])).await.unwrap();
        let refused = call(&link, StreamClass::Vote, LIMIT).await;
        assert!(
            matches!(refused, Err(LinkError::Refused { .. })),
            "{refused:?}"
        );
        assert!((now() - begun).as_millis() < 160, "it does not wait behind");
        rx.recv().await.unwrap();
        assert!(
            (10_100..10_200).contains(&(now() - begun).as_millis()),
            "{}",
            now()
        );
        tx.send(Bytes::from(vec![7; 1_000_000])).await.unwrap();
        network.release(narrow);
        let begun = now();
        rx.recv().await.unwrap();
        assert!((now() - begun) <= ONE_WAY * 2, "what queued is let go");
    });
}

#[test]
fn a_process_that_is_not_scheduled_loses_its_connections() {
    check(|network, link, _| async move {
        let (_tx, mut rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
        network.freeze(2);
        let frozen = now();
        let broken = rx.recv().await;
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert_eq!(now() - frozen, IDLE);
        let away = call(&link, StreamClass::Forward, LIMIT).await;
        assert!(
            matches!(away, Err(LinkError::Unreachable { .. })),
            "{away:?}"
        );
        network.thaw(2);
        call(&link, StreamClass::Forward, LIMIT).await.unwrap();
    });
}

#[test]
fn separate_streams_overtake_each_other_and_one_never_itself() {
    check(|network, link, _| async move {
        network.set_loss_ppm(200_000);
        let mut arrived = Vec::new();
        for nth in 0_u8..20 {
            let (mut tx, rx) = link.open(&peer(2), StreamClass::Append).await.unwrap();
            tx.send(Bytes::copy_from_slice(&[nth])).await.unwrap();
            arrived.push(spawn_on(NodeTag(1), async move {
                let (_tx, mut rx) = (tx, rx);
                rx.recv().await.unwrap();
                now()
            }));
        }
        let mut times = Vec::new();
        for arrived in arrived {
            times.push(arrived.await.unwrap());
        }
        assert!(!times.is_sorted(), "{times:?}");
    });
}
