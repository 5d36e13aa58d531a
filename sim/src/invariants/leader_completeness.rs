//! A leader's log holds every entry that was committed in an earlier term (Raft, section 5.4).

use std::collections::BTreeMap;

use stellara_node::gateway::Role;
use stellara_node::node::{LogPoint, Vitals};
use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Seen, Sight};

#[derive(Debug, Default)]
pub struct LeaderCompleteness {
    /// The last entry known to be committed, by the term in which it was written.
    committed: BTreeMap<u64, u64>,
    leaders: BTreeMap<u64, NodeId>,
    compared: u64,
}

fn leads(node_id: NodeId, vitals: &Vitals) -> bool {
    vitals.role == Role::Leader && vitals.vote_committed && vitals.voted_for == node_id
}

fn check(
    sight: &Sight<'_>,
    (node_id, seen): (NodeId, &Seen),
    term: u64,
    point: LogPoint,
) -> Result<(), Breach> {
    // What was done to a disk may have taken what it had.
    if seen.holds(point) || sight.explained.why(node_id).is_some() {
        return Ok(());
    }
    let LogPoint {
        term: written,
        index,
    } = point;
    let detail = format!(
        "the leader of term {term} does not hold entry {index} of term {written}, which is committed"
    );
    Err(Breach::by(node_id, detail))
}

impl Invariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader_completeness"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (_, _, running) in sight.changed() {
            let Some(point) = running.vitals.committed else {
                continue;
            };
            let known = self.committed.entry(point.term).or_default();
            if point.index <= *known {
                continue;
            }
            *known = point.index;
            // A commit of an earlier term may be seen after the election that must respect it.
            for (node_id, seen, running) in sight.running() {
                let term = running.vitals.term;
                if leads(node_id, &running.vitals) && term > point.term {
                    self.compared += 1;
                    check(sight, (node_id, seen), term, point)?;
                }
            }
        }
        for (node_id, seen, running) in sight.changed() {
            let term = running.vitals.term;
            if !leads(node_id, &running.vitals) || self.leaders.contains_key(&term) {
                continue;
            }
            self.leaders.insert(term, node_id);
            for (written, index) in self.committed.range(..term) {
                self.compared += 1;
                let (term_written, index) = (*written, *index);
                let point = LogPoint {
                    term: term_written,
                    index,
                };
                check(sight, (node_id, seen), term, point)?;
            }
        }
        Ok(())
    }

    /// Committed entries that were looked for in a leader's log.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check_next;
    use super::*;

    #[test]
    fn a_leader_without_a_committed_entry_is_found() {
        use stellara_raft_store::engine::Space;
        use stellara_raft_store::log::inspect;

        check_next::<LeaderCompleteness>("does not hold entry", |stage| {
            let committed = stage.running(1).vitals.committed.unwrap();
            let last = inspect::entry_key(committed.index);
            stage.rewrite(2, |_, space, key, value| {
                (space != Space::Entries || key < last.as_slice()).then(|| value.to_vec())
            });
            let vitals = &mut stage.running(2).vitals;
            vitals.role = Role::Leader;
            vitals.term += 1;
            vitals.voted_for = 2;
        });
    }
}
