//! What a call can end with: one enum, the same for every call.
//!
//! `Unknown` is never "failed": the payment may have been accepted, and asking again with the
//! same idempotency key tells.

/// Why a call did not succeed. Retries are already behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A field is missing, or out of its form or bounds. Nothing was accepted.
    #[error("{field} is {value:?}, expected {expected}")]
    InvalidField {
        /// The path of the field in the request, as `payments[3].amount`.
        field: String,
        /// The value at fault, shortened by the server.
        value: String,
        /// What the field takes.
        expected: String,
    },
    /// The idempotency key was used for another body. Nothing was accepted.
    #[error("the idempotency key already made {payment} from another body")]
    KeyReused {
        /// The payment that the key made.
        payment: String,
    },
    /// There is no such resource.
    #[error("{resource} does not exist")]
    NotFound {
        /// What was asked for.
        resource: String,
    },
    /// The resource is past the stage in which this is possible.
    #[error("{resource} is past the stage for this: {message}")]
    WrongStage {
        /// The resource.
        resource: String,
        /// The server's words.
        message: String,
    },
    /// The treasury is not registered with the cluster.
    #[error("treasury {treasury} is not registered")]
    TreasuryUnknown {
        /// The account that was named.
        treasury: String,
    },
    /// Somebody changed the resource first.
    #[error("{resource} was changed by somebody else first")]
    VersionConflict {
        /// The resource.
        resource: String,
    },
    /// The message is larger than the server takes.
    #[error("the message is too large: {message}")]
    TooLarge {
        /// The server's words.
        message: String,
    },
    /// The cluster's queues were full until the deadline. Nothing was accepted.
    #[error("the cluster is overloaded, it asks to wait {retry_after_ms} ms")]
    Overloaded {
        /// When to try again, in milliseconds; 0 when the server did not say.
        retry_after_ms: u64,
    },
    /// No leader was known until the deadline. Nothing was accepted.
    #[error("the cluster has no leader: {message}")]
    NoLeader {
        /// The last server's words.
        message: String,
    },
    /// The deadline passed and nobody can say whether the write took place: ask again with
    /// the same idempotency key.
    #[error("the outcome is not known: {message}")]
    Unknown {
        /// The key to ask again with; empty for a call that carries none or several.
        idempotency_key: String,
        /// How the last attempt ended.
        message: String,
    },
    /// No node could be reached until the deadline. Nothing was accepted.
    #[error("no node answered: {message}")]
    Unavailable {
        /// How the last attempt ended.
        message: String,
    },
    /// The API key is missing, wrong, or lacks the scope.
    #[error("access denied: {message}")]
    Denied {
        /// The server's words.
        message: String,
    },
    /// A defect of the node.
    #[error("the node failed: {message}")]
    Internal {
        /// The server's words.
        message: String,
    },
    /// An answer outside the contract, as from a proxy or an older server.
    #[error("unexpected answer {code}: {message}")]
    Unexpected {
        /// The gRPC code.
        code: String,
        /// The peer's words.
        message: String,
    },
    /// The endpoint cannot be used.
    #[error("endpoint {endpoint:?} cannot be used, expected {expected}")]
    InvalidEndpoint {
        /// The address as given.
        endpoint: String,
        /// What an endpoint looks like.
        expected: String,
    },
    /// The submitter was closed before it took the payment.
    #[error("the submitter is closed")]
    Closed,
}

impl ClientError {
    /// A word for programs, the contract's code where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidField { .. } => "INVALID_FIELD",
            Self::KeyReused { .. } => "KEY_REUSED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::WrongStage { .. } => "WRONG_STAGE",
            Self::TreasuryUnknown { .. } => "TREASURY_UNKNOWN",
            Self::VersionConflict { .. } => "VERSION_CONFLICT",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::NoLeader { .. } => "NO_LEADER",
            Self::Unknown { .. } => "UNKNOWN_OUTCOME",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::Denied { .. } => "DENIED",
            Self::Internal { .. } => "INTERNAL",
            Self::Unexpected { .. } => "UNEXPECTED",
            Self::InvalidEndpoint { .. } => "INVALID_ENDPOINT",
            Self::Closed => "CLOSED",
        }
    }
}
