//! The rows of fees: the market, its samples, the book, and what batches carry of them.

use stellara_machine::command::RecordFees;
use stellara_machine::fees::bid::BidReason;
use stellara_machine::fees::book::{FeeHour, LaneHour, WAITS};
use stellara_machine::fees::charge::Charge;
use stellara_machine::fees::market::{FeeLevels, FeeSample, Market};
use stellara_machine::fees::predict::Prediction;
use stellara_machine::units::{LedgerSeq, Stroops, UnixMs};
use stellara_proto::v1::log;

use super::{DecodeError, field, missing, small};

fn levels_to_proto(levels: &FeeLevels) -> log::FeeLevels {
    log::FeeLevels {
        p50_stroops: levels.p50.0,
        p90_stroops: levels.p90.0,
        p95_stroops: levels.p95.0,
        p99_stroops: levels.p99.0,
        max_stroops: levels.max.0,
    }
}

fn levels_from_proto(levels: &log::FeeLevels) -> FeeLevels {
    FeeLevels {
        p50: Stroops(levels.p50_stroops),
        p90: Stroops(levels.p90_stroops),
        p95: Stroops(levels.p95_stroops),
        p99: Stroops(levels.p99_stroops),
        max: Stroops(levels.max_stroops),
    }
}

fn sample_to_proto(sample: &FeeSample) -> log::FeeSample {
    log::FeeSample {
        ledger: sample.ledger.0,
        base_fee_stroops: sample.base_fee.0,
        usage_permille: u32::from(sample.usage_permille),
        bid: Some(levels_to_proto(&sample.bid)),
        charged: Some(levels_to_proto(&sample.charged)),
    }
}

fn sample_from_proto(sample: Option<log::FeeSample>) -> Result<FeeSample, DecodeError> {
    let sample = sample.ok_or_else(|| missing("sample"))?;
    Ok(FeeSample {
        ledger: LedgerSeq(sample.ledger),
        base_fee: Stroops(sample.base_fee_stroops),
        usage_permille: small("usage_permille", sample.usage_permille)?,
        bid: levels_from_proto(&sample.bid.ok_or_else(|| missing("sample.bid"))?),
        charged: levels_from_proto(&sample.charged.ok_or_else(|| missing("sample.charged"))?),
    })
}

pub(super) fn record_fees_to_proto(record: &RecordFees) -> log::RecordFees {
    log::RecordFees {
        sample: Some(sample_to_proto(&record.sample)),
    }
}

pub(super) fn record_fees_from_proto(record: log::RecordFees) -> Result<RecordFees, DecodeError> {
    Ok(RecordFees {
        sample: sample_from_proto(record.sample)?,
    })
}

/// What is known of the network's fees.
#[must_use]
pub fn market_to_row(market: &Market) -> log::MarketRow {
    log::MarketRow {
        sample: Some(sample_to_proto(&market.sample)),
        at_ms: market.at.0,
        needed_stroops: market.needed.0,
        needed_until: market.needed_until.0,
    }
}

/// The market in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn market_from_row(row: log::MarketRow) -> Result<Market, DecodeError> {
    Ok(Market {
        sample: sample_from_proto(row.sample)?,
        at: UnixMs(row.at_ms),
        needed: Stroops(row.needed_stroops),
        needed_until: LedgerSeq(row.needed_until),
    })
}

/// A sample and when it was taken over.
#[must_use]
pub fn fee_sample_to_row(sample: &FeeSample, at: UnixMs) -> log::FeeSampleRow {
    log::FeeSampleRow {
        sample: Some(sample_to_proto(sample)),
        at_ms: at.0,
    }
}

/// The sample in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn fee_sample_from_row(row: log::FeeSampleRow) -> Result<(FeeSample, UnixMs), DecodeError> {
    Ok((sample_from_proto(row.sample)?, UnixMs(row.at_ms)))
}

/// What happened in an hour; the key is the hour.
#[must_use]
pub fn fee_hour_to_row(hour: &FeeHour) -> log::FeeHourRow {
    let lane = |lane: &LaneHour| log::LaneHour {
        payments: lane.payments,
        batches: lane.batches,
        fee_charged_stroops: lane.fee_charged.0,
        fee_lost_stroops: lane.fee_lost.0,
        bumped_singles_stroops: lane.bumped_singles.0,
        charged_stroops: lane.charged.0,
        fee_predicted_stroops: lane.fee_predicted.0,
        fee_error_stroops: lane.fee_error.0,
        // Most classes are empty: those after the last that is not are left out.
        waits: match lane.waits.iter().rposition(|count| *count > 0) {
            Some(last) => lane.waits[..=last].to_vec(),
            None => Vec::new(),
        },
    };
    log::FeeHourRow {
        lanes: hour.lanes.iter().map(lane).collect(),
    }
}

/// The hour in a row.
///
/// # Errors
/// `DecodeError` names the field at fault.
pub fn fee_hour_from_row(hour: u32, row: &log::FeeHourRow) -> Result<FeeHour, DecodeError> {
    let lanes: Vec<LaneHour> = row.lanes.iter().map(lane_hour).collect::<Result<_, _>>()?;
    let count = lanes.len();
    let lanes =
        <[LaneHour; 4]>::try_from(lanes).map_err(|_| field("lanes", count, "one for each lane"))?;
    Ok(FeeHour { hour, lanes })
}

fn lane_hour(lane: &log::LaneHour) -> Result<LaneHour, DecodeError> {
    let mut waits = [0; WAITS];
    let known = waits.get_mut(..lane.waits.len());
    let count = lane.waits.len();
    known
        .ok_or_else(|| field("waits", count, "at most 40 classes"))?
        .copy_from_slice(&lane.waits);
    Ok(LaneHour {
        payments: lane.payments,
        batches: lane.batches,
        fee_charged: Stroops(lane.fee_charged_stroops),
        fee_lost: Stroops(lane.fee_lost_stroops),
        bumped_singles: Stroops(lane.bumped_singles_stroops),
        charged: Stroops(lane.charged_stroops),
        fee_predicted: Stroops(lane.fee_predicted_stroops),
        fee_error: Stroops(lane.fee_error_stroops),
        waits,
    })
}

pub(super) fn prediction_to_proto(prediction: &Prediction) -> log::Prediction {
    log::Prediction {
        fee_expected_stroops: prediction.fee_expected.0,
        fee_max_stroops: prediction.fee_max.0,
        ledger: prediction.ledger.0,
        probability_permille: u32::from(prediction.probability_permille),
    }
}

pub(super) fn prediction_from_proto(
    prediction: Option<log::Prediction>,
) -> Result<Prediction, DecodeError> {
    let prediction = prediction.unwrap_or_default();
    Ok(Prediction {
        fee_expected: Stroops(prediction.fee_expected_stroops),
        fee_max: Stroops(prediction.fee_max_stroops),
        ledger: LedgerSeq(prediction.ledger),
        probability_permille: small("probability_permille", prediction.probability_permille)?,
    })
}

pub(super) fn charge_to_proto(charge: &Charge) -> log::Charge {
    log::Charge {
        cost_stroops: charge.cost.0,
        list_stroops: charge.list.0,
        discount_permille: u32::from(charge.discount_permille),
        charged_stroops: charge.charged.0,
    }
}

pub(super) fn charge_from_proto(charge: Option<log::Charge>) -> Result<Charge, DecodeError> {
    let charge = charge.unwrap_or_default();
    Ok(Charge {
        cost: Stroops(charge.cost_stroops),
        list: Stroops(charge.list_stroops),
        discount_permille: small("discount_permille", charge.discount_permille)?,
        charged: Stroops(charge.charged_stroops),
    })
}

pub(super) fn bid_reason_from_number(number: u32) -> Result<BidReason, DecodeError> {
    u8::try_from(number)
        .ok()
        .and_then(BidReason::from_number)
        .ok_or_else(|| field("bid_reason", number, "0 to 3"))
}
