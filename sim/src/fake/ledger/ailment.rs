//! What can be wrong with the ledger or the way to it for a while; what overlaps adds up.

use std::collections::BTreeMap;

use stellara_ledger::{
    BidWeight, FaultKind, FaultPlan, FaultRule, FaultTarget, ForeignTraffic, Network,
};

/// How long a request without an answer is waited for.
const SILENCE_MS: u64 = 2_000;
/// The least and the most that others bid (`stellara_ledger::ForeignTraffic`).
const BID_STROOPS: (i64, i64) = (1, 1_000_000_000);
/// The most operations of others in one ledger.
const OPS_MAX: u32 = 100_000;
/// The ledger's close time differs by no more from true time: validators refuse a time that is further ahead
/// (stellar-core, `MAX_TIME_SLIP_SECONDS`).
const CLOCK_MS_MAX: i64 = 60_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerAilment {
    /// Nobody is answered; nothing that is sent arrives.
    Down,
    /// Requests are lost, or their answers are, or they are lies.
    Loses {
        /// Submissions hit, in parts per million, each kind alike.
        submit_ppm: u32,
        /// Queries hit, in parts per million.
        query_ppm: u32,
    },
    /// What is on the ledger is seen later.
    Lag {
        /// How much, in milliseconds.
        ingest_lag_ms: u64,
    },
    /// Others want the room of each ledger.
    Surge {
        /// Operations they offer each ledger.
        ops_per_ledger: u32,
        /// What they bid for one, in stroops.
        bid_stroops: i64,
    },
    /// The ledger's close times are ahead of true time, or behind.
    Clock {
        /// By how much, in milliseconds; at most a minute.
        by_ms: i64,
    },
}

/// One trouble of the ledger, in force until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerHold(pub(super) u64);

/// All that is wrong now.
#[derive(Debug, Default)]
pub(super) struct Ailments {
    held: u64,
    holds: BTreeMap<LedgerHold, LedgerAilment>,
    /// As they were before the first trouble.
    before: Option<(FaultPlan, ForeignTraffic)>,
}

impl Ailments {
    pub(super) fn hold(&mut self, network: &mut Network, ailment: LedgerAilment) -> LedgerHold {
        self.held += 1;
        let hold = LedgerHold(self.held);
        self.holds.insert(hold, ailment);
        self.act(network, ailment);
        hold
    }

    pub(super) fn release(&mut self, network: &mut Network, hold: LedgerHold) {
        if let Some(ailment) = self.holds.remove(&hold) {
            self.act(network, ailment);
        }
    }

    /// Brings into force what holds now; `changed` tells which part of it.
    fn act(&mut self, network: &mut Network, changed: LedgerAilment) {
        let (plan, foreign) = self
            .before
            .get_or_insert_with(|| (network.faults().clone(), network.config().foreign.clone()));
        let (plan, foreign) = (plan.clone(), foreign.clone());
        if self.holds.is_empty() {
            self.before = None;
        }
        match changed {
            LedgerAilment::Down | LedgerAilment::Loses { .. } | LedgerAilment::Lag { .. } => {
                network
                    .set_faults(self.plan(plan))
                    .expect("rates and delays are within their bounds");
            }
            LedgerAilment::Surge { .. } => {
                network
                    .set_foreign(self.foreign(foreign))
                    .expect("bids and operations are within their bounds");
            }
            LedgerAilment::Clock { .. } => network.set_close_skew_ms(self.skew_ms()),
        }
    }

    fn plan(&self, before: FaultPlan) -> FaultPlan {
        let mut plan = before;
        // The rules that hit everything come first.
        for ailment in self.holds.values() {
            if *ailment == LedgerAilment::Down {
                let on = |on| rule(on, FaultKind::TimeoutBefore, 1_000_000);
                plan.rules
                    .splice(0..0, [on(FaultTarget::Submit), on(FaultTarget::Query)]);
            }
        }
        for ailment in self.holds.values() {
            match ailment {
                LedgerAilment::Loses {
                    submit_ppm,
                    query_ppm,
                } => plan.rules.extend(losses(*submit_ppm, *query_ppm)),
                LedgerAilment::Lag { ingest_lag_ms } => plan.ingest_lag_ms += ingest_lag_ms,
                LedgerAilment::Down | LedgerAilment::Surge { .. } | LedgerAilment::Clock { .. } => {
                }
            }
        }
        plan.rules.truncate(64);
        plan
    }

    fn foreign(&self, before: ForeignTraffic) -> ForeignTraffic {
        let surges = self.holds.values().filter_map(|ailment| match ailment {
            LedgerAilment::Surge {
                ops_per_ledger,
                bid_stroops,
            } => Some((*ops_per_ledger, *bid_stroops)),
            LedgerAilment::Down
            | LedgerAilment::Loses { .. }
            | LedgerAilment::Lag { .. }
            | LedgerAilment::Clock { .. } => None,
        });
        let (mut ops, mut bids) = (0_u32, Vec::new());
        for (ops_per_ledger, bid_stroops) in surges {
            ops = ops.saturating_add(ops_per_ledger);
            bids.push(BidWeight {
                bid_stroops: bid_stroops.clamp(BID_STROOPS.0, BID_STROOPS.1),
                weight: 1,
            });
        }
        if bids.is_empty() {
            return before;
        }
        ForeignTraffic {
            ops_per_ledger: ops.min(OPS_MAX),
            bids,
            burst: None,
            ..before
        }
    }

    fn skew_ms(&self) -> i64 {
        let by = self.holds.values().map(|ailment| match ailment {
            LedgerAilment::Clock { by_ms } => *by_ms,
            LedgerAilment::Down
            | LedgerAilment::Loses { .. }
            | LedgerAilment::Lag { .. }
            | LedgerAilment::Surge { .. } => 0,
        });
        by.fold(0, i64::saturating_add)
            .clamp(-CLOCK_MS_MAX, CLOCK_MS_MAX)
    }
}

fn rule(on: FaultTarget, kind: FaultKind, rate_ppm: u32) -> FaultRule {
    FaultRule {
        on,
        rate_ppm: rate_ppm.min(1_000_000),
        delay_ms: SILENCE_MS,
        ..FaultRule::new(kind)
    }
}

fn losses(submit_ppm: u32, query_ppm: u32) -> impl Iterator<Item = FaultRule> {
    let kinds = [
        FaultKind::TimeoutBefore,
        FaultKind::ResetAfter,
        FaultKind::InternalErrorAfter,
        FaultKind::ErrorAfter,
    ];
    let submits = kinds.map(|kind| rule(FaultTarget::Submit, kind, submit_ppm / 4));
    let queries = [rule(FaultTarget::Query, FaultKind::ErrorBefore, query_ppm)];
    submits.into_iter().chain(queries)
}
