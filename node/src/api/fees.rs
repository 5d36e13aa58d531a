//! The Fees service: current, quote, history, savings.

use stellara_machine::fees::bid::bid;
use stellara_machine::fees::book::{FeeHour, LaneHour, hour_of, wait_bound_ms};
use stellara_machine::fees::market::{Congestion, FeeLevels, FeeSample, Market};
use stellara_machine::fees::quote::{Asked, quote};
use stellara_machine::state::State;
use stellara_machine::units::{Lane, LedgerSeq, UnixMs};
use stellara_proto::v1;
use stellara_proto::v1::fees_server::Fees;
use tonic::{Request, Response, Status};

use super::errors::ApiError;
use super::parse::Listed;
use super::{format, meter, parse, reads};
use crate::gateway::Gateway;

const LANES: [Lane; 4] = [Lane::Low, Lane::Medium, Lane::High, Lane::Critical];
/// An hour, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// The service over a gateway.
#[derive(Clone)]
pub struct FeesApi<G> {
    gateway: G,
}

impl<G: Gateway> FeesApi<G> {
    /// The service.
    pub fn new(gateway: G) -> Self {
        Self { gateway }
    }

    async fn current(&self, request: v1::GetFeesRequest) -> Result<v1::FeeMarket, ApiError> {
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        Ok(view.state(market))
    }

    async fn quote(&self, request: v1::QuoteFeeRequest) -> Result<v1::FeeQuote, ApiError> {
        let asked = Asked {
            lane: parse::lane("priority", request.priority)?,
            payments: parse::quoted(request.payments)?,
            own_cap: parse::fee_cap(request.fee_cap_stroops)?,
        };
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        Ok(view.state(|state| {
            let told = quote(state.policy(), state.market(), asked, state.now());
            v1::FeeQuote {
                fee_expected_stroops: told.prediction.fee_expected.0,
                fee_max_stroops: told.prediction.fee_max.0,
                batches: u32::try_from(told.batches).unwrap_or(u32::MAX),
                bid_stroops: told.bid.0,
                reason: format::bid_reason(told.reason).into(),
                ledger: told.prediction.ledger.0,
                probability_permille: u32::from(told.prediction.probability_permille),
                wait_ms: told.wait_ms,
                bumped_singles_stroops: told.list.0,
                charged_stroops: told.charged.0,
            }
        }))
    }

    async fn samples(
        &self,
        request: v1::ListFeeSamplesRequest,
    ) -> Result<v1::ListFeeSamplesResponse, ApiError> {
        let page_size = parse::page_size(request.page_size)?;
        let from = parse::page_cursor(Listed::FeeSamples, &request.cursor)?;
        let to = match u32::try_from(from) {
            Ok(0) | Err(_) => LedgerSeq(u32::MAX - 1),
            Ok(ledger) => LedgerSeq(ledger - 1),
        };
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        let look =
            move |view: &_| stellara_raft_store::view::View::fee_samples(view, to, page_size + 1);
        let mut samples = reads::scan::<G, _>(view, look).await?;
        let full = samples.len() > page_size;
        samples.truncate(page_size);
        let last = samples.last().filter(|_| full);
        Ok(v1::ListFeeSamplesResponse {
            next_cursor: last
                .map(|(sample, _)| {
                    format::page_cursor(Listed::FeeSamples, u64::from(sample.ledger.0))
                })
                .unwrap_or_default(),
            samples: samples.iter().map(|(told, at)| sample(told, *at)).collect(),
        })
    }

    async fn savings(&self, request: v1::GetSavingsRequest) -> Result<v1::Savings, ApiError> {
        let hours = parse::hours(request.hours)?;
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        let to = view.state(|state| hour_of(state.now())) + 1;
        let from = to.saturating_sub(hours);
        let look = move |view: &_| {
            let rows_max = usize::try_from(hours).unwrap_or(usize::MAX);
            stellara_raft_store::view::View::fee_hours(view, from, to, rows_max)
        };
        let found = reads::scan::<G, _>(view, look).await?;
        Ok(savings(&found, (from, to)))
    }
}

fn market(state: &State) -> v1::FeeMarket {
    let (policy, market) = (state.policy(), state.market());
    let Market {
        sample: latest,
        at,
        needed,
        needed_until: _,
    } = *market;
    let congestion = market.congestion();
    let deferred = |lane: Lane| {
        congestion == Congestion::Surge && policy.defer_up_to.is_some_and(|up_to| lane <= up_to)
    };
    let bids = LANES.map(|lane| {
        let told = bid(policy, market, lane, None);
        v1::LaneBid {
            priority: format::priority(lane).into(),
            bid_stroops: told.per_operation.0,
            cap_stroops: told.cap.0,
            reason: format::bid_reason(told.reason).into(),
            deferred: deferred(lane),
        }
    });
    let congestion = match congestion {
        Congestion::Calm => v1::Congestion::Calm,
        Congestion::Busy => v1::Congestion::Busy,
        Congestion::Surge => v1::Congestion::Surge,
    };
    v1::FeeMarket {
        sample: Some(sample(&latest, at)),
        congestion: congestion.into(),
        price_stroops: market.price(policy.fee_base).0,
        needed_stroops: needed.0,
        bids: bids.to_vec(),
    }
}

fn sample(sample: &FeeSample, at: UnixMs) -> v1::FeeSample {
    v1::FeeSample {
        ledger: sample.ledger.0,
        at_ms: at.0,
        base_fee_stroops: sample.base_fee.0,
        usage_permille: u32::from(sample.usage_permille),
        bid: Some(levels(&sample.bid)),
        charged: Some(levels(&sample.charged)),
    }
}

const fn levels(levels: &FeeLevels) -> v1::FeeLevels {
    v1::FeeLevels {
        p50_stroops: levels.p50.0,
        p90_stroops: levels.p90.0,
        p95_stroops: levels.p95.0,
        p99_stroops: levels.p99.0,
        max_stroops: levels.max.0,
    }
}

fn savings(hours: &[FeeHour], (from, to): (u32, u32)) -> v1::Savings {
    let mut lanes = [LaneHour::default(); 4];
    for hour in hours {
        for (sum, lane) in lanes.iter_mut().zip(&hour.lanes) {
            sum.add(lane);
        }
    }
    let mut total = LaneHour::default();
    lanes.iter().for_each(|lane| total.add(lane));
    v1::Savings {
        from_ms: u64::from(from) * HOUR_MS,
        to_ms: u64::from(to) * HOUR_MS,
        lanes: LANES
            .iter()
            .zip(&lanes)
            .map(|(lane, sum)| lane_savings(format::priority(*lane), sum))
            .collect(),
        total: Some(lane_savings(v1::Priority::Unspecified, &total)),
    }
}

fn lane_savings(priority: v1::Priority, sum: &LaneHour) -> v1::LaneSavings {
    let paid = sum.fee_charged.0.saturating_add(sum.fee_lost.0);
    let saved = permille(
        sum.bumped_singles.0.saturating_sub(paid),
        sum.bumped_singles.0,
    );
    let off = permille(sum.fee_error.0, sum.fee_predicted.0);
    v1::LaneSavings {
        priority: priority.into(),
        payments: sum.payments,
        batches: sum.batches,
        fee_charged_stroops: sum.fee_charged.0,
        fee_lost_stroops: sum.fee_lost.0,
        bumped_singles_stroops: sum.bumped_singles.0,
        // Half of a bumped single: no bump to pay for.
        plain_singles_stroops: sum.bumped_singles.0 / 2,
        saved_permille: i32::try_from(saved).unwrap_or(i32::MIN),
        charged_stroops: sum.charged.0,
        margin_stroops: sum.charged.0.saturating_sub(paid),
        prediction_error_permille: u32::try_from(off).unwrap_or(u32::MAX),
        wait_p50_ms: wait(sum, 500),
        wait_p90_ms: wait(sum, 900),
        wait_p99_ms: wait(sum, 990),
    }
}

/// A share in thousandths; 0 of nothing.
fn permille(part: i64, whole: i64) -> i128 {
    (i128::from(part) * 1_000)
        .checked_div(i128::from(whole))
        .unwrap_or(0)
}

/// The upper bound of the class in which the wait of that share of the payments lies; 0 when none settled.
fn wait(sum: &LaneHour, share_permille: u64) -> u64 {
    let all: u64 = sum.waits.iter().map(|count| u64::from(*count)).sum();
    let rank = (all * share_permille).div_ceil(1_000);
    let mut seen = 0;
    let class = sum.waits.iter().position(|count| {
        seen += u64::from(*count);
        rank > 0 && seen >= rank
    });
    class.map_or(0, wait_bound_ms)
}

#[tonic::async_trait]
impl<G: Gateway> Fees for FeesApi<G> {
    async fn get_fees(
        &self,
        request: Request<v1::GetFeesRequest>,
    ) -> Result<Response<v1::FeeMarket>, Status> {
        meter::call::<G::Runtime, _>("GetFees", self.current(request.into_inner())).await
    }

    async fn quote_fee(
        &self,
        request: Request<v1::QuoteFeeRequest>,
    ) -> Result<Response<v1::FeeQuote>, Status> {
        meter::call::<G::Runtime, _>("QuoteFee", self.quote(request.into_inner())).await
    }

    async fn list_fee_samples(
        &self,
        request: Request<v1::ListFeeSamplesRequest>,
    ) -> Result<Response<v1::ListFeeSamplesResponse>, Status> {
        meter::call::<G::Runtime, _>("ListFeeSamples", self.samples(request.into_inner())).await
    }

    async fn get_savings(
        &self,
        request: Request<v1::GetSavingsRequest>,
    ) -> Result<Response<v1::Savings>, Status> {
        meter::call::<G::Runtime, _>("GetSavings", self.savings(request.into_inner())).await
    }
}

#[cfg(test)]
mod tests {
    use stellara_machine::units::Stroops;

    use super::*;

    #[test]
    fn savings_sum_hours_and_tell_percentiles_by_class() {
        let mut hour = FeeHour::default();
        hour.lanes[1] = LaneHour {
            payments: 100,
            batches: 1,
            fee_charged: Stroops(10_100),
            bumped_singles: Stroops(20_000),
            charged: Stroops(10_100),
            fee_predicted: Stroops(10_100),
            ..LaneHour::default()
        };
        hour.lanes[1].waits[10] = 90;
        hour.lanes[1].waits[12] = 10;
        let told = savings(&[hour, hour], (1, 3));
        let medium = &told.lanes[1];
        assert_eq!((medium.payments, medium.batches), (200, 2));
        assert_eq!(medium.saved_permille, 495);
        assert_eq!(medium.plain_singles_stroops, 20_000);
        assert_eq!(medium.wait_p50_ms, wait_bound_ms(10));
        assert_eq!(medium.wait_p90_ms, wait_bound_ms(10));
        assert_eq!(medium.wait_p99_ms, wait_bound_ms(12));
        let total = told.total.unwrap();
        assert_eq!(total.payments, 200);
        assert_eq!((told.from_ms, told.to_ms), (HOUR_MS, 3 * HOUR_MS));
        let none = savings(&[], (1, 3)).total.unwrap();
        assert_eq!((none.saved_permille, none.wait_p99_ms), (0, 0));
    }
}
