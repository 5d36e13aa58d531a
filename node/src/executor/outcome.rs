//! What an answer of the ledger means for an attempt: the outcome table as pure functions.
//!
//! The rule behind every line: a batch is only given back or given up when no envelope of it can still apply. A
//! refusal of one node's queue proves nothing about others that may hold the bytes, so all refusals but those that
//! lead to the same sequence again wait for proven absence.

use stellara_machine::command::{AttemptOutcome, OperationResult, Refusal};

use crate::ports::ledger::{
    FoundTransaction, OperationCode, SubmitAnswer, TransactionCode, TransactionResult,
};

/// What to do after offering an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterSubmit {
    /// It is in a queue, or may be: look its hashes up, offer the same bytes again after some ledgers.
    Poll,
    /// It is not in a queue now: look its hashes up, offer the same bytes again after a ledger.
    Resend,
    /// The node's queue had no place or bans the hash: as `Resend`, and a new bump when it goes on.
    TryLater,
    /// It reached nobody: offer the same bytes again after a back-off.
    BackOff {
        /// How long the endpoint asks to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The bid is too low: the same inner transaction in a new bump may be offered at once.
    Raise(Refusal),
    /// The sequence does not fit: look the hashes up, then the account's sequence.
    CheckSequence,
    /// Not taken, and it makes no sense to offer it again: tell the refusal once no envelope can apply any more.
    Refused(Refusal),
    /// Not taken for now: offer it again each ledger, tell the refusal once no envelope can apply any more.
    Unpayable(Refusal),
    /// Its bounds passed: tell so once the absence is proven.
    AwaitExpiry,
}

/// Reads the answer to an offered envelope.
#[must_use]
pub fn after_submit(answer: &SubmitAnswer) -> AfterSubmit {
    match answer {
        SubmitAnswer::Pending { .. } | SubmitAnswer::Duplicate { .. } => AfterSubmit::Poll,
        SubmitAnswer::Unknown { .. } => AfterSubmit::Resend,
        SubmitAnswer::TryAgainLater => AfterSubmit::TryLater,
        SubmitAnswer::NotSent { retry_after_ms, .. } => AfterSubmit::BackOff {
            retry_after_ms: *retry_after_ms,
        },
        SubmitAnswer::Refused(result) => after_refusal(result),
    }
}

fn after_refusal(result: &TransactionResult) -> AfterSubmit {
    let code = result.deciding_code();
    match code {
        TransactionCode::InsufficientFee => AfterSubmit::Raise(Refusal::InsufficientFee {
            fee_needed: result.fee_charged,
        }),
        TransactionCode::BadSeq => AfterSubmit::CheckSequence,
        TransactionCode::TooLate => AfterSubmit::AwaitExpiry,
        TransactionCode::InternalError
        | TransactionCode::TooEarly
        | TransactionCode::BadMinSeqAgeOrGap
        // A success that is a refusal is no answer of the ledger: nothing is known.
        | TransactionCode::Success
        | TransactionCode::Failed
        | TransactionCode::FeeBumpInnerSuccess
        | TransactionCode::FeeBumpInnerFailed => AfterSubmit::Resend,
        TransactionCode::InsufficientBalance => {
            AfterSubmit::Unpayable(Refusal::InsufficientBalance)
        }
        TransactionCode::BadAuth
        | TransactionCode::BadAuthExtra
        | TransactionCode::NoAccount
        | TransactionCode::Malformed
        | TransactionCode::MissingOperation
        | TransactionCode::NotSupported
        | TransactionCode::BadSponsorship
        | TransactionCode::SorobanInvalid
        | TransactionCode::FrozenKeyAccessed => AfterSubmit::Refused(Refusal::Terminal {
            code: code.name().to_owned(),
        }),
    }
}

/// What a transaction found in a ledger means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It used the sequence: no other envelope of the batch can apply. Final.
    Final(AttemptOutcome),
    /// It failed in the ledger before it surely used the sequence: final once the others' bounds have passed.
    FailedEarly(AttemptOutcome),
    /// The ledger's answer does not fit the batch; somebody must look.
    Misfit {
        /// Results told.
        operations: usize,
    },
}

/// Reads a transaction found in a ledger, for a batch of `payments` payments.
#[must_use]
pub fn found(found: &FoundTransaction, payments: usize) -> Found {
    let ledger = found.ledger;
    let fee_charged = found.result.fee_charged;
    if found.successful {
        return Found::Final(AttemptOutcome::Applied {
            ledger,
            fee_charged,
        });
    }
    let failed = |operations| AttemptOutcome::AppliedFailed {
        ledger,
        fee_charged,
        operations,
    };
    let codes = &found.result.operations;
    if found.result.deciding_code() != TransactionCode::Failed {
        return Found::FailedEarly(failed(Vec::new()));
    }
    if codes.len() != payments {
        return Found::Misfit {
            operations: codes.len(),
        };
    }
    Found::Final(failed(codes.iter().copied().map(operation).collect()))
}

/// Reads the result of one payment of a failed transaction.
#[must_use]
pub fn operation(code: OperationCode) -> OperationResult {
    let name = || code.name().to_owned();
    match code {
        OperationCode::Success => OperationResult::RolledBack,
        OperationCode::Malformed
        | OperationCode::NoDestination
        | OperationCode::NoTrust
        | OperationCode::NotAuthorized
        | OperationCode::LineFull
        | OperationCode::NoIssuer
        | OperationCode::NotSupported => OperationResult::Terminal { code: name() },
        // The treasury's trouble, not the payment's: it goes back and its operator is alerted.
        OperationCode::Underfunded
        | OperationCode::SrcNoTrust
        | OperationCode::SrcNotAuthorized
        | OperationCode::BadAuth
        | OperationCode::NoAccount
        | OperationCode::TooManySubentries
        | OperationCode::ExceededWorkLimit
        | OperationCode::TooManySponsoring => OperationResult::Retryable { code: name() },
    }
}

/// Whether an outcome tells that an account of ours cannot pay: somebody must act.
#[must_use]
pub fn needs_operator(outcome: &AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::AppliedFailed { operations, .. } => operations
            .iter()
            .any(|result| matches!(result, OperationResult::Retryable { .. })),
        AttemptOutcome::Refused(Refusal::InsufficientBalance | Refusal::Terminal { .. }) => true,
        AttemptOutcome::Refused(Refusal::InsufficientFee { .. } | Refusal::TryAgainLater)
        | AttemptOutcome::Applied { .. }
        | AttemptOutcome::Expired
        | AttemptOutcome::SequenceLost { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::ledger::InnerResult;
    use stellara_machine::ids::Hash;
    use stellara_machine::units::{LedgerSeq, Stroops};

    const ALL_REFUSALS: [(TransactionCode, &str); 15] = [
        (TransactionCode::InsufficientFee, "raise"),
        (TransactionCode::BadSeq, "check sequence"),
        (TransactionCode::TooLate, "await expiry"),
        (TransactionCode::TooEarly, "resend"),
        (TransactionCode::BadMinSeqAgeOrGap, "resend"),
        (TransactionCode::InternalError, "resend"),
        (TransactionCode::InsufficientBalance, "unpayable"),
        (TransactionCode::BadAuth, "tx_bad_auth"),
        (TransactionCode::BadAuthExtra, "tx_bad_auth_extra"),
        (TransactionCode::NoAccount, "tx_no_source_account"),
        (TransactionCode::Malformed, "tx_malformed"),
        (TransactionCode::MissingOperation, "tx_missing_operation"),
        (TransactionCode::NotSupported, "tx_not_supported"),
        (TransactionCode::BadSponsorship, "tx_bad_sponsorship"),
        (TransactionCode::SorobanInvalid, "tx_soroban_invalid"),
    ];

    fn named(after: &AfterSubmit) -> String {
        match after {
            AfterSubmit::Poll => "poll",
            AfterSubmit::Resend => "resend",
            AfterSubmit::TryLater => "try later",
            AfterSubmit::BackOff { .. } => "back off",
            AfterSubmit::Raise(_) => "raise",
            AfterSubmit::CheckSequence => "check sequence",
            AfterSubmit::Refused(Refusal::Terminal { code }) => code,
            AfterSubmit::Refused(_) => "refused",
            AfterSubmit::Unpayable(_) => "unpayable",
            AfterSubmit::AwaitExpiry => "await expiry",
        }
        .to_owned()
    }

    #[test]
    fn every_refusal_has_its_line_outer_or_inner() {
        for (code, expected) in ALL_REFUSALS {
            let outer = TransactionResult::refusal(code, Stroops(2_100));
            let inner = TransactionResult {
                code: TransactionCode::FeeBumpInnerFailed,
                inner: Some(InnerResult {
                    hash: Hash([1; 32]),
                    code,
                }),
                ..outer.clone()
            };
            for result in [outer, inner] {
                let after = after_submit(&SubmitAnswer::Refused(result));
                assert_eq!(named(&after), expected, "{}", code.name());
            }
        }
        let low = TransactionResult::refusal(TransactionCode::InsufficientFee, Stroops(2_100));
        let fee_needed = Stroops(2_100);
        assert_eq!(
            after_submit(&SubmitAnswer::Refused(low)),
            AfterSubmit::Raise(Refusal::InsufficientFee { fee_needed })
        );
    }

    #[test]
    fn answers_without_a_result_have_their_lines() {
        let hash = Hash([1; 32]);
        let why = String::new();
        let not_sent = SubmitAnswer::NotSent {
            why: why.clone(),
            retry_after_ms: Some(7),
        };
        let back_off = AfterSubmit::BackOff {
            retry_after_ms: Some(7),
        };
        for (answer, expected) in [
            (SubmitAnswer::Pending { hash }, AfterSubmit::Poll),
            (SubmitAnswer::Duplicate { hash }, AfterSubmit::Poll),
            (SubmitAnswer::TryAgainLater, AfterSubmit::TryLater),
            (SubmitAnswer::Unknown { why }, AfterSubmit::Resend),
            (not_sent, back_off),
        ] {
            assert_eq!(after_submit(&answer), expected);
        }
    }

    fn in_ledger(code: TransactionCode, operations: Vec<OperationCode>) -> FoundTransaction {
        let successful = code == TransactionCode::Success;
        FoundTransaction {
            ledger: LedgerSeq(9),
            successful,
            result: TransactionResult {
                fee_charged: Stroops(300),
                code: TransactionCode::FeeBumpInnerFailed,
                inner: Some(InnerResult {
                    hash: Hash([1; 32]),
                    code,
                }),
                operations,
            },
        }
    }

    #[test]
    fn what_is_in_a_ledger_is_final_unless_the_sequence_may_be_unused() {
        use OperationCode as Op;
        let applied = in_ledger(TransactionCode::Success, vec![Op::Success]);
        assert!(matches!(
            found(&applied, 1),
            Found::Final(AttemptOutcome::Applied { .. })
        ));
        let failed = in_ledger(
            TransactionCode::Failed,
            vec![Op::Success, Op::NoTrust, Op::Underfunded],
        );
        let Found::Final(AttemptOutcome::AppliedFailed { operations, .. }) = found(&failed, 3)
        else {
            panic!("a failed transaction is final");
        };
        assert_eq!(
            operations,
            [
                OperationResult::RolledBack,
                OperationResult::Terminal {
                    code: "op_no_trust".to_owned()
                },
                OperationResult::Retryable {
                    code: "op_underfunded".to_owned()
                },
            ]
        );
        assert_eq!(found(&failed, 2), Found::Misfit { operations: 3 });
        let early = in_ledger(TransactionCode::BadSeq, Vec::new());
        assert!(matches!(found(&early, 3), Found::FailedEarly(_)));
    }
}
