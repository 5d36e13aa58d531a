//! `stellara fee savings`.

use clap::Args;
use stellara_client::api::{GetSavingsRequest, LaneSavings};

use crate::args::{Global, Output};
use crate::failure::Failure;
use crate::output::{self, json, print_json, word};

const COLUMNS: &[&str] = &[
    "priority",
    "payments",
    "batches",
    "paid",
    "lost",
    "bumped singles",
    "saved %",
    "charged",
    "margin",
    "forecast off %",
    "p50 ms",
    "p99 ms",
];

#[derive(Debug, Args)]
pub struct Savings {
    /// How many hours back, the present one included
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_784))]
    hours: u32,
}

impl Savings {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = GetSavingsRequest {
            hours: self.hours,
            ..GetSavingsRequest::default()
        };
        let savings = global.client()?.get_savings(&request).await?;
        if global.output == Output::Json {
            return print_json(&json("Savings", &savings)?);
        }
        let mut list = output::List::new(global.output, ("LaneSavings", "lanes"), COLUMNS);
        for lane in savings.lanes.iter().chain(&savings.total) {
            list.item(lane, row(lane))?;
        }
        list.finish("")
    }
}

fn row(lane: &LaneSavings) -> Vec<String> {
    let name = match word(lane.priority().as_str_name(), "PRIORITY_") {
        name if name == "unspecified" => "all".to_owned(),
        name => name,
    };
    vec![
        name,
        lane.payments.to_string(),
        lane.batches.to_string(),
        lane.fee_charged_stroops.to_string(),
        lane.fee_lost_stroops.to_string(),
        lane.bumped_singles_stroops.to_string(),
        format!("{:.1}", f64::from(lane.saved_permille) / 10.0),
        lane.charged_stroops.to_string(),
        lane.margin_stroops.to_string(),
        format!("{:.1}", f64::from(lane.prediction_error_permille) / 10.0),
        lane.wait_p50_ms.to_string(),
        lane.wait_p99_ms.to_string(),
    ]
}
