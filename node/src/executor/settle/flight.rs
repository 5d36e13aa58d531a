//! Stage `InFlight`: sends the committed bytes, sends them again, and watches the ledger until the fate is proven.

use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_machine::command::{AttemptOutcome, RecordAttempt, Refusal};
use stellara_machine::decision::{AttemptSummary, Batch, BatchStage};
use stellara_machine::ids::AttemptNo;
use tracing::{debug, error, warn};

use super::Ending;
use super::fate::{Fate, SequenceCheck, past};
use crate::executor::outcome::{AfterSubmit, after_submit};
use crate::executor::{Backoff, Cluster, Executor};
use crate::ports::ledger::{SubmitAnswer, TransactionLookup};
use crate::ports::{Clock, Ledger, LedgerError, Signer};

/// The longest wait that an endpoint may ask for, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 60_000;

/// What this task learnt of an attempt in flight. All of it may be forgotten: it only paces and explains.
struct Flight<R: AsyncRuntime> {
    /// When to offer the bytes next; `None` when that makes no sense any more.
    send_at: Option<R::Instant>,
    /// "Try again later" in a row.
    try_later: u32,
    /// Why it was not taken, to be told instead of the expiry.
    refusal: Option<Refusal>,
    backoff: Backoff,
}

/// What an answer leads to.
enum Next {
    /// Nothing is proven yet.
    Watch,
    /// An outcome is proven.
    Tell(AttemptNo, AttemptOutcome),
    /// The hash seems banned: the same inner transaction goes on in a new bump.
    Bump,
    /// No envelope of the batch can apply any more.
    Bury,
}

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    pub(super) async fn bring_home(&self, batch: &Batch) -> Result<(), Ending> {
        let Some(last) = batch.attempts.last() else {
            error!(batch = batch.id.0, "batch is in flight without an attempt");
            return Err(Ending::Rest);
        };
        let stored = self.stored(batch, last.attempt).await?;
        let mut flight = Flight::<R> {
            send_at: Some(R::Instant::now()),
            try_later: 0,
            refusal: None,
            backoff: Backoff::new(&self.settings),
        };
        loop {
            if self.is_time_to_send(batch, last, &flight) {
                match self.send(batch, last, &stored, &mut flight).await {
                    Next::Tell(attempt, outcome) => {
                        return self.report(batch, attempt, outcome).await;
                    }
                    Next::Bump => {
                        if let Some(stored) = self.still_good(batch).await? {
                            let signed = self.sign_attempt(batch, Some(&stored)).await?;
                            return self.record(batch, signed).await;
                        }
                    }
                    Next::Watch | Next::Bury => {}
                }
            }
            self.pause(self.settings.poll_ms).await;
            match self.watch(batch, last).await {
                Next::Tell(attempt, outcome) => return self.report(batch, attempt, outcome).await,
                Next::Bury => return self.bury(batch, last, flight.refusal).await,
                Next::Watch | Next::Bump => {}
            }
        }
    }

    /// Tells that nothing of the batch can apply any more: why the last attempt was not taken, if that is known, and
    /// the expiry of whatever the machine then still holds for alive.
    async fn bury(
        &self,
        batch: &Batch,
        last: &AttemptSummary,
        refusal: Option<Refusal>,
    ) -> Result<(), Ending> {
        let Some(refusal) = refusal else {
            return self
                .report(batch, last.attempt, AttemptOutcome::Expired)
                .await;
        };
        let refused = AttemptOutcome::Refused(refusal);
        self.report(batch, last.attempt, refused).await?;
        match self.cluster.batch(batch.id) {
            Some(held) if held.stage == BatchStage::InFlight => self.expire_all(&held).await,
            Some(_) | None => Ok(()),
        }
    }

    fn is_time_to_send(&self, batch: &Batch, last: &AttemptSummary, flight: &Flight<R>) -> bool {
        let now = self.clock.now();
        now >= batch.not_before
            && now.0 / 1_000 <= last.time_bound_s
            && flight
                .send_at
                .is_some_and(|send_at| send_at <= R::Instant::now())
    }

    /// Offers the committed bytes once and draws the conclusion.
    async fn send(
        &self,
        batch: &Batch,
        last: &AttemptSummary,
        stored: &RecordAttempt,
        flight: &mut Flight<R>,
    ) -> Next {
        let operations = u32::try_from(batch.payments.len() + 1).unwrap_or(u32::MAX);
        self.pacer.admit(operations).await;
        let answer = self.submit(&stored.envelope).await;
        let (id, attempt) = (batch.id.0, last.attempt.0);
        debug!(batch = id, attempt, ?answer, "envelope offered");
        if let SubmitAnswer::Pending { hash } | SubmitAnswer::Duplicate { hash } = &answer
            && *hash != last.outer_hash
        {
            error!(
                batch = id,
                attempt, "ledger names another hash: it is another network"
            );
        }
        let after = after_submit(&answer);
        flight.note(&after, &self.settings);
        let checked = match after {
            AfterSubmit::CheckSequence => self.after_bad_sequence(batch, last).await,
            AfterSubmit::Raise(refusal) => {
                return Next::Tell(last.attempt, AttemptOutcome::Refused(refusal));
            }
            AfterSubmit::TryLater if flight.try_later > self.settings.try_later_max => {
                self.after_try_later(batch).await
            }
            AfterSubmit::TryLater
            | AfterSubmit::Poll
            | AfterSubmit::Resend
            | AfterSubmit::BackOff { .. }
            | AfterSubmit::Refused(_)
            | AfterSubmit::Unpayable(_)
            | AfterSubmit::AwaitExpiry => Ok(Next::Watch),
        };
        checked.unwrap_or_else(|error| {
            warn!(batch = id, attempt, %error, "attempt cannot be looked up");
            Next::Watch
        })
    }

    async fn after_bad_sequence(
        &self,
        batch: &Batch,
        last: &AttemptSummary,
    ) -> Result<Next, LedgerError> {
        let (id, channel) = (batch.id.0, hex::encode(batch.channel.0));
        Ok(match self.check_sequence(batch).await? {
            SequenceCheck::Final(attempt, outcome) => Next::Tell(attempt, outcome),
            SequenceCheck::Lost(account_sequence) => {
                warn!(
                    batch = id,
                    channel, "channel's sequence was used by somebody else"
                );
                let lost = AttemptOutcome::SequenceLost { account_sequence };
                Next::Tell(last.attempt, lost)
            }
            SequenceCheck::Gap(account_sequence) => {
                let (ledger, ours) = (account_sequence.0, batch.sequence.0);
                error!(
                    batch = id,
                    channel, ledger, ours, "channel's sequence is ahead of the ledger"
                );
                Next::Watch
            }
            SequenceCheck::Unclear => Next::Watch,
        })
    }

    /// After several "try again later": the hash is banned or the queue stays full. A new bump has another hash.
    async fn after_try_later(&self, batch: &Batch) -> Result<Next, LedgerError> {
        Ok(match self.fate(batch).await? {
            Fate::Final(attempt, outcome) => Next::Tell(attempt, outcome),
            Fate::Open {
                failed_early: None, ..
            } => Next::Bump,
            Fate::Open {
                failed_early: Some(_),
                ..
            }
            | Fate::Dead { .. }
            | Fate::Misfit => Next::Watch,
        })
    }

    /// Looks the inner hash up; when it is found or its bounds passed, looks everything up.
    async fn watch(&self, batch: &Batch, last: &AttemptSummary) -> Next {
        self.watch_once(batch, last).await.unwrap_or_else(|error| {
            debug!(batch = batch.id.0, %error, "attempt cannot be looked up");
            Next::Watch
        })
    }

    async fn watch_once(&self, batch: &Batch, last: &AttemptSummary) -> Result<Next, LedgerError> {
        match self.look_up(last.inner_hash).await? {
            TransactionLookup::NotFound(ingested) if !past(last, ingested) => {
                return Ok(Next::Watch);
            }
            TransactionLookup::NotFound(_) | TransactionLookup::Found(_) => {}
        }
        Ok(match self.fate(batch).await? {
            Fate::Final(attempt, outcome) => Next::Tell(attempt, outcome),
            Fate::Dead { .. } => Next::Bury,
            Fate::Open { .. } | Fate::Misfit => Next::Watch,
        })
    }

    async fn submit(&self, envelope: &[u8]) -> SubmitAnswer {
        let timeout_ms = self.settings.request_timeout_ms;
        R::timeout(
            Duration::from_millis(timeout_ms),
            self.ledger.submit(envelope),
        )
        .await
        .unwrap_or_else(|_| SubmitAnswer::Unknown {
            why: format!("no answer within {timeout_ms} ms"),
        })
    }
}

impl<R: AsyncRuntime> Flight<R> {
    /// Takes the pace of the next offer from the last answer.
    fn note(&mut self, after: &AfterSubmit, settings: &super::super::Settings) {
        let ledger_ms = settings.ledger_ms;
        let wait_ms = match after {
            AfterSubmit::Poll => {
                self.refusal = None;
                self.backoff = Backoff::new(settings);
                Some(ledger_ms.saturating_mul(settings.resend_ledgers))
            }
            AfterSubmit::BackOff { retry_after_ms } => {
                let asked_ms = retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX);
                Some(self.backoff.next().max(asked_ms))
            }
            AfterSubmit::Resend
            | AfterSubmit::TryLater
            | AfterSubmit::Raise(_)
            | AfterSubmit::CheckSequence => Some(ledger_ms),
            AfterSubmit::Unpayable(refusal) => {
                self.refusal = Some(refusal.clone());
                Some(ledger_ms)
            }
            AfterSubmit::Refused(refusal) => {
                self.refusal = Some(refusal.clone());
                None
            }
            AfterSubmit::AwaitExpiry => None,
        };
        self.try_later = match after {
            AfterSubmit::TryLater => self.try_later + 1,
            AfterSubmit::Poll
            | AfterSubmit::Resend
            | AfterSubmit::BackOff { .. }
            | AfterSubmit::Raise(_)
            | AfterSubmit::CheckSequence
            | AfterSubmit::Refused(_)
            | AfterSubmit::Unpayable(_)
            | AfterSubmit::AwaitExpiry => 0,
        };
        self.send_at = wait_ms.map(|wait_ms| R::Instant::now() + Duration::from_millis(wait_ms));
    }
}
