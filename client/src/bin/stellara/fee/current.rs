//! `stellara fee current`.

use stellara_client::api::{GetFeesRequest, LaneBid};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{ledger, print_record, word};
use crate::time::utc;

pub async fn run(global: &Global) -> Result<(), Failure> {
    let market = global
        .client()?
        .get_fees(&GetFeesRequest::default())
        .await?;
    let sample = market.sample.unwrap_or_default();
    let bid = |bid: &LaneBid| {
        let reason = word(bid.reason().as_str_name(), "BID_REASON_");
        let waits = if bid.deferred { ", waits" } else { "" };
        format!(
            "{} stroops ({reason}), at most {}{waits}",
            bid.bid_stroops, bid.cap_stroops
        )
    };
    let mut fields = vec![
        (
            "congestion",
            word(market.congestion().as_str_name(), "CONGESTION_"),
        ),
        (
            "price",
            format!("{} stroops an operation", market.price_stroops),
        ),
        ("ledger", ledger(sample.ledger)),
        ("seen at", utc(sample.at_ms)),
        ("base fee", format!("{} stroops", sample.base_fee_stroops)),
        (
            "ledgers full",
            format!("{} %", f64::from(sample.usage_permille) / 10.0),
        ),
    ];
    let names = [
        "bid of low",
        "bid of medium",
        "bid of high",
        "bid of critical",
    ];
    for (name, lane) in names.into_iter().zip(&market.bids) {
        fields.push((name, bid(lane)));
    }
    print_record(global.output, "FeeMarket", &market, &fields)
}
