//! The same key answers the same for ever in a run, over failovers; the same key with another body is refused, and
//! nothing changes (DESIGN, promise 1; Redpanda).

use std::collections::BTreeMap;

use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::decision::Acceptance;
use stellara_machine::ids::{DeveloperId, IdempotencyKey, PaymentId};
use stellara_machine::limits::IDEMPOTENCY_MS;

use super::{Breach, Ending, Invariant, Sight};
use crate::history::{Answer, Asked, Call, Refusal};

#[derive(Debug)]
struct First {
    payment: PaymentId,
    body: PaymentBody,
    /// Answers that said that this very call made the payment.
    new: u64,
}

#[derive(Debug, Default)]
pub struct Idempotent {
    seen: usize,
    keys: BTreeMap<(DeveloperId, IdempotencyKey), First>,
    compared: u64,
}

/// Whether the wall clocks jumped past the time for which a key answers.
pub(super) fn expired(sight: &Sight<'_>, payment: PaymentId) -> bool {
    let Some((_, running)) = sight.foremost() else {
        return false;
    };
    let now = running.view.state(|state| state.now());
    let accepted = running.view.payment(payment).ok().flatten();
    accepted.is_some_and(|(payment, _)| now.since(payment.accepted_at) >= IDEMPOTENCY_MS)
}

fn told(call: &Call, key: &IdempotencyKey, detail: &str) -> Breach {
    Breach::by_answer(call, format!("key {:?}: {detail}", key.0))
}

impl Idempotent {
    fn accepted(
        &mut self,
        sight: &Sight<'_>,
        call: &Call,
        asked: &SubmitPayment,
        (payment, acceptance): (PaymentId, Acceptance),
    ) -> Result<(), Breach> {
        let new = u64::from(acceptance == Acceptance::New);
        let key = (asked.developer, asked.key.clone());
        let Some(first) = self.keys.get_mut(&key) else {
            let body = asked.body.clone();
            self.keys.insert(key, First { payment, body, new });
            return Ok(());
        };
        self.compared += 1;
        let same = first.payment == payment;
        if !same && expired(sight, first.payment) {
            let body = asked.body.clone();
            *first = First { payment, body, new };
            return Ok(());
        }
        first.new += new;
        if !same {
            let detail = format!("it made payment {}, and now {}", first.payment.0, payment.0);
            return Err(told(call, &asked.key, &detail));
        }
        if first.body != asked.body {
            return Err(told(
                call,
                &asked.key,
                "another body is taken for the first",
            ));
        }
        if first.new > 1 {
            let detail = format!("two calls made payment {}", payment.0);
            return Err(told(call, &asked.key, &detail));
        }
        Ok(())
    }

    fn refused(&mut self, call: &Call, asked: &SubmitPayment, by: PaymentId) -> Result<(), Breach> {
        let key = (asked.developer, asked.key.clone());
        let Some(first) = self.keys.get(&key) else {
            return Ok(());
        };
        self.compared += 1;
        if first.payment != by {
            let detail = format!("refused for payment {}, it made {}", by.0, first.payment.0);
            return Err(told(call, &asked.key, &detail));
        }
        if first.body == asked.body {
            return Err(told(
                call,
                &asked.key,
                "the first body is taken for another",
            ));
        }
        Ok(())
    }
}

/// What the machine keeps of a body: the treasury that was not named is filled in.
fn same_body(kept: &PaymentBody, asked: &PaymentBody) -> bool {
    let treasury = asked.treasury.or(kept.treasury);
    *kept
        == PaymentBody {
            treasury,
            ..asked.clone()
        }
}

impl Invariant for Idempotent {
    fn name(&self) -> &'static str {
        "idempotent"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (call, _, answer) in sight.calls.answered_after(self.seen) {
            let Asked::Submit(asked) = &call.asked else {
                continue;
            };
            match answer {
                Answer::Accepted {
                    payment,
                    acceptance,
                } => self.accepted(sight, call, asked, (*payment, *acceptance))?,
                Answer::Refused(Refusal::KeyReused { payment }) => {
                    self.refused(call, asked, *payment)?;
                }
                Answer::Refused(
                    Refusal::NotQueued | Refusal::UnknownPayment | Refusal::Other(_),
                )
                | Answer::Cancelled
                | Answer::Seen(_)
                | Answer::NotDone(_)
                | Answer::Unknown => {}
            }
        }
        self.seen = sight.calls.answered_len();
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        for (node_id, _, running) in sight.running() {
            for ((_, key), first) in &self.keys {
                let kept = running.view.payment(first.payment);
                let kept = kept.map_err(|error| Breach::by(node_id, error.to_string()))?;
                let Some((payment, _)) = kept else {
                    continue;
                };
                self.compared += 1;
                if payment.key != *key || !same_body(&payment.body, &first.body) {
                    let detail = format!(
                        "payment {} is not what was asked under key {:?}",
                        payment.id.0, key.0
                    );
                    return Err(Breach::by(node_id, detail));
                }
            }
        }
        Ok(())
    }

    /// Answers that had an earlier one of the same key to compare with, and payments compared with what was asked.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check;
    use super::*;

    const NEW: Acceptance = Acceptance::New;

    #[test]
    fn another_answer_to_the_same_key_is_found() {
        check::<Idempotent>(Ending::Midway, "and now", |stage| {
            let (asked, payment) = stage.first();
            let payment = PaymentId(payment.0 + 1);
            let acceptance = Acceptance::Repeated;
            stage.call(
                2,
                Asked::Submit(asked),
                Answer::Accepted {
                    payment,
                    acceptance,
                },
            );
        });
        check::<Idempotent>(Ending::Midway, "two calls made payment", |stage| {
            let (asked, payment) = stage.first();
            let acceptance = NEW;
            stage.call(
                2,
                Asked::Submit(asked),
                Answer::Accepted {
                    payment,
                    acceptance,
                },
            );
        });
    }

    #[test]
    fn another_body_under_the_same_key_is_found() {
        check::<Idempotent>(Ending::Midway, "another body is taken", |stage| {
            let (mut asked, payment) = stage.first();
            asked.body.amount.0 += 1;
            let acceptance = Acceptance::Repeated;
            stage.call(
                2,
                Asked::Submit(asked),
                Answer::Accepted {
                    payment,
                    acceptance,
                },
            );
        });
        check::<Idempotent>(
            Ending::Midway,
            "the first body is taken for another",
            |stage| {
                let (asked, payment) = stage.first();
                let refused = Answer::Refused(Refusal::KeyReused { payment });
                stage.call(2, Asked::Submit(asked), refused);
            },
        );
        check::<Idempotent>(Ending::Midway, "refused for payment", |stage| {
            let (mut asked, payment) = stage.first();
            asked.body.amount.0 += 1;
            let payment = PaymentId(payment.0 + 1);
            let refused = Answer::Refused(Refusal::KeyReused { payment });
            stage.call(2, Asked::Submit(asked), refused);
        });
    }

    #[test]
    fn a_body_that_changed_is_found() {
        let stage = super::super::stage::Stage::of_run(5);
        let mut invariant = Idempotent::default();
        assert_eq!(stage.show(&mut invariant, Ending::Midway), Ok(()));
        let first = invariant.keys.values_mut().next().unwrap();
        first.body.amount.0 += 1;
        let breach = stage.show(&mut invariant, Ending::Midway).unwrap_err();
        assert!(
            breach.detail.contains("is not what was asked"),
            "{breach:?}"
        );
    }
}
