//! The one byte form of every fact, for digests, fingerprints and the audit chain.
//!
//! Little endian, fixed widths, lengths before contents, a tag before each variant.
//! Records are taken apart field by field and enums matched whole, so a new field or
//! variant does not compile until it has its place here. Tags are never reused.

use alloc::string::String;
use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_128;

use crate::command::{AccountRole, GroupKey, LanePolicy, PaymentBody, Policy, RecordAttempt};
use crate::decision::{
    Account, AttemptFate, AttemptSummary, Batch, BatchPayment, BatchStage, Change, Effect, Ending,
    KeyRecord, Payment, PaymentStatus, Queued, Stage, Trigger,
};
use crate::fees::bid::BidReason;
use crate::fees::book::{FeeHour, LaneHour};
use crate::fees::charge::{BelowCost, Charge, DiscountTier};
use crate::fees::market::{FeeLevels, FeeSample, Market};
use crate::fees::predict::Prediction;
use crate::ids::{
    AccountId, Asset, AttemptNo, BatchId, Destination, DeveloperId, Hash, IdempotencyKey, Index,
    Memo, PaymentId,
};
use crate::units::{AccountSequence, Lane, LedgerSeq, Stroops, UnixMs};

/// A value with one byte form, the same on every machine and in every release.
pub trait Canonical {
    /// Appends the value's bytes.
    fn canonical(&self, out: &mut Vec<u8>);
}

/// The 128-bit fingerprint of a value's canonical bytes.
#[must_use]
pub fn fingerprint<T: Canonical>(value: &T) -> u128 {
    let mut bytes = Vec::with_capacity(256);
    value.canonical(&mut bytes);
    xxh3_128(&bytes)
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Canonical for $integer {
            fn canonical(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

macro_rules! newtypes {
    ($($newtype:ty),*) => {$(
        impl Canonical for $newtype {
            fn canonical(&self, out: &mut Vec<u8>) {
                self.0.canonical(out);
            }
        }
    )*};
}

macro_rules! record {
    ($record:ty { $($field:ident),* }) => {
        impl Canonical for $record {
            fn canonical(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.canonical(out);)*
            }
        }
    };
}

integers!(u8, u16, u32, u64, u128, i64, i128);
newtypes!(
    Index,
    PaymentId,
    BatchId,
    AttemptNo,
    DeveloperId,
    IdempotencyKey,
    AccountId,
    Hash,
    Stroops,
    UnixMs,
    LedgerSeq,
    AccountSequence
);

record!(Destination { account, muxed_id });
record!(PaymentBody {
    treasury,
    destination,
    asset,
    amount,
    memo,
    lane,
    fee_cap,
    reference
});
record!(GroupKey {
    treasury,
    lane,
    memo,
    fee_cap
});
record!(Payment {
    id,
    developer,
    key,
    body,
    accepted_at
});
record!(PaymentStatus {
    stage,
    at,
    failures
});
record!(KeyRecord {
    payment,
    fingerprint,
    accepted_at
});
record!(Queued {
    group,
    queued_at,
    not_before,
    failures
});
record!(BatchPayment {
    payment,
    queued_at,
    failures
});
record!(AttemptSummary {
    attempt,
    inner_hash,
    outer_hash,
    time_bound_s,
    ledger_bound,
    fee_max,
    fate
});
record!(Account {
    account,
    role,
    sequence,
    lent_to
});
record!(Batch {
    id,
    group,
    payments,
    trigger,
    formed_at,
    channel,
    sequence,
    stage,
    attempts,
    failures,
    not_before,
    fee_bid,
    fee_cap,
    bid_reason,
    counts_as,
    prediction,
    charge,
    ending
});
record!(Policy {
    version,
    batch_size_max,
    batch_size_min,
    batch_timeout_ms,
    immediate_from,
    retries_max,
    backoff_base_ms,
    backoff_max_ms,
    fee_base,
    fee_cap,
    low,
    medium,
    high,
    critical,
    defer_up_to,
    surge_size_max,
    discounts,
    below_cost
});
record!(LanePolicy {
    deadline_ms,
    fee_cap
});
record!(DiscountTier {
    from_payments,
    discount_permille
});
record!(FeeLevels {
    p50,
    p90,
    p95,
    p99,
    max
});
record!(FeeSample {
    ledger,
    base_fee,
    usage_permille,
    bid,
    charged
});
record!(Market {
    sample,
    at,
    needed,
    needed_until
});
record!(Prediction {
    fee_expected,
    fee_max,
    ledger,
    probability_permille
});
record!(Charge {
    cost,
    list,
    discount_permille,
    charged
});
record!(FeeHour { hour, lanes });
record!(LaneHour {
    payments,
    batches,
    fee_charged,
    fee_lost,
    bumped_singles,
    charged,
    fee_predicted,
    fee_error,
    waits
});

/// Appends a length; every stored length is far below 32 bits.
fn length(len: usize, out: &mut Vec<u8>) {
    u32::try_from(len).unwrap_or(u32::MAX).canonical(out);
}

/// Appends a length and the bytes.
fn bytes(content: &[u8], out: &mut Vec<u8>) {
    length(content.len(), out);
    out.extend_from_slice(content);
}

impl<T: Canonical, const N: usize> Canonical for [T; N] {
    fn canonical(&self, out: &mut Vec<u8>) {
        for item in self {
            item.canonical(out);
        }
    }
}

impl Canonical for BidReason {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(self.number());
    }
}

impl Canonical for BelowCost {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Raised => 1,
            Self::Allowed => 2,
        });
    }
}

impl Canonical for str {
    fn canonical(&self, out: &mut Vec<u8>) {
        bytes(self.as_bytes(), out);
    }
}

impl Canonical for String {
    fn canonical(&self, out: &mut Vec<u8>) {
        self.as_str().canonical(out);
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.canonical(out);
            }
        }
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn canonical(&self, out: &mut Vec<u8>) {
        length(self.len(), out);
        for item in self {
            item.canonical(out);
        }
    }
}

impl Canonical for Lane {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(self.number());
    }
}

impl Canonical for Asset {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Native => out.push(0),
            Self::Credit4 { code, issuer } => {
                out.push(1);
                code.canonical(out);
                issuer.canonical(out);
            }
            Self::Credit12 { code, issuer } => {
                out.push(2);
                code.canonical(out);
                issuer.canonical(out);
            }
        }
    }
}

impl Canonical for Memo {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(0),
            Self::Text(text) => {
                out.push(1);
                text.canonical(out);
            }
            Self::Id(id) => {
                out.push(2);
                id.canonical(out);
            }
            Self::Hash(hash) => {
                out.push(3);
                hash.canonical(out);
            }
            Self::Return(hash) => {
                out.push(4);
                hash.canonical(out);
            }
        }
    }
}

impl Canonical for AccountRole {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Treasury => 1,
            Self::Channel => 2,
            Self::Fee => 3,
        });
    }
}

impl Canonical for Trigger {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Size => 1,
            Self::Time => 2,
            Self::Immediate => 3,
        });
    }
}

impl Canonical for AttemptFate {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Open => 1,
            Self::Excluded => 2,
            Self::Lost => 3,
        });
    }
}

impl Canonical for Ending {
    fn canonical(&self, out: &mut Vec<u8>) {
        let (tag, reason): (u8, _) = match self {
            Self::DeadLetter { reason } => (1, reason),
            Self::Retry { reason } => (2, reason),
            Self::Requeue { reason } => (3, reason),
        };
        out.push(tag);
        reason.canonical(out);
    }
}

impl Canonical for Effect {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::SettleBatch(batch) => {
                out.push(1);
                batch.canonical(out);
            }
        }
    }
}

impl Canonical for Stage {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Queued { not_before, reason } => {
                out.push(1);
                not_before.canonical(out);
                reason.canonical(out);
            }
            Self::Batched { batch } => {
                out.push(2);
                batch.canonical(out);
            }
            Self::Settled { batch, ledger } => {
                out.push(3);
                batch.canonical(out);
                ledger.canonical(out);
            }
            Self::Failed { batch, reason } => {
                out.push(4);
                batch.canonical(out);
                reason.canonical(out);
            }
            Self::Cancelled => out.push(5),
        }
    }
}

impl Canonical for BatchStage {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Building => out.push(1),
            Self::InFlight => out.push(2),
            Self::Settled {
                ledger,
                fee_charged,
            } => {
                out.push(3);
                ledger.canonical(out);
                fee_charged.canonical(out);
            }
            Self::RolledBack {
                ledger,
                fee_charged,
            } => {
                out.push(4);
                ledger.canonical(out);
                fee_charged.canonical(out);
            }
            Self::Abandoned { reason } => {
                out.push(5);
                reason.canonical(out);
            }
        }
    }
}

impl Canonical for RecordAttempt {
    fn canonical(&self, out: &mut Vec<u8>) {
        let Self {
            batch,
            attempt,
            channel,
            sequence,
            inner_hash,
            outer_hash,
            time_bound_s,
            ledger_bound,
            fee_max,
            envelope,
        } = self;
        batch.canonical(out);
        attempt.canonical(out);
        channel.canonical(out);
        sequence.canonical(out);
        inner_hash.canonical(out);
        outer_hash.canonical(out);
        time_bound_s.canonical(out);
        ledger_bound.canonical(out);
        fee_max.canonical(out);
        bytes(envelope, out);
    }
}

impl Canonical for Change {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::PutPayment(payment) => (1_u8, payment).canonical(out),
            Self::PutStatus(payment, status) => {
                (2_u8, payment).canonical(out);
                status.canonical(out);
            }
            Self::PutKey(developer, key, record) => {
                (3_u8, developer).canonical(out);
                key.canonical(out);
                record.canonical(out);
            }
            Self::Enqueue(payment, queued) => {
                (4_u8, payment).canonical(out);
                queued.canonical(out);
            }
            Self::Dequeue(payment, group) => {
                (5_u8, payment).canonical(out);
                group.canonical(out);
            }
            Self::PutBatch(batch) => (6_u8, batch).canonical(out),
            Self::EndBatch(batch) => (7_u8, batch).canonical(out),
            Self::PutAttempt(attempt, at) => {
                (8_u8, attempt).canonical(out);
                at.canonical(out);
            }
            Self::PutEffect(effect) => (9_u8, effect).canonical(out),
            Self::RemoveEffect(effect) => (10_u8, effect).canonical(out),
            Self::PutAccount(account) => (11_u8, account).canonical(out),
            Self::PutPolicy(policy) => (12_u8, policy).canonical(out),
            Self::PutMarket(market) => (13_u8, market).canonical(out),
            Self::PutFeeSample(sample, at) => {
                (14_u8, sample).canonical(out);
                at.canonical(out);
            }
            Self::PutFeeHour(hour) => (15_u8, hour.as_ref()).canonical(out),
            Self::LeaveDeadLetters(payment) => (16_u8, payment).canonical(out),
        }
    }
}

/// A tag and what it stands before.
impl<T: Canonical> Canonical for (u8, &T) {
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(self.0);
        self.1.canonical(out);
    }
}
