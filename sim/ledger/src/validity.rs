//! Whether a transaction may enter the queue or the next ledger, in the order of stellar-core's
//! `checkValid`: what is found first is what is reported. Reads only.

use stellar_xdr::{
    CreateAccountResult, LedgerBounds, Operation, OperationBody, OperationResult,
    OperationResultTr, PaymentResult, Preconditions, PreconditionsV2, TimeBounds,
};

use crate::account::Account;
use crate::asset;
use crate::book::Book;
use crate::codes::{TxError, Verdict};
use crate::envelope::{Bump, Parsed, Signatures};

/// Whether signatures are still to be checked, or were when the transaction was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Check,
    Checked,
}

/// The ledger for which validity is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Sequence of the ledger that would include the transaction.
    pub(crate) ledger: u32,
    /// Time that a minimum must have passed, in Unix seconds.
    pub(crate) earliest_s: u64,
    /// Time that a maximum must not have passed, in Unix seconds.
    pub(crate) latest_s: u64,
    pub(crate) base_fee_stroops: i64,
    pub(crate) base_reserve_stroops: i64,
    pub(crate) auth: Auth,
}

/// Checks the whole transaction: the bump first, then what it carries.
pub(crate) fn check(book: &Book, parsed: &Parsed, moment: Moment) -> Result<(), Verdict> {
    match &parsed.bump {
        Some(bump) => {
            check_bump(book, parsed, bump, moment).map_err(Verdict::Outer)?;
            check_inner(book, parsed, moment).map_err(Verdict::Inner)
        }
        None => check_inner(book, parsed, moment).map_err(Verdict::Outer),
    }
}

fn check_bump(book: &Book, parsed: &Parsed, bump: &Bump, moment: Moment) -> Result<(), TxError> {
    let minimum = moment.base_fee_stroops * i64::from(parsed.ops());
    if bump.fee_stroops < minimum {
        return Err(TxError::InsufficientFee(minimum));
    }
    // The outer rate must not be below the inner one, compared without division.
    let inner_ops = i128::from(parsed.inner_ops().max(1));
    let offered = i128::from(bump.fee_stroops) * inner_ops;
    let required = i128::from(parsed.tx.fee) * i128::from(parsed.ops());
    if offered < required {
        let needed = (required + inner_ops - 1) / inner_ops;
        let needed = i64::try_from(needed).unwrap_or(i64::MAX);
        return Err(TxError::InsufficientFee(needed));
    }
    let fee_source = parsed.fee_source();
    let account = book.get(&fee_source).ok_or(TxError::NoAccount)?;
    let mut signatures = Signatures::new(parsed.outer_hash, &bump.signatures);
    if moment.auth == Auth::Check && !signatures.cover(&fee_source) {
        return Err(TxError::BadAuth);
    }
    if account.available_stroops(moment.base_reserve_stroops) < bump.fee_stroops {
        return Err(TxError::InsufficientBalance);
    }
    if moment.auth == Auth::Check && !signatures.all_used() {
        return Err(TxError::BadAuthExtra);
    }
    Ok(())
}

fn check_inner(book: &Book, parsed: &Parsed, moment: Moment) -> Result<(), TxError> {
    if parsed.tx.operations.is_empty() {
        return Err(TxError::MissingOperation);
    }
    let conditions = conditions(&parsed.tx.cond);
    check_bounds(&conditions, moment)?;
    let fee = i64::from(parsed.tx.fee);
    if parsed.bump.is_none() {
        let minimum = moment.base_fee_stroops * i64::from(parsed.ops());
        if fee < minimum {
            return Err(TxError::InsufficientFee(minimum));
        }
    }
    let source = parsed.source();
    let account = book.get(&source).ok_or(TxError::NoAccount)?;
    check_sequence(account, parsed.tx.seq_num.0, &conditions, moment)?;
    let mut signatures = Signatures::new(parsed.inner_hash, &parsed.signatures);
    if moment.auth == Auth::Check && !signatures.cover(&source) {
        return Err(TxError::BadAuth);
    }
    let available = account.available_stroops(moment.base_reserve_stroops);
    if parsed.bump.is_none() && available < fee {
        return Err(TxError::InsufficientBalance);
    }
    check_operations(book, parsed, moment, &mut signatures)?;
    if moment.auth == Auth::Check && !signatures.all_used() {
        return Err(TxError::BadAuthExtra);
    }
    Ok(())
}

fn conditions(preconditions: &Preconditions) -> PreconditionsV2 {
    match preconditions {
        Preconditions::None => PreconditionsV2::default(),
        Preconditions::Time(bounds) => PreconditionsV2 {
            time_bounds: Some(bounds.clone()),
            ..PreconditionsV2::default()
        },
        Preconditions::V2(conditions) => conditions.clone(),
    }
}

/// Time bounds are inclusive, 0 is no maximum; the ledger bounds' maximum is exclusive (CAP-21).
fn check_bounds(conditions: &PreconditionsV2, moment: Moment) -> Result<(), TxError> {
    if !conditions.extra_signers.is_empty() {
        return Err(TxError::NotSupported);
    }
    if let Some(TimeBounds { min_time, max_time }) = &conditions.time_bounds {
        if min_time.0 > moment.earliest_s {
            return Err(TxError::TooEarly);
        }
        if max_time.0 != 0 && max_time.0 < moment.latest_s {
            return Err(TxError::TooLate);
        }
    }
    if let Some(LedgerBounds {
        min_ledger,
        max_ledger,
    }) = conditions.ledger_bounds
    {
        if min_ledger > moment.ledger {
            return Err(TxError::TooEarly);
        }
        if max_ledger != 0 && max_ledger <= moment.ledger {
            return Err(TxError::TooLate);
        }
    }
    Ok(())
}

fn check_sequence(
    account: &Account,
    sequence: i64,
    conditions: &PreconditionsV2,
    moment: Moment,
) -> Result<(), TxError> {
    let follows = match &conditions.min_seq_num {
        Some(min) => account.sequence >= min.0 && account.sequence < sequence,
        None => account.sequence.checked_add(1) == Some(sequence),
    };
    if !follows {
        return Err(TxError::BadSeq);
    }
    let age_s = moment.earliest_s.saturating_sub(account.sequence_time_s);
    let gap = moment.ledger.saturating_sub(account.sequence_ledger);
    if conditions.min_seq_age.0 > age_s || conditions.min_seq_ledger_gap > gap {
        return Err(TxError::BadMinSeqAgeOrGap);
    }
    Ok(())
}

/// stellar-core stops at the first bad operation and reports the rest as untouched successes.
fn check_operations(
    book: &Book,
    parsed: &Parsed,
    moment: Moment,
    signatures: &mut Signatures<'_>,
) -> Result<(), TxError> {
    for (index, operation) in parsed.tx.operations.iter().enumerate() {
        let Some(bad) = check_operation(book, parsed, operation, moment, signatures) else {
            continue;
        };
        let mut results: Vec<OperationResult> =
            parsed.tx.operations.iter().map(untouched).collect();
        results[index] = bad;
        return Err(TxError::Failed(results));
    }
    Ok(())
}

fn untouched(operation: &Operation) -> OperationResult {
    if let OperationBody::Payment(_) = &operation.body {
        payment(PaymentResult::Success)
    } else if let OperationBody::CreateAccount(_) = &operation.body {
        created(CreateAccountResult::Success)
    } else {
        OperationResult::OpNotSupported
    }
}

fn check_operation(
    book: &Book,
    parsed: &Parsed,
    operation: &Operation,
    moment: Moment,
    signatures: &mut Signatures<'_>,
) -> Option<OperationResult> {
    let source = operation_source(parsed, operation);
    if book.get(&source).is_none() {
        return Some(OperationResult::OpNoAccount);
    }
    if moment.auth == Auth::Check && !signatures.cover(&source) {
        return Some(OperationResult::OpBadAuth);
    }
    if let OperationBody::Payment(op) = &operation.body {
        let malformed = op.amount <= 0 || !asset::is_valid(&op.asset);
        return malformed.then(|| payment(PaymentResult::Malformed));
    }
    if let OperationBody::CreateAccount(op) = &operation.body {
        let malformed = op.starting_balance < 0 || op.destination == source;
        return malformed.then(|| created(CreateAccountResult::Malformed));
    }
    Some(OperationResult::OpNotSupported)
}

/// The account that an operation acts for: its own source, else the transaction's.
pub(crate) fn operation_source(parsed: &Parsed, operation: &Operation) -> stellar_xdr::AccountId {
    operation
        .source_account
        .as_ref()
        .map_or_else(|| parsed.source(), |source| source.clone().account_id())
}

pub(crate) fn payment(result: PaymentResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Payment(result))
}

pub(crate) fn created(result: CreateAccountResult) -> OperationResult {
    OperationResult::OpInner(OperationResultTr::CreateAccount(result))
}
