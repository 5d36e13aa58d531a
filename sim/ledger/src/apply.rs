//! Applies the operations of one included transaction: all of them are tried, so that every bad
//! one is known, and all are undone when one failed. Within a payment the destination is judged
//! before the source, as in stellar-core.

use stellar_xdr::{
    AccountId, Asset, CreateAccountOp, CreateAccountResult, OperationBody, OperationResult,
    PaymentOp, PaymentResult,
};

use crate::account::Account;
use crate::asset;
use crate::book::Book;
use crate::codes;
use crate::envelope::Parsed;
use crate::validity::{created, operation_source, payment};

/// The ledger in which operations are applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applying {
    pub(crate) ledger: u32,
    pub(crate) closed_at_s: u64,
    pub(crate) base_reserve_stroops: i64,
}

/// Consumes the sequence number, then applies all operations or none.
pub(crate) fn apply(book: &mut Book, parsed: &Parsed, at: Applying) -> Vec<OperationResult> {
    if let Some(source) = book.edit(&parsed.source()) {
        source.sequence = parsed.tx.seq_num.0;
        source.sequence_ledger = at.ledger;
        source.sequence_time_s = at.closed_at_s;
    }
    book.begin();
    let results: Vec<OperationResult> = parsed
        .tx
        .operations
        .iter()
        .map(|operation| {
            let source = operation_source(parsed, operation);
            apply_operation(book, &source, &operation.body, at)
        })
        .collect();
    if results.iter().all(codes::is_success) {
        book.commit();
    } else {
        book.rollback();
    }
    results
}

fn apply_operation(
    book: &mut Book,
    source: &AccountId,
    body: &OperationBody,
    at: Applying,
) -> OperationResult {
    if book.get(source).is_none() {
        return OperationResult::OpNoAccount;
    }
    if let OperationBody::Payment(op) = body {
        payment(match pay(book, source, op, at) {
            Ok(()) => PaymentResult::Success,
            Err(failure) => failure,
        })
    } else if let OperationBody::CreateAccount(op) = body {
        created(match create(book, source, op, at) {
            Ok(()) => CreateAccountResult::Success,
            Err(failure) => failure,
        })
    } else {
        OperationResult::OpNotSupported
    }
}

fn pay(
    book: &mut Book,
    source: &AccountId,
    op: &PaymentOp,
    at: Applying,
) -> Result<(), PaymentResult> {
    let destination = op.destination.clone().account_id();
    match asset::code_and_issuer(&op.asset) {
        None => pay_native(book, source, &destination, op.amount, at),
        Some((_, issuer)) => {
            let issuer = issuer.clone();
            pay_issued(book, source, &destination, op, &issuer)
        }
    }
}

fn pay_native(
    book: &mut Book,
    source: &AccountId,
    destination: &AccountId,
    amount: i64,
    at: Applying,
) -> Result<(), PaymentResult> {
    let receiver = book.get(destination).ok_or(PaymentResult::NoDestination)?;
    // Native to oneself is a success whatever the balance: stellar-core returns early.
    if source == destination {
        return Ok(());
    }
    if receiver.balance_stroops.checked_add(amount).is_none() {
        return Err(PaymentResult::LineFull);
    }
    let available = book
        .get(source)
        .map_or(0, |a| a.available_stroops(at.base_reserve_stroops));
    if available < amount {
        return Err(PaymentResult::Underfunded);
    }
    if let Some(account) = book.edit(source) {
        account.balance_stroops -= amount;
    }
    if let Some(account) = book.edit(destination) {
        account.balance_stroops += amount;
    }
    Ok(())
}

/// The issuer needs no trust line: it mints when it pays and burns when it is paid. A missing
/// issuer answers `op_no_issuer`, which the network stopped doing in protocol 13 (CAP-17) but
/// callers must still handle.
fn pay_issued(
    book: &mut Book,
    source: &AccountId,
    destination: &AccountId,
    op: &PaymentOp,
    issuer: &AccountId,
) -> Result<(), PaymentResult> {
    if book.get(destination).is_none() {
        return Err(PaymentResult::NoDestination);
    }
    if book.get(issuer).is_none() {
        return Err(PaymentResult::NoIssuer);
    }
    if destination != issuer {
        check_receiver(book, destination, op)?;
    }
    if source != issuer {
        let line = book
            .get(source)
            .and_then(|account| account.trust_lines.get(&op.asset))
            .ok_or(PaymentResult::SrcNoTrust)?;
        if !line.authorized {
            return Err(PaymentResult::SrcNotAuthorized);
        }
        if line.balance_stroops < op.amount {
            return Err(PaymentResult::Underfunded);
        }
        add_to_line(book, source, &op.asset, -op.amount);
    }
    if destination != issuer {
        add_to_line(book, destination, &op.asset, op.amount);
    }
    Ok(())
}

fn check_receiver(
    book: &Book,
    destination: &AccountId,
    op: &PaymentOp,
) -> Result<(), PaymentResult> {
    let line = book
        .get(destination)
        .and_then(|account| account.trust_lines.get(&op.asset))
        .ok_or(PaymentResult::NoTrust)?;
    if !line.authorized {
        return Err(PaymentResult::NotAuthorized);
    }
    let room = line.limit_stroops.saturating_sub(line.balance_stroops);
    if room < op.amount {
        return Err(PaymentResult::LineFull);
    }
    Ok(())
}

fn add_to_line(book: &mut Book, account: &AccountId, asset: &Asset, amount: i64) {
    let line = book
        .edit(account)
        .and_then(|account| account.trust_lines.get_mut(asset));
    if let Some(line) = line {
        line.balance_stroops += amount;
    }
}

fn create(
    book: &mut Book,
    source: &AccountId,
    op: &CreateAccountOp,
    at: Applying,
) -> Result<(), CreateAccountResult> {
    if book.get(&op.destination).is_some() {
        return Err(CreateAccountResult::AlreadyExist);
    }
    if op.starting_balance < 2 * at.base_reserve_stroops {
        return Err(CreateAccountResult::LowReserve);
    }
    let available = book
        .get(source)
        .map_or(0, |a| a.available_stroops(at.base_reserve_stroops));
    if available < op.starting_balance {
        return Err(CreateAccountResult::Underfunded);
    }
    if let Some(account) = book.edit(source) {
        account.balance_stroops -= op.starting_balance;
    }
    let account = Account {
        balance_stroops: op.starting_balance,
        sequence: first_sequence(at.ledger),
        ..Account::default()
    };
    book.insert(op.destination.clone(), account);
    Ok(())
}

/// A new account starts at its ledger's sequence shifted by 32 bits, so that old transactions
/// of a merged and recreated account cannot be replayed.
pub(crate) fn first_sequence(ledger: u32) -> i64 {
    i64::from(ledger) << 32
}
