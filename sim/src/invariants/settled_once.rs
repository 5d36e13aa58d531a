//! Nothing is paid twice: while the run goes on, by the ledger's journal against what was asked and accepted; at the end
//! exactly the settled payments are paid, and no cancelled or failed one (DESIGN, promise 2).

use std::collections::{BTreeMap, BTreeSet};

use stellara_ledger::{Intent, OperationKind, PaidKey, check};
use stellara_machine::decision::{PaymentStatus, Stage};
use stellara_machine::ids::{DeveloperId, IdempotencyKey, PaymentId};

use super::{Breach, Ending, Invariant, Sight};
use crate::history::Asked;
use crate::world::payment_intent;

/// Payments read at a time.
const PAYMENTS_MAX: usize = 256;

#[derive(Debug, Default)]
struct Tally {
    asked: BTreeSet<(DeveloperId, IdempotencyKey)>,
    accepted: u64,
    paid: u64,
}

#[derive(Debug, Default)]
pub struct SettledOnce {
    journal: usize,
    calls: usize,
    read: PaymentId,
    /// By the amount first: it tells nearly all apart.
    tallies: BTreeMap<(i64, PaidKey), Tally>,
    compared: u64,
}

fn key_of(intent: Intent) -> (i64, PaidKey) {
    let key = PaidKey {
        destination: intent.destination,
        asset: intent.asset,
        amount_stroops: intent.amount_stroops,
        memo: intent.memo,
    };
    (intent.amount_stroops, key)
}

impl SettledOnce {
    fn learn(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for call in sight.calls.all().get(self.calls..).unwrap_or_default() {
            if let Asked::Submit(asked) = &call.asked
                && let Some(intent) = payment_intent("", &asked.body)
            {
                let tally = self.tallies.entry(key_of(intent)).or_default();
                tally.asked.insert((asked.developer, asked.key.clone()));
            }
        }
        self.calls = sight.calls.all().len();
        let Some((node_id, running)) = sight.foremost() else {
            return Ok(());
        };
        loop {
            let read = running.view.payments_after(self.read, PAYMENTS_MAX);
            let read = read.map_err(|error| Breach::by(node_id, error.to_string()))?;
            let full = read.len() == PAYMENTS_MAX;
            for (payment, _) in read {
                self.read = payment.id;
                if let Some(intent) = payment_intent("", &payment.body) {
                    self.tallies.entry(key_of(intent)).or_default().accepted += 1;
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// The payments of new transactions; each may be paid as often as it was accepted, or asked by somebody.
    fn follow(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        let journal = sight.ledger.journal();
        let new = journal.get(self.journal..).unwrap_or_default();
        self.journal = journal.len();
        for entry in new.iter().filter(|entry| entry.successful) {
            for operation in &entry.operations {
                let ours = sight.facts.treasury.as_ref() == Some(&operation.source);
                if !ours || operation.kind != OperationKind::Payment {
                    continue;
                }
                self.compared += 1;
                let key = PaidKey {
                    destination: operation.destination.clone(),
                    asset: operation.asset.clone(),
                    amount_stroops: operation.amount_stroops,
                    memo: entry.memo.clone(),
                };
                let tally = self.tallies.entry((key.amount_stroops, key.clone()));
                let tally = tally.or_default();
                tally.paid += 1;
                let asked = u64::try_from(tally.asked.len()).unwrap_or(u64::MAX);
                let known = tally.accepted.max(asked);
                // The acceptance of what is paid once may be known to a node that is gone at this moment.
                if tally.paid > known.max(1) {
                    let detail = format!(
                        "{} payments of {key:?} are on the ledger, meant were {known}; the last by {}",
                        tally.paid, entry.inner_hash
                    );
                    return Err(Breach::of_all(detail));
                }
            }
        }
        Ok(())
    }
}

impl Invariant for SettledOnce {
    fn name(&self) -> &'static str {
        "settled_once"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        if sight.ledger.journal().len() == self.journal {
            return Ok(());
        }
        self.learn(sight)?;
        self.follow(sight)
    }

    fn finish(&mut self, sight: &Sight<'_>, ending: Ending) -> Result<(), Breach> {
        match ending {
            Ending::Midway => Ok(()),
            Ending::Settled => exactly_once(sight),
        }
    }

    /// Payments of our own on the ledger.
    fn compared(&self) -> u64 {
        self.compared
    }
}

fn exactly_once(sight: &Sight<'_>) -> Result<(), Breach> {
    let Some((node_id, running)) = sight.foremost() else {
        return Ok(());
    };
    let mut settled = Vec::new();
    let mut after = PaymentId(0);
    loop {
        let read = running.view.payments_after(after, PAYMENTS_MAX);
        let read = read.map_err(|error| Breach::by(node_id, error.to_string()))?;
        let full = read.len() == PAYMENTS_MAX;
        for (payment, status) in read {
            after = payment.id;
            if let Some(PaymentStatus {
                stage: Stage::Settled { .. },
                ..
            }) = status
            {
                settled.extend(payment_intent(&payment.key.0, &payment.body));
            }
        }
        if !full {
            break;
        }
    }
    let ours: BTreeSet<String> = sight.facts.treasury.iter().cloned().collect();
    let report = check(&settled, sight.ledger.journal(), Some(&ours));
    if report.is_exactly_once() {
        return Ok(());
    }
    let first = |counts: &[stellara_ledger::IntentCount]| counts.first().cloned();
    let detail = format!(
        "{} payments are settled, {} are on the ledger; missing: {:?}; paid too often: {:?}; not settled and paid: {:?}",
        report.intents,
        report.payments,
        first(&report.missing),
        first(&report.excess),
        first(&report.unexpected)
    );
    Err(Breach::of_all(detail))
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, check};
    use super::*;
    use stellara_raft_store::engine::Space;

    #[test]
    fn a_payment_paid_by_two_transactions_is_found() {
        let mut stage = Stage::of_run(5);
        let mut invariant = SettledOnce::default();
        assert_eq!(stage.look(&mut invariant), Ok(()));
        assert!(invariant.compared() > 0);
        // The ledger's journal is told again from its beginning, as if all of it had been paid again.
        invariant.journal = 0;
        stage.call(
            1,
            Asked::Bad(stage.first().0),
            crate::history::Answer::Unknown,
        );
        let breach = stage.look(&mut invariant).unwrap_err();
        assert!(breach.detail.contains("meant were 1"), "{breach:?}");
    }

    #[test]
    fn a_payment_that_is_paid_and_not_settled_is_found() {
        check::<SettledOnce>(Ending::Settled, "not settled and paid: Some", |stage| {
            for node_id in 1..=3 {
                stage.rewrite(node_id, |folder, space, key, value| {
                    let status =
                        folder.starts_with("state") && space == Space::Rows && key[0] == b's';
                    (!status).then(|| value.to_vec())
                });
            }
        });
    }
}
