//! Fees and money are conserved: the machine never counts a fee that the ledger did not charge, and in the end counts
//! every one; what left the treasury and the fee account is what was paid and charged.

use std::collections::BTreeMap;

use stellara_ledger::OperationKind;

use super::{Breach, Ending, Invariant, Sight};

#[derive(Debug, Default)]
pub struct FeesConserved {
    journal: usize,
    charged_stroops: i128,
    paid_stroops: i128,
    compared: u64,
}

impl FeesConserved {
    fn follow(&mut self, sight: &Sight<'_>) {
        let journal = sight.ledger.journal();
        for entry in journal.get(self.journal..).unwrap_or_default() {
            if sight.facts.fee_account.as_ref() == Some(&entry.fee_source) {
                self.charged_stroops += i128::from(entry.fee_charged_stroops);
            }
            let operations = entry.operations.iter();
            let ours = operations.filter(|operation| {
                entry.successful
                    && operation.kind == OperationKind::Payment
                    && operation.asset == "native"
                    && sight.facts.treasury.as_ref() == Some(&operation.source)
            });
            self.paid_stroops += ours
                .map(|operation| i128::from(operation.amount_stroops))
                .sum::<i128>();
        }
        self.journal = journal.len();
    }

    /// What an account holds less than at first.
    fn outflow(sight: &Sight<'_>, address: Option<&String>) -> Option<i128> {
        let address = address?;
        let opening = sight.facts.opening_stroops.get(address)?;
        let held: BTreeMap<String, i64> = sight
            .ledger
            .accounts()
            .map(|(id, account)| (id.to_string(), account.balance_stroops))
            .collect();
        Some(i128::from(*opening) - i128::from(*held.get(address)?))
    }
}

impl Invariant for FeesConserved {
    fn name(&self) -> &'static str {
        "fees_conserved"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        self.follow(sight);
        for (node_id, _, running) in sight.changed() {
            self.compared += 1;
            let counted = running
                .view
                .state(|state| state.totals().fee_charged_stroops);
            if counted > self.charged_stroops {
                let detail = format!(
                    "it counts {counted} stroops of fees, the ledger charged {}",
                    self.charged_stroops
                );
                return Err(Breach::by(node_id, detail));
            }
        }
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, ending: Ending) -> Result<(), Breach> {
        let flows = [
            ("the treasury", &sight.facts.treasury, self.paid_stroops),
            (
                "the fee account",
                &sight.facts.fee_account,
                self.charged_stroops,
            ),
        ];
        for (who, address, expected) in flows {
            if let Some(left) = Self::outflow(sight, address.as_ref())
                && left != expected
            {
                let detail = format!("{left} stroops left {who}, the journal tells of {expected}");
                return Err(Breach::of_all(detail));
            }
        }
        if ending == Ending::Midway {
            return Ok(());
        }
        for (node_id, _, running) in sight.running() {
            let counted = running
                .view
                .state(|state| state.totals().fee_charged_stroops);
            if counted != self.charged_stroops {
                let detail = format!(
                    "it counts {counted} stroops of fees in the end, the ledger charged {}",
                    self.charged_stroops
                );
                return Err(Breach::by(node_id, detail));
            }
        }
        Ok(())
    }

    /// Looks.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, check};
    use super::*;

    #[test]
    fn a_fee_that_nobody_charged_is_found() {
        check::<FeesConserved>(Ending::Midway, "the ledger charged 0", |stage| {
            stage.facts.fee_account = Some("another".to_owned());
        });
    }

    #[test]
    fn a_fee_that_is_not_counted_is_found() {
        let stage = Stage::of_run(5);
        let mut invariant = FeesConserved::default();
        assert_eq!(stage.show(&mut invariant, Ending::Settled), Ok(()));
        assert!(invariant.charged_stroops > 0 && invariant.paid_stroops > 0);
        invariant.charged_stroops += 1;
        let charged = stage.show(&mut invariant, Ending::Settled).unwrap_err();
        assert!(
            charged.detail.contains("left the fee account"),
            "{charged:?}"
        );
    }

    #[test]
    fn money_that_leaves_the_treasury_unseen_is_found() {
        check::<FeesConserved>(Ending::Midway, "left the treasury", |stage| {
            let treasury = stage.facts.treasury.clone().unwrap();
            *stage.facts.opening_stroops.get_mut(&treasury).unwrap() += 1;
        });
    }
}
