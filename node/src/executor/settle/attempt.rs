//! Makes a batch's next attempt and commits it: the first envelope, a new bump of the last inner transaction, or a
//! new inner transaction once all earlier ones are proven dead.

use openraft_rt::AsyncRuntime;
use stellara_machine::command::{AccountRole, Command, RecordAttempt};
use stellara_machine::decision::{Batch, BatchPayment};
use stellara_machine::ids::{AttemptNo, PaymentId};
use stellara_machine::units::{Lane, LedgerSeq, Stroops};
use tracing::{error, info, warn};

use super::Ending;
use super::fate::Fate;
use crate::executor::envelope::{
    Bounds, Bump, EnvelopeError, FEE_PER_OPERATION_MIN, SignedEnvelope, build, bump_again,
    fee_of_bid,
};
use crate::executor::{Backoff, Cluster, Executor};
use crate::ports::ledger::LatestLedger;
use crate::ports::{Clock, Ledger, LedgerError, SignError, Signer};

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    /// Stage `Building`: ends with an attempt committed, or with the outcome of an earlier one.
    pub(super) async fn make_attempt(&self, batch: &Batch) -> Result<(), Ending> {
        self.wait_for_turn(batch).await;
        let mut backoff = Backoff::new(&self.settings);
        let last = loop {
            if batch.attempts.is_empty() {
                break None;
            }
            match self.fate(batch).await {
                Ok(Fate::Final(attempt, outcome)) => {
                    return self.report(batch, attempt, outcome).await;
                }
                Ok(Fate::Dead { .. }) => {
                    self.expire_all(batch).await?;
                    if self.cluster.batch(batch.id).is_none() {
                        return Err(Ending::Done);
                    }
                    break None;
                }
                Ok(Fate::Open { .. }) => {
                    if let Some(stored) = self.still_good(batch).await? {
                        break Some(stored);
                    }
                    self.pause(self.settings.poll_ms).await;
                }
                Ok(Fate::Misfit) => self.pause(self.settings.backoff_max_ms).await,
                Err(error) => {
                    warn!(batch = batch.id.0, %error, "earlier attempts cannot be looked up");
                    self.pause(backoff.next()).await;
                }
            }
        };
        let signed = self.sign_attempt(batch, last.as_ref()).await?;
        self.record(batch, signed).await
    }

    /// The machine's back-off after a refusal.
    async fn wait_for_turn(&self, batch: &Batch) {
        loop {
            let wait_ms = batch.not_before.since(self.clock.now());
            if wait_ms == 0 {
                return;
            }
            // In slices: the wall clock may be set meanwhile.
            let slice_ms = wait_ms.min(self.settings.ledger_ms);
            R::sleep(std::time::Duration::from_millis(slice_ms)).await;
        }
    }

    /// The last attempt, when its inner transaction is for the batch's sequence and has room left in its bounds.
    pub(super) async fn still_good(&self, batch: &Batch) -> Result<Option<RecordAttempt>, Ending> {
        let Some(last) = batch.attempts.last() else {
            return Ok(None);
        };
        let stored = self.stored(batch, last.attempt).await?;
        let latest = self.latest(batch).await?;
        let room_until_s = self.now_s(latest) + self.settings.bump_room_s;
        let ledgers = self.settings.bump_room_s * 1_000 / self.settings.ledger_ms;
        let ledgers = u32::try_from(ledgers).unwrap_or(u32::MAX);
        let has_room = stored.time_bound_s >= room_until_s
            && stored.ledger_bound > LedgerSeq(latest.ledger.0.saturating_add(ledgers));
        let is_same = stored.channel == batch.channel && stored.sequence == batch.sequence;
        Ok((is_same && has_room).then_some(stored))
    }

    pub(super) async fn sign_attempt(
        &self,
        batch: &Batch,
        last: Option<&RecordAttempt>,
    ) -> Result<SignedEnvelope, Ending> {
        let bump = self.bump(batch, last)?;
        let signed = match last {
            Some(stored) => bump_again(&self.signer, &self.network, &stored.envelope, bump).await,
            None => {
                let ids: Vec<PaymentId> = batch
                    .payments
                    .iter()
                    .map(|BatchPayment { payment, .. }| *payment)
                    .collect();
                let payments = self.cluster.payments(&ids).await.map_err(|error| {
                    error!(batch = batch.id.0, %error, "payments of a batch cannot be read");
                    Ending::Rest
                })?;
                let bounds = self.bounds(self.latest(batch).await?);
                build(&self.signer, &self.network, batch, &payments, bounds, bump).await
            }
        };
        signed.map_err(|error| unsigned(batch, &error))
    }

    pub(super) async fn record(&self, batch: &Batch, signed: SignedEnvelope) -> Result<(), Ending> {
        let attempt = batch.attempts.last().map_or(1, |last| last.attempt.0 + 1);
        let record = RecordAttempt {
            batch: batch.id,
            attempt: AttemptNo(attempt),
            channel: signed.channel,
            sequence: signed.sequence,
            inner_hash: signed.inner_hash,
            outer_hash: signed.outer_hash,
            time_bound_s: signed.bounds.time_bound_s,
            ledger_bound: signed.bounds.ledger_bound,
            fee_max: signed.fee_max,
            envelope: signed.bytes,
        };
        match self.commit(Command::RecordAttempt(record)).await? {
            Ok(()) => {
                let hash = hex::encode(signed.inner_hash.0);
                info!(batch = batch.id.0, attempt, hash, "attempt recorded");
                Ok(())
            }
            Err(rejection) => {
                warn!(batch = batch.id.0, attempt, ?rejection, "attempt refused");
                Err(Ending::Rest)
            }
        }
    }

    fn bump(&self, batch: &Batch, last: Option<&RecordAttempt>) -> Result<Bump, Ending> {
        let fee_accounts = self.fee_accounts();
        let count = u64::try_from(fee_accounts.len()).unwrap_or(u64::MAX);
        let Some(at) = batch.id.0.checked_rem(count) else {
            error!("no fee account is registered that the signer holds");
            return Err(Ending::Rest);
        };
        let at = usize::try_from(at).expect("it is below the length of a vector");
        let fee_max = fee_max(batch, last).map_err(|error| unsigned(batch, &error))?;
        Ok(Bump {
            fee_account: fee_accounts[at],
            fee_max,
        })
    }

    fn fee_accounts(&self) -> Vec<stellara_machine::ids::AccountId> {
        let held = self.signer.accounts(AccountRole::Fee);
        let known = self.cluster.accounts();
        let is_fee = |id| {
            known
                .iter()
                .any(|account| account.account == id && account.role == AccountRole::Fee)
        };
        held.into_iter().filter(|id| is_fee(*id)).collect()
    }

    fn bounds(&self, latest: LatestLedger) -> Bounds {
        let ahead = self.settings.bound_ledgers;
        Bounds {
            time_bound_s: self.now_s(latest) + self.settings.time_bound_s,
            ledger_bound: LedgerSeq(latest.ledger.0.saturating_add(ahead)),
        }
    }

    /// The later of this node's clock and the ledger's: a clock that lags must not make every transaction too late.
    fn now_s(&self, latest: LatestLedger) -> u64 {
        (self.clock.now().0 / 1_000).max(latest.closed_at_s)
    }

    async fn latest(&self, batch: &Batch) -> Result<LatestLedger, Ending> {
        let latest = self.within(self.ledger.latest_ledger()).await;
        latest.map_err(|error: LedgerError| {
            warn!(batch = batch.id.0, %error, "latest ledger cannot be read");
            Ending::Rest
        })
    }

    /// The committed envelope of an attempt.
    pub(super) async fn stored(
        &self,
        batch: &Batch,
        attempt: AttemptNo,
    ) -> Result<RecordAttempt, Ending> {
        match self.cluster.attempt(batch.id, attempt).await {
            Ok(Some(stored)) => Ok(stored),
            Ok(None) => {
                error!(
                    batch = batch.id.0,
                    attempt = attempt.0,
                    "stored attempt is missing"
                );
                Err(Ending::Rest)
            }
            Err(error) => {
                error!(batch = batch.id.0, attempt = attempt.0, %error, "stored attempt cannot be read");
                Err(Ending::Rest)
            }
        }
    }
}

/// Nothing was sent and nothing committed: the batch waits, and the next try may sign.
fn unsigned(batch: &Batch, error: &EnvelopeError) -> Ending {
    match error {
        EnvelopeError::Sign(SignError::Unavailable { .. }) => {
            warn!(batch = batch.id.0, %error, "signer does not answer");
            Ending::Unsigned
        }
        EnvelopeError::Sign(
            SignError::UnknownAccount { .. }
            | SignError::Refused { .. }
            | SignError::Unreadable { .. }
            | SignError::WrongSignature { .. },
        ) => {
            error!(batch = batch.id.0, %error, "attempt cannot be signed");
            Ending::Unsigned
        }
        EnvelopeError::PaymentMismatch { .. }
        | EnvelopeError::PaymentCount { .. }
        | EnvelopeError::FeeOverflow { .. }
        | EnvelopeError::Xdr { .. }
        | EnvelopeError::TooLong { .. }
        | EnvelopeError::Check { .. } => {
            error!(batch = batch.id.0, %error, "attempt cannot be built");
            Ending::Rest
        }
    }
}

/// The total to bid. A bump of the same inner transaction that was turned away at the machine's bid was too low for
/// the ledgers it waited for: it doubles within the cap, except in the lane that may wait for a cheap ledger. Its
/// total differs from every earlier one, since the same bump has the same hash, which may be banned.
fn fee_max(batch: &Batch, last: Option<&RecordAttempt>) -> Result<Stroops, EnvelopeError> {
    let payments = batch.payments.len();
    let cap = batch.fee_cap.max(FEE_PER_OPERATION_MIN);
    let most = fee_of_bid(cap, payments)?;
    let asked = fee_of_bid(batch.fee_bid.min(cap), payments)?;
    let Some(last) = last else {
        return Ok(asked);
    };
    let mut total = asked;
    if last.fee_max >= asked && batch.group.lane > Lane::Low {
        total = Stroops(last.fee_max.0.saturating_mul(2)).min(most);
    }
    let is_used = |total| {
        batch
            .attempts
            .iter()
            .any(|attempt| attempt.inner_hash == last.inner_hash && attempt.fee_max == total)
    };
    // Each attempt takes at most one total away; where the caps leave no room, the same total is sent again, and waits
    // until its hash is no longer banned: the bound told for the batch is never passed.
    while is_used(total) && total < most {
        total = Stroops(total.0 + 1);
    }
    let floor = fee_of_bid(FEE_PER_OPERATION_MIN, payments)?;
    while is_used(total) && total > floor {
        total = Stroops(total.0 - 1);
    }
    Ok(total)
}
