//! Whom a fault means: by number, by place, or by what a node does at that moment.

use stellara_node::gateway::Role;
use stellara_raft_store::types::NodeId;

use super::Skipped;
use crate::plan::target::Target;
use crate::world::World;

/// Who leads, as far as the world has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::world) struct Leaders {
    /// Who led when it was last looked.
    last: Option<NodeId>,
    /// Whom `leader` meant when it was last resolved.
    meant: Option<NodeId>,
}

impl World {
    /// The nodes that lead, and the term of each: what the statuses tell, at less cost.
    pub(crate) fn leaders_by_term(&self) -> impl Iterator<Item = (NodeId, u64)> {
        let running = self.roster.running().into_iter();
        running.filter_map(|(node_id, node)| {
            let vitals = node.vitals().take();
            (vitals.role == Role::Leader).then_some((node_id, vitals.term))
        })
    }

    /// Who leads in the highest term, or led when it was last looked.
    pub(in crate::world) fn notice_leader(&mut self) -> Option<NodeId> {
        self.leaders.last = self.leader().or(self.leaders.last);
        self.leaders.last
    }

    /// The node that is meant now.
    ///
    /// # Errors
    /// When nobody is.
    pub fn resolve(&mut self, target: &Target) -> Result<NodeId, Skipped> {
        let leader = self.notice_leader();
        let all = self.node_ids();
        let found = match target {
            Target::Leader => {
                self.leaders.meant = leader.or(self.leaders.meant);
                leader
            }
            Target::OldLeader => self.leaders.meant,
            Target::Follower(nth) => {
                let mut others = all.iter().filter(|id| Some(**id) != leader);
                others.nth(usize::from(nth.saturating_sub(1))).copied()
            }
            Target::Node(node_id) => all.contains(node_id).then_some(*node_id),
            Target::Region(region) => {
                let at = self.options.regions.iter().position(|own| own == region);
                at.and_then(|at| all.get(at).copied())
            }
            // A plan has numbers in its place.
            Target::Any => None,
        };
        found.ok_or_else(|| Skipped::Nobody(target.clone()))
    }
}
