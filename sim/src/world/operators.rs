//! Operators who change who votes: they compare who should with what the leader shows, and ask a node for what is
//! missing, again and again, as a person would who got no answer.

use std::time::Duration;

use futures_util::FutureExt as _;
use openraft_rt::AsyncRuntime as _;
use stellara_node::gateway::members::MemberChange;
use stellara_node::gateway::{Gateway as _, Suffrage};
use stellara_raft_store::types::NodeId;

use super::World;
use crate::runtime::{EventKind, NodeTag, SimRuntime, event, now, spawn_on};

const ASKED: EventKind = EventKind::new("members-asked");
const ANSWERED: EventKind = EventKind::new("members-answered");

/// How long an operator waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// From one call about a node to the next.
const PAUSE: Duration = Duration::from_millis(700);

impl World {
    /// The first node that should vote and does not, or should not and is a member, as the leader shows; `None` when
    /// there is none, or nobody leads.
    #[must_use]
    pub fn misplaced(&self) -> Option<NodeId> {
        self.changes_wanted().first().map(|change| match change {
            MemberChange::AddVoter(node_id) | MemberChange::RemoveVoter(node_id) => *node_id,
        })
    }

    fn changes_wanted(&self) -> Vec<MemberChange> {
        let leader = self.leader().and_then(|leader| self.roster.get(leader));
        let Some(status) = leader.map(|leader| leader.status()) else {
            return Vec::new();
        };
        let wanted = |(node_id, out): (NodeId, bool)| {
            let mut members = status.members.iter();
            let member = members.find(|member| member.node_id == node_id);
            match member.map(|member| member.suffrage) {
                Some(_) if out => Some(MemberChange::RemoveVoter(node_id)),
                None | Some(Suffrage::Learner) if !out => Some(MemberChange::AddVoter(node_id)),
                None | Some(Suffrage::Learner | Suffrage::Voter) => None,
            }
        };
        let seats = self.seats.iter();
        seats
            .map(|(node_id, seat)| (*node_id, !seat.out.is_empty()))
            .filter_map(wanted)
            .collect()
    }

    /// Whether a majority of the voters in force is left with good copies when a node loses its own. Who loses a disk in
    /// the middle of a change may take a majority of either set away for good.
    pub(super) fn voters_stay_good(&self, node_id: NodeId) -> bool {
        if !self.seats.values().any(|seat| seat.was_out) {
            return true;
        }
        let leader = self.leader().and_then(|leader| self.roster.get(leader));
        let Some(sets) = leader.map(|leader| leader.vitals().voters()) else {
            return false;
        };
        let damaged = self.damaged();
        let good = |id: &&NodeId| **id != node_id && !damaged.contains(id);
        let mut sets = sets.iter();
        let stay = sets.all(|set| set.iter().filter(good).count() * 2 > set.len());
        stay && self.changes_wanted().is_empty()
    }

    /// Has nodes asked for the changes that are wanted.
    pub(super) fn watch_voters(&mut self) {
        // Where no operator ever acts, nobody looks.
        if !self.seats.values().any(|seat| seat.was_out) {
            return;
        }
        for change in self.changes_wanted() {
            let (MemberChange::AddVoter(node_id) | MemberChange::RemoveVoter(node_id)) = change;
            let Some(seat) = self.seats.get_mut(&node_id) else {
                continue;
            };
            let answer = seat.operating.as_mut().map(|call| call.now_or_never());
            let busy = matches!(answer, Some(None));
            if !busy {
                seat.operating = None;
            }
            if busy || seat.operates_at > now() {
                continue;
            }
            seat.operates_at = now() + PAUSE;
            let turn = usize::try_from(self.ticket().0).unwrap_or_default();
            let Some((asked, node)) = self.roster.nth(turn) else {
                continue;
            };
            event(ASKED, asked, node_id, || format!("{change:?}"));
            let operating = spawn_on(NodeTag::DRIVER, async move {
                let acting = spawn_on(
                    NodeTag(asked),
                    async move { node.change_members(change).await },
                );
                // Who was asked may have died meanwhile.
                if let Ok(Ok(answer)) = SimRuntime::timeout(PATIENCE, acting).await {
                    event(ANSWERED, asked, node_id, || format!("{answer:?}"));
                }
            });
            if let Some(seat) = self.seats.get_mut(&node_id) {
                seat.operating = Some(operating);
            }
        }
    }
}
