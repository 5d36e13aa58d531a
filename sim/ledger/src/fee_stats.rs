//! Fee statistics as Horizon computes them: over the transactions of the last five ledgers,
//! stroops for one operation, percentiles by nearest rank.

use std::collections::BTreeMap;

/// Ledgers that the statistics cover.
pub(crate) const WINDOW_LEDGERS: usize = 5;

/// One transaction's fees for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) charged_stroops: i64,
    pub(crate) max_stroops: i64,
}

/// One distribution, in stroops for one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Lowest.
    pub min: i64,
    /// Highest.
    pub max: i64,
    /// Most frequent; the lowest of them on a tie.
    pub mode: i64,
    /// (percent, value) for 10, 20, ... 90, 95, 99.
    pub percentiles: Vec<(u8, i64)>,
}

/// What `GET /fee_stats` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeStats {
    /// The last ledger that the reader sees.
    pub last_ledger: u32,
    /// The base fee in its header, in stroops.
    pub last_ledger_base_fee_stroops: i64,
    /// Used share of the space of the last five ledgers, in percent, rounded.
    pub capacity_usage_percent: u32,
    /// What was charged.
    pub fee_charged: Distribution,
    /// What was bid.
    pub max_fee: Distribution,
}

impl Distribution {
    /// Of the values, or of `fallback` alone when there is none.
    pub(crate) fn of(mut values: Vec<i64>, fallback: i64) -> Self {
        if values.is_empty() {
            values.push(fallback);
        }
        values.sort_unstable();
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for value in &values {
            *counts.entry(*value).or_default() += 1;
        }
        let mut mode = (values[0], 0);
        for (value, count) in counts {
            if count > mode.1 {
                mode = (value, count);
            }
        }
        let percentiles = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99]
            .into_iter()
            .map(|percent: u8| {
                let rank = (values.len() * usize::from(percent)).div_ceil(100);
                (percent, values[rank.max(1) - 1])
            })
            .collect();
        Self {
            min: values[0],
            max: values[values.len() - 1],
            mode: mode.0,
            percentiles,
        }
    }
}
