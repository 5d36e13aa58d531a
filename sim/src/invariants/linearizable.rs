//! What clients saw of each payment could have come from one place (Herlihy and Wing): searched at the end, for a sample
//! of the payments.

use super::idempotent::expired;
use super::{Breach, Ending, Invariant, Sight};
use crate::linearizability::{Verdict, by_payment, check};

/// Payments that are looked at, at most: evenly spread over all.
const PAYMENTS_MAX: usize = 500;

#[derive(Debug, Default)]
pub struct Linearizable {
    compared: u64,
}

impl Invariant for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn look(&mut self, _sight: &Sight<'_>) -> Result<(), Breach> {
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        let all = by_payment(sight.calls);
        let each = all.len().div_ceil(PAYMENTS_MAX).max(1);
        for ((_, key), ops) in all.iter().step_by(each) {
            match check(ops) {
                Verdict::Linearizable => self.compared += 1,
                Verdict::GivenUp => {}
                Verdict::TwoIdentities(first, _) if expired(sight, first) => {}
                verdict @ (Verdict::Not { .. } | Verdict::TwoIdentities(..)) => {
                    let detail = format!("payment {:?}: {verdict:?}, of {ops:?}", key.0);
                    return Err(Breach::of_all(detail));
                }
            }
        }
        Ok(())
    }

    /// Payments whose calls have an order.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check;
    use super::*;
    use crate::history::{Answer, Asked, Seen};
    use crate::plan::operation::Fresh;
    use stellara_machine::ids::Index;

    #[test]
    fn a_read_that_sees_nothing_of_an_accepted_payment_is_found() {
        check::<Linearizable>(Ending::Midway, "Not { placed:", |stage| {
            let (_, payment) = stage.first();
            let fresh = Fresh::Linearizable;
            let seen = Seen {
                applied: Some(Index(1)),
                payment: None,
            };
            stage.call(
                2,
                Asked::Read { payment, fresh },
                Answer::Seen(Box::new(seen)),
            );
        });
    }
}
