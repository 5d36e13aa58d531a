//! Replication to a peer that cannot be reached, in virtual time: tried now and then, and at once when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::types::{EncodedEntry, NodeId, NodeInfo};
use tokio::time::{Instant, sleep, timeout};

use super::disk::MemoryDisk;
use super::store::{MemoryLog, MemoryState};
use super::wire::{WireRx, WireTx};
use crate::ports::peer_link::{LinkError, Peer, PeerLink, StreamClass};
use crate::transport::raft::{RaftFactory, RaftLinkOptions};

/// Heartbeats try the link, too: seldom enough not to matter here.
const HEARTBEAT_MS: u64 = 10_000;

/// Nobody is there, which shows at once; counts how often it is tried.
#[derive(Clone)]
struct Nobody {
    opened: Arc<AtomicU32>,
    error: LinkError,
}

impl Nobody {
    fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl PeerLink for Nobody {
    type Tx = WireTx;
    type Rx = WireRx;

    async fn call(
        &self,
        _: &Peer,
        _: StreamClass,
        _: Bytes,
        _: Duration,
    ) -> Result<Bytes, LinkError> {
        Err(self.error.clone())
    }

    async fn open(&self, _: &Peer, _: StreamClass) -> Result<(WireTx, WireRx), LinkError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Err(self.error.clone())
    }

    fn datagram(&self, _: &Peer, _: Bytes) -> Result<(), LinkError> {
        Err(self.error.clone())
    }

    fn round_trip(&self, _: NodeId) -> Option<Duration> {
        None
    }
}

/// A leader of itself alone, and a learner that cannot be reached; entries keep coming for ten seconds.
async fn check(error: LinkError) {
    let link = Nobody {
        opened: Arc::default(),
        error,
    };
    let options = RaftLinkOptions::default();
    let disk = MemoryDisk::default();
    let state = MemoryState::on(disk.clone());
    let factory = RaftFactory::<TokioRuntime, _, _>::new(1, link.clone(), disk, options);
    let config = openraft::Config {
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: HEARTBEAT_MS * 2,
        election_timeout_max: HEARTBEAT_MS * 3,
        ..openraft::Config::default()
    };
    let config = Arc::new(config.validate().unwrap());
    let raft = Raft::new(1, config, factory, MemoryLog::default(), state);
    let raft = raft.await.unwrap();
    let member = |node_id: NodeId| (node_id, NodeInfo::default());
    raft.initialize(
        [member(1)]
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
    )
    .await
    .unwrap();
    let wait = raft.wait(None);
    wait.current_leader(1, "it is alone").await.unwrap();
    let wait = raft.wait(None);
    wait.applied_index_at_least(Some(1), "it may change the membership")
        .await
        .unwrap();
    raft.add_learner(2, NodeInfo::default(), false)
        .await
        .unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        let entry = EncodedEntry(Bytes::from_static(b"entry"));
        raft.client_write(entry).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    // The waits double from 50 to 500 ms: about 23 of them in ten seconds, after at most eleven quick tries.
    let opened = link.opened();
    assert!((10..=40).contains(&opened), "{opened} tries in 10 s");

    // It is deep in its longest wait when the peer is heard again.
    raft.trigger().reset_backoff([2]).await.unwrap();
    let again = async {
        while link.opened() == opened {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let at_once = Duration::from_millis(20);
    timeout(at_once, again).await.expect("it is tried at once");
    raft.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_peer_is_tried_now_and_then() {
    check(LinkError::Unreachable {
        detail: "nobody listens".into(),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_is_tried_now_and_then() {
    check(LinkError::Refused {
        reason: "not a member".into(),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_is_tried_now_and_then() {
    check(LinkError::Closed {
        detail: "the connection ended".into(),
    })
    .await;
}
