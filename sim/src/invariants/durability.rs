//! Acknowledged means durable: at each acknowledgement the payment's entry is on the disks of a majority, fsynced, and
//! it still is at the end (DESIGN, promise 1; NATS #7564).

use std::collections::BTreeSet;

use stellara_machine::ids::PaymentId;
use stellara_raft_store::types::NodeId;

use super::{Breach, Ending, Entry, Invariant, Sight};
use crate::history::Answer;

/// A payment's identity is its entry's index and its place in the entry.
pub(super) const fn entry_of(payment: PaymentId) -> u64 {
    payment.0 >> 16
}

#[derive(Debug, Default)]
pub struct Durability {
    seen: usize,
    acknowledged: BTreeSet<u64>,
    compared: u64,
}

impl Durability {
    fn check(&mut self, sight: &Sight<'_>, index: u64) -> Result<(), Breach> {
        self.compared += 1;
        // Who acknowledged it may be gone at the end of this moment, and the entry may have left the log.
        let mut lacking = None;
        for term in sight.terms_at(index) {
            match lacks(sight, Entry { term, index }) {
                None => return Ok(()),
                Some(lacks) => lacking = lacking.or(Some(lacks)),
            }
        }
        match lacking {
            None => Ok(()),
            Some((missing, voters)) => Err(Breach::of_all(format!(
                "a payment of entry {index} is acknowledged; {missing} more of {voters:?} must keep it"
            ))),
        }
    }
}

/// How many more of which voters must keep an entry.
fn lacks(sight: &Sight<'_>, entry: Entry) -> Option<(usize, Vec<NodeId>)> {
    match sight.foremost() {
        Some((_, running)) if !running.voters.is_empty() => sight.uncommitted(running, entry),
        // Nobody runs, or nobody knows who votes: all do.
        Some(_) | None => {
            let all: Vec<_> = sight.nodes.keys().copied().collect();
            let missing = sight.missing(&all, entry);
            (missing > 0).then_some((missing, all))
        }
    }
}

impl Invariant for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        let mut new = Vec::new();
        for (_, _, answer) in sight.calls.answered_after(self.seen) {
            if let Answer::Accepted { payment, .. } = answer {
                new.push(entry_of(*payment));
            }
        }
        self.seen = sight.calls.answered_len();
        for index in new {
            if self.acknowledged.insert(index) {
                self.check(sight, index)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        let all: Vec<u64> = self.acknowledged.iter().copied().collect();
        all.into_iter()
            .try_for_each(|index| self.check(sight, index))
    }

    /// Acknowledgements that were looked for on the disks.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, check};
    use super::*;

    #[test]
    fn an_acknowledgement_without_a_majority_is_found() {
        use stellara_raft_store::engine::Space;

        check::<Durability>(Ending::Midway, "must keep it", |stage| {
            let first = entry_of(stage.first().1).to_be_bytes();
            for node_id in [2, 3] {
                stage.rewrite(node_id, |folder, space, key, value| {
                    let log = folder == "log" && space == Space::Entries;
                    (!log || key < first.as_slice()).then(|| value.to_vec())
                });
            }
        });
    }

    #[test]
    fn who_has_not_applied_an_entry_does_not_tell_its_term() {
        use stellara_raft_store::engine::Space;

        let mut stage = Stage::of_run(5);
        let index = entry_of(stage.first().1);
        let terms = |stage: &Stage| stage.sight(&[]).terms_at(index);
        let applied = terms(&stage);
        assert!(matches!(applied.as_slice(), [Some(_)]), "{applied:?}");
        let first = index.to_be_bytes();
        stage.rewrite(2, |folder, space, key, value| {
            let log = folder == "log" && space == Space::Entries;
            (!log || key < first.as_slice()).then(|| value.to_vec())
        });
        for node_id in 1..=3 {
            let applied = &mut stage.running(node_id).vitals.applied;
            applied.as_mut().unwrap().index = index - 1;
        }
        // Nobody who runs has applied it: what any log holds at its place may be it.
        assert_eq!(terms(&stage), [None, applied[0]]);
        assert_eq!(stage.look(&mut Durability::default()), Ok(()));
    }
}
