//! What peers ask of this node: Raft's calls, its append stream, snapshots, and the cluster's own questions.
//!
//! A peer speaks for itself only: a vote or leadership in a message must be the sender's own. A malformed request is
//! refused and changes nothing.

use std::cmp::{Ordering, Reverse};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, VoteRequest, VoteResponse};
use openraft::storage::RaftStateMachine;
use openraft_rt::AsyncRuntime;
use prost::Message;
use stellara_proto::v1::peer as wire;
use stellara_raft_store::engine::{Disk, EngineError};
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{NodeId, Types, Vote};

use super::convert::{
    VoteRound, append_request_from_wire, append_response_to_wire, snapshot_from_wire,
    stream_result_to_wire, transfer_from_wire, vote_request_from_wire, vote_response_to_wire,
    vote_to_wire,
};
use super::heartbeat::{BeatView, Heart};
use super::kind::{CallKind, decode};
use super::lease::{Asker, Stance, stance, withdraw_lease};
use super::memory::Memory;
use super::receive::{Incoming, ReceiveError, next};
use crate::ports::peer_link::{
    FrameRx, FrameTx, Peer, PeerIdentity, PeerLink, PeerService, ServiceError, StreamClass,
};

/// What a peer asks that Raft does not answer itself.
pub trait ClusterService: Send + Sync + 'static {
    /// From which index on the asker may read; a refusal is inside the answer.
    fn read_index(
        &self,
        from: &PeerIdentity,
    ) -> impl Future<Output = wire::ReadIndexResponse> + Send;

    /// Proposes the commands of the asker's callers; a refusal is inside the answer.
    fn forward(
        &self,
        from: &PeerIdentity,
        request: wire::ForwardRequest,
    ) -> impl Future<Output = wire::ForwardResponse> + Send;

    /// Tells an asker with a blank log what is known of a cluster; a refusal is inside the answer.
    fn standing(
        &self,
        from: &PeerIdentity,
        request: wire::StandingRequest,
    ) -> impl Future<Output = wire::StandingResponse> + Send;

    /// Changes who votes, if this node leads; a refusal is inside the answer.
    fn change_members(
        &self,
        from: &PeerIdentity,
        request: wire::MemberChangeRequest,
    ) -> impl Future<Output = wire::MemberChangeResponse> + Send;

    /// A write or a sync of this node's disk failed outside of Raft's own: the node must stop.
    fn disk_failed(&self, error: &EngineError) -> impl Future<Output = ()> + Send;
}

/// How long a stream that cannot be served yet is held, so that its sender does not open one after the other.
const HOLD_UNSERVED: Duration = Duration::from_millis(250);

/// What is left of an asker's time for the way back of an answer that was held.
const HOLD_MARGIN: Duration = Duration::from_millis(20);

/// Serves this node's peers.
pub struct RaftService<R, SM, L, D, C>
where
    R: AsyncRuntime + 'static,
    SM: RaftStateMachine<Types<R>, SnapshotData = Snapshot>,
    D: Disk,
{
    raft: Raft<Types<R>, SM>,
    heart: Arc<Heart<R, L>>,
    memory: Memory,
    incoming: Incoming<D>,
    cluster: C,
    snapshot_idle: Duration,
}

impl<R, SM, L, D, C> RaftService<R, SM, L, D, C>
where
    R: AsyncRuntime + 'static,
    SM: RaftStateMachine<Types<R>, SnapshotData = Snapshot>,
    L: PeerLink,
    D: Disk,
    C: ClusterService,
{
    /// Serves `raft` as far as `memory` allows, receiving snapshots on `disk` (what an earlier run left in `incoming` is removed) and giving
    /// up on one that did not move for `snapshot_idle`.
    ///
    /// # Errors
    /// The disk's, while removing.
    pub fn new(
        raft: Raft<Types<R>, SM>,
        heart: Arc<Heart<R, L>>,
        memory: Memory,
        disk: D,
        cluster: C,
        snapshot_idle: Duration,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            raft,
            heart,
            memory,
            incoming: Incoming::new(disk)?,
            cluster,
            snapshot_idle,
        })
    }

    /// Sends this node's heartbeats until `stop` resolves.
    pub async fn beat(&self, stop: impl Future<Output = ()> + Send) {
        self.heart.beat(|| self.beat_view(), stop).await;
    }

    fn beat_view(&self) -> BeatView {
        BeatView::of(&*self.raft.server_metrics().borrow_watched())
    }

    fn member(&self, node_id: NodeId) -> Option<Peer> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let info = metrics.membership_config.get_node(&node_id)?.clone();
        Some(Peer { node_id, info })
    }

    fn own_vote(&self) -> Vote {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.vote
    }

    async fn serve_vote(&self, from: &PeerIdentity, request: Bytes) -> Result<Bytes, ServiceError> {
        let (request, round) = vote_request_from_wire::<R>(decode(request)?).map_err(malformed)?;
        speaks_for_itself(from, &request.vote)?;
        self.memory.may_vote().map_err(unavailable)?;
        match round {
            VoteRound::Vote => {
                let response = self.raft.vote(request).await.map_err(unavailable)?;
                Ok(vote_response_to_wire(&response).encode_to_vec().into())
            }
            VoteRound::PreVote => {
                let response = self.serve_pre_vote(request).await?;
                Ok(response.encode_to_vec().into())
            }
        }
    }

    /// Answers a pre-vote, and gives the vote itself with it when the answer is sure to elect the asker.
    async fn serve_pre_vote(
        &self,
        request: VoteRequest<Types<R>>,
    ) -> Result<wire::VoteResponse, ServiceError> {
        let asker = request.vote.leader_id.voted_for;
        self.hold(asker).await;
        let vote = self.own_vote();
        let order = self.order(&request);
        let stance = stance(
            &self.heart,
            &vote,
            Asker {
                node_id: asker,
                order,
            },
        );
        let sure = self.majority_suspects(asker, &vote);
        // The promise comes first: while Raft is asked, this node may come to its own call.
        if stance == Stance::Refuse || (sure && !self.heart.promise(asker, order)) {
            let refused = VoteResponse::<Types<R>>::new(vote, None, false);
            return Ok(vote_response_to_wire(&refused));
        }
        if stance == Stance::Withdraw {
            withdraw_lease(&self.raft, &self.heart, vote).await;
        }
        let response = self.raft.pre_vote(request.clone()).await;
        let response = response.map_err(unavailable)?;
        let mut answer = vote_response_to_wire(&response);
        if sure && response.vote_granted {
            let given = self.raft.vote(request).await.map_err(unavailable)?;
            answer.voted = given.vote_granted;
            answer.last_log_id = vote_response_to_wire(&given).last_log_id;
        }
        if sure && !answer.voted {
            self.heart.release(asker);
        }
        Ok(answer)
    }

    // The asker is nearer to the leader, and has missed it first: an answer a moment later is worth another round.
    async fn hold(&self, asker: NodeId) {
        let vote = self.own_vote();
        let leader = vote.leader_id.voted_for;
        let Some(left) = self.heart.patience_left(leader).filter(|_| vote.committed) else {
            return;
        };
        // The asker waits for its answer no longer than the least election timeout.
        let pulse = self.heart.pulse(asker);
        let round_trip = pulse.and_then(|pulse| pulse.round_trip).unwrap_or_default();
        let waits = self.heart.options().suspect_after_min;
        let limit = waits.saturating_sub(round_trip + HOLD_MARGIN);
        let silent_for_long = left < self.heart.patience(leader) / 2;
        if silent_for_long && !left.is_zero() && left < limit {
            R::sleep(left + Duration::from_millis(1)).await;
        }
    }

    /// Whether the asker goes before this node, should both stand: by the longer log, then by the lower number.
    fn order(&self, request: &VoteRequest<Types<R>>) -> Ordering {
        let metrics = self.raft.data_metrics();
        let own_log = metrics.borrow_watched().last_log;
        let theirs = (
            request.last_log_id,
            Reverse(request.vote.leader_id.voted_for),
        );
        theirs.cmp(&(own_log, Reverse(*self.raft.node_id())))
    }

    /// Whether the asker, this node and those that have said so are a majority that suspects the leader of `vote`.
    fn majority_suspects(&self, asker: NodeId, vote: &Vote) -> bool {
        let (leader, term) = (vote.leader_id.voted_for, vote.leader_id.term);
        if !vote.committed || !self.heart.suspects(leader) {
            return false;
        }
        let own = *self.raft.node_id();
        let suspects =
            |id: &NodeId| [asker, own].contains(id) || self.heart.told_suspicion(*id, leader, term);
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let configs = metrics.membership_config.membership().get_joint_config();
        configs
            .iter()
            .all(|voters| voters.iter().filter(|id| suspects(id)).count() * 2 > voters.len())
    }

    async fn serve_append_call(
        &self,
        from: &PeerIdentity,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        let request = append_request_from_wire::<R>(decode(request)?).map_err(malformed)?;
        speaks_for_itself(from, &request.vote)?;
        self.memory.may_follow().map_err(unavailable)?;
        self.heart.append(from.node_id);
        let response = self
            .raft
            .append_entries(request)
            .await
            .map_err(unavailable)?;
        Ok(append_response_to_wire(&response).encode_to_vec().into())
    }

    async fn serve_transfer(
        &self,
        from: &PeerIdentity,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        let request = transfer_from_wire::<R>(decode(request)?).map_err(malformed)?;
        speaks_for_itself(from, request.from_leader())?;
        self.memory.may_vote().map_err(unavailable)?;
        let outcome = self
            .raft
            .handle_transfer_leader(request)
            .await
            .map_err(unavailable)?;
        outcome.map_err(|refused| ServiceError::Unavailable {
            detail: refused.to_string(),
        })?;
        let accepted = wire::TransferLeaderResponse { accepted: true };
        Ok(accepted.encode_to_vec().into())
    }

    async fn serve_append_stream(
        &self,
        from: PeerIdentity,
        mut tx: impl FrameTx,
        rx: impl FrameRx,
    ) {
        if let Err(reason) = self.memory.may_follow() {
            tracing::debug!(%from, reason, "append stream not served");
            R::sleep(HOLD_UNSERVED).await;
            return;
        }
        let heart = Arc::clone(&self.heart);
        let leader = from.node_id;
        let input = append_requests::<R>(from.clone(), rx).inspect(move |_| heart.append(leader));
        let mut results = std::pin::pin!(self.raft.stream_append(Box::pin(input)));
        while let Some(result) = results.next().await {
            let result = match result {
                Ok(result) => result,
                Err(fatal) => {
                    tracing::warn!(%from, %fatal, "append stream ends: raft has stopped");
                    return;
                }
            };
            let answer = stream_result_to_wire::<R>(&result).encode_to_vec();
            if tx.send(answer.into()).await.is_err() {
                return;
            }
        }
        // The leader may be gone by now; then nobody waits for the end.
        tx.finish().await.ok();
    }

    async fn serve_snapshot(&self, from: PeerIdentity, mut tx: impl FrameTx, mut rx: impl FrameRx) {
        let answer = match self.install(&from, &mut rx).await {
            Ok(vote) => wire::SnapshotResponse {
                vote: Some(vote_to_wire(&vote)),
                error: String::new(),
            },
            Err(error) => {
                tracing::warn!(%from, error, "snapshot not installed");
                wire::SnapshotResponse {
                    vote: Some(vote_to_wire(&self.own_vote())),
                    error,
                }
            }
        };
        // A sender that is gone tries again and learns it then.
        tx.send(answer.encode_to_vec().into()).await.ok();
        tx.finish().await.ok();
    }

    async fn install(&self, from: &PeerIdentity, rx: &mut impl FrameRx) -> Result<Vote, String> {
        self.memory.may_follow()?;
        let begin = next::<R>(rx, self.snapshot_idle)
            .await
            .map_err(|error| error.to_string())?
            .ok_or("the stream ended before its first frame")?;
        let begin = wire::SnapshotBegin::decode(begin).map_err(|error| error.to_string())?;
        let (vote, meta, files) = snapshot_from_wire(begin).map_err(|error| error.to_string())?;
        speaks_for_itself(from, &vote).map_err(|error| error.to_string())?;
        // A deposed leader learns of it before it sends gigabytes.
        let own_vote = self.own_vote();
        if own_vote > vote {
            return Ok(own_vote);
        }
        let received = match self
            .incoming
            .receive::<R>(files, rx, self.snapshot_idle)
            .await
        {
            Ok(received) => received,
            Err(error) => {
                // What failed is not tried again on this disk; a full one is for the gate to see.
                if let ReceiveError::Disk(failed @ EngineError::WriteFailed { .. }) = &error {
                    self.cluster.disk_failed(failed).await;
                }
                return Err(error.to_string());
            }
        };
        tracing::info!(%from, folder = %received.snapshot.folder, "snapshot received and verified");
        let snapshot = openraft::Snapshot {
            meta,
            snapshot: received.snapshot.clone(),
        };
        // In a task of its own: when the connection breaks here, Raft may still be installing from the folder, which
        // goes only after that.
        let raft = self.raft.clone();
        let installing = R::spawn(async move {
            let response = raft.install_full_snapshot(vote, snapshot).await;
            drop(received);
            response
        });
        let response = installing.await.map_err(|error| error.to_string())?;
        let response = response.map_err(|fatal| fatal.to_string())?;
        Ok(response.vote)
    }
}

impl<R, SM, L, D, C> PeerService for RaftService<R, SM, L, D, C>
where
    R: AsyncRuntime + 'static,
    SM: RaftStateMachine<Types<R>, SnapshotData = Snapshot>,
    L: PeerLink,
    D: Disk,
    C: ClusterService,
{
    // A node that the membership does not name is let in: a node that joins knows nobody yet, and the authority and
    // the cluster id in its certificate have spoken for the other.
    fn admit(&self, from: &PeerIdentity) -> Result<(), String> {
        if from.node_id == *self.raft.node_id() {
            return Err(format!("node {} is this node", from.node_id));
        }
        match self.member(from.node_id) {
            Some(member) if member.info.region != from.region => Err(format!(
                "node {} is of region {}, expected {}",
                from.node_id, from.region, member.info.region
            )),
            Some(_) | None => Ok(()),
        }
    }

    async fn call(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        mut request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        match class {
            StreamClass::Vote | StreamClass::Append => match CallKind::decode(&mut request)? {
                CallKind::Vote => self.serve_vote(&from, request).await,
                CallKind::Append => self.serve_append_call(&from, request).await,
                CallKind::TransferLeader => self.serve_transfer(&from, request).await,
                CallKind::Standing => {
                    let answer = self.cluster.standing(&from, decode(request)?).await;
                    Ok(answer.encode_to_vec().into())
                }
                CallKind::MemberChange => {
                    let answer = self.cluster.change_members(&from, decode(request)?).await;
                    Ok(answer.encode_to_vec().into())
                }
            },
            StreamClass::ReadIndex => {
                let wire::ReadIndexRequest {} = decode(request)?;
                let answer = self.cluster.read_index(&from).await;
                Ok(answer.encode_to_vec().into())
            }
            StreamClass::Forward => {
                let answer = self.cluster.forward(&from, decode(request)?).await;
                Ok(answer.encode_to_vec().into())
            }
            StreamClass::Snapshot => Err(ServiceError::NotPermitted {
                detail: "snapshots are streams, not calls".into(),
            }),
        }
    }

    async fn stream<Tx: FrameTx, Rx: FrameRx>(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        tx: Tx,
        rx: Rx,
    ) {
        match class {
            StreamClass::Append => self.serve_append_stream(from, tx, rx).await,
            StreamClass::Snapshot => self.serve_snapshot(from, tx, rx).await,
            StreamClass::Vote | StreamClass::ReadIndex | StreamClass::Forward => {
                tracing::warn!(%from, ?class, "stream refused: the class takes calls only");
            }
        }
    }

    fn datagram(&self, from: PeerIdentity, payload: Bytes) {
        let peer = self.member(from.node_id);
        self.heart.receive(from.node_id, payload, peer.as_ref());
    }
}

fn append_requests<R: AsyncRuntime + 'static>(
    from: PeerIdentity,
    rx: impl FrameRx,
) -> impl Stream<Item = AppendEntriesRequest<Types<R>>> + Send + 'static {
    stream::unfold((from, rx), |(from, mut rx)| async move {
        // A broken stream ends like a finished one: what arrived is answered, what did not is sent again.
        let frame = rx.recv().await.ok().flatten()?;
        match append_request::<R>(&from, frame) {
            Ok(request) => Some((request, (from, rx))),
            Err(error) => {
                tracing::warn!(%from, %error, "append stream ends");
                None
            }
        }
    })
}

fn append_request<R: AsyncRuntime + 'static>(
    from: &PeerIdentity,
    frame: Bytes,
) -> Result<AppendEntriesRequest<Types<R>>, ServiceError> {
    let request = append_request_from_wire::<R>(decode(frame)?).map_err(malformed)?;
    speaks_for_itself(from, &request.vote)?;
    Ok(request)
}

fn speaks_for_itself(from: &PeerIdentity, vote: &Vote) -> Result<(), ServiceError> {
    let named = vote.leader_id.voted_for;
    if named == from.node_id {
        return Ok(());
    }
    Err(ServiceError::NotPermitted {
        detail: format!("node {} sent a vote of node {named}", from.node_id),
    })
}

fn malformed(error: impl ToString) -> ServiceError {
    ServiceError::Malformed {
        detail: error.to_string(),
    }
}

fn unavailable(error: impl ToString) -> ServiceError {
    ServiceError::Unavailable {
        detail: error.to_string(),
    }
}
