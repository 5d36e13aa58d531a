//! `stellara deadletter list`.

use clap::Args;
use stellara_client::api::{ListPaymentsRequest, Payment, PaymentStage};

use super::advice::advice;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, PAGE_ITEMS_MAX, or_dash};
use crate::time::utc;

const COLUMNS: &[&str] = &[
    "payment",
    "amount",
    "asset",
    "destination",
    "failed at",
    "failures",
    "reason",
    "advice",
];

#[derive(Debug, Args)]
pub struct List {
    /// Payments on the page
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Where an earlier list ended
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// All of them, page after page
    #[arg(long)]
    all: bool,
}

impl List {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let mut request = ListPaymentsRequest {
            page_size: self.limit,
            cursor: self.cursor,
            stage: PaymentStage::Failed.into(),
            ..ListPaymentsRequest::default()
        };
        let list = output::List::new(global.output, ("Payment", "payments"), COLUMNS);
        if self.all {
            request.page_size = PAGE_ITEMS_MAX;
            return list.print_all(client.payments(request), row).await;
        }
        let page = client.list_payments(&request).await?;
        list.print_page(&page.payments, row, &page.next_cursor)
    }
}

fn row(payment: &Payment) -> Vec<String> {
    vec![
        payment.payment_id.clone(),
        payment.amount.clone(),
        payment.asset.clone(),
        payment.destination.clone(),
        utc(payment.stage_at_ms),
        payment.failures.to_string(),
        or_dash(&payment.reason),
        advice(&payment.reason).to_owned(),
    ]
}
