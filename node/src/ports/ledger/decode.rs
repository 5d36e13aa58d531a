//! A transaction's result, decoded from the XDR that Horizon passes on from the ledger.
//!
//! Decoding is strict and bounded: a result that is not of payments, or that is longer than any result can be, is an
//! error, never a guess.

use stellar_xdr::{
    InnerTransactionResultResult as InnerXdr, Limits, OperationResult as OperationXdr,
    OperationResultTr, PaymentResult, ReadXdr, TransactionResult as ResultXdr,
    TransactionResultResult as OuterXdr,
};
use stellara_machine::ids::Hash;
use stellara_machine::units::Stroops;

use super::codes::{OperationCode, TransactionCode};

/// Nesting of a result of payments stays far below this.
const RESULT_DEPTH_MAX: u32 = 32;
/// Bytes of a result: 100 operations of at most 12 bytes each, and the frame around them.
const RESULT_BYTES_MAX: usize = 16 * 1024;

/// What the ledger said of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionResult {
    /// What was charged; in a refusal for a low bid, what it would have needed.
    pub fee_charged: Stroops,
    /// The result of the envelope that was sent.
    pub code: TransactionCode,
    /// The result of the transaction inside a fee bump.
    pub inner: Option<InnerResult>,
    /// The result of each operation, in order; empty when the transaction failed before its operations.
    pub operations: Vec<OperationCode>,
}

/// What the ledger said of the transaction inside a fee bump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerResult {
    /// The inner transaction's hash.
    pub hash: Hash,
    /// Its result.
    pub code: TransactionCode,
}

impl TransactionResult {
    /// The code that says why: the inner transaction's where the fee bump only passes it on.
    #[must_use]
    pub fn deciding_code(&self) -> TransactionCode {
        self.inner.map_or(self.code, |inner| inner.code)
    }

    /// Whether the operations took effect.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(
            self.code,
            TransactionCode::Success | TransactionCode::FeeBumpInnerSuccess
        )
    }

    /// A result without operations, as of a refusal.
    #[must_use]
    pub const fn refusal(code: TransactionCode, fee_charged: Stroops) -> Self {
        Self {
            fee_charged,
            code,
            inner: None,
            operations: Vec::new(),
        }
    }
}

/// Why a result could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not XDR of a transaction result.
    #[error("result is not the XDR of a transaction result: {why}")]
    NotXdr {
        /// What the decoder said.
        why: String,
    },
    /// A result of an operation that is not a payment.
    #[error("operation {at} of the result is {kind}, expected a payment")]
    ForeignOperation {
        /// Its place.
        at: usize,
        /// Its type.
        kind: &'static str,
    },
}

/// Decodes the base64 form in which Horizon carries a result.
///
/// # Errors
/// When it is not the result of a transaction of payments.
pub fn decode_result(base64: &str) -> Result<TransactionResult, DecodeError> {
    let limits = Limits {
        depth: RESULT_DEPTH_MAX,
        len: RESULT_BYTES_MAX,
    };
    let result =
        ResultXdr::from_xdr_base64(base64, limits).map_err(|error| DecodeError::NotXdr {
            why: error.to_string(),
        })?;
    let (code, inner, operations) = outer(&result.result)?;
    Ok(TransactionResult {
        fee_charged: Stroops(result.fee_charged),
        code,
        inner,
        operations,
    })
}

type Parts = (TransactionCode, Option<InnerResult>, Vec<OperationCode>);

fn outer(result: &OuterXdr) -> Result<Parts, DecodeError> {
    let plain = |code| Ok((code, None, Vec::new()));
    match result {
        OuterXdr::TxFeeBumpInnerSuccess(pair) => inner(TransactionCode::FeeBumpInnerSuccess, pair),
        OuterXdr::TxFeeBumpInnerFailed(pair) => inner(TransactionCode::FeeBumpInnerFailed, pair),
        OuterXdr::TxSuccess(results) => Ok((TransactionCode::Success, None, operations(results)?)),
        OuterXdr::TxFailed(results) => Ok((TransactionCode::Failed, None, operations(results)?)),
        OuterXdr::TxTooEarly => plain(TransactionCode::TooEarly),
        OuterXdr::TxTooLate => plain(TransactionCode::TooLate),
        OuterXdr::TxMissingOperation => plain(TransactionCode::MissingOperation),
        OuterXdr::TxBadSeq => plain(TransactionCode::BadSeq),
        OuterXdr::TxBadAuth => plain(TransactionCode::BadAuth),
        OuterXdr::TxInsufficientBalance => plain(TransactionCode::InsufficientBalance),
        OuterXdr::TxNoAccount => plain(TransactionCode::NoAccount),
        OuterXdr::TxInsufficientFee => plain(TransactionCode::InsufficientFee),
        OuterXdr::TxBadAuthExtra => plain(TransactionCode::BadAuthExtra),
        OuterXdr::TxInternalError => plain(TransactionCode::InternalError),
        OuterXdr::TxNotSupported => plain(TransactionCode::NotSupported),
        OuterXdr::TxBadSponsorship => plain(TransactionCode::BadSponsorship),
        OuterXdr::TxBadMinSeqAgeOrGap => plain(TransactionCode::BadMinSeqAgeOrGap),
        OuterXdr::TxMalformed => plain(TransactionCode::Malformed),
        OuterXdr::TxSorobanInvalid => plain(TransactionCode::SorobanInvalid),
        OuterXdr::TxFrozenKeyAccessed => plain(TransactionCode::FrozenKeyAccessed),
    }
}

fn inner(
    code: TransactionCode,
    pair: &stellar_xdr::InnerTransactionResultPair,
) -> Result<Parts, DecodeError> {
    let (inner_code, results) = match &pair.result.result {
        InnerXdr::TxSuccess(results) => (TransactionCode::Success, operations(results)?),
        InnerXdr::TxFailed(results) => (TransactionCode::Failed, operations(results)?),
        InnerXdr::TxTooEarly => (TransactionCode::TooEarly, Vec::new()),
        InnerXdr::TxTooLate => (TransactionCode::TooLate, Vec::new()),
        InnerXdr::TxMissingOperation => (TransactionCode::MissingOperation, Vec::new()),
        InnerXdr::TxBadSeq => (TransactionCode::BadSeq, Vec::new()),
        InnerXdr::TxBadAuth => (TransactionCode::BadAuth, Vec::new()),
        InnerXdr::TxInsufficientBalance => (TransactionCode::InsufficientBalance, Vec::new()),
        InnerXdr::TxNoAccount => (TransactionCode::NoAccount, Vec::new()),
        InnerXdr::TxInsufficientFee => (TransactionCode::InsufficientFee, Vec::new()),
        InnerXdr::TxBadAuthExtra => (TransactionCode::BadAuthExtra, Vec::new()),
        InnerXdr::TxInternalError => (TransactionCode::InternalError, Vec::new()),
        InnerXdr::TxNotSupported => (TransactionCode::NotSupported, Vec::new()),
        InnerXdr::TxBadSponsorship => (TransactionCode::BadSponsorship, Vec::new()),
        InnerXdr::TxBadMinSeqAgeOrGap => (TransactionCode::BadMinSeqAgeOrGap, Vec::new()),
        InnerXdr::TxMalformed => (TransactionCode::Malformed, Vec::new()),
        InnerXdr::TxSorobanInvalid => (TransactionCode::SorobanInvalid, Vec::new()),
        InnerXdr::TxFrozenKeyAccessed => (TransactionCode::FrozenKeyAccessed, Vec::new()),
    };
    let inner = InnerResult {
        hash: Hash(pair.transaction_hash.0),
        code: inner_code,
    };
    Ok((code, Some(inner), results))
}

fn operations(results: &[OperationXdr]) -> Result<Vec<OperationCode>, DecodeError> {
    results
        .iter()
        .enumerate()
        .map(|(at, result)| operation(at, result))
        .collect()
}

fn operation(at: usize, result: &OperationXdr) -> Result<OperationCode, DecodeError> {
    Ok(match result {
        OperationXdr::OpInner(inner) => payment(at, inner)?,
        OperationXdr::OpBadAuth => OperationCode::BadAuth,
        OperationXdr::OpNoAccount => OperationCode::NoAccount,
        OperationXdr::OpNotSupported => OperationCode::NotSupported,
        OperationXdr::OpTooManySubentries => OperationCode::TooManySubentries,
        OperationXdr::OpExceededWorkLimit => OperationCode::ExceededWorkLimit,
        OperationXdr::OpTooManySponsoring => OperationCode::TooManySponsoring,
    })
}

fn payment(at: usize, result: &OperationResultTr) -> Result<OperationCode, DecodeError> {
    let OperationResultTr::Payment(result) = result else {
        return Err(DecodeError::ForeignOperation {
            at,
            kind: result.name(),
        });
    };
    Ok(match result {
        PaymentResult::Success => OperationCode::Success,
        PaymentResult::Malformed => OperationCode::Malformed,
        PaymentResult::Underfunded => OperationCode::Underfunded,
        PaymentResult::SrcNoTrust => OperationCode::SrcNoTrust,
        PaymentResult::SrcNotAuthorized => OperationCode::SrcNotAuthorized,
        PaymentResult::NoDestination => OperationCode::NoDestination,
        PaymentResult::NoTrust => OperationCode::NoTrust,
        PaymentResult::NotAuthorized => OperationCode::NotAuthorized,
        PaymentResult::LineFull => OperationCode::LineFull,
        PaymentResult::NoIssuer => OperationCode::NoIssuer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stellar_xdr::{
        InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
        TransactionResultExt, WriteXdr,
    };

    fn encoded(fee_charged: i64, result: OuterXdr) -> String {
        let result = ResultXdr {
            fee_charged,
            result,
            ext: TransactionResultExt::V0,
        };
        result.to_xdr_base64(Limits::none()).unwrap()
    }

    #[test]
    fn a_refusal_keeps_the_fee_it_would_have_needed() {
        let result = decode_result(&encoded(2_100, OuterXdr::TxInsufficientFee)).unwrap();
        let expected = TransactionResult::refusal(TransactionCode::InsufficientFee, Stroops(2_100));
        assert_eq!(result, expected);
    }

    #[test]
    fn a_failed_inner_transaction_tells_every_operation() {
        let operations = vec![
            OperationXdr::OpInner(OperationResultTr::Payment(PaymentResult::Success)),
            OperationXdr::OpInner(OperationResultTr::Payment(PaymentResult::NoTrust)),
            OperationXdr::OpBadAuth,
        ];
        let pair = InnerTransactionResultPair {
            transaction_hash: stellar_xdr::Hash([7; 32]),
            result: InnerTransactionResult {
                fee_charged: 0,
                result: InnerXdr::TxFailed(operations.try_into().unwrap()),
                ext: InnerTransactionResultExt::V0,
            },
        };
        let result = decode_result(&encoded(400, OuterXdr::TxFeeBumpInnerFailed(pair))).unwrap();
        assert_eq!(result.code, TransactionCode::FeeBumpInnerFailed);
        assert_eq!(result.deciding_code(), TransactionCode::Failed);
        assert_eq!(result.inner.unwrap().hash, Hash([7; 32]));
        let names: Vec<_> = result.operations.iter().map(|code| code.name()).collect();
        assert_eq!(names, ["op_success", "op_no_trust", "op_bad_auth"]);
    }

    #[test]
    fn foreign_and_broken_results_are_errors() {
        let foreign = vec![OperationXdr::OpInner(OperationResultTr::Inflation(
            stellar_xdr::InflationResult::NotTime,
        ))];
        let error = decode_result(&encoded(
            100,
            OuterXdr::TxFailed(foreign.try_into().unwrap()),
        ))
        .unwrap_err();
        assert!(matches!(error, DecodeError::ForeignOperation { at: 0, .. }));
        for broken in ["", "AAAA", "not base64", &"A".repeat(40_000)] {
            assert!(matches!(
                decode_result(broken).unwrap_err(),
                DecodeError::NotXdr { .. }
            ));
        }
    }
}
