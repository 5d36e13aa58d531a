//! A linearizable read sees every write that was acknowledged before it was asked, and nothing earlier than what another
//! such read saw (etcd #20418, #21375).

use std::collections::BTreeMap;

use stellara_machine::decision::Stage;
use stellara_machine::ids::{Index, PaymentId};

use super::durability::entry_of;
use super::{Breach, Invariant, Sight};
use crate::history::{Answer, Asked, Call, Seen, Stamp};
use crate::plan::operation::Fresh;

#[derive(Debug, Default)]
pub struct FreshReads {
    seen: usize,
    /// The highest entry known to be applied somewhere, by the order of the answer that told it.
    known: Vec<(u64, u64)>,
    /// When payments were told to be cancelled.
    cancelled: BTreeMap<PaymentId, u64>,
    compared: u64,
}

impl FreshReads {
    fn learn(&mut self, stamp: Stamp, index: u64) {
        let highest = self.known.last().map_or(0, |(_, index)| *index);
        if index > highest {
            self.known.push((stamp.order, index));
        }
    }

    /// The highest entry that was known when something was asked.
    fn known_at(&self, order: u64) -> u64 {
        let before = self.known.partition_point(|(at, _)| *at < order);
        let last = before.checked_sub(1).and_then(|at| self.known.get(at));
        last.map_or(0, |(_, index)| *index)
    }

    fn check(&mut self, call: &Call, payment: PaymentId, seen: &Seen) -> Result<(), Breach> {
        self.compared += 1;
        let known = self.known_at(call.asked_at.order);
        let asked_at = call.asked_at.at;
        if let Some(Index(applied)) = seen.applied
            && applied < known
        {
            let detail = format!(
                "a read asked at {asked_at} sees entry {applied}, entry {known} was known before"
            );
            return Err(Breach::by_answer(call, detail));
        }
        let cancelled = self.cancelled.get(&payment);
        let told = cancelled.is_some_and(|order| *order < call.asked_at.order);
        if told && seen.stage() != Some(Some(&Stage::Cancelled)) {
            let detail = format!(
                "a read asked at {asked_at} sees payment {} as {:?}, it was cancelled before",
                payment.0,
                seen.stage()
            );
            return Err(Breach::by_answer(call, detail));
        }
        Ok(())
    }
}

impl Invariant for FreshReads {
    fn name(&self) -> &'static str {
        "fresh_reads"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (call, stamp, answer) in sight.calls.answered_after(self.seen) {
            match answer {
                Answer::Accepted { payment, .. } => self.learn(stamp, entry_of(*payment)),
                Answer::Cancelled => {
                    if let Asked::Cancel { payment, .. } = call.asked {
                        self.cancelled.entry(payment).or_insert(stamp.order);
                    }
                }
                Answer::Seen(seen) => {
                    if let Asked::Read {
                        payment,
                        fresh: Fresh::Linearizable,
                    } = call.asked
                    {
                        self.check(call, payment, seen)?;
                        if let Some(Index(applied)) = seen.applied {
                            self.learn(stamp, applied);
                        }
                    }
                }
                Answer::Refused(_) | Answer::NotDone(_) | Answer::Unknown => {}
            }
        }
        self.seen = sight.calls.answered_len();
        Ok(())
    }

    /// Linearizable reads.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::{Stage, check};
    use super::*;

    fn read(stage: &mut Stage, applied: u64) {
        let (_, payment) = stage.first();
        let fresh = Fresh::Linearizable;
        let seen = stage.running(1).view.payment(payment).unwrap();
        let seen = Seen {
            applied: Some(Index(applied)),
            payment: seen,
        };
        stage.call(
            1,
            Asked::Read { payment, fresh },
            Answer::Seen(Box::new(seen)),
        );
    }

    #[test]
    fn a_read_that_misses_an_acknowledged_write_is_found() {
        check::<FreshReads>(Ending::Midway, "sees entry 1,", |stage| read(stage, 1));
        check::<FreshReads>(Ending::Midway, "entry 999 was known before", |stage| {
            read(stage, 999);
            read(stage, 998);
        });
    }

    #[test]
    fn a_read_that_misses_a_cancellation_is_found() {
        check::<FreshReads>(Ending::Midway, "it was cancelled before", |stage| {
            let (asked, payment) = stage.first();
            let developer = asked.developer;
            stage.call(2, Asked::Cancel { developer, payment }, Answer::Cancelled);
            read(stage, 999);
        });
    }
}
