//! The journal: what was applied, in order, as plain data that prints as JSON lines. It is the
//! evidence that the checker reads; it grows with every applied transaction, on purpose.

use serde::{Deserialize, Serialize};
use stellar_xdr::{Memo, MuxedAccount, OperationBody};

use crate::asset::asset_name;
use crate::codes;
use crate::envelope::Parsed;
use crate::network::TransactionRecord;
use crate::validity::operation_source;

/// What an operation moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// A payment.
    Payment,
    /// The creation of an account with a starting balance.
    CreateAccount,
}

/// One operation of an applied transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalOperation {
    /// Place in the transaction, from 0.
    pub index: u32,
    /// What it is.
    pub kind: OperationKind,
    /// Account whose money moves (G...).
    pub source: String,
    /// Destination as the operation names it: G..., or M... if muxed.
    pub destination: String,
    /// The account behind the destination (G...).
    pub destination_account: String,
    /// The id inside a muxed destination, as decimal digits: it may not fit a JSON number.
    pub muxed_id: Option<String>,
    /// `native` or `CODE:ISSUER`.
    pub asset: String,
    /// Amount in stroops.
    pub amount_stroops: i64,
    /// Horizon's name of the result, such as `op_success` or `op_no_trust`.
    pub code: String,
}

/// One applied transaction, successful or not: both consume the fee and the sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Ledger that includes it.
    pub ledger: u32,
    /// Close time of that ledger, Unix ms.
    pub closed_at_ms: u64,
    /// Hash of the envelope, hexadecimal.
    pub outer_hash: String,
    /// Hash of the inner transaction; the outer hash when it is no fee bump.
    pub inner_hash: String,
    /// Account whose sequence number was used.
    pub channel: String,
    /// That sequence number.
    pub sequence: i64,
    /// Account that paid the fee.
    pub fee_source: String,
    /// Fee charged, in stroops.
    pub fee_charged_stroops: i64,
    /// Fee that could have been charged, in stroops.
    pub fee_max_stroops: i64,
    /// Operations that counted: a bump is one more.
    pub ops_charged: u32,
    /// The memo, as [`memo_name`] writes it.
    pub memo: Option<String>,
    /// Whether every operation took effect; otherwise none did.
    pub successful: bool,
    /// Horizon's name of the result.
    pub code: String,
    /// Operations, in order.
    pub operations: Vec<JournalOperation>,
}

/// The text form of a memo: `text:...`, `id:...`, `hash:<hex>`, `return:<hex>`; none is `None`.
pub fn memo_name(memo: &Memo) -> Option<String> {
    match memo {
        Memo::None => None,
        Memo::Text(text) => Some(format!("text:{}", String::from_utf8_lossy(text.as_slice()))),
        Memo::Id(id) => Some(format!("id:{id}")),
        Memo::Hash(hash) => Some(format!("hash:{}", hex::encode(hash.0))),
        Memo::Return(hash) => Some(format!("return:{}", hex::encode(hash.0))),
    }
}

pub(crate) fn entry(record: &TransactionRecord) -> JournalEntry {
    let parsed = &record.parsed;
    JournalEntry {
        ledger: record.ledger,
        closed_at_ms: record.closed_at_ms,
        outer_hash: record.outer_hash.to_string(),
        inner_hash: record.inner_hash.to_string(),
        channel: parsed.source().to_string(),
        sequence: parsed.tx.seq_num.0,
        fee_source: parsed.fee_source().to_string(),
        fee_charged_stroops: record.fee_charged_stroops,
        fee_max_stroops: parsed.fee_max_stroops(),
        ops_charged: parsed.ops(),
        memo: memo_name(&parsed.tx.memo),
        successful: record.successful,
        code: codes::transaction_code(&record.result).to_owned(),
        operations: operations(parsed, record),
    }
}

fn operations(parsed: &Parsed, record: &TransactionRecord) -> Vec<JournalOperation> {
    let results = codes::operation_results(&record.result);
    let mut operations = Vec::new();
    for ((index, operation), result) in (0..).zip(&parsed.tx.operations).zip(results) {
        let (kind, destination, asset, amount_stroops) =
            if let OperationBody::Payment(op) = &operation.body {
                let asset = asset_name(&op.asset);
                (
                    OperationKind::Payment,
                    op.destination.clone(),
                    asset,
                    op.amount,
                )
            } else if let OperationBody::CreateAccount(op) = &operation.body {
                let destination = MuxedAccount::from(op.destination.clone());
                let asset = "native".to_owned();
                let amount = op.starting_balance;
                (OperationKind::CreateAccount, destination, asset, amount)
            } else {
                continue;
            };
        let muxed_id = match &destination {
            MuxedAccount::Ed25519(_) => None,
            MuxedAccount::MuxedEd25519(muxed) => Some(muxed.id.to_string()),
        };
        operations.push(JournalOperation {
            index,
            kind,
            source: operation_source(parsed, operation).to_string(),
            destination: destination.to_string(),
            destination_account: destination.account_id().to_string(),
            muxed_id,
            asset,
            amount_stroops,
            code: codes::operation_code(result).to_owned(),
        });
    }
    operations
}
