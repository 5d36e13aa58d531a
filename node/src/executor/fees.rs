//! Tells the machine what the network's fees are: bids, delays and predictions rest on it, the same on every node.
//!
//! A sample is proposed when it tells something new: prices or fullness moved, or a minute went by. An idle network
//! leaves an idle log.

use std::time::Duration;

use openraft_rt::AsyncRuntime;
use stellara_machine::command::{Command, RecordFees};
use stellara_machine::fees::market::{FeeLevels, FeeSample, Market};
use tracing::{debug, warn};

use super::{Backoff, Cluster, Ended, Executor, ProposeError};
use crate::ports::ledger::{FeeDistribution, FeeStats};
use crate::ports::{Clock, Ledger, Signer};

/// The same prices are told again after so many ledgers.
const SAME_LEDGERS: u32 = 12;
/// Fullness counts as moved in steps of so many thousandths.
const USAGE_STEP_PERMILLE: u16 = 100;

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    pub(super) async fn watch_fees(&self) -> Ended {
        let mut backoff = Backoff::new(&self.settings);
        loop {
            let timeout = Duration::from_millis(self.settings.request_timeout_ms);
            match R::timeout(timeout, self.ledger.fee_stats()).await {
                Ok(Ok(stats)) => {
                    if let Some(ended) = self.tell_fees(sample(&stats)).await {
                        return ended;
                    }
                    backoff = Backoff::new(&self.settings);
                    self.pause(self.settings.ledger_ms).await;
                }
                Ok(Err(error)) => {
                    debug!(%error, "fees cannot be read");
                    self.pause(backoff.next().max(self.settings.ledger_ms))
                        .await;
                }
                Err(_) => self.pause(backoff.next()).await,
            }
        }
    }

    async fn tell_fees(&self, sample: FeeSample) -> Option<Ended> {
        if !is_news(&self.cluster.market(), &sample) {
            return None;
        }
        match self
            .cluster
            .propose(Command::RecordFees(RecordFees { sample }))
            .await
        {
            Ok(_) | Err(ProposeError::Unknown | ProposeError::Overloaded) => None,
            Err(ProposeError::Rejected(rejection)) => {
                warn!(?rejection, ?sample, "sample of fees refused");
                None
            }
            Err(ProposeError::NotLeader) => Some(Ended::NotLeader),
            Err(ProposeError::Stopped) => Some(Ended::Stopped),
        }
    }
}

fn is_news(market: &Market, sample: &FeeSample) -> bool {
    let known = &market.sample;
    if sample.ledger <= known.ledger {
        return false;
    }
    let step = |sample: &FeeSample| sample.usage_permille / USAGE_STEP_PERMILLE;
    let moved = sample.base_fee != known.base_fee
        || sample.charged != known.charged
        || sample.bid != known.bid
        || step(sample) != step(known);
    // What a refusal told is forgotten only when later ledgers are known.
    let remembers = market.needed.0 > 0;
    moved || remembers || sample.ledger.0 - known.ledger.0 >= SAME_LEDGERS
}

fn sample(stats: &FeeStats) -> FeeSample {
    FeeSample {
        ledger: stats.last_ledger,
        base_fee: stats.base_fee,
        usage_permille: stats.capacity_usage_permille.min(1_000),
        bid: levels(&stats.fee_bid),
        charged: levels(&stats.fee_charged),
    }
}

fn levels(fees: &FeeDistribution) -> FeeLevels {
    FeeLevels {
        p50: fees.p50,
        p90: fees.p90,
        p95: fees.p95,
        p99: fees.p99,
        max: fees.max,
    }
}

#[cfg(test)]
mod tests {
    use stellara_machine::units::{LedgerSeq, Stroops, UnixMs};

    use super::*;

    fn seen(ledger: u32, charged: i64) -> FeeSample {
        FeeSample {
            ledger: LedgerSeq(ledger),
            base_fee: Stroops(100),
            usage_permille: 120,
            charged: FeeLevels {
                p50: Stroops(charged),
                ..FeeLevels::default()
            },
            ..FeeSample::default()
        }
    }

    #[test]
    fn only_news_is_told() {
        let market = Market::default().sampled(seen(10, 100), UnixMs(1));
        assert!(!is_news(&market, &seen(10, 500)), "the same ledger");
        assert!(!is_news(&market, &seen(21, 100)), "nothing moved");
        assert!(is_news(&market, &seen(11, 101)));
        assert!(is_news(&market, &seen(22, 100)), "a minute went by");
        let refused = market.refused(Stroops(900));
        assert!(is_news(&refused, &seen(11, 100)), "to forget the refusal");
    }
}
