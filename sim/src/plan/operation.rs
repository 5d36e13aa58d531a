//! What clients do, in words that a plan and a report share. Payments are numbered within a run.

use serde::{Deserialize, Serialize};

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fresh {
    /// Sees everything acknowledged before it was asked.
    Linearizable,
    /// Within a bound, in milliseconds; 0 takes anything.
    Stale {
        /// The bound.
        max_ms: u64,
    },
}

/// A lane of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneName {
    /// Waits longest.
    Low,
    /// The usual.
    Medium,
    /// Settled at once.
    High,
    /// Settled at once, before all.
    Critical,
}

/// What is wrong with a request that must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// An amount of nothing.
    ZeroAmount,
    /// Less than nothing.
    NegativeAmount,
    /// An idempotency key of no letters.
    EmptyKey,
    /// A treasury that nobody registered.
    UnknownTreasury,
}

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// Submits a payment, and asks again with the same key until it is answered.
    Submit {
        /// Its number.
        payment: u32,
        /// Its lane.
        lane: LaneName,
        /// Who receives, by number.
        destination: u8,
    },
    /// Submits a payment's very request once more, as a client that lost its answer.
    Again {
        /// Its number.
        payment: u32,
    },
    /// Submits another body under a payment's key: a conflict, if the payment was accepted.
    Conflict {
        /// Its number.
        payment: u32,
    },
    /// Cancels a payment, if it was accepted and is still queued.
    Cancel {
        /// Its number.
        payment: u32,
    },
    /// Reads a payment.
    Read {
        /// Its number.
        payment: u32,
        /// How fresh.
        fresh: Fresh,
    },
    /// Sends a request that must be refused.
    Bad {
        /// What is wrong with it.
        mistake: Mistake,
    },
}

impl Operation {
    /// The number of the payment that it is about; a bad request is about none.
    #[must_use]
    pub const fn payment(&self) -> Option<u32> {
        match self {
            Self::Submit { payment, .. }
            | Self::Again { payment }
            | Self::Conflict { payment }
            | Self::Cancel { payment }
            | Self::Read { payment, .. } => Some(*payment),
            Self::Bad { .. } => None,
        }
    }
}

/// By which door a client comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Through {
    /// It speaks with a node in process.
    #[default]
    Gateway,
    /// By the shipped client, over the nodes' public API.
    Sdk,
}

impl Through {
    const fn is_default(&self) -> bool {
        matches!(self, Self::Gateway)
    }
}

/// An operation and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationAt {
    /// After the cluster is ready.
    pub at_ms: u64,
    /// Which client, by number: its home is the region at that place, in turn.
    pub client: u8,
    /// By which door.
    #[serde(default, skip_serializing_if = "Through::is_default")]
    pub through: Through,
    /// What it does.
    #[serde(flatten)]
    pub operation: Operation,
}
