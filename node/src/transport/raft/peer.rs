//! openraft's client to one node.
//!
//! A failure to reach the node makes openraft back off, inside the requests that it streams: so they are taken before
//! the link is tried. Nothing here ever answers in the peer's name, but with its own words ([`Ballots`]): a pre-vote that
//! was not answered is an error, never a grant.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use openraft::alias::SnapshotOf;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RPCTypes};
use openraft_rt::{AsyncRuntime, Select2};
use prost::Message;
use stellara_proto::v1::peer as wire;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{LogId, NodeId, Types, Vote};

use super::ballots::Ballots;
use super::convert::{
    ConvertError, VoteRound, append_response_from_wire, transfer_to_wire, vote_request_to_wire,
    vote_response_from_wire,
};
use super::kind::CallKind;
use super::memory::Memory;
use super::pipeline::pipeline;
use super::send::{SnapshotSender, TransferError};
use super::split::{Part, split};
use super::{RaftFactory, RaftLinkOptions, SnapshotBoard};
use crate::ports::peer_link::{LinkError, Peer, PeerLink, StreamClass};

/// The client to one node.
#[derive(Debug)]
pub struct RaftPeer<R: AsyncRuntime + 'static, L, D> {
    node_id: NodeId,
    peer: Peer,
    link: L,
    disk: D,
    options: RaftLinkOptions,
    memory: Memory,
    board: SnapshotBoard,
    ballots: Ballots<R>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: AsyncRuntime + 'static, L: PeerLink, D: Disk> RaftPeer<R, L, D> {
    pub(super) fn new(factory: &RaftFactory<R, L, D>, peer: Peer) -> Self {
        Self {
            node_id: factory.node_id,
            peer,
            link: factory.link.clone(),
            disk: factory.disk.clone(),
            options: factory.options,
            memory: factory.memory.clone(),
            board: factory.board.clone(),
            ballots: factory.ballots.clone(),
            runtime: PhantomData,
        }
    }

    async fn call<A: Message + Default>(
        &self,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<A, LinkError> {
        let answer = self.link.call(&self.peer, class, request, limit).await?;
        A::decode(answer).map_err(|error| LinkError::Closed {
            detail: format!("the answer does not decode: {error}"),
        })
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<Types<R>>,
        round: VoteRound,
        limit: Duration,
    ) -> Result<VoteResponse<Types<R>>, RPCError<Types<R>>> {
        self.memory
            .may_vote()
            .map_err(|reason| RPCError::Unreachable(Unreachable::from_string(reason)))?;
        let voter = self.peer.node_id;
        if round == VoteRound::Vote
            && let Some(given) = self.ballots.vote(voter, request)
        {
            return Ok(given);
        }
        let question = CallKind::Vote.encode(&vote_request_to_wire(request, round));
        let answer: wire::VoteResponse = self
            .call(StreamClass::Vote, question, limit)
            .await
            .map_err(|error| self.rpc_error(RPCTypes::Vote, error))?;
        let voted = round == VoteRound::Vote || answer.voted;
        let response = vote_response_from_wire(answer).map_err(malformed)?;
        if voted && response.vote_granted {
            // A voter that gave its vote stands where it was asked to.
            let vote = VoteResponse {
                vote: request.vote,
                ..response.clone()
            };
            self.ballots.given(voter, request, &vote);
        }
        Ok(response)
    }

    async fn append_part(
        &self,
        part: &Part,
        limit: Duration,
    ) -> Result<AppendEntriesResponse<Types<R>>, RPCError<Types<R>>> {
        let request = CallKind::Append.encode(&part.message);
        let answer: wire::AppendResponse = self
            .call(StreamClass::Append, request, limit)
            .await
            .map_err(|error| self.rpc_error(RPCTypes::AppendEntries, error))?;
        append_response_from_wire(answer).map_err(malformed)
    }

    // openraft's limit of an append is the heartbeat interval: below the round trip nothing would ever be answered.
    fn append_limit(&self, option: &RPCOption) -> Duration {
        let round_trip = self.link.round_trip(self.peer.node_id).unwrap_or_default();
        option
            .soft_ttl()
            .max(round_trip * 4)
            .max(self.options.append_idle)
    }

    fn rpc_error(&self, action: RPCTypes, error: LinkError) -> RPCError<Types<R>> {
        match error {
            LinkError::TimedOut { limit } => RPCError::Timeout(Timeout {
                action,
                id: self.node_id,
                target: self.peer.node_id,
                timeout: limit,
            }),
            LinkError::Closed { .. } => RPCError::Network(NetworkError::from_string(error)),
            LinkError::Unreachable { .. }
            | LinkError::Refused { .. }
            | LinkError::TooLarge { .. } => RPCError::Unreachable(Unreachable::from_string(error)),
        }
    }

    fn streaming_error(&self, error: TransferError) -> StreamingError<Types<R>> {
        match error {
            TransferError::Link(error) => self.rpc_error(RPCTypes::InstallSnapshot, error).into(),
            // The next attempt reads the then current snapshot, so a vanished file does not stop the node.
            TransferError::Disk(_) | TransferError::Receiver(_) => {
                StreamingError::Unreachable(Unreachable::from_string(error))
            }
        }
    }
}

fn malformed<R: AsyncRuntime + 'static>(error: ConvertError) -> RPCError<Types<R>> {
    RPCError::Network(NetworkError::from_string(format!(
        "the answer is malformed: {error}"
    )))
}

type AppendStream<'s, R> = BoxStream<'s, Result<StreamAppendResult<Types<R>>, RPCError<Types<R>>>>;

impl<R: AsyncRuntime + 'static, L: PeerLink, D: Disk> RaftNetworkV2<Types<R>>
    for RaftPeer<R, L, D>
{
    type SnapshotData = Snapshot;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types<R>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<R>>, RPCError<Types<R>>> {
        let limit = self.append_limit(&option);
        let mut matched: Option<Option<LogId>> = None;
        for part in split::<R>(&request, self.options.append_frame_bytes_max) {
            match self.append_part(&part, limit).await {
                Ok(AppendEntriesResponse::Success) => matched = Some(part.last),
                Ok(
                    stopped @ (AppendEntriesResponse::PartialSuccess(_)
                    | AppendEntriesResponse::Conflict
                    | AppendEntriesResponse::HigherVote(_)),
                ) => return Ok(stopped),
                // What the earlier parts brought is matched all the same.
                Err(error) => {
                    return matched.map_or(Err(error), |matched| {
                        Ok(AppendEntriesResponse::PartialSuccess(matched))
                    });
                }
            }
        }
        Ok(AppendEntriesResponse::Success)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendStream<'s, R>, RPCError<Types<R>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // Without a request nothing would wait: an open that fails at once would be tried again at once, for ever.
            let Some(first) = input.next().await else {
                let nothing: AppendStream<'s, R> = Box::pin(stream::empty());
                return Ok(nothing);
            };
            if let Some(result) = self.ballots.append(self.peer.node_id, &first) {
                let told: AppendStream<'s, R> = Box::pin(stream::iter([Ok(result)]));
                return Ok(told);
            }
            let idle = self.append_limit(&option);
            let opened = R::timeout(idle, self.link.open(&self.peer, StreamClass::Append)).await;
            let halves = opened
                .unwrap_or(Err(LinkError::TimedOut { limit: idle }))
                .map_err(|error| self.rpc_error(RPCTypes::AppendEntries, error))?;
            let input = stream::iter([first]).chain(input);
            let results = pipeline::<R, _, L::Tx, L::Rx>(input, halves, self.options, idle);
            let results = results.map(|result| {
                result.map_err(|error| self.rpc_error(RPCTypes::AppendEntries, error))
            });
            let results: AppendStream<'s, R> = Box::pin(results);
            Ok(results)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<R>>, RPCError<Types<R>>> {
        self.ask_vote(&request, VoteRound::Vote, option.hard_ttl())
            .await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<R>>, RPCError<Types<R>>> {
        self.ask_vote(&request, VoteRound::PreVote, option.hard_ttl())
            .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types<R>, Snapshot>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types<R>>, StreamingError<Types<R>>> {
        let sender = SnapshotSender::<R, L, D> {
            peer: &self.peer,
            link: &self.link,
            disk: &self.disk,
            options: self.options,
            board: &self.board,
            idle: self.options.snapshot_idle.max(option.soft_ttl()),
            runtime: PhantomData,
        };
        let sending = sender.send(&vote, &snapshot.meta, &snapshot.snapshot);
        match R::select2(cancel, sending).await {
            Select2::First(closed) => Err(StreamingError::Closed(closed)),
            Select2::Second(sent) => sent
                .map(SnapshotResponse::new)
                .map_err(|error| self.streaming_error(error)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<R>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<R>>, RPCError<Types<R>>> {
        let request = CallKind::TransferLeader.encode(&transfer_to_wire(&request));
        let answer: wire::TransferLeaderResponse = self
            .call(StreamClass::Vote, request, option.soft_ttl())
            .await
            .map_err(|error| self.rpc_error(RPCTypes::TransferLeader, error))?;
        if answer.accepted {
            return Ok(Ok(()));
        }
        // A node that does not accept refuses the call with its reason.
        Err(RPCError::Network(NetworkError::from_string(
            "the node did not accept to lead",
        )))
    }

    fn backoff(&self) -> Option<Backoff> {
        let RaftLinkOptions {
            retry_min,
            retry_max,
            ..
        } = self.options;
        let waits = std::iter::successors(Some(retry_min), move |wait| {
            Some((*wait * 2).min(retry_max))
        });
        Some(Backoff::new(waits))
    }
}
