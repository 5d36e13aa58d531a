//! Bad input is refused, leaves no row and stops no node (DESIGN, promise 5).

use std::collections::BTreeSet;

use stellara_machine::ids::{DeveloperId, IdempotencyKey, PaymentId};

use super::{Breach, Ending, Invariant, Sight};
use crate::history::{Answer, Asked};

/// Payments read at a time.
const PAYMENTS_MAX: usize = 256;

#[derive(Debug, Default)]
pub struct BadInput {
    seen: usize,
    keys: BTreeSet<(DeveloperId, IdempotencyKey)>,
    asked: usize,
    compared: u64,
}

impl Invariant for BadInput {
    fn name(&self) -> &'static str {
        "bad_input"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        let all = sight.calls.all();
        for call in all.get(self.asked..).unwrap_or_default() {
            if let Asked::Bad(bad) = &call.asked {
                self.keys.insert((bad.developer, bad.key.clone()));
            }
        }
        self.asked = all.len();
        for (call, _, answer) in sight.calls.answered_after(self.seen) {
            let Asked::Bad(bad) = &call.asked else {
                continue;
            };
            self.compared += 1;
            match answer {
                Answer::Refused(_) | Answer::NotDone(_) | Answer::Unknown => {}
                Answer::Accepted { .. } | Answer::Cancelled | Answer::Seen(_) => {
                    let detail = format!("it answers {answer:?} to {bad:?}");
                    return Err(Breach::by_answer(call, detail));
                }
            }
        }
        self.seen = sight.calls.answered_len();
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        if self.keys.is_empty() {
            return Ok(());
        }
        for (node_id, _, running) in sight.running() {
            let mut after = PaymentId(0);
            loop {
                let read = running.view.payments_after(after, PAYMENTS_MAX);
                let read = read.map_err(|error| Breach::by(node_id, error.to_string()))?;
                let full = read.len() == PAYMENTS_MAX;
                for (payment, _) in read {
                    after = payment.id;
                    if self.keys.contains(&(payment.developer, payment.key)) {
                        let detail = format!("payment {} must have been refused", payment.id.0);
                        return Err(Breach::by(node_id, detail));
                    }
                }
                if !full {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Requests that must be refused.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check;
    use super::*;
    use stellara_machine::decision::Acceptance;

    #[test]
    fn bad_input_that_is_accepted_is_found() {
        check::<BadInput>(Ending::Midway, "it answers Accepted", |stage| {
            let (bad, payment) = stage.first();
            let acceptance = Acceptance::New;
            stage.call(
                1,
                Asked::Bad(bad),
                Answer::Accepted {
                    payment,
                    acceptance,
                },
            );
        });
    }

    #[test]
    fn bad_input_that_leaves_a_row_is_found() {
        check::<BadInput>(Ending::Midway, "must have been refused", |stage| {
            let (bad, _) = stage.first();
            stage.call(1, Asked::Bad(bad), Answer::Unknown);
        });
    }
}
