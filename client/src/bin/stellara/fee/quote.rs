//! `stellara fee quote`.

use clap::Args;
use stellara_client::api::{Priority, QuoteFeeRequest};

use crate::args::{Global, PriorityArg};
use crate::failure::Failure;
use crate::output::{ledger, print_record, word};

#[derive(Debug, Args)]
pub struct Quote {
    /// How many payments, submitted together
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    payments: u32,
    /// How urgent they are
    #[arg(long, value_enum, default_value_t = PriorityArg::Medium)]
    priority: PriorityArg,
    /// Their own cap for a bid per operation, in stroops
    #[arg(long, value_name = "STROOPS", default_value_t = 0, hide_default_value = true,
          value_parser = clap::value_parser!(i64).range(0..=100_000_000))]
    fee_cap: i64,
}

impl Quote {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = QuoteFeeRequest {
            priority: Priority::from(self.priority).into(),
            payments: self.payments,
            fee_cap_stroops: self.fee_cap,
            ..QuoteFeeRequest::default()
        };
        let quote = global.client()?.quote_fee(&request).await?;
        let stroops = |fee: i64| format!("{fee} stroops");
        let fields = [
            ("expected", stroops(quote.fee_expected_stroops)),
            ("at most", stroops(quote.fee_max_stroops)),
            ("transactions", quote.batches.to_string()),
            (
                "bid",
                format!(
                    "{} stroops an operation ({})",
                    quote.bid_stroops,
                    word(quote.reason().as_str_name(), "BID_REASON_")
                ),
            ),
            ("waits", format!("{} ms at most", quote.wait_ms)),
            (
                "settles in",
                format!(
                    "ledger {}, with {} %",
                    ledger(quote.ledger),
                    f64::from(quote.probability_permille) / 10.0
                ),
            ),
            ("bumped singles", stroops(quote.bumped_singles_stroops)),
            ("charged", stroops(quote.charged_stroops)),
        ];
        print_record(global.output, "FeeQuote", &quote, &fields)
    }
}
