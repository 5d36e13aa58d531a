//! The rows of the state.

use stellara_machine::command::RecordAttempt;
use stellara_machine::decision::{
    Account, AttemptFate, AttemptSummary, Batch, BatchPayment, BatchStage, Ending, EntryRecord,
    Event, KeyRecord, Payment, PaymentStatus, Queued, Stage, Trigger,
};
use stellara_machine::ids::{
    AccountId, AttemptNo, BatchId, DeveloperId, IdempotencyKey, PaymentId,
};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops, UnixMs};
use stellara_proto::v1::log;

use super::command::{
    body_from_proto, body_to_proto, record_attempt_from_proto, record_attempt_to_proto,
};
use super::fees::{
    bid_reason_from_number, charge_from_proto, charge_to_proto, prediction_from_proto,
    prediction_to_proto,
};
use super::{
    DecodeError, account, bytes_of, field, group_from_proto, group_to_proto, hash, lane, missing,
    role_from_proto, role_to_proto, small,
};

/// A payment's row; its identity is the key.
#[must_use]
pub fn payment_to_row(payment: Payment) -> log::PaymentRow {
    log::PaymentRow {
        developer: payment.developer.0,
        key: payment.key.0,
        body: Some(body_to_proto(payment.body)),
        accepted_at_ms: payment.accepted_at.0,
    }
}

/// The payment in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn payment_from_row(id: PaymentId, row: log::PaymentRow) -> Result<Payment, DecodeError> {
    Ok(Payment {
        id,
        developer: DeveloperId(row.developer),
        key: IdempotencyKey(row.key),
        body: body_from_proto(row.body)?,
        accepted_at: UnixMs(row.accepted_at_ms),
    })
}

/// A payment's progress.
#[must_use]
pub fn status_to_row(status: &PaymentStatus) -> log::StatusRow {
    log::StatusRow {
        stage: Some(stage_to_proto(&status.stage)),
        at_ms: status.at.0,
        failures: u32::from(status.failures),
    }
}

/// The progress in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn status_from_row(row: log::StatusRow) -> Result<PaymentStatus, DecodeError> {
    Ok(PaymentStatus {
        stage: stage_from_proto(row.stage.ok_or_else(|| missing("stage"))?)?,
        at: UnixMs(row.at_ms),
        failures: small("failures", row.failures)?,
    })
}

fn stage_to_proto(stage: &Stage) -> log::Stage {
    use log::stage::Kind;
    match stage {
        Stage::Queued { not_before, reason } => log::Stage {
            kind: Kind::Queued.into(),
            not_before_ms: not_before.0,
            reason: reason.clone(),
            ..log::Stage::default()
        },
        Stage::Batched { batch } => log::Stage {
            kind: Kind::Batched.into(),
            batch: batch.0,
            ..log::Stage::default()
        },
        Stage::Settled { batch, ledger } => log::Stage {
            kind: Kind::Settled.into(),
            batch: batch.0,
            ledger: ledger.0,
            ..log::Stage::default()
        },
        Stage::Failed { batch, reason } => log::Stage {
            kind: Kind::Failed.into(),
            batch: batch.map_or(0, |batch| batch.0),
            reason: reason.clone(),
            ..log::Stage::default()
        },
        Stage::Cancelled => log::Stage {
            kind: Kind::Cancelled.into(),
            ..log::Stage::default()
        },
    }
}

/// The stage in a row or an event.
///
/// # Errors
/// `DecodeError` when it is of a kind this release does not know.
pub fn stage_from_proto(stage: log::Stage) -> Result<Stage, DecodeError> {
    use log::stage::Kind;
    match stage.kind() {
        Kind::Queued => Ok(Stage::Queued {
            not_before: UnixMs(stage.not_before_ms),
            reason: stage.reason,
        }),
        Kind::Batched => Ok(Stage::Batched {
            batch: BatchId(stage.batch),
        }),
        Kind::Settled => Ok(Stage::Settled {
            batch: BatchId(stage.batch),
            ledger: LedgerSeq(stage.ledger),
        }),
        Kind::Failed => Ok(Stage::Failed {
            batch: (stage.batch != 0).then_some(BatchId(stage.batch)),
            reason: stage.reason,
        }),
        Kind::Cancelled => Ok(Stage::Cancelled),
        Kind::Unspecified => Err(field("stage.kind", stage.kind, "1 to 5")),
    }
}

/// An idempotency key's record.
#[must_use]
pub fn key_to_row(record: &KeyRecord) -> log::KeyRow {
    log::KeyRow {
        payment: record.payment.0,
        fingerprint: record.fingerprint.to_le_bytes().to_vec(),
        accepted_at_ms: record.accepted_at.0,
    }
}

/// The record in a key's row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn key_from_row(row: &log::KeyRow) -> Result<KeyRecord, DecodeError> {
    Ok(KeyRecord {
        payment: PaymentId(row.payment),
        fingerprint: u128::from_le_bytes(bytes_of("fingerprint", &row.fingerprint)?),
        accepted_at: UnixMs(row.accepted_at_ms),
    })
}

/// A place in a queue.
#[must_use]
pub fn queued_to_row(queued: &Queued) -> log::QueuedRow {
    log::QueuedRow {
        group: Some(group_to_proto(&queued.group)),
        queued_at_ms: queued.queued_at.0,
        not_before_ms: queued.not_before.0,
        failures: u32::from(queued.failures),
    }
}

/// The place in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn queued_from_row(row: log::QueuedRow) -> Result<Queued, DecodeError> {
    Ok(Queued {
        group: group_from_proto(row.group)?,
        queued_at: UnixMs(row.queued_at_ms),
        not_before: UnixMs(row.not_before_ms),
        failures: small("failures", row.failures)?,
    })
}

const fn trigger_number(trigger: Trigger) -> u32 {
    match trigger {
        Trigger::Size => 1,
        Trigger::Time => 2,
        Trigger::Immediate => 3,
    }
}

fn trigger_from_number(number: u32) -> Result<Trigger, DecodeError> {
    match number {
        1 => Ok(Trigger::Size),
        2 => Ok(Trigger::Time),
        3 => Ok(Trigger::Immediate),
        _ => Err(field("trigger", number, "1 to 3")),
    }
}

/// A batch's row; its identity is the key.
#[must_use]
pub fn batch_to_row(batch: &Batch) -> log::BatchRow {
    log::BatchRow {
        group: Some(group_to_proto(&batch.group)),
        payments: batch
            .payments
            .iter()
            .map(|place| log::BatchPayment {
                payment: place.payment.0,
                queued_at_ms: place.queued_at.0,
                failures: u32::from(place.failures),
            })
            .collect(),
        trigger: trigger_number(batch.trigger),
        formed_at_ms: batch.formed_at.0,
        channel: batch.channel.0.to_vec(),
        sequence: batch.sequence.0,
        stage: Some(batch_stage_to_proto(&batch.stage)),
        attempts: batch.attempts.iter().map(summary_to_proto).collect(),
        failures: u32::from(batch.failures),
        not_before_ms: batch.not_before.0,
        fee_bid_stroops: batch.fee_bid.0,
        ending: batch.ending.as_ref().map(ending_to_proto),
        fee_cap_stroops: batch.fee_cap.0,
        bid_reason: u32::from(batch.bid_reason.number()),
        counts_as: u32::from(batch.counts_as.number()),
        prediction: Some(prediction_to_proto(&batch.prediction)),
        charge: Some(charge_to_proto(&batch.charge)),
    }
}

/// The batch in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn batch_from_row(id: BatchId, row: log::BatchRow) -> Result<Batch, DecodeError> {
    Ok(Batch {
        id,
        group: group_from_proto(row.group)?,
        payments: row
            .payments
            .into_iter()
            .map(|place| {
                Ok(BatchPayment {
                    payment: PaymentId(place.payment),
                    queued_at: UnixMs(place.queued_at_ms),
                    failures: small("failures", place.failures)?,
                })
            })
            .collect::<Result<_, DecodeError>>()?,
        trigger: trigger_from_number(row.trigger)?,
        formed_at: UnixMs(row.formed_at_ms),
        channel: account("channel", &row.channel)?,
        sequence: AccountSequence(row.sequence),
        stage: batch_stage_from_proto(row.stage.ok_or_else(|| missing("stage"))?)?,
        attempts: row
            .attempts
            .iter()
            .map(summary_from_proto)
            .collect::<Result<_, _>>()?,
        failures: small("failures", row.failures)?,
        not_before: UnixMs(row.not_before_ms),
        fee_bid: Stroops(row.fee_bid_stroops),
        ending: row.ending.map(ending_from_proto).transpose()?,
        fee_cap: Stroops(row.fee_cap_stroops),
        bid_reason: bid_reason_from_number(row.bid_reason)?,
        counts_as: lane(row.counts_as)?,
        prediction: prediction_from_proto(row.prediction)?,
        charge: charge_from_proto(row.charge)?,
    })
}

fn batch_stage_to_proto(stage: &BatchStage) -> log::BatchStage {
    use log::batch_stage::Kind;
    let of = |kind: Kind| log::BatchStage {
        kind: kind.into(),
        ..log::BatchStage::default()
    };
    let ended = |kind: Kind, ledger: LedgerSeq, fee: Stroops| log::BatchStage {
        ledger: ledger.0,
        fee_charged_stroops: fee.0,
        ..of(kind)
    };
    match stage {
        BatchStage::Building => of(Kind::Building),
        BatchStage::InFlight => of(Kind::InFlight),
        BatchStage::Settled {
            ledger,
            fee_charged,
        } => ended(Kind::Settled, *ledger, *fee_charged),
        BatchStage::RolledBack {
            ledger,
            fee_charged,
        } => ended(Kind::RolledBack, *ledger, *fee_charged),
        BatchStage::Abandoned { reason } => log::BatchStage {
            reason: reason.clone(),
            ..of(Kind::Abandoned)
        },
    }
}

fn batch_stage_from_proto(stage: log::BatchStage) -> Result<BatchStage, DecodeError> {
    use log::batch_stage::Kind;
    let ledger = LedgerSeq(stage.ledger);
    let fee_charged = Stroops(stage.fee_charged_stroops);
    match stage.kind() {
        Kind::Building => Ok(BatchStage::Building),
        Kind::InFlight => Ok(BatchStage::InFlight),
        Kind::Settled => Ok(BatchStage::Settled {
            ledger,
            fee_charged,
        }),
        Kind::RolledBack => Ok(BatchStage::RolledBack {
            ledger,
            fee_charged,
        }),
        Kind::Abandoned => Ok(BatchStage::Abandoned {
            reason: stage.reason,
        }),
        Kind::Unspecified => Err(field("stage.kind", stage.kind, "1 to 5")),
    }
}

fn ending_to_proto(ending: &Ending) -> log::Ending {
    use log::ending::Kind;
    let (kind, reason) = match ending {
        Ending::DeadLetter { reason } => (Kind::DeadLetter, reason),
        Ending::Retry { reason } => (Kind::Retry, reason),
        Ending::Requeue { reason } => (Kind::Requeue, reason),
    };
    log::Ending {
        kind: kind.into(),
        reason: reason.clone(),
    }
}

fn ending_from_proto(ending: log::Ending) -> Result<Ending, DecodeError> {
    use log::ending::Kind;
    match ending.kind() {
        Kind::DeadLetter => Ok(Ending::DeadLetter {
            reason: ending.reason,
        }),
        Kind::Retry => Ok(Ending::Retry {
            reason: ending.reason,
        }),
        Kind::Requeue => Ok(Ending::Requeue {
            reason: ending.reason,
        }),
        Kind::Unspecified => Err(field("ending.kind", ending.kind, "1 to 3")),
    }
}

fn summary_to_proto(summary: &AttemptSummary) -> log::AttemptSummary {
    log::AttemptSummary {
        attempt: u32::from(summary.attempt.0),
        inner_hash: summary.inner_hash.0.to_vec(),
        outer_hash: summary.outer_hash.0.to_vec(),
        time_bound_s: summary.time_bound_s,
        ledger_bound: summary.ledger_bound.0,
        fee_max_stroops: summary.fee_max.0,
        fate: match summary.fate {
            AttemptFate::Open => 0,
            AttemptFate::Excluded => 1,
            AttemptFate::Lost => 2,
        },
    }
}

fn summary_from_proto(summary: &log::AttemptSummary) -> Result<AttemptSummary, DecodeError> {
    Ok(AttemptSummary {
        attempt: AttemptNo(small("attempt", summary.attempt)?),
        inner_hash: hash("inner_hash", &summary.inner_hash)?,
        outer_hash: hash("outer_hash", &summary.outer_hash)?,
        time_bound_s: summary.time_bound_s,
        ledger_bound: LedgerSeq(summary.ledger_bound),
        fee_max: Stroops(summary.fee_max_stroops),
        fate: match summary.fate {
            0 => AttemptFate::Open,
            1 => AttemptFate::Excluded,
            2 => AttemptFate::Lost,
            other => return Err(field("fate", other, "0 to 2")),
        },
    })
}

/// A signed envelope's row.
#[must_use]
pub fn attempt_to_row(attempt: RecordAttempt, at: UnixMs) -> log::AttemptRow {
    log::AttemptRow {
        attempt: Some(record_attempt_to_proto(attempt)),
        recorded_at_ms: at.0,
    }
}

/// The envelope in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn attempt_from_row(row: log::AttemptRow) -> Result<RecordAttempt, DecodeError> {
    record_attempt_from_proto(row.attempt.ok_or_else(|| missing("attempt"))?)
}

/// An account's row; its key is the account.
#[must_use]
pub fn account_to_row(account: &Account) -> log::AccountRow {
    log::AccountRow {
        role: role_to_proto(account.role).into(),
        sequence: account.sequence.0,
        lent_to: account.lent_to.map(|batch| batch.0),
    }
}

/// The account in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn account_from_row(id: AccountId, row: &log::AccountRow) -> Result<Account, DecodeError> {
    Ok(Account {
        account: id,
        role: role_from_proto(row.role())?,
        sequence: AccountSequence(row.sequence),
        lent_to: row.lent_to.map(BatchId),
    })
}

/// What happened at an index; the key is the index.
#[must_use]
pub fn record_to_row(record: &EntryRecord) -> log::EntryRecordRow {
    log::EntryRecordRow {
        at_ms: record.at.0,
        audits: record
            .audits
            .iter()
            .map(|audit| log::AuditRecord {
                kind: audit.kind.to_owned(),
                developer: audit.developer.0,
                subject: audit.subject,
                result: audit.result.to_owned(),
                changes: audit.changes.to_le_bytes().to_vec(),
            })
            .collect(),
        events: record.events.iter().map(event_to_proto).collect(),
        chain: record.chain.0.to_vec(),
    }
}

fn event_to_proto(event: &Event) -> log::Event {
    use log::event::Event as ProtoEvent;
    let event = match event {
        Event::Payment {
            payment,
            developer,
            stage,
        } => ProtoEvent::Payment(log::PaymentEvent {
            payment: payment.0,
            developer: developer.map(|developer| developer.0),
            stage: Some(stage_to_proto(stage)),
        }),
        Event::Batch { batch, stage } => ProtoEvent::Batch(log::BatchEvent {
            batch: batch.0,
            stage: Some(batch_stage_to_proto(stage)),
        }),
    };
    log::Event { event: Some(event) }
}
