//! What became of a batch's envelopes, as far as the ledger proves it.
//!
//! Absence needs proof: a look-up that found nothing counts for as much as the endpoint had ingested before it
//! looked. Dead means that every hash of every attempt was absent after the attempt's bounds had passed.

use std::time::Duration;

use openraft_rt::AsyncRuntime;
use stellara_machine::command::AttemptOutcome;
use stellara_machine::decision::{AttemptSummary, Batch};
use stellara_machine::ids::{AttemptNo, Hash};
use stellara_machine::units::{AccountSequence, LedgerSeq};
use tracing::error;

use crate::executor::outcome::{Found, found};
use crate::executor::{Cluster, Executor};
use crate::ports::ledger::{Ingested, TransactionLookup};
use crate::ports::{Clock, Ledger, LedgerError, Signer};

/// The proven fate of a batch's envelopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// One is in a ledger and settled the matter.
    Final(AttemptNo, AttemptOutcome),
    /// None is in a ledger up to `seen_to`, but one may still get there.
    Open {
        seen_to: LedgerSeq,
        failed_early: Option<(AttemptNo, AttemptOutcome)>,
    },
    /// None is in a ledger and none can get there any more.
    Dead { seen_to: LedgerSeq },
    /// An answer of the ledger fits nothing that was sent: the batch is held until somebody looks.
    Misfit,
}

/// How the channel's sequence on the ledger stands to the batch's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SequenceCheck {
    /// An envelope of the batch used it.
    Final(AttemptNo, AttemptOutcome),
    /// Somebody else used it: nothing of the batch can apply under it.
    Lost(AccountSequence),
    /// The ledger is behind by more than one: nothing of the batch can apply before somebody moves it.
    Gap(AccountSequence),
    /// It is free, or nothing is proven yet.
    Unclear,
}

/// Whether no ledger after this reading can take the attempt.
pub(super) fn past(attempt: &AttemptSummary, ingested: Ingested) -> bool {
    ingested.closed_at_s > attempt.time_bound_s || ingested.ledger >= attempt.ledger_bound
}

/// Each hash once, the attempt it tells of, and the attempts whose bounds it must outlive.
fn hashes(batch: &Batch) -> Vec<(Hash, &AttemptSummary)> {
    let mut hashes: Vec<(Hash, &AttemptSummary)> = Vec::new();
    for attempt in batch.attempts.iter().rev() {
        hashes.push((attempt.outer_hash, attempt));
    }
    for attempt in batch.attempts.iter().rev() {
        if !hashes.iter().any(|(hash, _)| *hash == attempt.inner_hash) {
            hashes.push((attempt.inner_hash, attempt));
        }
    }
    hashes
}

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    /// Looks up every hash of every attempt.
    pub(super) async fn fate(&self, batch: &Batch) -> Result<Fate, LedgerError> {
        // Counts only where a hash is found: it then has no reading of its own.
        let before = self.within(self.ledger.latest_ledger()).await?;
        let mut seen_to = LedgerSeq(u32::MAX);
        let mut all_past = true;
        let mut failed_early = None;
        for (hash, attempt) in hashes(batch) {
            let ingested = match self.look_up(hash).await? {
                TransactionLookup::NotFound(ingested) => {
                    seen_to = seen_to.min(ingested.ledger);
                    ingested
                }
                TransactionLookup::Found(transaction) => {
                    match found(&transaction, batch.payments.len()) {
                        Found::Final(outcome) => return Ok(Fate::Final(attempt.attempt, outcome)),
                        Found::FailedEarly(outcome) => {
                            failed_early.get_or_insert((attempt.attempt, outcome));
                        }
                        Found::Misfit { operations } => {
                            let payments = batch.payments.len();
                            error!(
                                batch = batch.id.0,
                                hash = hex::encode(hash.0),
                                operations,
                                payments,
                                "transaction on the ledger does not fit its batch"
                            );
                            return Ok(Fate::Misfit);
                        }
                    }
                    before
                }
            };
            all_past &= past(attempt, ingested);
        }
        Ok(match (all_past, failed_early) {
            (true, Some((attempt, outcome))) => Fate::Final(attempt, outcome),
            (true, None) => Fate::Dead { seen_to },
            (false, failed_early) => Fate::Open {
                seen_to,
                failed_early,
            },
        })
    }

    /// Looks at the channel's sequence, between two looks at the hashes: only the second one, at least as far as the
    /// ledger that used the sequence, proves that it was not used by us.
    pub(super) async fn check_sequence(&self, batch: &Batch) -> Result<SequenceCheck, LedgerError> {
        if let Fate::Final(attempt, outcome) = self.fate(batch).await? {
            return Ok(SequenceCheck::Final(attempt, outcome));
        }
        let account = self.within(self.ledger.account(batch.channel)).await?;
        let Some(account) = account else {
            return Ok(SequenceCheck::Unclear);
        };
        if account.sequence < batch.sequence {
            let fits = account.sequence.next() == Some(batch.sequence);
            return Ok(if fits {
                SequenceCheck::Unclear
            } else {
                SequenceCheck::Gap(account.sequence)
            });
        }
        Ok(match self.fate(batch).await? {
            Fate::Final(attempt, outcome) => SequenceCheck::Final(attempt, outcome),
            Fate::Misfit => SequenceCheck::Unclear,
            Fate::Open { seen_to, .. } | Fate::Dead { seen_to }
                if seen_to < account.modified_at =>
            {
                SequenceCheck::Unclear
            }
            // The sequence is used: what failed early was the last that any of them could do.
            Fate::Open {
                failed_early: Some((attempt, outcome)),
                ..
            } => SequenceCheck::Final(attempt, outcome),
            Fate::Open {
                failed_early: None, ..
            }
            | Fate::Dead { .. } => SequenceCheck::Lost(account.sequence),
        })
    }

    pub(super) async fn look_up(&self, hash: Hash) -> Result<TransactionLookup, LedgerError> {
        self.within(self.ledger.transaction(hash)).await
    }

    /// Bounds a read of the ledger in time.
    pub(super) async fn within<T>(
        &self,
        read: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        let timeout_ms = self.settings.request_timeout_ms;
        R::timeout(Duration::from_millis(timeout_ms), read)
            .await
            .unwrap_or_else(|_| {
                Err(LedgerError::Unavailable {
                    why: format!("no answer within {timeout_ms} ms"),
                    retry_after_ms: None,
                })
            })
    }
}
