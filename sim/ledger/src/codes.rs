//! Results: the rules' verdicts as real `TransactionResult` XDR, and the names that Horizon
//! gives to result codes.

use stellar_xdr::{
    CreateAccountResult, InnerTransactionResult, InnerTransactionResultExt,
    InnerTransactionResultPair, InnerTransactionResultResult, OperationResult, OperationResultTr,
    PaymentResult, TransactionResult, TransactionResultCode, TransactionResultExt,
    TransactionResultResult, VecM,
};

use crate::envelope::{Parsed, TxHash};

/// Why a transaction is invalid, or what came of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TxError {
    TooEarly,
    TooLate,
    MissingOperation,
    BadSeq,
    BadAuth,
    InsufficientBalance,
    NoAccount,
    /// Carries the fee that would have been needed.
    InsufficientFee(i64),
    BadAuthExtra,
    NotSupported,
    BadMinSeqAgeOrGap,
    Malformed,
    Failed(Vec<OperationResult>),
}

/// Which of the two transactions of a bump is invalid. A plain transaction is the outer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Outer(TxError),
    Inner(TxError),
}

fn operations(results: Vec<OperationResult>) -> VecM<OperationResult> {
    VecM::try_from(results).expect("a transaction has at most 100 operations")
}

impl TxError {
    fn into_outer(self) -> TransactionResultResult {
        use TransactionResultResult as R;
        match self {
            Self::TooEarly => R::TxTooEarly,
            Self::TooLate => R::TxTooLate,
            Self::MissingOperation => R::TxMissingOperation,
            Self::BadSeq => R::TxBadSeq,
            Self::BadAuth => R::TxBadAuth,
            Self::InsufficientBalance => R::TxInsufficientBalance,
            Self::NoAccount => R::TxNoAccount,
            Self::InsufficientFee(_) => R::TxInsufficientFee,
            Self::BadAuthExtra => R::TxBadAuthExtra,
            Self::NotSupported => R::TxNotSupported,
            Self::BadMinSeqAgeOrGap => R::TxBadMinSeqAgeOrGap,
            Self::Malformed => R::TxMalformed,
            Self::Failed(results) => R::TxFailed(operations(results)),
        }
    }

    fn into_inner(self) -> InnerTransactionResultResult {
        use InnerTransactionResultResult as R;
        match self {
            Self::TooEarly => R::TxTooEarly,
            Self::TooLate => R::TxTooLate,
            Self::MissingOperation => R::TxMissingOperation,
            Self::BadSeq => R::TxBadSeq,
            Self::BadAuth => R::TxBadAuth,
            Self::InsufficientBalance => R::TxInsufficientBalance,
            Self::NoAccount => R::TxNoAccount,
            Self::InsufficientFee(_) => R::TxInsufficientFee,
            Self::BadAuthExtra => R::TxBadAuthExtra,
            Self::NotSupported => R::TxNotSupported,
            Self::BadMinSeqAgeOrGap => R::TxBadMinSeqAgeOrGap,
            Self::Malformed => R::TxMalformed,
            Self::Failed(results) => R::TxFailed(operations(results)),
        }
    }
}

fn outer(fee_charged: i64, result: TransactionResultResult) -> TransactionResult {
    TransactionResult {
        fee_charged,
        result,
        ext: TransactionResultExt::V0,
    }
}

/// The inner half of a bump's result. Its fee is 0: the outer transaction paid.
fn pair(hash: TxHash, result: InnerTransactionResultResult) -> InnerTransactionResultPair {
    InnerTransactionResultPair {
        transaction_hash: stellar_xdr::Hash(hash.0),
        result: InnerTransactionResult {
            fee_charged: 0,
            result,
            ext: InnerTransactionResultExt::V0,
        },
    }
}

/// The result of a transaction that the queue refuses. `feeCharged` is what it would have
/// needed: the stated fee for an insufficient one, else the minimum for its operations.
pub(crate) fn refused(
    parsed: &Parsed,
    verdict: Verdict,
    base_fee_stroops: i64,
) -> TransactionResult {
    let minimum = base_fee_stroops * i64::from(parsed.ops());
    match verdict {
        Verdict::Outer(error) => {
            let fee = match &error {
                TxError::InsufficientFee(needed) => *needed,
                TxError::TooEarly
                | TxError::TooLate
                | TxError::MissingOperation
                | TxError::BadSeq
                | TxError::BadAuth
                | TxError::InsufficientBalance
                | TxError::NoAccount
                | TxError::BadAuthExtra
                | TxError::NotSupported
                | TxError::BadMinSeqAgeOrGap
                | TxError::Malformed
                | TxError::Failed(_) => minimum,
            };
            outer(fee, error.into_outer())
        }
        Verdict::Inner(error) => outer(
            minimum,
            TransactionResultResult::TxFeeBumpInnerFailed(pair(
                parsed.inner_hash,
                error.into_inner(),
            )),
        ),
    }
}

/// The result of an included transaction, from its operations' results.
pub(crate) fn included(
    parsed: &Parsed,
    fee_charged: i64,
    results: Vec<OperationResult>,
) -> TransactionResult {
    use InnerTransactionResultResult as I;
    use TransactionResultResult as R;
    let succeeded = results.iter().all(is_success);
    let results = operations(results);
    let hash = parsed.inner_hash;
    let result = match (&parsed.bump, succeeded) {
        (None, true) => R::TxSuccess(results),
        (None, false) => R::TxFailed(results),
        (Some(_), true) => R::TxFeeBumpInnerSuccess(pair(hash, I::TxSuccess(results))),
        (Some(_), false) => R::TxFeeBumpInnerFailed(pair(hash, I::TxFailed(results))),
    };
    outer(fee_charged, result)
}

/// What a server answers that failed in the middle: nobody knows what became of it.
pub(crate) fn internal_error() -> TransactionResult {
    outer(0, TransactionResultResult::TxInternalError)
}

pub(crate) fn is_success(result: &OperationResult) -> bool {
    matches!(
        result,
        OperationResult::OpInner(
            OperationResultTr::Payment(PaymentResult::Success)
                | OperationResultTr::CreateAccount(CreateAccountResult::Success)
        )
    )
}

/// Horizon's name of a transaction result. A bump's inner failure is told by the inner result
/// in the XDR; here it is `tx_fee_bump_inner_failed`.
pub fn transaction_code(result: &TransactionResult) -> &'static str {
    use TransactionResultCode as C;
    match result.result.discriminant() {
        C::TxFeeBumpInnerSuccess => "tx_fee_bump_inner_success",
        C::TxSuccess => "tx_success",
        C::TxFailed => "tx_failed",
        C::TxTooEarly => "tx_too_early",
        C::TxTooLate => "tx_too_late",
        C::TxMissingOperation => "tx_missing_operation",
        C::TxBadSeq => "tx_bad_seq",
        C::TxBadAuth => "tx_bad_auth",
        C::TxInsufficientBalance => "tx_insufficient_balance",
        C::TxNoAccount => "tx_no_source_account",
        C::TxInsufficientFee => "tx_insufficient_fee",
        C::TxBadAuthExtra => "tx_bad_auth_extra",
        C::TxInternalError => "tx_internal_error",
        C::TxNotSupported => "tx_not_supported",
        C::TxFeeBumpInnerFailed => "tx_fee_bump_inner_failed",
        C::TxBadSponsorship => "tx_bad_sponsorship",
        C::TxBadMinSeqAgeOrGap => "tx_bad_minseq_age_or_gap",
        C::TxMalformed => "tx_malformed",
        C::TxSorobanInvalid => "tx_soroban_invalid",
        C::TxFrozenKeyAccessed => "tx_frozen_key_accessed",
    }
}

/// The operations' results, from the inner transaction of a bump if it is one; empty when the
/// transaction was refused before its operations.
pub fn operation_results(result: &TransactionResult) -> &[OperationResult] {
    if let TransactionResultResult::TxSuccess(all) | TransactionResultResult::TxFailed(all) =
        &result.result
    {
        return all;
    }
    if let TransactionResultResult::TxFeeBumpInnerSuccess(pair)
    | TransactionResultResult::TxFeeBumpInnerFailed(pair) = &result.result
        && let InnerTransactionResultResult::TxSuccess(all)
        | InnerTransactionResultResult::TxFailed(all) = &pair.result.result
    {
        return all;
    }
    &[]
}

/// Horizon's name of an operation result.
pub fn operation_code(result: &OperationResult) -> &'static str {
    match result {
        OperationResult::OpInner(OperationResultTr::Payment(payment)) => match payment {
            PaymentResult::Success => "op_success",
            PaymentResult::Malformed => "op_malformed",
            PaymentResult::Underfunded => "op_underfunded",
            PaymentResult::SrcNoTrust => "op_src_no_trust",
            PaymentResult::SrcNotAuthorized => "op_src_not_authorized",
            PaymentResult::NoDestination => "op_no_destination",
            PaymentResult::NoTrust => "op_no_trust",
            PaymentResult::NotAuthorized => "op_not_authorized",
            PaymentResult::LineFull => "op_line_full",
            PaymentResult::NoIssuer => "op_no_issuer",
        },
        OperationResult::OpInner(OperationResultTr::CreateAccount(created)) => match created {
            CreateAccountResult::Success => "op_success",
            CreateAccountResult::Malformed => "op_malformed",
            CreateAccountResult::Underfunded => "op_underfunded",
            CreateAccountResult::LowReserve => "op_low_reserve",
            CreateAccountResult::AlreadyExist => "op_already_exists",
        },
        OperationResult::OpInner(_) => "op_inner",
        OperationResult::OpBadAuth => "op_bad_auth",
        OperationResult::OpNoAccount => "op_no_source_account",
        OperationResult::OpNotSupported => "op_not_supported",
        OperationResult::OpTooManySubentries => "op_too_many_subentries",
        OperationResult::OpExceededWorkLimit => "op_exceeded_work_limit",
        OperationResult::OpTooManySponsoring => "op_too_many_sponsoring",
    }
}
