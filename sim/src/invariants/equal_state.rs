//! The same log makes the same state: every node has the same digest after the same entry (DESIGN, promise 3).

use std::collections::BTreeMap;

use stellara_machine::ids::{Hash, Index};
use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Sight};

#[derive(Debug, Default)]
pub struct EqualState {
    states: BTreeMap<u64, (NodeId, Hash)>,
    /// Up to which entry a run of a node was looked at.
    looked: BTreeMap<NodeId, (u64, u64)>,
    compared: u64,
}

impl Invariant for EqualState {
    fn name(&self) -> &'static str {
        "equal_state"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let applied = running.view.applied_index().0;
            let looked = self.looked.entry(node_id).or_default();
            if looked.0 != running.run {
                // A node that starts again may be behind what it had applied.
                *looked = (running.run, applied.saturating_sub(1));
            }
            let from = looked.1 + 1;
            looked.1 = applied;
            for index in from..=applied {
                // Raft's own entries leave the state as it was.
                let digest = running.view.digest_at(Index(index));
                let Some((_, digest)) = digest.filter(|(at, _)| at.0 == index) else {
                    continue;
                };
                let first = *self.states.entry(index).or_insert((node_id, digest));
                self.compared += u64::from(first.0 != node_id);
                if first.1 != digest {
                    let detail = format!(
                        "its state after entry {index} differs from the one that node {} had",
                        first.0
                    );
                    return Err(Breach::by(node_id, detail));
                }
            }
        }
        Ok(())
    }

    /// Entries after which the state of a node was compared with another's.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;
    use stellara_raft_store::engine::Space;

    #[test]
    fn a_state_of_its_own_is_found() {
        check::<EqualState>(
            Ending::Midway,
            "differs from the one that node 1 had",
            |stage| {
                stage.rewrite(2, |folder, space, key, value| {
                    let account =
                        folder.starts_with("state") && space == Space::Rows && key[0] == b'a';
                    (!account).then(|| value.to_vec())
                });
            },
        );
    }
}
