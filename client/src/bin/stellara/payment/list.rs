//! `stellara payment list`.

use clap::{Args, ValueEnum};
use stellara_client::api::{ListPaymentsRequest, Payment, PaymentStage};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, PAGE_ITEMS_MAX, ledger, or_dash};
use crate::payment::record;
use crate::time::utc;

const COLUMNS: &[&str] = &[
    "payment",
    "stage",
    "amount",
    "asset",
    "destination",
    "accepted at",
    "ledger",
    "reason",
];

#[derive(Debug, Args)]
pub struct List {
    /// Only payments at this stage
    #[arg(long, value_enum)]
    stage: Option<Stage>,
    /// Payments on the page
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Where an earlier list ended
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// All payments, page after page
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stage {
    Queued,
    Batched,
    Settled,
    Failed,
    Cancelled,
}

impl From<Stage> for PaymentStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Queued => Self::Queued,
            Stage::Batched => Self::Batched,
            Stage::Settled => Self::Settled,
            Stage::Failed => Self::Failed,
            Stage::Cancelled => Self::Cancelled,
        }
    }
}

impl List {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let mut request = ListPaymentsRequest {
            page_size: self.limit,
            cursor: self.cursor,
            stage: self
                .stage
                .map_or(0, |stage| PaymentStage::from(stage).into()),
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
        record::stage(payment),
        payment.amount.clone(),
        payment.asset.clone(),
        payment.destination.clone(),
        utc(payment.accepted_at_ms),
        ledger(payment.ledger),
        or_dash(&payment.reason),
    ]
}
