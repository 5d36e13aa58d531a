//! Gathers what waits at the door into entries and brings the answers back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::errors::{ClientWriteError, ForwardReason, RaftError};
use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_proto::v1::peer;
use stellara_raft_store::codec;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::{EncodedEntry, NodeId, NodeInfo};
use tokio::sync::mpsc;

use super::{Answers, Origin, Pending, Shared, entry};
use crate::gateway::{Failure, Rejected};
use crate::ports::peer_link::{LinkError, Peer};
use crate::ports::{Clock, PeerLink};

/// How long a write is offered to a leader that waits for its majority, and how long apart at most.
const LEASE_WITHIN: Duration = Duration::from_secs(1);
const LEASE_WAIT: Duration = Duration::from_millis(10);
/// How long callers wait here for a leader, from when it was first missed: an election takes less.
const LEADER_WITHIN: Duration = Duration::from_secs(1);

/// How soon a leader that is known and did not take the commands is asked again: others hear of its election before it
/// has told itself.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Takes what waits, as much as fits one entry, and proposes it; waits while too many entries are under way,
/// so that the next one gathers more.
pub(super) async fn gather<R, D, L, C>(
    shared: Weak<Shared<R, D, L, C>>,
    mut waiting: mpsc::UnboundedReceiver<Pending>,
    origin: Origin,
) where
    R: AsyncRuntime + 'static,
    D: Disk,
    L: PeerLink,
    C: Clock,
{
    let mut next = waiting.recv().await;
    while let Some(first) = next.take() {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.linger().await;
        let Ok(place) = Arc::clone(&shared.entries).acquire_owned().await else {
            return;
        };
        let limits = shared.limits;
        let mut commands = first.commands.len();
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while let Ok(pending) = waiting.try_recv() {
            commands += pending.commands.len();
            bytes += pending.bytes;
            if commands > limits.entry_commands_max || bytes > limits.entry_bytes_max {
                next = Some(pending);
                break;
            }
            group.push(pending);
        }
        drop(R::spawn(async move {
            let answers = shared.settle_group(&group, origin).await;
            drop(place);
            distribute(group, answers);
        }));
        if next.is_none() {
            next = waiting.recv().await;
        }
    }
}

/// Gives each caller its answers; a caller that left hears nothing.
fn distribute(group: Vec<Pending>, answers: Result<Answers, Failure>) {
    match answers {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for pending in group {
                let own = answers.by_ref().take(pending.commands.len()).collect();
                pending.answer.send(own).ok();
            }
        }
        Err(failure) => {
            for pending in group {
                let own = vec![Err(failure.clone()); pending.commands.len()];
                pending.answer.send(own).ok();
            }
        }
    }
}

impl<R, D, L, C> Shared<R, D, L, C>
where
    R: AsyncRuntime + 'static,
    D: Disk,
    L: PeerLink,
    C: Clock,
{
    /// While an entry is under way, waits for its end or for company: an entry costs as much as dozens of commands.
    async fn linger(&self) {
        let limits = self.limits;
        if self.entries.available_permits() == limits.entries_in_flight_max {
            return;
        }
        let all = u32::try_from(limits.entries_in_flight_max).unwrap_or(u32::MAX);
        // Both ends are good: all places free, or the time is over.
        let none_under_way = self.entries.acquire_many(all);
        drop(R::timeout(limits.entry_linger, none_under_way).await);
    }

    /// What was surely not proposed waits for the next leader: callers that come back later would only come late.
    async fn settle_group(&self, group: &[Pending], origin: Origin) -> Result<Answers, Failure> {
        loop {
            let seen = self.leadership();
            let answers = self.try_group(group, origin).await;
            match (origin, &answers) {
                (Origin::Caller, Err(Failure::NoLeader { .. })) => {
                    if !self.other_leader(seen).await {
                        return answers;
                    }
                }
                (Origin::Caller | Origin::LeaderOnly, Ok(_) | Err(_)) => {
                    self.leader_found();
                    return answers;
                }
            }
        }
    }

    async fn try_group(&self, group: &[Pending], origin: Origin) -> Result<Answers, Failure> {
        if self.raft.is_leader() {
            match self.propose_here(group).await {
                Ok(answers) => return Ok(answers),
                Err(NotDone::Unknown) => return Err(Failure::Unknown),
                Err(NotDone::LeaseExpired) => return Err(Failure::NoLeader { hint: None }),
                // Surely not proposed: another node may take it.
                Err(NotDone::NotLeader(leader)) => {
                    return self.pass_on(group, origin, leader).await;
                }
            }
        }
        let leader = self.known_leader();
        self.pass_on(group, origin, leader).await
    }

    /// Who leads and in which term, as far as this node knows.
    fn leadership(&self) -> Leadership {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        (metrics.current_leader, metrics.vote.leader_id.term)
    }

    fn leader_found(&self) {
        *self.leaderless.lock().expect("no holder panics") = None;
    }

    /// Waits until somebody leads who was not `seen` to, or a moment when somebody was; false when it takes too long. All callers wait from the
    /// moment that the first one missed a leader: a node that is cut off for long refuses at once.
    async fn other_leader(&self, seen: Leadership) -> bool {
        let missed = {
            let mut leaderless = self.leaderless.lock().expect("no holder panics");
            *leaderless.get_or_insert_with(R::Instant::now)
        };
        let left = LEADER_WITHIN.saturating_sub(missed.elapsed());
        let mut metrics = self.raft.server_metrics();
        let changed = async {
            loop {
                metrics.borrow_and_update();
                let now = self.leadership();
                if now != seen && now.0.is_some() {
                    return true;
                }
                if metrics.changed().await.is_err() {
                    return false;
                }
            }
        };
        let known = seen.0.is_some() && !left.is_zero();
        let limit = if known { left.min(AGAIN_AFTER) } else { left };
        R::timeout(limit, changed).await.unwrap_or(known)
    }

    /// A new leader refuses writes until a majority has answered it once: a matter of one round trip.
    async fn propose_here(&self, group: &[Pending]) -> Result<Answers, NotDone> {
        let commands = group.iter().flat_map(|pending| &pending.commands);
        let entry = EncodedEntry(entry::encode(self.clock.now(), commands));
        let started = R::Instant::now();
        let mut progress = self.raft.data_metrics();
        loop {
            progress.borrow_and_update();
            match self.propose_once(entry.clone()).await {
                Err(NotDone::LeaseExpired) if started.elapsed() < LEASE_WITHIN => {
                    // An answer of a peer shows as progress.
                    R::timeout(LEASE_WAIT, progress.changed()).await.ok();
                }
                other => return other,
            }
        }
    }

    async fn propose_once(&self, entry: EncodedEntry) -> Result<Answers, NotDone> {
        match self.raft.client_write(entry).await {
            Ok(written) => Ok(written
                .data
                .0
                .into_iter()
                .map(|answer| {
                    answer.map_err(|rejection| Failure::Rejected(Rejected::Here(rejection)))
                })
                .collect()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                if forward.reason == ForwardReason::LeaseExpired {
                    return Err(NotDone::LeaseExpired);
                }
                let leader = forward.leader_id.zip(forward.leader_node);
                Err(NotDone::NotLeader(leader))
            }
            Err(
                RaftError::APIError(
                    ClientWriteError::LogEntryDiscarded(_)
                    | ClientWriteError::ChangeMembershipError(_)
                    | ClientWriteError::PreconditionFailed(_),
                )
                | RaftError::Fatal(_),
            ) => Err(NotDone::Unknown),
        }
    }

    fn known_leader(&self) -> Option<(NodeId, NodeInfo)> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        let info = metrics.membership_config.get_node(&leader)?.clone();
        (leader != metrics.id).then_some((leader, info))
    }

    /// Resolves once this node knows that `leader` leads no more.
    async fn deposed(&self, leader: NodeId) {
        let mut metrics = self.raft.server_metrics();
        while metrics.borrow_watched().current_leader == Some(leader) {
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }

    async fn pass_on(
        &self,
        group: &[Pending],
        origin: Origin,
        leader: Option<(NodeId, NodeInfo)>,
    ) -> Result<Answers, Failure> {
        let hint = || leader.as_ref().map(|(_, info)| info.public_address.clone());
        let Some((node_id, info)) = leader.clone().filter(|_| origin == Origin::Caller) else {
            return Err(Failure::NoLeader { hint: hint() });
        };
        // What it does not get, it surely does not propose: the next leader takes it at once.
        if self.heart.suspects(node_id) {
            return Err(Failure::NoLeader { hint: None });
        }
        let request = peer::ForwardRequest {
            commands: group
                .iter()
                .flat_map(|pending| &pending.commands)
                .map(|command| command.clone().into())
                .collect(),
        };
        let expected = request.commands.len();
        let target = Peer { node_id, info };
        let limit = self.limits.answer_within;
        let answer = tokio::select! {
            biased;
            answer = self.peers.forward(&target, &request, limit) => answer,
            // It may have taken the commands; waiting for a leader of the past would only keep others at the door.
            () = self.deposed(node_id) => return Err(Failure::Unknown),
        };
        match answer {
            Ok(response) => answers_of(response, expected, hint()),
            Err(LinkError::Unreachable { .. } | LinkError::Refused { .. }) => {
                Err(Failure::NoLeader { hint: hint() })
            }
            Err(LinkError::TooLarge { .. }) => Err(Failure::Unavailable {
                reason: "the commands are too large to forward".to_owned(),
            }),
            Err(LinkError::TimedOut { .. } | LinkError::Closed { .. }) => Err(Failure::Unknown),
        }
    }
}

/// Who leads, and the term.
type Leadership = (Option<NodeId>, u64);

/// Why a proposal on this node brought no answers.
enum NotDone {
    /// Surely not proposed.
    NotLeader(Option<(NodeId, NodeInfo)>),
    /// Surely not proposed: this node leads, and a majority has not confirmed it lately.
    LeaseExpired,
    /// It may be applied yet.
    Unknown,
}

fn answers_of(
    response: peer::ForwardResponse,
    expected: usize,
    hint: Option<String>,
) -> Result<Answers, Failure> {
    use peer::error::Kind;
    if let Some(error) = response.error {
        return Err(match error.kind() {
            Kind::NotLeader => Failure::NoLeader { hint },
            Kind::Overloaded => Failure::Overloaded {
                retry_after_ms: 100,
            },
            Kind::Unavailable => Failure::Unavailable {
                reason: error.message,
            },
            Kind::Unknown | Kind::Unspecified => Failure::Unknown,
        });
    }
    // The leader answers each command; anything else means that their fate is not known.
    if response.answers.len() != expected {
        return Err(Failure::Unknown);
    }
    Ok(response
        .answers
        .into_iter()
        .map(|answer| match answer.answer {
            Some(peer::command_answer::Answer::Reply(reply)) => {
                codec::reply_from_proto(reply).map_err(|_| Failure::Unknown)
            }
            Some(peer::command_answer::Answer::Rejection(rejection)) => {
                Err(Failure::Rejected(Rejected::ByLeader(rejection)))
            }
            None => Err(Failure::Unknown),
        })
        .collect())
}
