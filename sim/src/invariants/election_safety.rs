//! One leader a term at most (Raft, section 5.2): by the votes that a majority granted, as every node knows them.

use std::collections::BTreeMap;

use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Sight};

#[derive(Debug, Default)]
pub struct ElectionSafety {
    leaders: BTreeMap<u64, NodeId>,
}

impl Invariant for ElectionSafety {
    fn name(&self) -> &'static str {
        "election_safety"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let vitals = &running.vitals;
            if !vitals.vote_committed {
                continue;
            }
            let (term, leader) = (vitals.term, vitals.voted_for);
            let first = *self.leaders.entry(term).or_insert(leader);
            if first != leader {
                let detail = format!(
                    "nodes {first} and {leader} both lead in term {term}: the second as node {node_id} knows"
                );
                return Err(Breach::by(leader, detail));
            }
        }
        Ok(())
    }

    /// The terms in which a leader was seen.
    fn compared(&self) -> u64 {
        self.leaders.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check_next;
    use super::*;

    #[test]
    fn two_leaders_of_one_term_are_found() {
        check_next::<ElectionSafety>("both lead in term", |stage| {
            stage.running(2).vitals.voted_for = 2;
        });
    }
}
