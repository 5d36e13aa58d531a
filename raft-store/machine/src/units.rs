//! Quantities: each number that has a unit has a type.

/// An amount of an asset or a fee, in stroops (10^-7 of a unit). Stellar's amounts are signed 64-bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stroops(pub i64);

impl Stroops {
    /// The sum, or `None` past the range of the ledger's 64-bit amounts.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

/// Milliseconds since the Unix epoch, stamped by the leader and clamped by the machine never to run backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// This moment plus `wait_ms`, saturating at the end of time.
    #[must_use]
    pub const fn plus(self, wait_ms: u64) -> Self {
        Self(self.0.saturating_add(wait_ms))
    }

    /// Milliseconds from `earlier` to this moment, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The sequence number of a Stellar ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerSeq(pub u32);

/// The sequence number of a Stellar account; a transaction carries the account's number plus one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountSequence(pub i64);

impl AccountSequence {
    /// The number the account's next transaction must carry, or `None` at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

/// The urgency of a payment. Order is urgency: `Low < Critical`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// May wait for a cheap ledger.
    Low = 1,
    /// The default.
    #[default]
    Medium = 2,
    /// Leaves at once under the default policy.
    High = 3,
    /// Leaves at once, first.
    Critical = 4,
}

impl Lane {
    /// The stable number of the lane in rows and messages: 1 for low to 4 for critical.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }

    /// The lane with that number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Low),
            2 => Some(Self::Medium),
            3 => Some(Self::High),
            4 => Some(Self::Critical),
            _ => None,
        }
    }
}
