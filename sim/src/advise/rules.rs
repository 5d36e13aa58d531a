//! The rules for Raft's timers over an ocean, checked with their numbers, and the timers that keep them.
//!
//! The rules are those that a node checks at start; docs/operations/timing.md tells why.

use serde::Serialize;

use crate::plan::topology::RaftTimers;

/// A rule and its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `R1` to `R5`, or `order`.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Why.
    pub why: &'static str,
    /// Its numbers, as they are.
    pub numbers: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Timers below these are for no network: a busy machine alone is late by as much.
const LEAST: RaftTimers = RaftTimers {
    heartbeat_ms: 60,
    election_timeout_min_ms: 200,
    election_timeout_max_ms: 400,
};

/// Between the least election timeout and the most, or two voters stand together.
const SPREAD_LEAST_MS: u64 = 50;

const fn whole_ms(span_us: u64) -> u64 {
    span_us.div_ceil(1_000)
}

/// Up to the next ten milliseconds.
const fn rounded(ms: u64) -> u64 {
    ms.div_ceil(10) * 10
}

/// The lease that rule R4 asks for: 1.2 heartbeats and a round trip, in milliseconds.
const fn lease_least_ms(heartbeat_ms: u64, round_trip_ms: u64) -> u64 {
    heartbeat_ms + heartbeat_ms / 5 + round_trip_ms
}

/// The timers for a cluster whose widest remaining majority has this round trip: a heartbeat 3 % above it, the least election timeout a
/// third above that, the most by rule R4 with 8 % more of the round trip.
#[must_use]
pub fn recommended(round_trip_p90_us: u64) -> RaftTimers {
    let above = |percent: u64| whole_ms(round_trip_p90_us * (100 + percent) / 100);
    let heartbeat_ms = rounded(above(3));
    if heartbeat_ms <= LEAST.heartbeat_ms {
        return LEAST;
    }
    let min_ms = rounded((heartbeat_ms * 4).div_ceil(3));
    let max_ms = rounded(lease_least_ms(heartbeat_ms, above(8)));
    RaftTimers {
        heartbeat_ms,
        election_timeout_min_ms: min_ms,
        election_timeout_max_ms: max_ms.max(min_ms + SPREAD_LEAST_MS),
    }
}

/// Checks timers against the widest round trip.
pub(super) fn check(timers: RaftTimers, round_trip_p90_us: u64) -> Vec<Rule> {
    let RaftTimers {
        heartbeat_ms,
        election_timeout_min_ms: min_ms,
        election_timeout_max_ms: max_ms,
    } = timers;
    let round_trip_ms = whole_ms(round_trip_p90_us);
    let lease_ms = lease_least_ms(heartbeat_ms, round_trip_ms);
    vec![
        Rule {
            name: "order",
            says: "heartbeat < least election timeout < most election timeout",
            why: "a follower must outwait a beat",
            numbers: format!("{heartbeat_ms} < {min_ms} < {max_ms}"),
            holds: heartbeat_ms < min_ms && min_ms < max_ms,
        },
        Rule {
            name: "R1",
            says: "least election timeout > round trip",
            why: "it bounds the vote call",
            numbers: format!("{min_ms} > {round_trip_ms}"),
            holds: min_ms > round_trip_ms,
        },
        Rule {
            name: "R2",
            says: "no append is cut at the heartbeat interval",
            why: "an entry on a long way would be sent for ever",
            numbers: "kept by the node: a stream is given up only when idle".to_owned(),
            holds: true,
        },
        Rule {
            name: "R3",
            says: "heartbeat >= round trip",
            why: "or an idle leader refuses writes",
            numbers: format!("{heartbeat_ms} >= {round_trip_ms}"),
            holds: heartbeat_ms >= round_trip_ms,
        },
        Rule {
            name: "R4",
            says: "most election timeout >= 1.2 heartbeats + round trip",
            why: "it is the leader's lease",
            numbers: format!("{max_ms} >= {lease_ms}"),
            holds: max_ms >= lease_ms,
        },
        Rule {
            name: "R5",
            says: "the same most election timeout on every node",
            why: "it is the leader's lease",
            numbers: format!("{max_ms} on all: write it in every node's configuration"),
            holds: true,
        },
    ]
}
