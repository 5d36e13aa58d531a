//! Taking over a sample of the network's fees: the newest ledger counts, whoever saw it.

use alloc::vec;

use crate::command::RecordFees;
use crate::decision::{Change, Decision, Rejection, Reply};
use crate::fees::market::FeeLevels;
use crate::fields::{refused, within};
use crate::state::State;
use crate::step::Context;

/// Decides a sample. One that is not newer than what is known is answered as stored and changes nothing.
///
/// # Errors
/// `Field` when it is no sample of a network.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    record: &RecordFees,
) -> Result<Decision, Rejection> {
    let sample = record.sample;
    within(
        "base_fee",
        &sample.base_fee.0,
        (1, i64::MAX),
        "1 stroop or more",
    )?;
    within(
        "capacity_usage",
        &sample.usage_permille,
        (0, 1_000),
        "0 to 1000 thousandths",
    )?;
    check_levels("max_fee", &sample.bid)?;
    check_levels("fee_charged", &sample.charged)?;
    let market = state.market();
    let changes = if sample.ledger > market.sample.ledger {
        vec![
            Change::PutMarket(market.sampled(sample, ctx.now)),
            Change::PutFeeSample(sample, ctx.now),
        ]
    } else {
        vec![]
    };
    Ok(Decision {
        changes,
        reply: Reply::FeesRecorded,
    })
}

fn check_levels(field: &'static str, levels: &FeeLevels) -> Result<(), Rejection> {
    let FeeLevels {
        p50,
        p90,
        p95,
        p99,
        max,
    } = *levels;
    let ordered = p50.0 >= 0 && p50 <= p90 && p90 <= p95 && p95 <= p99 && p99 <= max;
    if ordered {
        Ok(())
    } else {
        let expected = "percentiles of 0 stroops or more, in order";
        Err(refused(field, "percentiles out of order", expected))
    }
}
