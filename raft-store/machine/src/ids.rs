//! Identities: of what we make (from the log index) and of what Stellar knows.

use alloc::string::String;

/// The index of a log entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index(pub u64);

/// A fresh identity: the log index in the upper 48 bits, the command's offset in its entry in the lower 16.
/// Unique because an entry holds at most `limits::ENTRY_COMMANDS_MAX` commands; ordered as the log is.
const fn fresh(index: Index, offset: u16) -> u64 {
    (index.0 << 16) | offset_bits(offset)
}

const fn offset_bits(offset: u16) -> u64 {
    let [low, high] = offset.to_le_bytes();
    u64::from_le_bytes([low, high, 0, 0, 0, 0, 0, 0])
}

/// A payment's identity, in the order of acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaymentId(pub u64);

impl PaymentId {
    /// The identity of the payment that the command at `offset` of entry `index` submits.
    #[must_use]
    pub const fn fresh(index: Index, offset: u16) -> Self {
        Self(fresh(index, offset))
    }
}

/// A batch's identity, in the order of forming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

impl BatchId {
    /// The identity of the batch that the command at `offset` of entry `index` forms.
    #[must_use]
    pub const fn fresh(index: Index, offset: u16) -> Self {
        Self(fresh(index, offset))
    }
}

/// The number of an attempt within its batch, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptNo(pub u16);

/// The owner of API keys; 0 is the operator of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeveloperId(pub u64);

/// The caller's name for one intent, unique per developer; 1 to `limits::IDEMPOTENCY_KEY_BYTES_MAX` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(pub String);

/// An Ed25519 public key of a Stellar account (SEP-23 `G…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(pub [u8; 32]);

/// A SHA-256 hash: of a transaction, of an audit record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// Where a payment goes: an account, or a multiplexed sub-account of it (SEP-23 `M…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The account on the ledger.
    pub account: AccountId,
    /// The sub-account, which only the owner of the account tells apart.
    pub muxed_id: Option<u64>,
}

/// What is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asset {
    /// The network's own asset, lumens.
    #[default]
    Native,
    /// An issued asset with a code of 1 to 4 characters, padded with zero bytes.
    Credit4 {
        /// The code.
        code: [u8; 4],
        /// Who issues it.
        issuer: AccountId,
    },
    /// An issued asset with a code of 5 to 12 characters, padded with zero bytes.
    Credit12 {
        /// The code.
        code: [u8; 12],
        /// Who issues it.
        issuer: AccountId,
    },
}

/// The memo of a transaction; payments share a transaction only when their memos are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Memo {
    /// No memo.
    #[default]
    None,
    /// Up to 28 bytes of UTF-8.
    Text(String),
    /// A 64-bit number.
    Id(u64),
    /// A hash the receiver understands.
    Hash([u8; 32]),
    /// The hash of the transaction that is refunded.
    Return([u8; 32]),
}
