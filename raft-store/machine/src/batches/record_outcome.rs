//! What the ledger did with a batch, and the exactly-once rule.
//!
//! Payments leave a batch only (a) paid, (b) when a transaction of the batch, failed, used its
//! sequence, or (c) when every attempt is proven dead, by expiry or by a refusal that holds
//! for ever. A plain refusal proves nothing: the bytes are out and may apply until their
//! bounds pass. A batch given up earlier waits, its `ending` set, until (a), (b) or (c).

// The sequence changes only by `SequenceLost`, which proves all attempts of the old one dead;
// so all open attempts share one sequence, and the ledger applies at most one of them. Any of
// them therefore settles the whole batch, whichever it is and whatever was decided meanwhile.

use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::back_off;
use super::ending::{self, Fates, recorded};
use crate::command::{AttemptOutcome, OperationResult, RecordOutcome, Refusal};
use crate::decision::{
    AttemptFate, AttemptSummary, Batch, BatchStage, Change, Decision, Ending, Rejection,
};
use crate::fees::bid::tenth_more;
use crate::fields::{refused, text_within, within};
use crate::ids::AttemptNo;
use crate::limits::{ATTEMPTS_MAX, CODE_BYTES_MAX};
use crate::state::State;
use crate::step::Context;
use crate::units::{AccountSequence, LedgerSeq, Stroops, UnixMs};

/// Decides an outcome. One that tells nothing new is answered as stored and changes nothing.
///
/// # Errors
/// `BatchUnknown`, also when it ended; `AttemptOutOfOrder`: refusals and a lost sequence are
/// taken of the last attempt only; `Field`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    record: &RecordOutcome,
) -> Result<Decision, Rejection> {
    let unknown = Rejection::BatchUnknown {
        batch: record.batch,
    };
    let batch = state.batches().get(&record.batch).ok_or(unknown)?;
    let last = batch.attempts.last();
    let expected = last.map_or(AttemptNo(0), |last| last.attempt);
    let out_of_order = Rejection::AttemptOutOfOrder { expected };
    let known = batch
        .attempts
        .iter()
        .find(|known| known.attempt == record.attempt);
    let (Some(last), Some(attempt)) = (last, known) else {
        return Err(out_of_order);
    };
    // Of a sequence that went to somebody else nothing can be on the ledger.
    if attempt.fate == AttemptFate::Lost {
        return Err(out_of_order);
    }
    let seen = Seen {
        state,
        ctx,
        batch,
        attempt,
        last,
    };
    match &record.outcome {
        AttemptOutcome::Applied {
            ledger,
            fee_charged,
        } => seen.applied(*ledger, *fee_charged),
        AttemptOutcome::AppliedFailed {
            ledger,
            fee_charged,
            operations,
        } => seen.applied_failed(*ledger, *fee_charged, operations),
        AttemptOutcome::Expired => Ok(seen.expired()),
        AttemptOutcome::Refused(_) | AttemptOutcome::SequenceLost { .. }
            if record.attempt != last.attempt =>
        {
            Err(out_of_order)
        }
        AttemptOutcome::Refused(refusal) => seen.refused(refusal),
        AttemptOutcome::SequenceLost { account_sequence } => seen.sequence_lost(*account_sequence),
    }
}

/// An outcome under decision.
struct Seen<'a, 'r, 'e> {
    state: &'a State,
    ctx: &'a Context<'r, 'e>,
    batch: &'a Batch,
    attempt: &'a AttemptSummary,
    last: &'a AttemptSummary,
}

impl Seen<'_, '_, '_> {
    fn applied(&self, ledger: LedgerSeq, fee_charged: Stroops) -> Result<Decision, Rejection> {
        check_fee("fee_charged", fee_charged)?;
        let Self {
            state, ctx, batch, ..
        } = *self;
        let fates = Fates { state, ctx, batch };
        let changes = batch
            .payments
            .iter()
            .map(|place| fates.settled(place, ledger))
            .collect();
        let stage = BatchStage::Settled {
            ledger,
            fee_charged,
        };
        Ok(fates.end(stage, batch.sequence, changes))
    }

    fn applied_failed(
        &self,
        ledger: LedgerSeq,
        fee_charged: Stroops,
        operations: &[OperationResult],
    ) -> Result<Decision, Rejection> {
        check_fee("fee_charged", fee_charged)?;
        let Self {
            state, ctx, batch, ..
        } = *self;
        check_operations(batch, operations)?;
        let fates = Fates { state, ctx, batch };
        let mut changes = Vec::with_capacity(batch.payments.len().saturating_mul(2));
        if operations.iter().all(is_rolled_back) {
            // No operation is to blame. Going back uncounted could burn fees for ever.
            for place in &batch.payments {
                fates.retry(place, "tx_failed", &mut changes);
            }
        } else {
            for (place, operation) in batch.payments.iter().zip(operations) {
                match operation {
                    OperationResult::RolledBack => {
                        fates.at_once(place, "rolled_back", &mut changes);
                    }
                    OperationResult::Terminal { code } => fates.failed(place, code, &mut changes),
                    OperationResult::Retryable { code } => fates.retry(place, code, &mut changes),
                }
            }
        }
        let stage = BatchStage::RolledBack {
            ledger,
            fee_charged,
        };
        Ok(fates.end(stage, batch.sequence, changes))
    }

    /// Absence is proven for the inner transaction, so for every bump of it.
    fn expired(&self) -> Decision {
        let Self { state, ctx, .. } = *self;
        if self.attempt.fate != AttemptFate::Open {
            return recorded(vec![]);
        }
        let inner = self.attempt.inner_hash;
        let mut batch = self.batch.clone();
        exclude(&mut batch, |attempt| attempt.inner_hash == inner);
        if let Some(ending) = batch.ending.take() {
            return ending::give_up(state, ctx, batch, ending);
        }
        if batch.stage != BatchStage::InFlight || self.last.inner_hash != inner {
            return recorded(vec![Change::PutBatch(batch)]);
        }
        batch.failures = batch.failures.saturating_add(1);
        if batch.failures > state.policy().retries_max || is_full(&batch) {
            // Nobody refused the payments: they go back without a failure of their own.
            return ending::give_up(
                state,
                ctx,
                batch,
                Ending::Requeue {
                    reason: "expired".to_string(),
                },
            );
        }
        self.build_again(batch, None)
    }

    /// Refusals of an attempt that is not in flight any more were counted before.
    fn refused(&self, refusal: &Refusal) -> Result<Decision, Rejection> {
        match refusal {
            Refusal::InsufficientFee { fee_needed } => check_fee("fee_needed", *fee_needed)?,
            Refusal::Terminal { code } => check_code(code)?,
            Refusal::TryAgainLater | Refusal::InsufficientBalance => {}
        }
        let stale =
            self.attempt.fate != AttemptFate::Open || self.batch.stage != BatchStage::InFlight;
        if stale {
            return Ok(recorded(vec![]));
        }
        Ok(match refusal {
            Refusal::Terminal { code } => self.refused_for_ever(code),
            Refusal::InsufficientFee { .. }
            | Refusal::TryAgainLater
            | Refusal::InsufficientBalance
                if self.batch.ending.is_some() =>
            {
                recorded(vec![])
            }
            Refusal::InsufficientFee { fee_needed } => self.bid_again(*fee_needed),
            Refusal::TryAgainLater => {
                let mut batch = self.counted();
                batch.not_before = self.until(&batch);
                recorded(vec![Change::PutBatch(batch)])
            }
            Refusal::InsufficientBalance => self.balance_low(),
        })
    }

    /// Only this envelope is proven dead: an earlier bump may differ in what was wrong.
    fn refused_for_ever(&self, code: &str) -> Decision {
        let mut batch = self.batch.clone();
        let refused = self.attempt.attempt;
        exclude(&mut batch, |attempt| attempt.attempt == refused);
        let dead = Ending::DeadLetter {
            reason: code.to_string(),
        };
        let ending = batch.ending.take().unwrap_or(dead);
        ending::give_up(self.state, self.ctx, batch, ending)
    }

    fn bid_again(&self, fee_needed: Stroops) -> Decision {
        let mut batch = self.counted();
        if is_full(&batch) {
            let reason = "attempts_full".to_string();
            return ending::give_up(self.state, self.ctx, batch, Ending::Requeue { reason });
        }
        // Everyone who bids next learns of the price.
        let price = needed_per_operation(&batch, fee_needed);
        let market = self.state.market().refused(price);
        let bid = next_bid(&batch, price);
        let at = match bid {
            NextBid::Raised(fee_bid) => {
                batch.fee_bid = fee_bid;
                Some(self.ctx.now)
            }
            NextBid::Waiting(fee_bid) => {
                batch.fee_bid = fee_bid;
                None
            }
        };
        let mut decision = self.build_again(batch, at);
        if market != *self.state.market() {
            decision.changes.push(Change::PutMarket(market));
        }
        decision
    }

    fn balance_low(&self) -> Decision {
        let batch = self.counted();
        if batch.failures > self.state.policy().retries_max || is_full(&batch) {
            let reason = "tx_insufficient_balance".to_string();
            return ending::give_up(self.state, self.ctx, batch, Ending::Retry { reason });
        }
        self.build_again(batch, None)
    }

    /// Somebody else used the channel, and no inner transaction of the batch is on the ledger.
    fn sequence_lost(&self, account_sequence: AccountSequence) -> Result<Decision, Rejection> {
        let Self {
            state, ctx, batch, ..
        } = *self;
        if account_sequence < batch.sequence {
            let value = account_sequence.0.to_string();
            let expected = "the batch's sequence or a later one";
            return Err(refused("account_sequence", &value, expected));
        }
        let mut batch = batch.clone();
        for attempt in &mut batch.attempts {
            attempt.fate = AttemptFate::Lost;
        }
        let full = is_full(&batch).then(|| Ending::Requeue {
            reason: "sequence_lost".to_string(),
        });
        let ending = batch.ending.take().or(full);
        let (None, Some(next)) = (&ending, account_sequence.next()) else {
            let reason = String::from("sequence_lost");
            let ending = ending.unwrap_or(Ending::Requeue { reason });
            return Ok(ending::abandon(state, ctx, batch, ending, account_sequence));
        };
        let mut channel = state.accounts().get(&batch.channel).cloned();
        if let Some(channel) = &mut channel {
            channel.sequence = account_sequence;
        }
        batch.sequence = next;
        batch.stage = BatchStage::Building;
        batch.not_before = ctx.now;
        let mut changes = vec![Change::PutBatch(batch)];
        changes.extend(channel.map(Change::PutAccount));
        Ok(recorded(changes))
    }

    /// The batch with one failure more.
    fn counted(&self) -> Batch {
        let failures = self.batch.failures.saturating_add(1);
        Batch {
            failures,
            ..self.batch.clone()
        }
    }

    fn until(&self, batch: &Batch) -> UnixMs {
        back_off::until(self.ctx, self.state.policy(), batch.failures)
    }

    /// The next attempt may be built, at that moment or after a back-off.
    fn build_again(&self, mut batch: Batch, at: Option<UnixMs>) -> Decision {
        batch.stage = BatchStage::Building;
        batch.not_before = at.unwrap_or_else(|| self.until(&batch));
        recorded(vec![Change::PutBatch(batch)])
    }
}

/// What to bid after a refusal.
enum NextBid {
    /// More, at once.
    Raised(Stroops),
    /// This, after a wait: more would be above the cap, or more was not what it lacked.
    Waiting(Stroops),
}

/// The fee it would have needed, per operation of the bump.
fn needed_per_operation(batch: &Batch, fee_needed: Stroops) -> Stroops {
    let operations = i64::try_from(batch.payments.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    Stroops(div_ceil(fee_needed.0, operations))
}

/// What was needed with a tenth on top, within the batch's cap.
fn next_bid(batch: &Batch, needed: Stroops) -> NextBid {
    let bid = tenth_more(needed).max(batch.fee_bid).min(batch.fee_cap);
    if bid > batch.fee_bid && bid >= needed {
        NextBid::Raised(bid)
    } else {
        NextBid::Waiting(bid)
    }
}

/// Division upwards of numbers that are not negative.
fn div_ceil(value: i64, divisor: i64) -> i64 {
    let up = value.saturating_add(divisor.saturating_sub(1));
    up.checked_div(divisor).unwrap_or(i64::MAX)
}

/// Marks the open attempts that `which` names as proven dead.
fn exclude(batch: &mut Batch, which: impl Fn(&AttemptSummary) -> bool) {
    for attempt in &mut batch.attempts {
        if attempt.fate == AttemptFate::Open && which(attempt) {
            attempt.fate = AttemptFate::Excluded;
        }
    }
}

fn is_full(batch: &Batch) -> bool {
    batch
        .attempts
        .last()
        .is_some_and(|last| last.attempt.0 >= ATTEMPTS_MAX)
}

fn is_rolled_back(operation: &OperationResult) -> bool {
    match operation {
        OperationResult::RolledBack => true,
        OperationResult::Terminal { .. } | OperationResult::Retryable { .. } => false,
    }
}

fn check_fee(field: &'static str, fee: Stroops) -> Result<(), Rejection> {
    within(field, &fee.0, (0, i64::MAX), "0 stroops or more")
}

fn check_code(code: &str) -> Result<(), Rejection> {
    text_within("code", code, CODE_BYTES_MAX, "at most 64 bytes")
}

/// None at all, when the transaction failed before its operations, or one for each payment.
fn check_operations(batch: &Batch, operations: &[OperationResult]) -> Result<(), Rejection> {
    let len = operations.len();
    if len != 0 && len != batch.payments.len() {
        let expected = "no result, or one for each payment of the batch";
        return Err(refused("operations", &len.to_string(), expected));
    }
    for operation in operations {
        match operation {
            OperationResult::RolledBack => {}
            OperationResult::Terminal { code } | OperationResult::Retryable { code } => {
                check_code(code)?;
            }
        }
    }
    Ok(())
}
