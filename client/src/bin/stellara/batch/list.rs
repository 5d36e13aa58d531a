//! `stellara batch list`.

use clap::Args;
use stellara_client::api::{Batch, ListBatchesRequest};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, PAGE_ITEMS_MAX, ledger, or_dash, word};
use crate::time::utc;

const COLUMNS: &[&str] = &[
    "batch",
    "stage",
    "payments",
    "ledger",
    "formed at",
    "reason",
];

#[derive(Debug, Args)]
pub struct List {
    /// Batches on the page
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Where an earlier list ended
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// All batches, page after page
    #[arg(long)]
    all: bool,
}

impl List {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let mut request = ListBatchesRequest {
            page_size: self.limit,
            cursor: self.cursor,
            ..ListBatchesRequest::default()
        };
        let list = output::List::new(global.output, ("Batch", "batches"), COLUMNS);
        if self.all {
            request.page_size = PAGE_ITEMS_MAX;
            return list.print_all(client.batches(request), row).await;
        }
        let page = client.list_batches(&request).await?;
        list.print_page(&page.batches, row, &page.next_cursor)
    }
}

fn row(batch: &Batch) -> Vec<String> {
    vec![
        batch.batch_id.clone(),
        word(batch.stage().as_str_name(), "BATCH_STAGE_"),
        batch.payment_ids.len().to_string(),
        ledger(batch.ledger),
        utc(batch.formed_at_ms),
        or_dash(&batch.reason),
    ]
}
