//! Two endpoints on loopback: what peers may do works, what they may not is refused with its reason.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::types::NodeInfo;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::certs::{Lifetime, create_authority, create_node};
use crate::ports::peer_link::{
    FRAME_BYTES_MAX, FrameRx, FrameTx, LinkError, Peer, PeerLink, ServiceError, StreamClass,
};

mod restarts;

/// Long enough for any of these on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const ALONE: &str = "127.0.0.1:0";

fn now() -> UnixMs {
    #[expect(
        clippy::disallowed_methods,
        reason = "TLS checks certificates against the system's clock"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMs(u64::try_from(since.as_millis()).unwrap())
}

fn identity(node_id: u64, cluster: &str) -> PeerIdentity {
    PeerIdentity {
        node_id,
        region: "eu-west-1".into(),
        cluster_id: cluster.into(),
    }
}

/// Echoes calls and streams, passes datagrams on; read-index calls are never answered, forward calls refused.
struct Echo {
    datagrams: mpsc::UnboundedSender<(PeerIdentity, Bytes)>,
    admitted: mpsc::UnboundedSender<PeerIdentity>,
    admits: Result<(), String>,
}

impl PeerService for Echo {
    fn admit(&self, from: &PeerIdentity) -> Result<(), String> {
        self.admitted.send(from.clone()).ok();
        self.admits.clone()
    }

    async fn call(
        &self,
        _from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        match class {
            StreamClass::ReadIndex => std::future::pending().await,
            StreamClass::Forward => Err(ServiceError::Unavailable {
                detail: "it stops".into(),
            }),
            StreamClass::Vote | StreamClass::Append | StreamClass::Snapshot => Ok(request),
        }
    }

    async fn stream<Tx: FrameTx, Rx: FrameRx>(
        &self,
        _from: PeerIdentity,
        _class: StreamClass,
        mut tx: Tx,
        mut rx: Rx,
    ) {
        while let Ok(Some(frame)) = rx.recv().await {
            tx.send(frame).await.unwrap();
        }
        tx.finish().await.unwrap();
    }

    fn datagram(&self, from: PeerIdentity, payload: Bytes) {
        self.datagrams.send((from, payload)).ok();
    }
}

/// A node that echoes.
struct Node {
    endpoint: QuicEndpoint<TokioRuntime>,
    identity: PeerIdentity,
    datagrams: mpsc::UnboundedReceiver<(PeerIdentity, Bytes)>,
    admitted: mpsc::UnboundedReceiver<PeerIdentity>,
}

impl Node {
    fn start(options: QuicOptions, folder: &Path, identity: PeerIdentity, at: UnixMs) -> Self {
        Self::start_admitting(options, folder, identity, at, Ok(()))
    }

    fn start_admitting(
        options: QuicOptions,
        folder: &Path,
        identity: PeerIdentity,
        at: UnixMs,
        admits: Result<(), String>,
    ) -> Self {
        let paths = CertPaths::in_folder(folder, identity.node_id);
        let endpoint = QuicEndpoint::bind(options, paths, identity.clone(), at).unwrap();
        let (datagrams_tx, datagrams) = mpsc::unbounded_channel();
        let (admitted_tx, admitted) = mpsc::unbounded_channel();
        endpoint.serve(Arc::new(Echo {
            datagrams: datagrams_tx,
            admitted: admitted_tx,
            admits,
        }));
        Self {
            endpoint,
            identity,
            datagrams,
            admitted,
        }
    }

    fn peer(&self) -> Peer {
        Peer {
            node_id: self.identity.node_id,
            info: NodeInfo {
                region: self.identity.region.clone(),
                peer_address: self.endpoint.local_addr().unwrap().to_string(),
                public_address: String::new(),
            },
        }
    }

    async fn call(&self, peer: &Peer, text: &'static str) -> Result<Bytes, LinkError> {
        let request = Bytes::from_static(text.as_bytes());
        let link = self.endpoint.link();
        link.call(peer, StreamClass::Vote, request, PATIENCE).await
    }
}

fn options() -> QuicOptions {
    QuicOptions::new(ALONE.parse().unwrap())
}

fn cluster_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    create_authority(folder.path(), "test", Lifetime::default(), now()).unwrap();
    folder
}

fn add_node(folder: &Path, identity: &PeerIdentity) {
    create_node(folder, identity, Lifetime::default(), now()).unwrap();
}

/// Nodes 1 and 2 of one cluster.
fn pair() -> (TempDir, Node, Node) {
    let folder = cluster_folder();
    let start = |node_id| {
        let identity = identity(node_id, "test");
        add_node(folder.path(), &identity);
        Node::start(options(), folder.path(), identity, now())
    };
    let (one, two) = (start(1), start(2));
    (folder, one, two)
}

/// Waits until the node's last refusal says `words`.
async fn check_refusal(node: &Node, words: &str) {
    let seen = timeout(PATIENCE, async {
        loop {
            let refusals = node.endpoint.refusals();
            if refusals
                .iter()
                .any(|refused| refused.reason.to_string().contains(words))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    if seen.await.is_err() {
        panic!("no refusal says {words:?}: {:?}", node.endpoint.refusals());
    }
}

#[tokio::test]
async fn calls_are_answered_both_ways() {
    let (_folder, one, two) = pair();
    assert_eq!(one.call(&two.peer(), "to two").await.unwrap(), "to two");
    assert_eq!(two.call(&one.peer(), "to one").await.unwrap(), "to one");
    assert!(one.endpoint.link().round_trip(2).is_some());
    assert!(one.endpoint.refusals().is_empty() && two.endpoint.refusals().is_empty());
    one.endpoint.close().await;
    two.endpoint.close().await;
}

#[tokio::test]
async fn a_refused_call_says_why_and_an_unanswered_one_times_out() {
    let (_folder, one, two) = pair();
    let link = one.endpoint.link();
    let refused = link
        .call(&two.peer(), StreamClass::Forward, Bytes::new(), PATIENCE)
        .await;
    let reason = "unavailable: it stops".to_owned();
    assert_eq!(refused, Err(LinkError::Refused { reason }));
    let limit = Duration::from_millis(50);
    let late = link
        .call(&two.peer(), StreamClass::ReadIndex, Bytes::new(), limit)
        .await;
    assert_eq!(late, Err(LinkError::TimedOut { limit }));
}

#[tokio::test]
async fn streams_keep_order_and_end() {
    let (_folder, one, two) = pair();
    let link = one.endpoint.link();
    for class in StreamClass::ALL {
        let (mut tx, mut rx) = link.open(&two.peer(), class).await.unwrap();
        for number in 0..100_u32 {
            let frame = Bytes::copy_from_slice(&number.to_be_bytes());
            tx.send(frame).await.unwrap();
        }
        tx.finish().await.unwrap();
        for number in 0..100_u32 {
            assert_eq!(rx.recv().await.unwrap().unwrap()[..], number.to_be_bytes());
        }
        assert_eq!(rx.recv().await, Ok(None));
    }
}

#[tokio::test]
async fn the_largest_frame_passes_and_a_larger_one_is_not_sent() {
    let (_folder, one, two) = pair();
    let link = one.endpoint.link();
    let largest = Bytes::from(vec![7; FRAME_BYTES_MAX]);
    let answer = link
        .call(&two.peer(), StreamClass::Append, largest.clone(), PATIENCE)
        .await;
    assert!(answer.unwrap() == largest);
    let larger = Bytes::from(vec![7; FRAME_BYTES_MAX + 1]);
    let answer = link
        .call(&two.peer(), StreamClass::Append, larger.clone(), PATIENCE)
        .await;
    assert!(matches!(answer, Err(LinkError::TooLarge { .. })));
    let (mut tx, _rx) = link.open(&two.peer(), StreamClass::Append).await.unwrap();
    assert!(matches!(
        tx.send(larger).await,
        Err(LinkError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn datagrams_arrive_once_connected() {
    let (_folder, one, mut two) = pair();
    let link = one.endpoint.link();
    let beat = Bytes::from_static(b"beat");
    // The first attempts only start the connection.
    let heard = timeout(PATIENCE, async {
        loop {
            link.datagram(&two.peer(), beat.clone()).ok();
            if let Ok(heard) = two.datagrams.try_recv() {
                return heard;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(heard.await.unwrap(), (identity(1, "test"), beat));
    let long = Bytes::from(vec![0; 2_000]);
    assert!(matches!(
        link.datagram(&two.peer(), long),
        Err(LinkError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn garbage_on_the_port_changes_nothing() {
    let (_folder, one, two) = pair();
    one.call(&two.peer(), "before").await.unwrap();
    let noise = std::net::UdpSocket::bind(ALONE).unwrap();
    let target = two.endpoint.local_addr().unwrap();
    for size in [1, 20, 100, 1_200, 1_400] {
        for first in [0x00_u8, 0x40, 0xc0, 0xc3, 0xff] {
            let mut packet: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
            packet[0] = first;
            noise.send_to(&packet, target).unwrap();
        }
    }
    // A handshake of version 1 that is noise after its header.
    let mut packet = vec![
        0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x00,
    ];
    packet.resize(1_200, 0x5a);
    noise.send_to(&packet, target).unwrap();
    assert_eq!(one.call(&two.peer(), "after").await.unwrap(), "after");
    assert!(two.endpoint.refusals().is_empty());
}

#[tokio::test]
async fn a_peer_of_another_authority_is_refused() {
    let (_folder, one, _two) = pair();
    let other = cluster_folder();
    let stranger = identity(3, "test");
    add_node(other.path(), &stranger);
    let start = || Node::start(options(), other.path(), stranger.clone(), now());
    // The stranger does not know this cluster's authority either.
    let mistrusting = start();
    let refused = mistrusting.call(&one.peer(), "hello").await.unwrap_err();
    assert!(refused.to_string().contains("wrong authority"), "{refused}");
    check_refusal(&mistrusting, "wrong authority").await;
    mistrusting.endpoint.close().await;

    // When it does, this cluster's nodes refuse it.
    let authority = other.path().join("ca.pem");
    let both = fs::read_to_string(&authority).unwrap()
        + &fs::read_to_string(_folder.path().join("ca.pem")).unwrap();
    fs::write(&authority, both).unwrap();
    let trusting = start();
    let refused = trusting.call(&one.peer(), "hello").await.unwrap_err();
    assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
    check_refusal(&one, "wrong authority").await;
    check_refusal(&trusting, "refused by the peer").await;
}

#[tokio::test]
async fn a_peer_of_another_cluster_is_refused() {
    let (folder, one, _two) = pair();
    let stranger = identity(3, "prod");
    add_node(folder.path(), &stranger);
    let stranger = Node::start(options(), folder.path(), stranger, now());
    let refused = one.call(&stranger.peer(), "hello").await.unwrap_err();
    let words = "wrong cluster id: it is prod, expected test";
    assert!(refused.to_string().contains(words), "{refused}");
    check_refusal(&one, words).await;
    let refused = stranger.call(&one.peer(), "hello").await.unwrap_err();
    assert!(
        refused.to_string().contains("wrong cluster id"),
        "{refused}"
    );
}

#[tokio::test]
async fn another_node_at_the_address_is_refused() {
    let (_folder, one, two) = pair();
    let mut peer = two.peer();
    peer.node_id = 3;
    let refused = one.call(&peer, "hello").await.unwrap_err();
    let words = "wrong node id: it is 2, expected 3";
    assert!(refused.to_string().contains(words), "{refused}");
    check_refusal(&one, words).await;
    check_refusal(&two, words).await;
}

#[tokio::test]
async fn a_peer_of_another_region_is_refused() {
    let (_folder, one, two) = pair();
    let mut peer = two.peer();
    peer.info.region = "us-east-1".into();
    let refused = one.call(&peer, "hello").await.unwrap_err();
    let words = "wrong region: it is eu-west-1, expected us-east-1";
    assert!(refused.to_string().contains(words), "{refused}");
}

#[tokio::test]
async fn a_peer_that_the_service_does_not_admit_is_refused() {
    let (folder, one, _two) = pair();
    let strict = identity(3, "test");
    add_node(folder.path(), &strict);
    let admits = Err("node 1 was removed".to_owned());
    let strict = Node::start_admitting(options(), folder.path(), strict, now(), admits);
    let refused = one.call(&strict.peer(), "hello").await.unwrap_err();
    let words = "not admitted: node 1 was removed";
    assert!(refused.to_string().contains(words), "{refused}");
    check_refusal(&strict, words).await;
}

#[tokio::test]
async fn an_expired_peer_is_refused() {
    let expired = identity(3, "test");
    let made_at = UnixMs(now().0 - 3 * 86_400_000);
    let lifetime = Lifetime {
        node_days: 1,
        ..Lifetime::default()
    };
    let authority = TempDir::new().unwrap();
    create_authority(authority.path(), "test", Lifetime::default(), made_at).unwrap();
    create_node(authority.path(), &expired, lifetime, made_at).unwrap();
    let good = identity(4, "test");
    create_node(authority.path(), &good, Lifetime::default(), now()).unwrap();
    // It was started while its certificate held.
    let expired = Node::start(options(), authority.path(), expired, made_at);
    let good = Node::start(options(), authority.path(), good, now());
    let refused = expired.call(&good.peer(), "hello").await.unwrap_err();
    assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
    check_refusal(&good, "certificate not in date").await;
    let refused = good.call(&expired.peer(), "hello").await.unwrap_err();
    assert!(
        refused.to_string().contains("certificate not in date"),
        "{refused}"
    );
}

#[tokio::test]
async fn reloaded_certificates_are_used_by_new_connections() {
    let (folder, one, mut two) = pair();
    one.call(&two.peer(), "old").await.unwrap();
    let (mut tx, mut rx) = one
        .endpoint
        .link()
        .open(&two.peer(), StreamClass::Append)
        .await
        .unwrap();
    for file in ["node-1.pem", "node-1.key"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    add_node(folder.path(), &identity(1, "test"));
    one.endpoint.reload(now()).unwrap();
    one.call(&two.peer(), "new").await.unwrap();
    let admitted = [two.admitted.recv().await, two.admitted.recv().await];
    assert_eq!(
        admitted,
        [Some(identity(1, "test")), Some(identity(1, "test"))]
    );
    // What was under way on the old connection goes on.
    tx.send(Bytes::from_static(b"still here")).await.unwrap();
    assert_eq!(rx.recv().await.unwrap().unwrap(), "still here");

    fs::write(folder.path().join("node-1.key"), "nothing").unwrap();
    assert!(matches!(
        one.endpoint.reload(now()),
        Err(QuicError::Certs(_))
    ));
    one.call(&two.peer(), "still new").await.unwrap();
}

#[tokio::test]
async fn an_absent_peer_is_unreachable_and_not_dialled_by_every_call() {
    let folder = cluster_folder();
    let own = identity(1, "test");
    add_node(folder.path(), &own);
    let hasty = QuicOptions {
        dial_limit: Duration::from_millis(100),
        redial_min: Duration::from_secs(60),
        redial_max: Duration::from_secs(60),
        ..options()
    };
    let one = Node::start(hasty, folder.path(), own, now());
    // Bound, so that nobody else answers there, and never read.
    let silent = std::net::UdpSocket::bind(ALONE).unwrap();
    let peer = Peer {
        node_id: 2,
        info: NodeInfo {
            region: "eu-west-1".into(),
            peer_address: silent.local_addr().unwrap().to_string(),
            public_address: String::new(),
        },
    };
    for _ in 0..100 {
        let error = one.call(&peer, "hello").await.unwrap_err();
        assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
    }
}
