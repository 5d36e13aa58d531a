//! Everything that can be asked of the machine: one variant per command, one dispatch in `step`.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::fees::charge::{BelowCost, DiscountTier};
use crate::fees::market::FeeSample;
use crate::ids::{
    AccountId, Asset, AttemptNo, BatchId, Destination, DeveloperId, Hash, IdempotencyKey, Index,
    Memo, PaymentId,
};
use crate::units::{AccountSequence, Lane, LedgerSeq, Stroops, UnixMs};

/// One entry of the log as the machine sees it: commands of many callers under one index and one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The log index.
    pub index: Index,
    /// The leader's wall clock when it proposed.
    pub proposed_at: UnixMs,
    /// At most `limits::ENTRY_COMMANDS_MAX`.
    pub commands: Vec<Command>,
}

/// A command; each is decided by the file of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `payments/submit.rs`
    SubmitPayment(SubmitPayment),
    /// `payments/cancel.rs`
    CancelPayment(CancelPayment),
    /// `payments/retry.rs`
    RetryPayment(RetryPayment),
    /// `batches/form.rs`
    FormBatch(FormBatch),
    /// `batches/record_attempt.rs`
    RecordAttempt(RecordAttempt),
    /// `batches/record_outcome.rs`
    RecordOutcome(RecordOutcome),
    /// `accounts/register.rs`
    RegisterAccount(RegisterAccount),
    /// `policy.rs`
    SetPolicy(SetPolicy),
    /// `fees/record.rs`
    RecordFees(RecordFees),
}

/// Accept a payment for settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitPayment {
    /// Whose payment it is.
    pub developer: DeveloperId,
    /// The caller's name for this intent: the same key answers as before for 7 days.
    pub key: IdempotencyKey,
    /// What to pay.
    pub body: PaymentBody,
}

/// What is paid, to whom, from where. Never changes once accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentBody {
    /// The account whose money moves; `None` takes the first registered treasury.
    pub treasury: Option<AccountId>,
    /// Who receives.
    pub destination: Destination,
    /// What.
    pub asset: Asset,
    /// How much: 1 to `limits::AMOUNT_STROOPS_MAX`.
    pub amount: Stroops,
    /// The memo of the transaction.
    pub memo: Memo,
    /// How urgent.
    pub lane: Lane,
    /// The most to bid for its operation, below the cap of its lane; `None` for the lane's own.
    pub fee_cap: Option<Stroops>,
    /// Free text of the caller, at most `limits::REFERENCE_BYTES_MAX` bytes; not put on the ledger.
    pub reference: String,
}

/// Withdraw a payment that still waits in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelPayment {
    /// Who asks: only the owner of the payment, or the operator (0).
    pub developer: DeveloperId,
    /// Which.
    pub payment: PaymentId,
}

/// Let a payment that failed wait again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPayment {
    /// Who asks: only the owner of the payment, or the operator (0).
    pub developer: DeveloperId,
    /// Which.
    pub payment: PaymentId,
}

/// Form a batch from a group that is due. The leader proposes it; the machine decides whether it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormBatch {
    /// Which queue.
    pub group: GroupKey,
}

/// What payments must share to settle in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The source of the operations.
    pub treasury: AccountId,
    /// The urgency.
    pub lane: Lane,
    /// The memo of the transaction.
    pub memo: Memo,
    /// The payments' own cap for a bid.
    pub fee_cap: Option<Stroops>,
}

/// Store a signed envelope before it is sent (the exactly-once rule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAttempt {
    /// The batch it settles.
    pub batch: BatchId,
    /// The number after the batch's last attempt.
    pub attempt: AttemptNo,
    /// The channel that lends its sequence: the batch's.
    pub channel: AccountId,
    /// The sequence the transaction carries: the batch's.
    pub sequence: AccountSequence,
    /// Hash of the inner transaction, stable across fee bumps.
    pub inner_hash: Hash,
    /// Hash of the fee bump.
    pub outer_hash: Hash,
    /// Upper time bound, seconds since the Unix epoch as on the ledger.
    pub time_bound_s: u64,
    /// Upper ledger bound, exclusive.
    pub ledger_bound: LedgerSeq,
    /// The bid: the most the fee account may be charged.
    pub fee_max: Stroops,
    /// The signed fee-bump envelope, XDR; the exact bytes that are sent, and sent again.
    pub envelope: Vec<u8>,
}

/// Tell what the ledger did with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOutcome {
    /// The batch.
    pub batch: BatchId,
    /// The attempt that was observed; an outcome of an older one is still taken when it is final.
    pub attempt: AttemptNo,
    /// What was observed.
    pub outcome: AttemptOutcome,
}

/// What the ledger did with an attempt, as far as it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// In a ledger, all operations done. Final.
    Applied {
        /// Which ledger.
        ledger: LedgerSeq,
        /// What the fee account paid.
        fee_charged: Stroops,
    },
    /// In a ledger, rolled back: fee and sequence are used, no payment was made. Final for this sequence.
    AppliedFailed {
        /// Which ledger.
        ledger: LedgerSeq,
        /// What the fee account paid.
        fee_charged: Stroops,
        /// The result of each operation, in the order of the batch; empty when the whole transaction failed before.
        operations: Vec<OperationResult>,
    },
    /// Refused, and the sequence is not used: the same inner transaction may be sent in a new bump.
    Refused(Refusal),
    /// The bounds passed and neither hash is on the ledger: it can never apply.
    Expired,
    /// The channel's sequence went past the batch's and no inner hash of the batch is on the ledger:
    /// somebody else used the channel.
    SequenceLost {
        /// The channel's sequence on the ledger.
        account_sequence: AccountSequence,
    },
}

/// Why the ledger refused a transaction before applying it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bid was too low for the moment; carries the fee it would have needed.
    InsufficientFee {
        /// `feeCharged` of the refusal.
        fee_needed: Stroops,
    },
    /// The node's queue had no place, or the hash is banned for a while.
    TryAgainLater,
    /// The fee account or the treasury cannot pay.
    InsufficientBalance,
    /// Never accepted whatever is done: bad signature, malformed, unsupported. Carries the ledger's code.
    Terminal {
        /// The ledger's own name of it, as `tx_bad_auth`.
        code: String,
    },
}

/// The result of one operation of a failed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationResult {
    /// Would have succeeded; rolled back with the rest.
    RolledBack,
    /// The payment itself cannot be made; carries the ledger's code, as `op_no_destination`.
    Terminal {
        /// The ledger's own name of it.
        code: String,
    },
    /// The treasury cannot make it now; carries the ledger's code, as `op_underfunded`.
    Retryable {
        /// The ledger's own name of it.
        code: String,
    },
}

/// Make an account of ours known, or correct its sequence while nothing uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterAccount {
    /// The account.
    pub account: AccountId,
    /// What it is for.
    pub role: AccountRole,
    /// Its sequence on the ledger; only channels use it.
    pub sequence: AccountSequence,
}

/// What an account of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountRole {
    /// Its money moves.
    Treasury,
    /// It lends its sequence number.
    Channel,
    /// It pays the fee bumps.
    Fee,
}

/// Replace the policy, if it is still the version the caller saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPolicy {
    /// The version the caller read.
    pub version_seen: u64,
    /// The new policy; its version becomes `version_seen + 1`.
    pub policy: Policy,
}

/// Tell what the network's fees are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFees {
    /// What an endpoint told.
    pub sample: FeeSample,
}

/// What a lane is promised, and what it may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanePolicy {
    /// Within this time of its acceptance a payment should be settled, in milliseconds.
    pub deadline_ms: u64,
    /// Highest bid per operation.
    pub fee_cap: Stroops,
}

impl LanePolicy {
    /// After this wait a payment counts for the next lane: nine tenths of the deadline, in milliseconds.
    #[must_use]
    pub fn urgent_after_ms(&self) -> u64 {
        let tenth = self.deadline_ms.checked_div(10).unwrap_or(0);
        self.deadline_ms.saturating_sub(tenth)
    }
}

/// How batches form, bid and retry. Replicated: it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Grows by one at each change; 0 is the built-in default.
    pub version: u64,
    /// Payments at which a batch forms at once: 1 to 100.
    pub batch_size_max: u16,
    /// Payments that a batch formed by time should have.
    pub batch_size_min: u16,
    /// How long the oldest payment waits for company; a group below the minimum waits twice as long, never longer.
    pub batch_timeout_ms: u64,
    /// From this lane up, a batch forms as soon as there is a payment.
    pub immediate_from: Lane,
    /// Failures after which a payment is dead-lettered.
    pub retries_max: u16,
    /// First wait after a failure; doubles with each.
    pub backoff_base_ms: u64,
    /// Longest wait.
    pub backoff_max_ms: u64,
    /// First bid per operation.
    pub fee_base: Stroops,
    /// Highest bid per operation in any lane.
    pub fee_cap: Stroops,
    /// The lane of payments that may wait for a cheap ledger.
    pub low: LanePolicy,
    /// The lane of most payments.
    pub medium: LanePolicy,
    /// The lane of payments that leave at once.
    pub high: LanePolicy,
    /// The lane of payments that leave first.
    pub critical: LanePolicy,
    /// While room in ledgers is auctioned, payments up to this lane wait until nine tenths of their deadline are over;
    /// `None`: nobody waits.
    pub defer_up_to: Option<Lane>,
    /// Payments of a batch at most while room is auctioned: a small transaction gets in where a large one is skipped.
    pub surge_size_max: u16,
    /// Discounts of what developers are charged, by the size of the batch.
    pub discounts: Vec<DiscountTier>,
    /// What happens to a charge below the network's cost.
    pub below_cost: BelowCost,
}

impl Policy {
    /// What a lane is promised, and what it may cost.
    #[must_use]
    pub const fn lane(&self, lane: Lane) -> &LanePolicy {
        match lane {
            Lane::Low => &self.low,
            Lane::Medium => &self.medium,
            Lane::High => &self.high,
            Lane::Critical => &self.critical,
        }
    }
}

const fn lane_policy(deadline_ms: u64, fee_cap_stroops: i64) -> LanePolicy {
    LanePolicy {
        deadline_ms,
        fee_cap: Stroops(fee_cap_stroops),
    }
}

const fn tier(from_payments: u16, discount_permille: u16) -> DiscountTier {
    DiscountTier {
        from_payments,
        discount_permille,
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: 0,
            batch_size_max: 100,
            batch_size_min: 5,
            batch_timeout_ms: 5_000,
            immediate_from: Lane::High,
            retries_max: 8,
            backoff_base_ms: 1_000,
            backoff_max_ms: 60_000,
            fee_base: Stroops(100),
            fee_cap: Stroops(100_000),
            low: lane_policy(3_600_000, 150),
            medium: lane_policy(300_000, 10_000),
            high: lane_policy(60_000, 50_000),
            critical: lane_policy(30_000, 100_000),
            defer_up_to: Some(Lane::Low),
            surge_size_max: 50,
            discounts: vec![tier(10, 100), tier(20, 200), tier(50, 300), tier(100, 500)],
            below_cost: BelowCost::Raised,
        }
    }
}
