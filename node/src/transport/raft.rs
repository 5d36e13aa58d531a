//! Raft over any peer link: openraft's network on one side, the service of its calls on the other.
//!
//! Generic over the runtime, the link and the disk. Replication is pipelined over one stream a follower; its deadline
//! is idle time, because openraft's own limit is the heartbeat interval, which may be shorter than the round trip.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::network::RaftNetworkFactory;
use openraft_rt::AsyncRuntime;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::{NodeId, NodeInfo, Types};

use self::ballots::Ballots;
use crate::ports::peer_link::{Peer, PeerLink};

mod ballots;
pub mod convert;
pub mod heartbeat;
pub(in crate::transport) mod kind;
mod lease;
pub mod memory;
pub mod peer;
mod pipeline;
mod receive;
mod send;
pub mod service;
mod split;

pub use heartbeat::Heart;
pub use lease::withdraw_lease;
pub use memory::Memory;
pub use peer::RaftPeer;
pub use service::{ClusterService, RaftService};

/// For how long what a voter told with its vote is believed, unless the timers are known.
const WORDS_FRESH_FOR: Duration = Duration::from_millis(50);

/// How Raft uses the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftLinkOptions {
    /// An append stream is given up when no answer came for this long, or for four round trips, or for openraft's
    /// own limit, whichever is longest.
    pub append_idle: Duration,
    /// Append requests sent and not yet answered, at most, on one stream.
    pub appends_in_flight_max: usize,
    /// Their bytes, at most.
    pub append_bytes_in_flight_max: usize,
    /// An append request is split so that its frames stay below this; one larger entry goes alone.
    pub append_frame_bytes_max: usize,
    /// Bytes of a snapshot's file in one frame.
    pub snapshot_chunk_bytes: usize,
    /// The rate at which a snapshot is sent, at most; `None` for as fast as the link takes it.
    pub snapshot_bytes_per_s: Option<NonZeroU64>,
    /// A snapshot transfer is given up when nothing moved for this long.
    pub snapshot_idle: Duration,
    /// How long the receiver may take to install what it received.
    pub snapshot_install: Duration,
    /// The first wait before an unreachable node is tried again; it doubles each time.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
}

impl Default for RaftLinkOptions {
    fn default() -> Self {
        Self {
            append_idle: Duration::from_millis(400),
            appends_in_flight_max: 64,
            append_bytes_in_flight_max: 32 * 1024 * 1024,
            append_frame_bytes_max: 4 * 1024 * 1024 - 64 * 1024,
            snapshot_chunk_bytes: 256 * 1024,
            snapshot_bytes_per_s: NonZeroU64::new(32 * 1024 * 1024),
            snapshot_idle: Duration::from_secs(8),
            snapshot_install: Duration::from_secs(120),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_millis(500),
        }
    }
}

/// How far a snapshot's transfer to a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotProgress {
    /// Bytes of its files handed to the link.
    pub bytes_sent: u64,
    /// Bytes of all its files.
    pub bytes_total: u64,
}

/// The transfers under way, by receiving node.
#[derive(Clone, Debug, Default)]
pub struct SnapshotBoard(Arc<Mutex<BTreeMap<NodeId, SnapshotProgress>>>);

impl SnapshotBoard {
    /// The transfers under way now.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    #[must_use]
    pub fn transfers(&self) -> BTreeMap<NodeId, SnapshotProgress> {
        self.0.lock().expect("no holder panics").clone()
    }

    fn set(&self, node_id: NodeId, progress: SnapshotProgress) {
        let mut board = self.0.lock().expect("no holder panics");
        board.insert(node_id, progress);
    }

    fn clear(&self, node_id: NodeId) {
        self.0.lock().expect("no holder panics").remove(&node_id);
    }
}

/// Makes openraft's clients to other nodes.
#[derive(Debug)]
pub struct RaftFactory<R: AsyncRuntime + 'static, L, D> {
    node_id: NodeId,
    link: L,
    disk: D,
    options: RaftLinkOptions,
    memory: Memory,
    board: SnapshotBoard,
    ballots: Ballots<R>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: AsyncRuntime + 'static, L: Clone, D: Clone> Clone for RaftFactory<R, L, D> {
    fn clone(&self) -> Self {
        Self {
            node_id: self.node_id,
            link: self.link.clone(),
            disk: self.disk.clone(),
            options: self.options,
            memory: self.memory.clone(),
            board: self.board.clone(),
            ballots: self.ballots.clone(),
            runtime: PhantomData,
        }
    }
}

impl<R: AsyncRuntime + 'static, L: PeerLink, D: Disk> RaftFactory<R, L, D> {
    /// The clients of node `node_id` over `link`, sending snapshots from `disk`.
    pub fn new(node_id: NodeId, link: L, disk: D, options: RaftLinkOptions) -> Self {
        Self {
            node_id,
            link,
            disk,
            options,
            memory: Memory::whole(),
            board: SnapshotBoard::default(),
            ballots: Ballots::new(WORDS_FRESH_FOR),
            runtime: PhantomData,
        }
    }

    /// The same clients of a node that may have forgotten: whatever starts an election, they ask for no vote before
    /// `memory` allows it.
    #[must_use]
    pub fn remembering(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// The same clients with another least election timeout than the shortest reasonable one: for half of it, a new
    /// leader believes what a voter told with its vote.
    #[must_use]
    pub fn electing_after(self, election_timeout_min: Duration) -> Self {
        Self {
            ballots: Ballots::new(election_timeout_min / 2),
            ..self
        }
    }

    /// The snapshot transfers of this factory's clients.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotBoard {
        self.board.clone()
    }
}

impl<R: AsyncRuntime + 'static, L: PeerLink, D: Disk> RaftNetworkFactory<Types<R>>
    for RaftFactory<R, L, D>
{
    type Network = RaftPeer<R, L, D>;

    // Streams of one connection do not wait for each other, so heartbeats and replication share it; the link itself
    // puts snapshots on another.
    async fn new_client(&mut self, target: NodeId, node: &NodeInfo) -> Self::Network {
        let peer = Peer {
            node_id: target,
            info: node.clone(),
        };
        RaftPeer::new(self, peer)
    }
}

#[cfg(test)]
mod tests;
