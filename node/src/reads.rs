//! Reads: from which index on a node's state is fresh enough, and waiting for it.
//!
//! Readers that wait together share one read-index round (Raft thesis, section 6.4).

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{ReadPolicy, ServerState};
use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_machine::ids::Index;
use stellara_proto::v1::peer;
use stellara_raft_store::apply::{AppliedIndex, StateStore};
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::NodeId;
use stellara_raft_store::view::View;
use tokio::sync::{mpsc, oneshot};

use crate::gateway::{ClusterView, Failure, Freshness, MemberView, Role, Suffrage};
use crate::ingress::Group;
use crate::ports::PeerLink;
use crate::ports::peer_link::{LinkError, Peer};
use crate::transport::client::PeerClient;
use crate::transport::raft::Heart;

/// Readers waiting for one round, at most.
const WAITING_MAX: usize = 65_536;

/// A place to read: who this node is, its group and its state. Clones share it.
pub struct Reads<R: AsyncRuntime + 'static, D: Disk, L> {
    shared: Arc<Shared<R, D, L>>,
    rounds: mpsc::Sender<oneshot::Sender<Result<Index, Failure>>>,
}

impl<R: AsyncRuntime + 'static, D: Disk, L> Clone for Reads<R, D, L> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            rounds: self.rounds.clone(),
        }
    }
}

struct Shared<R: AsyncRuntime + 'static, D: Disk, L> {
    cluster_id: String,
    node_id: NodeId,
    region: String,
    raft: Group<R, D>,
    store: StateStore<R, D>,
    peers: PeerClient<L>,
    heart: Arc<Heart<R, L>>,
    answer_within: Duration,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    /// Its region.
    pub region: String,
}

impl<R: AsyncRuntime + 'static, D: Disk, L: PeerLink> Reads<R, D, L> {
    /// Opens the reads; the task that runs the rounds ends when the last clone is dropped.
    pub fn open(
        whoami: Whoami,
        raft: Group<R, D>,
        store: StateStore<R, D>,
        link: L,
        heart: Arc<Heart<R, L>>,
        answer_within: Duration,
    ) -> Self {
        let (rounds, waiting) = mpsc::channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            cluster_id: whoami.cluster_id,
            node_id: whoami.node_id,
            region: whoami.region,
            raft,
            store,
            peers: PeerClient::new(link),
            heart,
            answer_within,
        });
        drop(R::spawn(run_rounds(Arc::clone(&shared), waiting)));
        Self { shared, rounds }
    }

    /// Waits until this node's state is as fresh as asked, and gives it.
    ///
    /// # Errors
    /// `NoLeader`, `Overloaded`, or `Unavailable` when the bound of a stale read is passed.
    pub async fn read(&self, freshness: Freshness) -> Result<View<D>, Failure> {
        match freshness {
            Freshness::Stale { staleness_max_ms } => self.check_staleness(staleness_max_ms)?,
            Freshness::Linearizable => {
                let (answer, answered) = oneshot::channel();
                self.rounds
                    .try_send(answer)
                    .map_err(|_| Failure::Overloaded {
                        retry_after_ms: 100,
                    })?;
                let reading = async {
                    let index = answered
                        .await
                        .unwrap_or(Err(Failure::NoLeader { hint: None }))?;
                    self.applied_at_least(index).await;
                    Ok(())
                };
                R::timeout(self.shared.answer_within, reading)
                    .await
                    .unwrap_or(Err(Failure::NoLeader { hint: None }))?;
            }
        }
        Ok(self.shared.store.view())
    }

    fn check_staleness(&self, staleness_max_ms: u64) -> Result<(), Failure> {
        if staleness_max_ms == 0 {
            return Ok(());
        }
        let silence = self.shared.silence();
        let silent_ms = silence.map(|silence| u64::try_from(silence.as_millis()));
        let silence = match silent_ms {
            Some(Ok(silent_ms)) if silent_ms <= staleness_max_ms => return Ok(()),
            Some(Ok(silent_ms)) => format!("for {silent_ms} ms"),
            Some(Err(_)) | None => "since it started".to_owned(),
        };
        Err(Failure::Unavailable {
            reason: format!(
                "this node was not in touch with a leader {silence}, expected at most {staleness_max_ms} ms"
            ),
        })
    }

    async fn applied_at_least(&self, index: Index) {
        let mut applied = self.applied();
        applied.wait_until_ge(&index.0).await.ok();
    }

    fn applied(&self) -> AppliedIndex<R> {
        self.shared.store.applied()
    }

    /// Resolves once an index past `seen` is applied here.
    pub async fn applied_past(&self, seen: Index) {
        self.applied_at_least(Index(seen.0.saturating_add(1))).await;
    }

    /// The state as it is, for the node's own executor.
    #[must_use]
    pub fn view(&self) -> View<D> {
        self.shared.store.view()
    }

    /// The index from which a read is linearizable, as a leader answers its peers.
    ///
    /// # Errors
    /// `NoLeader` when this node does not lead or cannot reach a majority.
    pub async fn read_index(&self) -> Result<Index, Failure> {
        self.shared.confirm().await
    }

    /// The cluster as this node sees it now.
    #[must_use]
    pub fn status(&self, read_only_reason: Option<String>) -> ClusterView {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let index_of = |log_id: Option<stellara_raft_store::types::LogId>| {
            log_id.map_or(0, |log_id| log_id.index)
        };
        let members = membership
            .nodes()
            .map(|(node_id, info)| MemberView {
                node_id: *node_id,
                info: info.clone(),
                suffrage: if voters.contains(node_id) {
                    Suffrage::Voter
                } else {
                    Suffrage::Learner
                },
                matched_index: metrics
                    .replication
                    .as_ref()
                    .and_then(|replication| replication.get(node_id))
                    .map(|matched| index_of(*matched)),
            })
            .collect();
        ClusterView {
            cluster_id: self.shared.cluster_id.clone(),
            node_id: self.shared.node_id,
            region: self.shared.region.clone(),
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Candidate => Role::Candidate,
                ServerState::Follower => Role::Follower,
                ServerState::Learner | ServerState::Shutdown => Role::Learner,
            },
            term: metrics.current_term,
            leader_id: metrics.current_leader,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index_of(metrics.local_committed),
            applied_index: index_of(metrics.last_applied),
            members,
            joining: None,
            read_only_reason,
        }
    }
}

/// One round after the other; whoever asks while one runs shares the next.
async fn run_rounds<R, D, L>(
    shared: Arc<Shared<R, D, L>>,
    mut waiting: mpsc::Receiver<oneshot::Sender<Result<Index, Failure>>>,
) where
    R: AsyncRuntime + 'static,
    D: Disk,
    L: PeerLink,
{
    while let Some(first) = waiting.recv().await {
        let mut readers = vec![first];
        while let Ok(reader) = waiting.try_recv() {
            readers.push(reader);
        }
        let index = shared.fresh_index().await;
        for reader in readers {
            reader.send(index.clone()).ok();
        }
    }
}

impl<R: AsyncRuntime + 'static, D: Disk, L: PeerLink> Shared<R, D, L> {
    /// How long ago this node last knew itself in touch with the group, as [`Freshness::Stale`] defines it; `None`
    /// when it has not been since it started.
    fn silence(&self) -> Option<Duration> {
        let now = self.heart.now();
        let heard = self.heart.in_touch_at().map(|at| now.saturating_sub(at));
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return heard;
        }
        let mut voters = metrics.membership_config.voter_ids();
        if voters.next() == Some(self.node_id) && voters.next().is_none() {
            // Its own word is the majority's.
            return Some(Duration::ZERO);
        }
        let answered = metrics.last_quorum_acked.map(|at| at.elapsed());
        // A new leader has heard the one before it and may not have been answered yet.
        answered.into_iter().chain(heard).min()
    }

    async fn fresh_index(&self) -> Result<Index, Failure> {
        if self.raft.is_leader() {
            return self.confirm().await;
        }
        let leader = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics.current_leader.and_then(|node_id| {
                let info = metrics.membership_config.get_node(&node_id)?.clone();
                Some(Peer { node_id, info })
            })
        };
        let Some(leader) = leader.filter(|peer| peer.node_id != self.node_id) else {
            return Err(Failure::NoLeader { hint: None });
        };
        let no_leader = || Failure::NoLeader {
            hint: Some(leader.info.public_address.clone()),
        };
        match self.peers.read_index(&leader, self.answer_within).await {
            Ok(peer::ReadIndexResponse { index, error: None }) => Ok(Index(index)),
            Ok(peer::ReadIndexResponse { error: Some(_), .. })
            | Err(
                LinkError::Unreachable { .. }
                | LinkError::Refused { .. }
                | LinkError::TimedOut { .. }
                | LinkError::Closed { .. }
                | LinkError::TooLarge { .. },
            ) => Err(no_leader()),
        }
    }

    /// Confirms with a majority that this node still leads.
    async fn confirm(&self) -> Result<Index, Failure> {
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read_log_id, _)) => Ok(Index(read_log_id.index())),
            Err(
                RaftError::APIError(
                    LinearizableReadError::ForwardToLeader(_)
                    | LinearizableReadError::QuorumNotEnough(_),
                )
                | RaftError::Fatal(_),
            ) => Err(Failure::NoLeader { hint: None }),
        }
    }
}
