//! `stellara fee history`.

use clap::Args;
use stellara_client::api::{FeeSample, ListFeeSamplesRequest};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, PAGE_ITEMS_MAX, ledger};
use crate::time::utc;

const COLUMNS: &[&str] = &[
    "ledger",
    "seen at",
    "full %",
    "base",
    "charged p50",
    "charged max",
    "bid p50",
    "bid p90",
    "bid p99",
];

#[derive(Debug, Args)]
pub struct History {
    /// Samples on the page
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Where an earlier list ended
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// All samples, page after page
    #[arg(long)]
    all: bool,
}

impl History {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let mut request = ListFeeSamplesRequest {
            page_size: self.limit,
            cursor: self.cursor,
            ..ListFeeSamplesRequest::default()
        };
        let list = output::List::new(global.output, ("FeeSample", "samples"), COLUMNS);
        if self.all {
            request.page_size = PAGE_ITEMS_MAX;
            return list.print_all(client.fee_samples(request), row).await;
        }
        let page = client.list_fee_samples(&request).await?;
        list.print_page(&page.samples, row, &page.next_cursor)
    }
}

fn row(sample: &FeeSample) -> Vec<String> {
    let (bid, charged) = (
        sample.bid.unwrap_or_default(),
        sample.charged.unwrap_or_default(),
    );
    vec![
        ledger(sample.ledger),
        utc(sample.at_ms),
        format!("{:.1}", f64::from(sample.usage_permille) / 10.0),
        sample.base_fee_stroops.to_string(),
        charged.p50_stroops.to_string(),
        charged.max_stroops.to_string(),
        bid.p50_stroops.to_string(),
        bid.p90_stroops.to_string(),
        bid.p99_stroops.to_string(),
    ]
}
