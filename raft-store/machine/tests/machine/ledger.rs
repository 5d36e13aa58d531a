//! A model of the ledger that is as unhelpful as the protocol allows.
//!
//! Any envelope that was ever recorded may apply at any later moment within its bounds, as
//! long as its sequence is the next of its channel. Reports about it are only ever true.

use std::collections::BTreeMap;

use stellara_machine::command::{AttemptOutcome, OperationResult, RecordAttempt, Refusal};
use stellara_machine::ids::{AccountId, AttemptNo, BatchId, Hash, PaymentId};
use stellara_machine::units::{LedgerSeq, Stroops};

/// A recorded envelope.
pub struct Envelope {
    pub attempt: RecordAttempt,
    pub payments: Vec<PaymentId>,
    /// Badly signed or the like: it never applies.
    pub broken: bool,
}

/// What became of an inner transaction that is in a ledger.
#[derive(Clone)]
pub enum Included {
    Applied,
    Failed(Vec<OperationResult>),
}

#[derive(Default)]
pub struct Ledger {
    pub closed: u32,
    pub sequences: BTreeMap<AccountId, i64>,
    pub envelopes: Vec<Envelope>,
    pub included: BTreeMap<Hash, Included>,
    pub paid: BTreeMap<PaymentId, u32>,
}

impl Ledger {
    pub fn sequence(&self, channel: AccountId) -> i64 {
        self.sequences.get(&channel).copied().unwrap_or(0)
    }

    pub fn use_sequence(&mut self, channel: AccountId) {
        *self.sequences.entry(channel).or_insert(0) += 1;
    }

    /// Applies an envelope, if the protocol lets it.
    pub fn include(&mut self, which: usize, result: &Included) {
        let Some(envelope) = self.envelopes.get(which) else {
            return;
        };
        let attempt = &envelope.attempt;
        let in_bounds = self.closed < attempt.ledger_bound.0;
        let is_next = attempt.sequence.0 == self.sequence(attempt.channel) + 1;
        if envelope.broken || !in_bounds || !is_next {
            return;
        }
        if let Included::Applied = result {
            for payment in &envelope.payments {
                *self.paid.entry(*payment).or_insert(0) += 1;
            }
        }
        let (inner, channel) = (attempt.inner_hash, attempt.channel);
        let result = match result {
            Included::Applied => Included::Applied,
            Included::Failed(operations) => {
                // The results of a transaction are as many as its operations, or none.
                let mut results = operations.clone();
                if !results.is_empty() {
                    results.resize(envelope.payments.len(), OperationResult::RolledBack);
                }
                Included::Failed(results)
            }
        };
        self.included.insert(inner, result);
        self.use_sequence(channel);
    }

    /// What may truly be said of an attempt that was recorded; `refusal` is what its node
    /// answered, which proves nothing about other nodes.
    pub fn observe(
        &self,
        batch: BatchId,
        no: AttemptNo,
        refusal: Option<Refusal>,
    ) -> Option<AttemptOutcome> {
        let of_batch = || {
            self.envelopes
                .iter()
                .filter(move |known| known.attempt.batch == batch)
        };
        let envelope = of_batch().find(|known| known.attempt.attempt == no)?;
        if let Some(refusal) = refusal {
            let honest = match refusal {
                Refusal::Terminal { .. } => envelope.broken,
                Refusal::InsufficientFee { .. }
                | Refusal::TryAgainLater
                | Refusal::InsufficientBalance => true,
            };
            return honest.then_some(AttemptOutcome::Refused(refusal));
        }
        let ledger = LedgerSeq(self.closed);
        let fee_charged = Stroops(100);
        if let Some(included) = self.included.get(&envelope.attempt.inner_hash) {
            return Some(match included.clone() {
                Included::Applied => AttemptOutcome::Applied {
                    ledger,
                    fee_charged,
                },
                Included::Failed(operations) => AttemptOutcome::AppliedFailed {
                    ledger,
                    fee_charged,
                    operations,
                },
            });
        }
        if self.closed >= envelope.attempt.ledger_bound.0 {
            return Some(AttemptOutcome::Expired);
        }
        let used = self.sequence(envelope.attempt.channel);
        let none_included =
            of_batch().all(|known| !self.included.contains_key(&known.attempt.inner_hash));
        (used >= envelope.attempt.sequence.0 && none_included).then_some(
            AttemptOutcome::SequenceLost {
                account_sequence: stellara_machine::units::AccountSequence(used),
            },
        )
    }
}
