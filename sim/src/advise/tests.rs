//! Predictions against values reckoned by hand from the table of round trips; rules that fail by name.

use super::*;

const THREE: &str = "us-east-1,eu-west-1,ap-southeast-1";

fn advice(text: &str) -> Advice {
    let question = question(text, TimerChoice::default()).unwrap_or_else(|e| panic!("{e}"));
    advise(&question).unwrap_or_else(|error| panic!("{error}"))
}

/// For each leader: whom it needs, and the commit and the read in microseconds.
fn check_leading(text: &str, expected: &[(&str, &str, u64, u64)]) {
    let advice = advice(text);
    let found: Vec<_> = advice
        .leading
        .iter()
        .map(|one| {
            let names = (one.region.as_str(), one.needs.as_str());
            (names.0, names.1, one.commit_p50_us, one.read_p50_us)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_write_costs_the_way_to_the_nearest_majority_and_a_sync() {
    // A sync of 0.5 to 3 ms is 1.75 ms in the middle.
    check_leading(
        THREE,
        &[
            ("us-east-1", "eu-west-1", 71_350, 69_600),
            ("eu-west-1", "us-east-1", 71_350, 69_600),
            ("ap-southeast-1", "eu-west-1", 180_250, 178_500),
        ],
    );
    // Three of five: the second nearest other is needed.
    check_leading(
        "failover-five",
        &[
            ("us-east-1", "eu-west-1", 71_350, 69_600),
            ("us-east-2", "eu-west-1", 82_450, 80_700),
            ("eu-west-1", "us-east-1", 71_350, 69_600),
            ("eu-central-1", "us-east-1", 94_950, 93_200),
            ("ap-southeast-1", "eu-west-1", 180_250, 178_500),
        ],
    );
    check_leading(
        "failover-near",
        &[
            ("us-east-1", "eu-west-1", 71_350, 69_600),
            ("eu-west-1", "eu-central-1", 29_250, 27_500),
            ("eu-central-1", "eu-west-1", 29_250, 27_500),
        ],
    );
    check_leading("us-east-1", &[("us-east-1", "us-east-1", 1_750, 0)]);
}

#[test]
fn timers_follow_from_the_widest_majority() {
    let timers = |text: &str| {
        let RaftTimers {
            heartbeat_ms,
            election_timeout_min_ms,
            election_timeout_max_ms,
        } = advice(text).recommended;
        [
            heartbeat_ms,
            election_timeout_min_ms,
            election_timeout_max_ms,
        ]
    };
    // 231 ms: the node's own defaults.
    assert_eq!(timers(THREE), [240, 320, 540]);
    // 98.6 ms between us-east-1 and eu-central-1.
    assert_eq!(timers("failover-near"), [110, 150, 240]);
    assert_eq!(timers("us-east-1,us-east-1,us-east-1"), [60, 200, 400]);
    let widest = advice(THREE).widest;
    let between = [widest.leader.as_str(), widest.farthest.as_str()];
    assert!(between.contains(&"us-east-1") && between.contains(&"ap-southeast-1"));
}

#[test]
fn recommended_timers_keep_every_rule() {
    for round_trip_us in (0..400_000).step_by(700) {
        let timers = recommended(round_trip_us);
        for rule in rules::check(timers, round_trip_us) {
            assert!(rule.holds, "{round_trip_us}: {rule:?}");
        }
    }
}

#[test]
fn bad_timers_break_the_right_rule() {
    let check = |[heartbeat, min, max]: [u64; 3], expected: &[&str]| {
        let timers = TimerChoice {
            heartbeat_ms: Some(heartbeat),
            election_timeout_min_ms: Some(min),
            election_timeout_max_ms: Some(max),
        };
        let question = question(THREE, timers).expect("the regions are known");
        let advice = advise(&question).expect("the paths are known");
        let broken: Vec<_> = advice.broken().map(|rule| rule.name).collect();
        assert_eq!(broken, expected, "{heartbeat} {min} {max}");
    };
    check([240, 320, 540], &[]);
    check([100, 320, 540], &["R3"]);
    check([240, 320, 500], &["R4"]);
    check([240, 230, 540], &["order", "R1"]);
    check([240, 600, 540], &["order"]);
    check([50, 150, 300], &["R1", "R3"]);
}

#[test]
fn what_is_lost_is_counted_by_region() {
    let stops = |text: &str| -> Vec<Vec<String>> {
        let losses = advice(text).losses.into_iter();
        let stop = losses.filter(|loss| loss.writes == Writes::Stop);
        stop.map(|loss| loss.regions).collect()
    };
    assert_eq!(stops(THREE).len(), 3, "any two of three");
    assert!(stops("failover-five").is_empty());
    let twice = "us-east-1,us-east-1,eu-west-1";
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected: Vec<Vec<String>> = vec![own(&["us-east-1"]), own(&["us-east-1", "eu-west-1"])];
    assert_eq!(stops(twice), expected);
}

#[test]
fn a_failover_is_silence_votes_and_an_entry() {
    let all = advice(THREE).failovers;
    let predicted = all[0].predicted.as_ref().expect("a majority is left");
    assert_eq!(
        (all[0].lost.as_str(), predicted.next.as_str()),
        ("us-east-1", "eu-west-1")
    );
    // On the way 34.8, patience 320, half a look 15, the first turn after a look 30, less half a beat 30.
    assert_eq!(predicted.silence_ms, 370);
    // Two round trips of 178.5 and two syncs of 1.75; one of each.
    assert_eq!((predicted.votes_ms, predicted.entry_ms), (361, 181));
    assert_eq!(predicted.first_turn_ms, 911);
    let lone = advice("us-east-1,eu-west-1").failovers;
    assert!(lone.iter().all(|one| one.predicted.is_none()));
}

#[test]
fn leaders_are_lost_in_the_simulator() {
    let near = question("failover-near", TimerChoice::default()).expect("it is a scenario");
    let mut advice = advise(&near).expect("the paths are known");
    let options = MeasureOptions {
        seeds: 1,
        jobs: std::num::NonZeroUsize::MIN,
    };
    measure(&near.topology, &mut advice, options, || {});
    for failover in advice.failovers {
        let measured = failover.measured.expect("it was measured");
        assert_eq!(
            (measured.losses, measured.never),
            (1, 0),
            "{}",
            failover.lost
        );
        let span_ms = measured.p50_ms.expect("writes came back");
        assert!((150..1_500).contains(&span_ms), "{span_ms}");
    }
}

#[test]
fn what_is_not_known_is_named() {
    let check = |text: &str, expected: &str| {
        let error = question(text, TimerChoice::default()).expect_err("it is wrong");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("us-east-1,moon-1", "region \"moon-1\" is not known");
    check("nowhere", "region \"nowhere\" is not known");
    check("us-east-1,", "region \"\" is not known");
    check("missing.toml", "missing.toml");
    check(&["us-east-1"; 10].join(","), "10 regions: expected 1 to 9");
}
