//! How far regions are from each other: round trips measured between the regions of a cloud over a year.
//!
//! The figures and their source are `sim/data/region_rtt.csv`; they are parsed once.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

const FIGURES: &str = include_str!("../data/region_rtt.csv");

/// A round trip between two regions, as measured over a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionRoundTrip {
    /// Half of the measurements were shorter.
    pub p50: Duration,
    /// Nine of ten were shorter.
    pub p90: Duration,
}

type Table = BTreeMap<(&'static str, &'static str), RegionRoundTrip>;

/// The round trip from region `a` to region `b` and back; `None` when one of them is not known.
#[must_use]
pub fn region_round_trip(a: &str, b: &str) -> Option<RegionRoundTrip> {
    table().get(&(a, b)).copied()
}

/// All regions whose round trips are known, in the order of their names.
#[must_use]
pub fn regions() -> Vec<&'static str> {
    let same = table().keys().filter(|(a, b)| a == b);
    same.map(|(a, _)| *a).collect()
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rows = FIGURES.lines().filter(|line| !line.starts_with('#'));
        let figures = rows.skip(1).filter(|line| !line.is_empty());
        figures
            .map(|line| row(line).expect("every row names two regions and two times"))
            .collect()
    })
}

fn row(line: &'static str) -> Option<((&'static str, &'static str), RegionRoundTrip)> {
    let mut words = line.split(',');
    let key = (words.next()?, words.next()?);
    let p50 = millis(words.next()?)?;
    let p90 = millis(words.next()?)?;
    Some((key, RegionRoundTrip { p50, p90 }))
}

/// Milliseconds with one digit after the point, at most three: no floats, so that all machines agree.
fn millis(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part_us: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    let whole_ms: u64 = whole.parse().ok()?;
    Some(Duration::from_micros(whole_ms * 1_000 + part_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_regions_is_known_in_both_directions() {
        let all = regions();
        assert_eq!(all.len(), 33);
        for a in &all {
            for b in &all {
                let found = region_round_trip(a, b).expect("the table is whole");
                assert!(found.p50 <= found.p90, "{a} {b}: {found:?}");
                assert!(!found.p50.is_zero(), "{a} {b}");
            }
        }
        assert_eq!(region_round_trip("us-east-1", "moon-1"), None);
    }

    #[test]
    fn tenths_of_milliseconds_are_kept() {
        let found = region_round_trip("af-south-1", "ap-east-1").expect("both are known");
        assert_eq!(found.p50, Duration::from_micros(347_600));
        assert_eq!(found.p90, Duration::from_micros(376_100));
        assert_eq!(millis("12"), Some(Duration::from_millis(12)));
        assert_eq!(millis("x"), None);
    }
}
