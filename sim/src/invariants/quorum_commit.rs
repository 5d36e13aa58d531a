//! What a leader calls committed is on the disks of a majority, fsynced, at that very moment (DESIGN, promise 1).

use std::collections::BTreeMap;

use stellara_node::gateway::Role;
use stellara_node::node::LogPoint;
use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Sight};

#[derive(Debug, Default)]
pub struct QuorumCommit {
    looked: BTreeMap<NodeId, LogPoint>,
    compared: u64,
}

impl Invariant for QuorumCommit {
    fn name(&self) -> &'static str {
        "quorum_commit"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let Some(point) = running.vitals.committed else {
                continue;
            };
            let leads = running.vitals.role == Role::Leader;
            if !leads || self.looked.insert(node_id, point) == Some(point) {
                continue;
            }
            self.compared += 1;
            if let Some((missing, voters)) = sight.uncommitted(running, point.into()) {
                let LogPoint { term, index } = point;
                let detail = format!(
                    "it calls entry {index} of term {term} committed; {missing} more of {voters:?} must keep it"
                );
                return Err(Breach::by(node_id, detail));
            }
        }
        Ok(())
    }

    /// Commits that were looked for on the disks.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;

    #[test]
    fn a_commit_on_one_disk_of_three_is_found() {
        use stellara_raft_store::engine::Space;
        use stellara_raft_store::log::inspect;

        check::<QuorumCommit>(
            Ending::Midway,
            "1 more of [1, 2, 3] must keep it",
            |stage| {
                let committed = stage.running(1).vitals.committed.unwrap();
                let last = inspect::entry_key(committed.index);
                for node_id in [2, 3] {
                    stage.rewrite(node_id, |_, space, key, value| {
                        (space != Space::Entries || key < last.as_slice()).then(|| value.to_vec())
                    });
                }
            },
        );
    }
}
