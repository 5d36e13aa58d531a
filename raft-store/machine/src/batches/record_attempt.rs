//! Storing a signed envelope before it is sent.
//!
//! All open attempts of a batch carry one channel and one sequence, of which the ledger
//! applies at most one transaction: that, not the inner hash, keeps them from paying twice.
//! While an attempt is in flight only a new bump of the same inner transaction is taken, so
//! there is one identity to look for; after a refusal or an expiry another inner may follow.

use alloc::string::ToString;
use alloc::vec;

use crate::command::RecordAttempt;
use crate::decision::{
    AttemptFate, AttemptSummary, Batch, BatchStage, Change, Decision, Rejection, Reply,
};
use crate::fields::{refused, within};
use crate::ids::AttemptNo;
use crate::limits::{ATTEMPTS_MAX, ENVELOPE_BYTES_MAX};
use crate::state::State;
use crate::step::Context;

/// Decides whether an envelope may be stored, and so sent. The last attempt sent again under
/// its number answers as before.
///
/// # Errors
/// `BatchUnknown`, `AttemptOutOfOrder`, `SequenceMismatch`, `AttemptsFull`,
/// `EarlierAttemptLive`, `Field`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    attempt: &RecordAttempt,
) -> Result<Decision, Rejection> {
    let unknown = Rejection::BatchUnknown {
        batch: attempt.batch,
    };
    let batch = state.batches().get(&attempt.batch).ok_or(unknown)?;
    let last = batch.attempts.last();
    if last.is_some_and(|last| is_same(last, attempt)) {
        return Ok(Decision {
            changes: vec![],
            reply: Reply::AttemptRecorded,
        });
    }
    let last_no = last.map_or(0, |last| last.attempt.0);
    let expected = AttemptNo(last_no.saturating_add(1));
    if last_no >= ATTEMPTS_MAX {
        return Err(Rejection::AttemptsFull {
            limit: ATTEMPTS_MAX,
        });
    }
    if attempt.attempt != expected {
        return Err(Rejection::AttemptOutOfOrder { expected });
    }
    if (attempt.channel, attempt.sequence) != (batch.channel, batch.sequence) {
        let Batch {
            channel, sequence, ..
        } = *batch;
        return Err(Rejection::SequenceMismatch { channel, sequence });
    }
    check_stage(batch, attempt)?;
    check_fields(batch, attempt)?;

    let mut next = batch.clone();
    next.stage = BatchStage::InFlight;
    next.attempts.push(AttemptSummary {
        attempt: attempt.attempt,
        inner_hash: attempt.inner_hash,
        outer_hash: attempt.outer_hash,
        time_bound_s: attempt.time_bound_s,
        ledger_bound: attempt.ledger_bound,
        fee_max: attempt.fee_max,
        fate: AttemptFate::Open,
    });
    let changes = vec![
        Change::PutAttempt(attempt.clone(), ctx.now),
        Change::PutBatch(next),
    ];
    Ok(Decision {
        changes,
        reply: Reply::AttemptRecorded,
    })
}

fn is_same(last: &AttemptSummary, attempt: &RecordAttempt) -> bool {
    last.attempt == attempt.attempt
        && last.inner_hash == attempt.inner_hash
        && last.outer_hash == attempt.outer_hash
        && last.fate == AttemptFate::Open
}

/// Whether the batch takes a further attempt with this inner transaction.
fn check_stage(batch: &Batch, attempt: &RecordAttempt) -> Result<(), Rejection> {
    let Some(last) = batch.attempts.last() else {
        return Ok(());
    };
    let live = match batch.stage {
        BatchStage::Building => false,
        BatchStage::InFlight => {
            // What is given up only waits for the proof that nothing of it can apply.
            batch.ending.is_some() || last.inner_hash != attempt.inner_hash
        }
        BatchStage::Settled { .. }
        | BatchStage::RolledBack { .. }
        | BatchStage::Abandoned { .. } => true,
    };
    if live {
        Err(Rejection::EarlierAttemptLive {
            attempt: last.attempt,
        })
    } else {
        Ok(())
    }
}

fn check_fields(batch: &Batch, attempt: &RecordAttempt) -> Result<(), Rejection> {
    let len = attempt.envelope.len();
    within(
        "envelope",
        &len,
        (1, ENVELOPE_BYTES_MAX),
        "1 to 65536 bytes",
    )?;
    // Without bounds it could never be proven dead.
    within(
        "time_bound_s",
        &attempt.time_bound_s,
        (1, u64::MAX),
        "a time bound above 0",
    )?;
    within(
        "ledger_bound",
        &attempt.ledger_bound.0,
        (1, u32::MAX),
        "a ledger bound above 0",
    )?;
    let twin = batch
        .attempts
        .iter()
        .find(|known| known.inner_hash == attempt.inner_hash);
    if let Some(twin) = twin
        && (twin.time_bound_s, twin.ledger_bound) != (attempt.time_bound_s, attempt.ledger_bound)
    {
        let value = attempt.time_bound_s.to_string();
        return Err(refused(
            "time_bound_s",
            &value,
            "the bounds stored for this inner_hash",
        ));
    }
    // The bound that was told for it when it was formed.
    let bid = batch.fee_bid.max(batch.fee_cap);
    let operations = i64::try_from(batch.payments.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    let fees = (1, bid.0.saturating_mul(operations));
    within(
        "fee_max",
        &attempt.fee_max.0,
        fees,
        "above 0, at most the batch's cap for each operation",
    )
}
