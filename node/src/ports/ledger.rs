//! The Stellar network as the executor sees it: send bytes, look hashes up, read accounts and fees.
//!
//! An answer says what is proven and no more: "surely not sent" and "unknown" are different answers, and an absence
//! carries how far the endpoint had ingested before it looked, so that a caller can prove that a transaction can
//! never apply (reference: Stellar's Horizon API, `transactions_async`).

use std::future::Future;

use stellara_machine::ids::{AccountId, Asset, Hash};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};

pub mod codes;
pub mod decode;
pub mod horizon;
mod horizon_json;

pub use codes::{OperationCode, TransactionCode};
pub use decode::{DecodeError, InnerResult, TransactionResult};

/// Access to the Stellar network.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Offers a signed envelope (XDR bytes) to the network's queue. Sending the same bytes again is harmless.
    fn submit(&self, envelope: &[u8]) -> impl Future<Output = SubmitAnswer> + Send;

    /// Looks a transaction up by its own hash or by the hash of its inner transaction.
    fn transaction(
        &self,
        hash: Hash,
    ) -> impl Future<Output = Result<TransactionLookup, LedgerError>> + Send;

    /// Reads an account; `None` when it is not on the ledger.
    fn account(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Option<AccountState>, LedgerError>> + Send;

    /// Reads the fees of the last ledgers.
    fn fee_stats(&self) -> impl Future<Output = Result<FeeStats, LedgerError>> + Send;

    /// Reads the last ledger that the endpoint has ingested.
    fn latest_ledger(&self) -> impl Future<Output = Result<LatestLedger, LedgerError>> + Send;
}

/// What the network said to an offered envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// In the queue of the node that took it.
    Pending {
        /// The envelope's hash as the endpoint computed it.
        hash: Hash,
    },
    /// The same envelope was in the queue already.
    Duplicate {
        /// The envelope's hash as the endpoint computed it.
        hash: Hash,
    },
    /// No place in the queue now, or the hash is banned for some ledgers.
    TryAgainLater,
    /// Refused before any queue; carries the ledger's own result.
    Refused(TransactionResult),
    /// It surely reached no queue: connection refused, rate limit, submission switched off.
    NotSent {
        /// What happened, for the log.
        why: String,
        /// How long the endpoint asks to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It may or may not be in a queue: server error, reset, timeout.
    Unknown {
        /// What happened, for the log.
        why: String,
    },
}

/// The fate of a hash as one endpoint knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionLookup {
    /// It is in a ledger.
    Found(FoundTransaction),
    /// It is in no ledger that the endpoint had ingested when it looked.
    NotFound(Ingested),
}

/// How far an endpoint had ingested, read before the look-up it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// The last ledger ingested.
    pub ledger: LedgerSeq,
    /// Its close time, seconds since the Unix epoch.
    pub closed_at_s: u64,
}

/// The last ledger of an endpoint.
pub type LatestLedger = Ingested;

/// A transaction that is in a ledger, successful or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTransaction {
    /// Which ledger.
    pub ledger: LedgerSeq,
    /// Whether its operations took effect.
    pub successful: bool,
    /// The ledger's own result; `fee_charged` is what the fee account paid.
    pub result: TransactionResult,
}

/// An account on the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The sequence of its last transaction.
    pub sequence: AccountSequence,
    /// The ledger that changed the account last: whatever used `sequence` is in this ledger or an earlier one.
    pub modified_at: LedgerSeq,
    /// What it holds.
    pub balances: Vec<Balance>,
}

/// One balance of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Of what.
    pub asset: Asset,
    /// How much.
    pub amount: Stroops,
}

/// The fees of the last five ledgers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeStats {
    /// The last ledger counted.
    pub last_ledger: LedgerSeq,
    /// The least fee per operation.
    pub base_fee: Stroops,
    /// How full the ledgers were, in thousandths.
    pub capacity_usage_permille: u16,
    /// What was charged per operation.
    pub fee_charged: FeeDistribution,
    /// What was bid per operation.
    pub fee_bid: FeeDistribution,
}

/// A distribution of fees per operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeDistribution {
    /// The least.
    pub min: Stroops,
    /// The most frequent.
    pub mode: Stroops,
    /// Half are at or below.
    pub p50: Stroops,
    /// 70 % are at or below.
    pub p70: Stroops,
    /// 90 % are at or below.
    pub p90: Stroops,
    /// 95 % are at or below.
    pub p95: Stroops,
    /// 99 % are at or below.
    pub p99: Stroops,
    /// The most.
    pub max: Stroops,
}

/// Why a read gave nothing. Reads have no effect: each may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No endpoint answered, or each asked to wait.
    #[error("no ledger endpoint answers: {why}")]
    Unavailable {
        /// What the last endpoint said or did.
        why: String,
        /// How long the endpoints ask to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// An endpoint answered something that is not Horizon's.
    #[error("ledger endpoint answered {what} that cannot be read: {why}")]
    BadAnswer {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}
