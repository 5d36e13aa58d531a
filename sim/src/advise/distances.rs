//! How far the voters of a topology are from each other, and which of them a majority needs.

use std::cmp::Ordering;

use super::WidestQuorum;
use crate::plan::topology::Topology;
use crate::regions::region_round_trip;
use crate::world::NoPath;

/// A round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoundTrip {
    /// Half are shorter, in microseconds.
    pub(super) p50_us: u64,
    /// Nine of ten are shorter, in microseconds, in either direction.
    pub(super) p90_us: u64,
}

/// The round trips between all voters, by their places.
#[derive(Clone, Debug)]
pub(super) struct Distances {
    regions: Vec<String>,
    table: Vec<Vec<RoundTrip>>,
}

impl Distances {
    pub(super) fn of(topology: &Topology) -> Result<Self, NoPath> {
        let regions = &topology.regions;
        let to_each = |(at, a): (usize, &String)| {
            let each = regions.iter().enumerate().map(move |(to, b)| {
                // The measured figures differ a little by direction: the simulated paths take the earlier region's.
                match at.cmp(&to) {
                    Ordering::Less => round_trip(topology, a, b),
                    Ordering::Equal => Ok(RoundTrip::default()),
                    Ordering::Greater => round_trip(topology, b, a),
                }
            });
            each.collect::<Result<Vec<_>, _>>()
        };
        let table = regions.iter().enumerate().map(to_each);
        let table = table.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            regions: topology.regions.clone(),
            table,
        })
    }

    pub(super) const fn majority(&self) -> usize {
        self.table.len() / 2 + 1
    }

    pub(super) fn between(&self, a: usize, b: usize) -> RoundTrip {
        self.table[a][b]
    }

    /// The farthest voter that `leader` needs for a majority, when `left` are left; itself when it needs no other, and
    /// nobody when there are too few.
    pub(super) fn needed(&self, leader: usize, left: &[usize]) -> Option<usize> {
        let mut nearest: Vec<usize> = left.to_vec();
        nearest.sort_by_key(|other| (*other != leader, self.table[leader][*other].p50_us, *other));
        nearest.get(self.majority() - 1).copied()
    }

    /// The widest majority that can remain: every leader, with the nearest voters lost as far as a majority allows.
    pub(super) fn widest(&self) -> WidestQuorum {
        let count = self.table.len();
        let pairs = (0..count).flat_map(|leader| {
            let left = self.worst_left(leader);
            let needed = self.needed(leader, &left).unwrap_or(leader);
            Some((self.table[leader][needed].p90_us, leader, needed))
        });
        let (round_trip_p90_us, leader, farthest) = pairs
            .max_by_key(|(span_us, _, _)| *span_us)
            .unwrap_or_default();
        let name = |at: usize| self.regions.get(at).cloned().unwrap_or_default();
        WidestQuorum {
            round_trip_p90_us,
            leader: name(leader),
            farthest: name(farthest),
        }
    }

    /// A leader and the voters farthest from it, as few as make a majority.
    fn worst_left(&self, leader: usize) -> Vec<usize> {
        let mut others: Vec<usize> = (0..self.table.len()).filter(|at| *at != leader).collect();
        others.sort_by_key(|other| std::cmp::Reverse(self.table[leader][*other].p50_us));
        others.truncate(self.majority() - 1);
        others.push(leader);
        others
    }
}

fn round_trip(topology: &Topology, a: &str, b: &str) -> Result<RoundTrip, NoPath> {
    let given = topology.network.round_trips.iter().find(|given| {
        let [one, other] = &given.between;
        (one == a && other == b) || (one == b && other == a)
    });
    if let Some(given) = given {
        return Ok(RoundTrip {
            p50_us: given.round_trip_us,
            p90_us: given.round_trip_us,
        });
    }
    let there = region_round_trip(a, b);
    let back = region_round_trip(b, a);
    let (there, back) = there.zip(back).ok_or_else(|| NoPath {
        a: a.to_owned(),
        b: b.to_owned(),
    })?;
    let us = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    Ok(RoundTrip {
        p50_us: us(there.p50),
        p90_us: us(there.p90.max(back.p90)),
    })
}
