//! Acts on the failure detector: a voter that suspects its leader stands for election early, when it is its turn; a leader that hears a silent peer again ends the pause before it replicates to it.
//!
//! A suspicion decides nothing: the pre-vote still asks a majority, and each voter answers for itself. Two that call at
//! once do not split the vote: the one that goes first wins the other's. The arithmetic is in `docs/operations/timing.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::metrics::RaftServerMetrics;
use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Select2};
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::{NodeId, Types, Vote};

use crate::gate::Gate;
use crate::ingress::Group;
use crate::ports::PeerLink;
use crate::transport::raft::heartbeat::BeatView;
use crate::transport::raft::{Heart, Memory, withdraw_lease};

/// Looks at the leader no more and no less often than this.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(5);
const LOOK_EVERY_MAX: Duration = Duration::from_millis(50);
/// Looked at so much later than the patience ends: by then it is over.
const MOMENT: Duration = Duration::from_millis(1);
/// What a pre-vote and a vote cost beside their two round trips: two syncs, on a busy machine.
const CALL_COST: Duration = Duration::from_millis(20);
/// How much later than reckoned the call of a voter before this one may come.
const TURN_MARGIN: Duration = Duration::from_millis(10);
/// Calls of one voter in one suspicion; then the election timeout takes over.
const CALLS_MAX: u32 = 3;

/// Suspicion and relief, until the group ends. A node whose gate is closed, or whose log is not whole, suspects, and
/// does not stand.
pub(super) async fn watch<R, D, L>(
    raft: Group<R, D>,
    heart: Arc<Heart<R, L>>,
    gate: Gate,
    memory: Memory,
) where
    R: AsyncRuntime + 'static,
    D: Disk,
    L: PeerLink,
{
    let every = (heart.options().beat_interval / 2).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
    let mut metrics = raft.server_metrics();
    let mut watch = Watch {
        place: Arc::new(place_of(&metrics.borrow_and_update())),
        late: heart.options().suspect_after_min / 4,
        every,
        looked_at: heart.now(),
        doubt: None,
        silent: BTreeSet::new(),
        raft,
        heart,
        gate,
        memory,
    };
    loop {
        let wait = watch.until_next_look();
        match R::select2(metrics.changed(), R::sleep(wait)).await {
            Select2::First(Ok(())) => {
                watch.place = Arc::new(place_of(&metrics.borrow_and_update()));
            }
            Select2::First(Err(_)) => return,
            Select2::Second(()) => watch.look().await,
        }
    }
}

/// What this node knows of its place in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    own: NodeId,
    vote: Vote,
    leader: Option<NodeId>,
    voters: BTreeSet<NodeId>,
    members: BTreeSet<NodeId>,
}

/// A suspicion of one leader in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    leader: NodeId,
    term: u64,
    since: Duration,
    calls: u32,
}

fn place_of<R: AsyncRuntime + 'static>(metrics: &RaftServerMetrics<Types<R>>) -> Place {
    let membership = metrics.membership_config.membership();
    Place {
        own: metrics.id,
        vote: metrics.vote,
        leader: metrics.current_leader,
        voters: membership.voter_ids().collect(),
        members: membership.nodes().map(|(node_id, _)| *node_id).collect(),
    }
}

struct Watch<R: AsyncRuntime + 'static, D: Disk, L> {
    /// As of the last change, which is noticed before the next look.
    place: Arc<Place>,
    raft: Group<R, D>,
    heart: Arc<Heart<R, L>>,
    gate: Gate,
    memory: Memory,
    every: Duration,
    late: Duration,
    looked_at: Duration,
    doubt: Option<Doubt>,
    silent: BTreeSet<NodeId>,
}

impl<R: AsyncRuntime + 'static, D: Disk, L: PeerLink> Watch<R, D, L> {
    /// The next look comes in time, and no later than the moment from which the leader is suspected.
    fn until_next_look(&self) -> Duration {
        let metrics = self.raft.server_metrics();
        let leader = metrics.borrow_watched().current_leader;
        let left = leader.and_then(|leader| self.heart.patience_left(leader));
        let left = left.filter(|left| !left.is_zero());
        left.map_or(self.every, |left| (left + MOMENT).min(self.every))
    }

    async fn look(&mut self) {
        let now = self.heart.now();
        let since = now.saturating_sub(self.looked_at);
        self.looked_at = now;
        // This process was held up itself: what the leader sent meanwhile is read before the next look.
        if since > self.every + self.late {
            return;
        }
        let place = Arc::clone(&self.place);
        self.relieve(&place).await;
        match place.leader.filter(|leader| *leader != place.own) {
            Some(leader) if place.voters.contains(&place.own) => {
                self.look_at(leader, &place, now).await;
            }
            Some(_) | None => self.trust(),
        }
    }

    async fn look_at(&mut self, leader: NodeId, place: &Place, now: Duration) {
        let term = place.vote.leader_id.term;
        let known = self
            .doubt
            .filter(|doubt| (doubt.leader, doubt.term) == (leader, term));
        if !self.heart.suspects(leader) {
            if known.is_some() {
                tracing::info!(leader, term, "the leader is heard again");
            }
            self.trust();
            return;
        }
        if known.is_none() {
            let patience_ms = u64::try_from(self.heart.patience(leader).as_millis()).unwrap_or(0);
            tracing::warn!(leader, term, patience_ms, "the leader is silent: suspected");
            self.tell(leader, term);
        }
        let mut doubt = known.unwrap_or(Doubt {
            leader,
            term,
            since: now,
            calls: 0,
        });
        let limit = self.call_limit(leader, place);
        let turns = Turns {
            first: self.first_turn(leader, place),
            period: limit + self.every * 2,
            stagger: self.every * 2,
            rank: rank(leader, place),
        };
        let due = now.saturating_sub(doubt.since) >= turns.due(doubt.calls);
        let may_stand = self.gate.reason().is_none() && self.memory.may_vote().is_ok();
        if due && doubt.calls < CALLS_MAX && may_stand {
            doubt.calls += 1;
            self.call(doubt, place.vote, limit).await;
        }
        self.doubt = Some(doubt);
    }

    fn trust(&mut self) {
        self.doubt = None;
        self.heart.doubt(None);
    }

    /// Tells the others at once: a voter that knows of a majority that suspects gives its vote with its pre-vote.
    fn tell(&self, leader: NodeId, term: u64) {
        self.heart.doubt(Some((leader, term)));
        let metrics = self.raft.server_metrics();
        let view = BeatView::of(&*metrics.borrow_watched());
        self.heart.beat_once(&view);
    }

    async fn call(&self, doubt: Doubt, vote: Vote, limit: Duration) {
        let Doubt {
            leader,
            term,
            calls,
            ..
        } = doubt;
        tracing::info!(
            leader,
            term,
            calls,
            "stands for election before the timeout"
        );
        // Before anything is waited for: another may be asking for this node's vote at this moment.
        if !self.heart.take_turn(limit) {
            return;
        }
        withdraw_lease(&self.raft, &self.heart, vote).await;
        if let Err(fatal) = self.raft.trigger().elect(true).await {
            tracing::debug!(%fatal, "raft has ended");
        }
    }

    /// Two callers cannot split the vote of three voters. Among more they can: there, a voter waits for the call of those
    /// before it, who suspect at most one way later than it does and are one way off.
    fn first_turn(&self, leader: NodeId, place: &Place) -> Duration {
        if place.voters.len() <= 3 {
            return Duration::ZERO;
        }
        let before = place.voters.iter().filter(|id| **id < place.own);
        let others = before.filter(|id| **id != leader);
        let farthest = others
            .filter_map(|node_id| self.heart.pulse(*node_id)?.round_trip)
            .max();
        farthest.map_or(Duration::ZERO, |round_trip| round_trip + TURN_MARGIN)
    }

    /// For how long a call may be under way: a pre-vote and a vote, with the farthest voter.
    fn call_limit(&self, leader: NodeId, place: &Place) -> Duration {
        let others = place
            .voters
            .iter()
            .filter(|id| ![leader, place.own].contains(id));
        let farthest = others
            .filter_map(|node_id| self.heart.pulse(*node_id)?.round_trip)
            .max();
        farthest.unwrap_or_default() * 2 + CALL_COST
    }

    /// Ends the pause before replication to a peer that was silent and is heard again.
    async fn relieve(&mut self, place: &Place) {
        if place.leader != Some(place.own) {
            self.silent.clear();
            return;
        }
        for node_id in place.members.iter().filter(|id| **id != place.own) {
            let Some(pulse) = self.heart.pulse(*node_id) else {
                continue;
            };
            let silence = self.heart.now().saturating_sub(pulse.heard_at);
            if silence > self.heart.patience(*node_id) {
                self.silent.insert(*node_id);
            } else if self.silent.remove(node_id)
                && let Err(fatal) = self.raft.trigger().reset_backoff([*node_id]).await
            {
                tracing::debug!(%fatal, "raft has ended");
            }
        }
    }
}

/// When a voter calls for an election, after its suspicion began, and again when that led to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turns {
    /// Before the first call.
    first: Duration,
    /// From call to call: the one before is surely over.
    period: Duration,
    /// From voter to voter, when they call again.
    stagger: Duration,
    /// This voter's place among those that may call.
    rank: u32,
}

impl Turns {
    /// When this voter's next call is due after `calls` of them.
    fn due(&self, calls: u32) -> Duration {
        if calls == 0 {
            return self.first;
        }
        self.first + self.period.saturating_mul(calls) + self.stagger.saturating_mul(self.rank)
    }
}

/// A voter's place among the voters but the leader, in the order of their numbers.
fn rank(leader: NodeId, place: &Place) -> u32 {
    let callers = place.voters.iter().filter(|id| **id != leader);
    let before = callers.filter(|id| **id < place.own).count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use stellara_raft_store::types::vote;

    use super::*;

    fn place(own: NodeId, voters: &[NodeId]) -> Place {
        Place {
            own,
            vote: vote(3, 1, true),
            leader: Some(1),
            voters: voters.iter().copied().collect(),
            members: voters.iter().copied().collect(),
        }
    }

    /// The turns of all voters but the leader, as (when in ms, who), in order.
    fn turns(voters: &[NodeId], leader: NodeId) -> Vec<(u128, NodeId)> {
        let mut seen = Vec::new();
        for own in voters.iter().filter(|id| **id != leader) {
            let turns = Turns {
                first: Duration::ZERO,
                period: Duration::from_millis(100),
                stagger: Duration::from_millis(30),
                rank: rank(leader, &place(*own, voters)),
            };
            seen.extend((0..CALLS_MAX).map(|calls| (turns.due(calls).as_millis(), *own)));
        }
        seen.sort_unstable();
        seen
    }

    #[test]
    fn voters_call_at_once_and_then_apart() {
        let expected = [(0, 1), (0, 3), (100, 1), (130, 3), (200, 1), (230, 3)];
        assert_eq!(turns(&[1, 2, 3], 2), expected);
    }
}
