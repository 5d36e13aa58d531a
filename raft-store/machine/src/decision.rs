//! What the machine answers: changes to store, effects to run, a reply or a rejection.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{AccountRole, GroupKey, PaymentBody, Policy, RecordAttempt};
use crate::fees::bid::BidReason;
use crate::fees::book::FeeHour;
use crate::fees::charge::Charge;
use crate::fees::market::{FeeSample, Market};
use crate::fees::predict::Prediction;
use crate::ids::{
    AccountId, AttemptNo, BatchId, DeveloperId, Hash, IdempotencyKey, Index, PaymentId,
};
use crate::units::{AccountSequence, Lane, LedgerSeq, Stroops, UnixMs};

/// What one command leads to: all of it or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Stored and absorbed in this order.
    pub changes: Vec<Change>,
    /// What the caller hears.
    pub reply: Reply,
}

/// One stored fact. `State::absorb` takes it into memory where a decision needs it; `raft-store` writes it as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A payment was accepted (written once, never changed).
    PutPayment(Payment),
    /// A payment's progress; absent means queued since acceptance.
    PutStatus(PaymentId, PaymentStatus),
    /// An idempotency key points at its payment.
    PutKey(DeveloperId, IdempotencyKey, KeyRecord),
    /// A payment waits in a group.
    Enqueue(PaymentId, Queued),
    /// A payment left its group.
    Dequeue(PaymentId, GroupKey),
    /// A live batch was formed or moved on.
    PutBatch(Batch),
    /// A batch ended; its record stays for readers, the machine forgets it.
    EndBatch(Batch),
    /// A signed envelope (written once).
    PutAttempt(RecordAttempt, UnixMs),
    /// The leader has something to do outside.
    PutEffect(Effect),
    /// It is done.
    RemoveEffect(Effect),
    /// An account of ours.
    PutAccount(Account),
    /// The policy.
    PutPolicy(Policy),
    /// A payment left the dead letters: it counts as failed no more. No row of its own.
    LeaveDeadLetters(PaymentId),
    /// What is known of the network's fees.
    PutMarket(Market),
    /// A sample of them, for readers (written once).
    PutFeeSample(FeeSample, UnixMs),
    /// What happened in the present hour.
    PutFeeHour(Box<FeeHour>),
}

/// Something the leader must do outside; stored before it is done, identified by what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Bring a batch to its end on the ledger.
    SettleBatch(BatchId),
}

/// An accepted payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its identity.
    pub id: PaymentId,
    /// Whose it is.
    pub developer: DeveloperId,
    /// The caller's name for it.
    pub key: IdempotencyKey,
    /// What is paid; `treasury` is always set here.
    pub body: PaymentBody,
    /// When it was accepted.
    pub accepted_at: UnixMs,
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentStatus {
    /// The stage.
    pub stage: Stage,
    /// When it got there.
    pub at: UnixMs,
    /// Failures so far.
    pub failures: u16,
}

/// The stages of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a batch, again.
    Queued {
        /// Not before this moment.
        not_before: UnixMs,
        /// The code of the failure that sent it back.
        reason: String,
    },
    /// In a live batch.
    Batched {
        /// Which.
        batch: BatchId,
    },
    /// Paid on the ledger. Final.
    Settled {
        /// In which batch.
        batch: BatchId,
        /// In which ledger.
        ledger: LedgerSeq,
    },
    /// Cannot be paid; dead-lettered with its reason. Final until retried by hand.
    Failed {
        /// The last batch.
        batch: Option<BatchId>,
        /// The ledger's or our code, as `op_no_destination`.
        reason: String,
    },
    /// Withdrawn by its owner. Final.
    Cancelled,
}

/// What an idempotency key remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The payment it made.
    pub payment: PaymentId,
    /// 128-bit fingerprint of the body, to tell a retry from a mistake.
    pub fingerprint: u128,
    /// When; older than `limits::IDEMPOTENCY_MS` it no longer answers.
    pub accepted_at: UnixMs,
}

/// A place in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Where it waits.
    pub group: GroupKey,
    /// Since when, for the batch timeout.
    pub queued_at: UnixMs,
    /// Not before this moment (back-off); equal to `queued_at` at first.
    pub not_before: UnixMs,
    /// Failures so far.
    pub failures: u16,
}

/// Payments that settle together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its identity.
    pub id: BatchId,
    /// What the payments share.
    pub group: GroupKey,
    /// In the order of the transaction's operations, with their failures so far; 1 to 100.
    pub payments: Vec<BatchPayment>,
    /// Why it was formed.
    pub trigger: Trigger,
    /// When it was formed.
    pub formed_at: UnixMs,
    /// The channel lent to it.
    pub channel: AccountId,
    /// The sequence its transaction carries.
    pub sequence: AccountSequence,
    /// Where it stands.
    pub stage: BatchStage,
    /// The attempts so far, oldest first.
    pub attempts: Vec<AttemptSummary>,
    /// Refusals and expiries so far: they drive the back-off.
    pub failures: u16,
    /// The executor should not send before this moment.
    pub not_before: UnixMs,
    /// The fee per operation the next attempt should bid.
    pub fee_bid: Stroops,
    /// The highest bid per operation it may come to, fixed when it is formed.
    pub fee_cap: Stroops,
    /// Why the first bid was what it was.
    pub bid_reason: BidReason,
    /// The lane it counts for: its own, or the next one when its payments waited long.
    pub counts_as: Lane,
    /// What it was expected to cost when it was formed, and when to settle.
    pub prediction: Prediction,
    /// What was charged for it; all zero before it ended on the ledger.
    pub charge: Charge,
    /// Set once the batch is given up but an attempt may still apply: no further attempt is
    /// taken, and this happens to the payments as soon as every attempt is proven dead.
    pub ending: Option<Ending>,
}

/// What happens to the payments of a batch that is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They fail with the ledger's code.
    DeadLetter {
        /// The ledger's own name of it, as `tx_bad_auth`.
        reason: String,
    },
    /// They wait again, with one failure more; past the policy's limit they fail.
    Retry {
        /// The code of the last refusal.
        reason: String,
    },
    /// They wait again; it was not their fault, so no failure is counted.
    Requeue {
        /// Our own name of it, as `expired`.
        reason: String,
    },
}

/// A payment's place in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPayment {
    /// Which.
    pub payment: PaymentId,
    /// Since when it waited, kept for when it goes back.
    pub queued_at: UnixMs,
    /// Failures before this batch.
    pub failures: u16,
}

/// Why a batch was formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Full.
    Size,
    /// The oldest payment waited for the timeout.
    Time,
    /// The lane does not wait.
    Immediate,
}

/// Where a batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchStage {
    /// Formed; the next attempt is to be built (the first, or after a refusal or an expiry).
    Building,
    /// An attempt is stored: it is sent, and sent again, until its fate is proven.
    InFlight,
    /// All payments paid. Ended.
    Settled {
        /// In which ledger.
        ledger: LedgerSeq,
        /// What it cost.
        fee_charged: Stroops,
    },
    /// On the ledger as failed: bad payments evicted, the rest queued again. Ended.
    RolledBack {
        /// In which ledger.
        ledger: LedgerSeq,
        /// What it cost.
        fee_charged: Stroops,
    },
    /// Given up before the ledger took it. Ended.
    Abandoned {
        /// The code of the last refusal.
        reason: String,
    },
}

/// What the machine keeps of an attempt; the envelope is in the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSummary {
    /// Its number.
    pub attempt: AttemptNo,
    /// Hash of the inner transaction.
    pub inner_hash: Hash,
    /// Hash of the fee bump.
    pub outer_hash: Hash,
    /// Upper time bound, seconds since the Unix epoch.
    pub time_bound_s: u64,
    /// Upper ledger bound, exclusive.
    pub ledger_bound: LedgerSeq,
    /// The bid.
    pub fee_max: Stroops,
    /// Whether the ledger may still apply it.
    pub fate: AttemptFate,
}

/// Whether the ledger may still apply an attempt. The exactly-once rule rests on it: payments
/// leave a batch only when its sequence is used or no attempt is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptFate {
    /// It may: its bytes are out, or were about to be.
    #[default]
    Open,
    /// Proven never to apply: its bounds passed without it, or it can never be valid.
    Excluded,
    /// Proven never to apply: another transaction, not of this batch, used its sequence.
    Lost,
}

/// An account of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Which.
    pub account: AccountId,
    /// What for.
    pub role: AccountRole,
    /// Last sequence used, for a channel.
    pub sequence: AccountSequence,
    /// The batch that holds the channel.
    pub lent_to: Option<BatchId>,
}

/// What a caller hears of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The payment is accepted, now or earlier under the same key.
    Submitted {
        /// Its identity.
        payment: PaymentId,
        /// Now, or by an earlier call with the same key and body.
        acceptance: Acceptance,
    },
    /// The payment is withdrawn (also when it already was).
    Cancelled,
    /// The payment waits again, or is past waiting.
    Retried,
    /// A batch was formed.
    BatchFormed {
        /// Its identity.
        batch: BatchId,
    },
    /// The attempt is stored: it may be sent.
    AttemptRecorded,
    /// The outcome is stored.
    OutcomeRecorded,
    /// The account is known.
    AccountRegistered,
    /// The policy is in force.
    PolicySet {
        /// Its version.
        version: u64,
    },
    /// The sample is stored, or was known.
    FeesRecorded,
}

/// Whether a submission made the payment or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acceptance {
    /// Accepted by this command.
    New,
    /// Accepted before, by the same key and body.
    Repeated,
}

/// Why a command changes nothing. Replicated: every replica gives the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The key was used for another body.
    KeyReused {
        /// The payment it made.
        payment: PaymentId,
    },
    /// A field is out of its bounds.
    Field {
        /// The field's name in the API.
        field: &'static str,
        /// The value, shortened.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The treasury is not registered.
    TreasuryUnknown {
        /// Which; `None` when none is registered at all.
        treasury: Option<AccountId>,
    },
    /// All queues are full.
    QueueFull {
        /// Payments waiting.
        queued: u64,
        /// The limit.
        limit: u64,
    },
    /// There is no such payment of this developer.
    PaymentUnknown {
        /// Which.
        payment: PaymentId,
    },
    /// The payment already left the queue.
    PaymentNotQueued {
        /// Which.
        payment: PaymentId,
        /// Where it stands, in words.
        stage: &'static str,
    },
    /// The payment did not fail.
    PaymentNotFailed {
        /// Which.
        payment: PaymentId,
        /// Where it stands, in words.
        stage: &'static str,
    },
    /// The group has nothing to form a batch from yet.
    NotDue,
    /// All channels are lent.
    NoFreeChannel,
    /// Too many batches are live.
    BatchesFull {
        /// The limit.
        limit: u64,
    },
    /// There is no such live batch.
    BatchUnknown {
        /// Which.
        batch: BatchId,
    },
    /// The attempt does not follow the batch's last one.
    AttemptOutOfOrder {
        /// The number expected next, or the last one for an outcome.
        expected: AttemptNo,
    },
    /// The attempt is not for the batch's channel and sequence.
    SequenceMismatch {
        /// The batch's channel.
        channel: AccountId,
        /// The batch's sequence.
        sequence: AccountSequence,
    },
    /// An earlier attempt with another inner transaction may still apply.
    EarlierAttemptLive {
        /// Which.
        attempt: AttemptNo,
    },
    /// Too many attempts.
    AttemptsFull {
        /// The limit.
        limit: u16,
    },
    /// The account has another role.
    RoleConflict {
        /// The role it has.
        role: AccountRole,
    },
    /// The channel is lent: its sequence cannot be corrected now.
    ChannelLent {
        /// The batch that holds it.
        batch: BatchId,
    },
    /// Too many accounts.
    AccountsFull {
        /// The limit.
        limit: u64,
    },
    /// Payments that wait could never leave under the policy.
    PolicyStrands {
        /// How many.
        payments: u64,
        /// The highest bid they allow, in stroops.
        fee_cap: Stroops,
        /// The first bid of the policy, in stroops.
        fee_base: Stroops,
    },
    /// Somebody changed the policy first.
    PolicyVersion {
        /// The version in force.
        actual: u64,
    },
}

/// What one entry leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One answer per command, in order.
    pub replies: Vec<Result<Reply, Rejection>>,
    /// All changes of the entry, in order, already absorbed.
    pub changes: Vec<Change>,
    /// The entry's audit records, its events and its place in the chain.
    pub record: EntryRecord,
}

/// What happened at one index: the audit trail and the feed of the watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    /// The log index.
    pub index: Index,
    /// The machine's time.
    pub at: UnixMs,
    /// One per command, in order.
    pub audits: Vec<AuditRecord>,
    /// The stages that payments and batches reached, in order.
    pub events: Vec<Event>,
    /// The chain's hash after the last record.
    pub chain: Hash,
}

/// One command's line in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The command's kind, in words of the API.
    pub kind: &'static str,
    /// Who asked; 0 for the cluster itself.
    pub developer: DeveloperId,
    /// What it is about: a payment, a batch, or 0.
    pub subject: u64,
    /// `ok`, or the rejection's code.
    pub result: &'static str,
    /// Hash of the changes it made.
    pub changes: u128,
}

/// A stage reached, for watchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A payment moved; the initial stage is told as queued.
    Payment {
        /// Which.
        payment: PaymentId,
        /// Whose; `None` where the entry does not know it (a stage of a batch's payments).
        developer: Option<DeveloperId>,
        /// Where to.
        stage: Stage,
    },
    /// A batch moved.
    Batch {
        /// Which.
        batch: BatchId,
        /// Where to.
        stage: BatchStage,
    },
}
