//! `stellara payment submit`: one payment from the arguments, or all of a file.

use std::path::PathBuf;

use clap::Args;
use stellara_client::Accepted;
use stellara_client::api::memo::Memo as Kind;
use stellara_client::api::{Memo, Priority, SubmitPaymentRequest, SubmitPaymentResponse};

use crate::args::{Global, Output, PriorityArg};
use crate::failure::Failure;
use crate::output::{json, print_fields, print_json};
use crate::payment::{check, file, rows};

#[derive(Debug, Args)]
pub struct Submit {
    /// Who receives: G..., or M... for a multiplexed account
    #[arg(long, value_name = "ACCOUNT", required_unless_present = "file")]
    destination: Option<String>,
    /// What: native, or CODE:ISSUER
    #[arg(long, required_unless_present = "file")]
    asset: Option<String>,
    /// How much: at most seven decimals
    #[arg(long, required_unless_present = "file")]
    amount: Option<String>,
    #[command(flatten)]
    memo: MemoArgs,
    /// How urgent [default: medium]
    #[arg(long, value_enum)]
    priority: Option<PriorityArg>,
    /// Text of yours, kept with the payment and not put on the ledger
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// The most to bid for its operation, in stroops [default: the cap of its priority]
    #[arg(long, value_name = "STROOPS", value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    fee_cap: Option<i64>,
    /// The account whose money moves [default: the cluster's first treasury]
    #[arg(long, value_name = "ACCOUNT")]
    treasury: Option<String>,
    /// Your name for this payment: the same key pays once [default: a random one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Submit all payments of a file (- for stdin): CSV with a header, or JSON lines, with the
    /// columns destination, asset, amount, memo_text, memo_id, memo_hash, memo_return, priority,
    /// reference, treasury, idempotency_key. A row without a key gets one made of its contents,
    /// so the same file can be run again and pays once
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "destination", "asset", "amount", "memo", "priority", "reference", "fee_cap", "treasury",
        "idempotency_key",
    ])]
    file: Option<PathBuf>,
    #[command(flatten)]
    bulk: BulkArgs,
}

#[derive(Debug, Args)]
#[group(id = "memo", multiple = false)]
struct MemoArgs {
    /// A memo of at most 28 bytes
    #[arg(long, value_name = "TEXT")]
    memo_text: Option<String>,
    /// A memo that is a number
    #[arg(long, value_name = "NUMBER")]
    memo_id: Option<u64>,
    /// A memo that is a hash, 64 hexadecimal digits
    #[arg(long, value_name = "HASH")]
    memo_hash: Option<String>,
    /// The hash of the transaction that is refunded, 64 hexadecimal digits
    #[arg(long, value_name = "HASH")]
    memo_return: Option<String>,
}

/// What only a file takes.
#[derive(Debug, Args)]
pub struct BulkArgs {
    /// The file's format [default: by its extension, csv or jsonl]
    #[arg(long, value_enum, requires = "file")]
    pub format: Option<rows::Format>,
    /// Validate every row before anything is sent; send nothing when one is wrong
    #[arg(long, requires = "file")]
    pub check: bool,
    /// Validate every row and send nothing at all
    #[arg(long, requires = "file")]
    pub dry_run: bool,
    /// Write the result of every row to a file, as JSON lines
    #[arg(long, value_name = "FILE", requires = "file")]
    pub report: Option<PathBuf>,
}

impl MemoArgs {
    fn memo(self) -> Option<Memo> {
        let kind = self
            .memo_text
            .map(Kind::Text)
            .or(self.memo_id.map(Kind::Id))
            .or(self.memo_hash.map(Kind::Hash))
            .or(self.memo_return.map(Kind::ReturnHash))?;
        Some(Memo { memo: Some(kind) })
    }
}

impl Submit {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        if let Some(path) = &self.file {
            return file::run(global, path, &self.bulk).await;
        }
        let payment = SubmitPaymentRequest {
            idempotency_key: self.idempotency_key.unwrap_or_default(),
            destination: self.destination.unwrap_or_default(),
            asset: self.asset.unwrap_or_default(),
            amount: self.amount.unwrap_or_default(),
            treasury: self.treasury.unwrap_or_default(),
            memo: self.memo.memo(),
            priority: self.priority.map_or(0, |p| Priority::from(p).into()),
            reference: self.reference.unwrap_or_default(),
            fee_cap_stroops: self.fee_cap.unwrap_or_default(),
        };
        check::payment(&payment)?;
        let accepted = global.client()?.submit_payment(&payment).await?;
        print(global.output, accepted)
    }
}

fn print(output: Output, accepted: Accepted) -> Result<(), Failure> {
    let response = SubmitPaymentResponse {
        payment_id: accepted.payment_id,
        repeated: accepted.repeated,
    };
    match output {
        Output::Json => {
            let mut value = json("SubmitPaymentResponse", &response)?;
            value["idempotencyKey"] = accepted.idempotency_key.into();
            print_json(&value)
        }
        Output::Table => print_fields(&[
            ("payment", response.payment_id),
            (
                "accepted",
                if response.repeated { "before" } else { "now" }.to_owned(),
            ),
            ("key", accepted.idempotency_key),
        ]),
    }
}
