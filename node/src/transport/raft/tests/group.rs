//! A Raft group over QUIC on loopback: elects, replicates, brings a learner up by snapshot, hands over, beats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Raft, ReadPolicy};
use openraft_rt_tokio::TokioRuntime;
use stellara_machine::units::UnixMs;
use stellara_proto::v1::peer;
use stellara_raft_store::engine::EngineError;
use stellara_raft_store::types::{EncodedEntry, NodeInfo, Types};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::disk::MemoryDisk;
use super::store::{MemoryLog, MemoryState};
use crate::certs::{CertPaths, Lifetime, create_authority, create_node};
use crate::ports::peer_link::{Peer, PeerIdentity, PeerLink, StreamClass};
use crate::transport::client::PeerClient;
use crate::transport::detector::{DetectorOptions, Leads};
use crate::transport::quic::{QuicEndpoint, QuicLink, QuicOptions};
use crate::transport::raft::{
    ClusterService, Heart, Memory, RaftFactory, RaftLinkOptions, RaftService,
};

type C = Types<TokioRuntime>;

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with who asks and how much.
struct Mirror;

impl ClusterService for Mirror {
    async fn read_index(&self, from: &PeerIdentity) -> peer::ReadIndexResponse {
        peer::ReadIndexResponse {
            index: 1_000 + from.node_id,
            error: None,
        }
    }

    async fn forward(
        &self,
        from: &PeerIdentity,
        request: peer::ForwardRequest,
    ) -> peer::ForwardResponse {
        peer::ForwardResponse {
            answers: vec![peer::CommandAnswer::default(); request.commands.len()],
            error: None,
            index: from.node_id,
        }
    }

    async fn standing(
        &self,
        from: &PeerIdentity,
        request: peer::StandingRequest,
    ) -> peer::StandingResponse {
        peer::StandingResponse {
            readmitted_at: request.readmit.then_some(peer::LogId {
                term: 1,
                index: from.node_id,
            }),
            ..peer::StandingResponse::default()
        }
    }

    async fn disk_failed(&self, error: &EngineError) {
        panic!("no disk fails here: {error}");
    }

    async fn change_members(
        &self,
        _from: &PeerIdentity,
        request: peer::MemberChangeRequest,
    ) -> peer::MemberChangeResponse {
        peer::MemberChangeResponse {
            membership_index: request.node_id,
            ..peer::MemberChangeResponse::default()
        }
    }
}

struct Node {
    node_id: u64,
    endpoint: QuicEndpoint<TokioRuntime>,
    raft: Raft<C, MemoryState>,
    state: MemoryState,
    disk: MemoryDisk,
    heart: Arc<Heart<TokioRuntime, QuicLink<TokioRuntime>>>,
    beating: tokio::task::JoinHandle<()>,
    stop: watch::Sender<()>,
}

fn now() -> UnixMs {
    #[expect(
        clippy::disallowed_methods,
        reason = "TLS checks certificates against the system's clock"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMs(u64::try_from(since.as_millis()).unwrap())
}

impl Node {
    async fn start(folder: &TempDir, node_id: u64) -> Self {
        let identity = PeerIdentity {
            node_id,
            region: format!("region-{node_id}"),
            cluster_id: "test".into(),
        };
        create_node(folder.path(), &identity, Lifetime::default(), now()).unwrap();
        let paths = CertPaths::in_folder(folder.path(), node_id);
        let options = QuicOptions::new("127.0.0.1:0".parse().unwrap());
        let endpoint = QuicEndpoint::bind(options, paths, identity, now()).unwrap();
        let disk = MemoryDisk::default();
        let state = MemoryState::on(disk.clone());
        let links = RaftLinkOptions {
            append_frame_bytes_max: 10_000,
            ..RaftLinkOptions::default()
        };
        let factory =
            RaftFactory::<TokioRuntime, _, _>::new(node_id, endpoint.link(), disk.clone(), links);
        let config = openraft::Config {
            heartbeat_interval: 100,
            election_timeout_min: 400,
            election_timeout_max: 800,
            enable_pre_vote: Some(true),
            max_payload_entries: 100,
            ..openraft::Config::default()
        };
        let config = Arc::new(config.validate().unwrap());
        let raft = Raft::new(
            node_id,
            config,
            factory,
            MemoryLog::default(),
            state.clone(),
        )
        .await
        .unwrap();
        let beats = DetectorOptions::default();
        let heart = Arc::new(Heart::new(node_id, endpoint.link(), beats));
        let service = RaftService::new(
            raft.clone(),
            Arc::clone(&heart),
            Memory::whole(),
            disk.clone(),
            Mirror,
            Duration::from_secs(8),
        );
        let service = Arc::new(service.unwrap());
        endpoint.serve(Arc::clone(&service));
        let (stop, mut stopped) = watch::channel(());
        let beating = tokio::spawn(async move {
            let until = async move {
                stopped.changed().await.ok();
            };
            service.beat(until).await;
        });
        Self {
            node_id,
            endpoint,
            raft,
            state,
            disk,
            heart,
            beating,
            stop,
        }
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            region: format!("region-{}", self.node_id),
            peer_address: self.endpoint.local_addr().unwrap().to_string(),
            public_address: String::new(),
        }
    }

    fn peer(&self) -> Peer {
        Peer {
            node_id: self.node_id,
            info: self.info(),
        }
    }

    async fn write(&self, bytes: Vec<u8>) {
        let entry = EncodedEntry(bytes.into());
        self.raft.client_write(entry).await.unwrap();
    }

    async fn stop(self) {
        self.stop.send(()).ok();
        self.beating.await.unwrap();
        self.raft.shutdown().await.unwrap();
        self.endpoint.close().await;
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

/// A new leader takes no writes before a quorum has answered it once: openraft refuses them as `LeaseExpired`.
async fn until_confirmed(leader: &Node) {
    until("a quorum has confirmed the leader", async || {
        let confirmed = leader.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        confirmed.await.is_ok()
    })
    .await;
}

async fn leader_of(nodes: &[Node]) -> u64 {
    let mut leader = None;
    until("all agree on a leader", async || {
        let mut seen = Vec::new();
        for node in nodes {
            seen.push(node.raft.current_leader().await);
        }
        leader = seen[0];
        leader.is_some() && seen.iter().all(|other| *other == leader)
    })
    .await;
    let leader = leader.unwrap();
    until_confirmed(by_id(nodes, leader)).await;
    leader
}

fn by_id(nodes: &[Node], node_id: u64) -> &Node {
    nodes.iter().find(|node| node.node_id == node_id).unwrap()
}

async fn group() -> (TempDir, Vec<Node>) {
    let folder = TempDir::new().unwrap();
    create_authority(folder.path(), "test", Lifetime::default(), now()).unwrap();
    let mut nodes = Vec::new();
    for node_id in 1..=3 {
        nodes.push(Node::start(&folder, node_id).await);
    }
    let members: BTreeMap<u64, NodeInfo> = nodes
        .iter()
        .map(|node| (node.node_id, node.info()))
        .collect();
    nodes[0].raft.initialize(members).await.unwrap();
    (folder, nodes)
}

async fn stop_all(nodes: Vec<Node>) {
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_elects_replicates_and_hands_over() {
    let (_folder, nodes) = group().await;
    let leader = by_id(&nodes, leader_of(&nodes).await);
    // Entries larger than a frame's usual bound, and many small ones at once.
    leader.write(vec![7; 25_000]).await;
    let writes = (0..200_u8).map(|number| leader.write(vec![number; 300]));
    futures_util::future::join_all(writes).await;
    until("all have applied the same", async || {
        let bytes = leader.state.bytes();
        bytes.len() == 85_000 && nodes.iter().all(|node| node.state.bytes() == bytes)
    })
    .await;

    let next = by_id(&nodes, leader.node_id % 3 + 1);
    leader
        .raft
        .trigger()
        .transfer_leader(next.node_id)
        .await
        .unwrap();
    until("the next leads", async || {
        next.raft.current_leader().await == Some(next.node_id) && next.raft.is_leader()
    })
    .await;
    until_confirmed(next).await;
    next.write(vec![1]).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_is_brought_up_by_snapshot() {
    let (folder, mut nodes) = group().await;
    let leader_id = leader_of(&nodes).await;
    let newcomer = Node::start(&folder, 4).await;
    {
        let leader = by_id(&nodes, leader_id);
        for number in 0..50_u8 {
            leader.write(vec![number; 20_000]).await;
        }
        let last = leader.raft.metrics().borrow_watched().last_applied.unwrap();
        leader.raft.trigger().snapshot().await.unwrap();
        until("a snapshot is built", async || {
            leader.raft.metrics().borrow_watched().snapshot >= Some(last)
        })
        .await;
        leader.raft.trigger().purge_log(last.index).await.unwrap();
        until("the log is purged", async || {
            leader.raft.metrics().borrow_watched().purged >= Some(last)
        })
        .await;
        let adding = leader.raft.add_learner(4, newcomer.info(), true);
        timeout(PATIENCE, adding).await.unwrap().unwrap();
        leader.write(vec![9]).await;
        until("the newcomer has applied the same", async || {
            newcomer.state.bytes() == leader.state.bytes()
        })
        .await;
        assert_eq!(newcomer.state.installed(), 1);
        assert!(newcomer.disk.folder("incoming/1").is_empty());
    }
    nodes.push(newcomer);
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_hear_the_leader_and_suspect_it_when_it_stops() {
    let (_folder, mut nodes) = group().await;
    let leader_id = leader_of(&nodes).await;
    until(
        "all have heard the leader lead, and its distance",
        async || {
            let followers = nodes.iter().filter(|node| node.node_id != leader_id);
            followers
                .filter_map(|node| node.heart.pulse(leader_id))
                .filter(|pulse| pulse.leads == Leads::Yes && pulse.round_trip.is_some())
                .count()
                == 2
        },
    )
    .await;
    let at = nodes.iter().position(|node| node.node_id == leader_id);
    nodes.remove(at.unwrap()).stop().await;
    until("the others suspect it", async || {
        nodes.iter().all(|node| node.heart.suspects(leader_id))
    })
    .await;
    until("another leads", async || {
        nodes.iter().any(|node| node.raft.is_leader())
    })
    .await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_service_answers_and_impostors_are_refused() {
    let (_folder, nodes) = group().await;
    let (one, two) = (&nodes[0], &nodes[1]);
    let client = PeerClient::new(one.endpoint.link());
    let index = client.read_index(&two.peer(), PATIENCE).await.unwrap();
    assert_eq!(index.index, 1_001);
    let request = peer::ForwardRequest {
        commands: vec![b"a".as_slice().into(), b"b".as_slice().into()],
    };
    let answer = client.forward(&two.peer(), &request, PATIENCE).await;
    let answer = answer.unwrap();
    assert_eq!((answer.answers.len(), answer.index), (2, 1));
    let request = peer::StandingRequest { readmit: true };
    let answer = client.standing(&two.peer(), &request, PATIENCE).await;
    let at = answer.unwrap().readmitted_at;
    assert_eq!(at, Some(peer::LogId { term: 1, index: 1 }));

    // A vote of node 3, sent by node 1: kind 1, then the message.
    let vote = peer::VoteRequest {
        vote: Some(peer::Vote {
            term: 900,
            voted_for: 3,
            committed: false,
        }),
        ..peer::VoteRequest::default()
    };
    let mut bytes = vec![1];
    prost::Message::encode(&vote, &mut bytes).unwrap();
    for (bytes, words) in [
        (bytes, "not permitted: node 1 sent a vote of node 3"),
        (vec![], "malformed request: call kind"),
        (vec![1, 0xff], "malformed request"),
        (vec![77], "malformed request: call kind is Some(77)"),
    ] {
        let link = one.endpoint.link();
        let refused = link
            .call(&two.peer(), StreamClass::Vote, bytes.into(), PATIENCE)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused:?}, expected {words:?}");
    }
    stop_all(nodes).await;
}
