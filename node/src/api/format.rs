//! From the machine's values to the strings of callers: the reverse of `parse`.
//!
//! Pure. What is formatted here is parsed back to the same value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stellar_strkey::ed25519::{MuxedAccount, PublicKey};
use stellara_machine::decision::{
    AttemptSummary, Batch, BatchStage, Payment, PaymentStatus, Stage, Trigger,
};
use stellara_machine::fees::bid::BidReason;
use stellara_machine::ids::{AccountId, Asset, BatchId, Destination, Memo, PaymentId};
use stellara_machine::units::{Lane, Stroops};
use stellara_proto::v1;

use super::parse::{Listed, Place};

const STROOPS_PER_UNIT: i64 = 10_000_000;

/// `pay_` and 16 hexadecimal digits.
#[must_use]
pub fn payment_id(id: PaymentId) -> String {
    format!("pay_{:016x}", id.0)
}

/// `bat_` and 16 hexadecimal digits.
#[must_use]
pub fn batch_id(id: BatchId) -> String {
    format!("bat_{:016x}", id.0)
}

/// `G…` (SEP-23).
#[must_use]
pub fn account(account: AccountId) -> String {
    PublicKey(account.0).to_string().as_str().to_owned()
}

/// `G…`, or `M…` with a sub-account (SEP-23).
#[must_use]
pub fn destination(destination: Destination) -> String {
    match destination.muxed_id {
        None => account(destination.account),
        Some(id) => MuxedAccount {
            ed25519: destination.account.0,
            id,
        }
        .to_string()
        .as_str()
        .to_owned(),
    }
}

/// `native`, or `CODE:ISSUER` (SEP-11).
#[must_use]
pub fn asset(asset: &Asset) -> String {
    match asset {
        Asset::Native => "native".to_owned(),
        Asset::Credit4 { code, issuer } => issued(code, *issuer),
        Asset::Credit12 { code, issuer } => issued(code, *issuer),
    }
}

fn issued(code: &[u8], issuer: AccountId) -> String {
    let letters = code.iter().take_while(|byte| **byte != 0);
    let mut text: String = letters.map(|byte| char::from(*byte)).collect();
    text.push(':');
    text.push_str(&account(issuer));
    text
}

/// A decimal number without needless zeros: `12.5`.
#[must_use]
pub fn amount(amount: Stroops) -> String {
    let (whole, rest) = (amount.0 / STROOPS_PER_UNIT, amount.0 % STROOPS_PER_UNIT);
    if rest == 0 {
        return whole.to_string();
    }
    let mut text = format!("{whole}.{rest:07}");
    text.truncate(text.trim_end_matches('0').len());
    text
}

/// A memo; none is absent.
#[must_use]
pub fn memo(memo: &Memo) -> Option<v1::Memo> {
    use v1::memo::Memo as Kind;
    let kind = match memo {
        Memo::None => return None,
        Memo::Text(text) => Kind::Text(text.clone()),
        Memo::Id(id) => Kind::Id(*id),
        Memo::Hash(hash) => Kind::Hash(hex::encode(hash)),
        Memo::Return(hash) => Kind::ReturnHash(hex::encode(hash)),
    };
    Some(v1::Memo { memo: Some(kind) })
}

/// The priority of a lane.
#[must_use]
pub const fn priority(lane: Lane) -> v1::Priority {
    match lane {
        Lane::Low => v1::Priority::Low,
        Lane::Medium => v1::Priority::Medium,
        Lane::High => v1::Priority::High,
        Lane::Critical => v1::Priority::Critical,
    }
}

/// A page's cursor: opaque to callers.
#[must_use]
pub fn page_cursor(listed: Listed, last_id: u64) -> String {
    let mut bytes = [listed.tag(); 9];
    bytes[1..].copy_from_slice(&last_id.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A watch's cursor.
#[must_use]
pub fn watch_cursor(place: Place) -> String {
    format!("{}.{}", place.index.0, place.seen)
}

/// The payment and the stage it reached.
#[must_use]
pub fn moved(payment: PaymentId, stage: &Stage) -> v1::PaymentMoved {
    let of = |stage: v1::PaymentStage| v1::PaymentMoved {
        payment_id: payment_id(payment),
        stage: stage.into(),
        ..v1::PaymentMoved::default()
    };
    match stage {
        Stage::Queued {
            not_before: _,
            reason,
        } => v1::PaymentMoved {
            reason: reason.clone(),
            ..of(v1::PaymentStage::Queued)
        },
        Stage::Batched { batch } => v1::PaymentMoved {
            batch_id: batch_id(*batch),
            ..of(v1::PaymentStage::Batched)
        },
        Stage::Settled { batch, ledger } => v1::PaymentMoved {
            batch_id: batch_id(*batch),
            ledger: ledger.0,
            ..of(v1::PaymentStage::Settled)
        },
        Stage::Failed { batch, reason } => v1::PaymentMoved {
            batch_id: batch.map(batch_id).unwrap_or_default(),
            reason: reason.clone(),
            ..of(v1::PaymentStage::Failed)
        },
        Stage::Cancelled => of(v1::PaymentStage::Cancelled),
    }
}

/// A payment and where it stands; no status yet means queued since acceptance.
#[must_use]
pub fn payment(payment: Payment, status: Option<PaymentStatus>) -> v1::Payment {
    let status = status.unwrap_or_else(|| PaymentStatus {
        stage: Stage::Queued {
            not_before: payment.accepted_at,
            reason: String::new(),
        },
        at: payment.accepted_at,
        failures: 0,
    });
    let now = moved(payment.id, &status.stage);
    let body = payment.body;
    v1::Payment {
        payment_id: now.payment_id,
        idempotency_key: payment.key.0,
        destination: destination(body.destination),
        asset: asset(&body.asset),
        amount: amount(body.amount),
        treasury: body.treasury.map(account).unwrap_or_default(),
        memo: memo(&body.memo),
        priority: priority(body.lane).into(),
        reference: body.reference,
        accepted_at_ms: payment.accepted_at.0,
        stage: now.stage,
        stage_at_ms: status.at.0,
        batch_id: now.batch_id,
        ledger: now.ledger,
        reason: now.reason,
        failures: u32::from(status.failures),
        fee_cap_stroops: body.fee_cap.map_or(0, |cap| cap.0),
    }
}

/// A batch with its payments and attempts.
#[must_use]
pub fn batch(batch: &Batch) -> v1::Batch {
    let none = String::new();
    let (stage, ledger, fee_charged_stroops, reason) = match &batch.stage {
        BatchStage::Building => (v1::BatchStage::Building, 0, 0, none),
        BatchStage::InFlight => (v1::BatchStage::InFlight, 0, 0, none),
        BatchStage::Settled {
            ledger,
            fee_charged,
        } => (v1::BatchStage::Settled, ledger.0, fee_charged.0, none),
        BatchStage::RolledBack {
            ledger,
            fee_charged,
        } => (v1::BatchStage::RolledBack, ledger.0, fee_charged.0, none),
        BatchStage::Abandoned { reason } => (v1::BatchStage::Abandoned, 0, 0, reason.clone()),
    };
    let trigger = match batch.trigger {
        Trigger::Size => v1::BatchTrigger::Size,
        Trigger::Time => v1::BatchTrigger::Time,
        Trigger::Immediate => v1::BatchTrigger::Immediate,
    };
    let payments = batch.payments.iter();
    v1::Batch {
        batch_id: batch_id(batch.id),
        treasury: account(batch.group.treasury),
        memo: memo(&batch.group.memo),
        priority: priority(batch.group.lane).into(),
        trigger: trigger.into(),
        formed_at_ms: batch.formed_at.0,
        payment_ids: payments.map(|place| payment_id(place.payment)).collect(),
        stage: stage.into(),
        channel: account(batch.channel),
        sequence: batch.sequence.0,
        attempts: batch.attempts.iter().map(attempt).collect(),
        ledger,
        fee_charged_stroops,
        reason,
        bid_reason: bid_reason(batch.bid_reason).into(),
        counts_as: priority(batch.counts_as).into(),
        fee_expected_stroops: batch.prediction.fee_expected.0,
        fee_bound_stroops: batch.prediction.fee_max.0,
        ledger_expected: batch.prediction.ledger.0,
        probability_permille: u32::from(batch.prediction.probability_permille),
        charged_stroops: batch.charge.charged.0,
        discount_permille: u32::from(batch.charge.discount_permille),
        bumped_singles_stroops: batch.charge.list.0,
    }
}

/// Why a bid is what it is.
#[must_use]
pub const fn bid_reason(reason: BidReason) -> v1::BidReason {
    match reason {
        BidReason::Base => v1::BidReason::Base,
        BidReason::Percentile => v1::BidReason::Percentile,
        BidReason::Needed => v1::BidReason::Needed,
        BidReason::Cap => v1::BidReason::Cap,
    }
}

fn attempt(attempt: &AttemptSummary) -> v1::BatchAttempt {
    v1::BatchAttempt {
        number: u32::from(attempt.attempt.0),
        inner_hash: hex::encode(attempt.inner_hash.0),
        outer_hash: hex::encode(attempt.outer_hash.0),
        fee_max_stroops: attempt.fee_max.0,
    }
}
