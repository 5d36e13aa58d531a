//! A payment on the screen.

use stellara_client::api::memo::Memo as Kind;
use stellara_client::api::{Memo, Payment};

use crate::args::Output;
use crate::failure::Failure;
use crate::output::{ledger, or_dash, print_record, word};
use crate::time::utc;

/// Prints one payment with all that is known of it.
pub fn print(output: Output, payment: &Payment) -> Result<(), Failure> {
    let fields = [
        ("payment", payment.payment_id.clone()),
        ("stage", stage(payment)),
        ("since", utc(payment.stage_at_ms)),
        ("destination", payment.destination.clone()),
        ("amount", format!("{} {}", payment.amount, payment.asset)),
        ("treasury", or_dash(&payment.treasury)),
        ("memo", memo(payment.memo.as_ref())),
        (
            "priority",
            word(payment.priority().as_str_name(), "PRIORITY_"),
        ),
        ("reference", or_dash(&payment.reference)),
        ("key", payment.idempotency_key.clone()),
        ("accepted at", utc(payment.accepted_at_ms)),
        ("batch", or_dash(&payment.batch_id)),
        ("ledger", ledger(payment.ledger)),
        ("failures", payment.failures.to_string()),
        ("reason", or_dash(&payment.reason)),
    ];
    print_record(output, "Payment", payment, &fields)
}

pub fn stage(payment: &Payment) -> String {
    word(payment.stage().as_str_name(), "PAYMENT_STAGE_")
}

fn memo(memo: Option<&Memo>) -> String {
    match memo.and_then(|memo| memo.memo.as_ref()) {
        None => "-".into(),
        Some(Kind::Text(text)) => format!("text {text}"),
        Some(Kind::Id(id)) => format!("id {id}"),
        Some(Kind::Hash(hash)) => format!("hash {hash}"),
        Some(Kind::ReturnHash(hash)) => format!("return {hash}"),
    }
}
