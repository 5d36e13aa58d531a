//! The ledger's result codes by their public names (Stellar protocol 23, names as Horizon prints them).
//!
//! Only what a transaction of payments can meet: a result of another operation type is a decoding error.

/// The result of a transaction, outer or inner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionCode {
    /// All operations done.
    Success,
    /// An operation failed, all are rolled back.
    Failed,
    /// The inner transaction of a fee bump succeeded.
    FeeBumpInnerSuccess,
    /// The inner transaction of a fee bump failed; the inner result says why.
    FeeBumpInnerFailed,
    /// Before the lower bounds.
    TooEarly,
    /// Past the upper bounds.
    TooLate,
    /// No operation.
    MissingOperation,
    /// Not the account's next sequence.
    BadSeq,
    /// A signature is missing or wrong, or the network is another.
    BadAuth,
    /// The fee would take the account below its reserve.
    InsufficientBalance,
    /// The source account does not exist.
    NoAccount,
    /// The bid is too low for the moment.
    InsufficientFee,
    /// A signature was not used.
    BadAuthExtra,
    /// The node failed; says nothing about the transaction.
    InternalError,
    /// The transaction type is not supported.
    NotSupported,
    /// Sponsorship is left open.
    BadSponsorship,
    /// The minimum sequence age or gap is not met yet.
    BadMinSeqAgeOrGap,
    /// A precondition contradicts itself.
    Malformed,
    /// The smart-contract part is invalid.
    SorobanInvalid,
    /// A frozen ledger key is touched.
    FrozenKeyAccessed,
}

impl TransactionCode {
    /// The code's public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "tx_success",
            Self::Failed => "tx_failed",
            Self::FeeBumpInnerSuccess => "tx_fee_bump_inner_success",
            Self::FeeBumpInnerFailed => "tx_fee_bump_inner_failed",
            Self::TooEarly => "tx_too_early",
            Self::TooLate => "tx_too_late",
            Self::MissingOperation => "tx_missing_operation",
            Self::BadSeq => "tx_bad_seq",
            Self::BadAuth => "tx_bad_auth",
            Self::InsufficientBalance => "tx_insufficient_balance",
            Self::NoAccount => "tx_no_source_account",
            Self::InsufficientFee => "tx_insufficient_fee",
            Self::BadAuthExtra => "tx_bad_auth_extra",
            Self::InternalError => "tx_internal_error",
            Self::NotSupported => "tx_not_supported",
            Self::BadSponsorship => "tx_bad_sponsorship",
            Self::BadMinSeqAgeOrGap => "tx_bad_minseq_age_or_gap",
            Self::Malformed => "tx_malformed",
            Self::SorobanInvalid => "tx_soroban_invalid",
            Self::FrozenKeyAccessed => "tx_frozen_key_accessed",
        }
    }
}

/// The result of one payment operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationCode {
    /// Done, or would have been if all others were.
    Success,
    /// The payment is not well formed.
    Malformed,
    /// The source holds too little.
    Underfunded,
    /// The source does not trust the asset.
    SrcNoTrust,
    /// The source may not send the asset.
    SrcNotAuthorized,
    /// The destination does not exist.
    NoDestination,
    /// The destination does not trust the asset.
    NoTrust,
    /// The destination may not hold the asset.
    NotAuthorized,
    /// The destination's limit would be passed.
    LineFull,
    /// The issuer does not exist.
    NoIssuer,
    /// The source's signatures do not suffice.
    BadAuth,
    /// The source does not exist.
    NoAccount,
    /// The operation is not supported.
    NotSupported,
    /// The source has too many entries.
    TooManySubentries,
    /// The operation did too much work.
    ExceededWorkLimit,
    /// The source sponsors too much.
    TooManySponsoring,
}

impl OperationCode {
    /// The code's public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "op_success",
            Self::Malformed => "op_malformed",
            Self::Underfunded => "op_underfunded",
            Self::SrcNoTrust => "op_src_no_trust",
            Self::SrcNotAuthorized => "op_src_not_authorized",
            Self::NoDestination => "op_no_destination",
            Self::NoTrust => "op_no_trust",
            Self::NotAuthorized => "op_not_authorized",
            Self::LineFull => "op_line_full",
            Self::NoIssuer => "op_no_issuer",
            Self::BadAuth => "op_bad_auth",
            Self::NoAccount => "op_no_source_account",
            Self::NotSupported => "op_not_supported",
            Self::TooManySubentries => "op_too_many_subentries",
            Self::ExceededWorkLimit => "op_exceeded_work_limit",
            Self::TooManySponsoring => "op_too_many_sponsoring",
        }
    }
}
