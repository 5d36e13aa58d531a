use super::*;

#[test]
fn drawn_times_have_their_mean_and_no_bound_near_it() {
    let mut draws = RandomStream::derive(&[7]);
    let mean = Duration::from_secs(10);
    let drawn: Vec<Duration> = (0..20_000).map(|_| exponential(&mut draws, mean)).collect();
    let sum: Duration = drawn.iter().sum();
    let average = sum / 20_000;
    assert!(
        (Duration::from_millis(9_800)..Duration::from_millis(11_000)).contains(&average),
        "{average:?}"
    );
    let long = drawn.iter().filter(|span| **span > mean * 3).count();
    // One in e^3 is longer than three means.
    assert!((800..1_300).contains(&long), "{long}");
}

fn weather(options: NetworkOptions) -> Weather {
    Weather {
        loss_ppm: options.loss_ppm,
        duplicate_ppm: 0,
        options,
    }
}

fn path(latency_ms: u64) -> Path {
    let draws = RandomStream::derive(&[3]);
    Path::new(draws, Duration::from_millis(latency_ms))
}

#[test]
fn routes_change_and_change_back() {
    let options = NetworkOptions {
        routes: Some(super::super::RouteChanges {
            every: Duration::from_secs(60),
            add_permille: 320,
        }),
        ..NetworkOptions::clean(super::super::Latencies::default())
    };
    let mut path = path(100);
    let mut longer_s = 0;
    let mut turns = 0;
    let mut before = Duration::from_millis(100);
    for second in 0..10_000 {
        let latency = path.latency(SimTime::from_ms(second * 1_000), &options);
        assert!((100..=132).contains(&latency.as_millis()), "{latency:?}");
        longer_s += u32::from(latency.as_millis() > 100);
        turns += u32::from(latency != before);
        before = latency;
    }
    assert!((1_500..5_000).contains(&longer_s), "{longer_s} s of 10,000");
    assert!((100..400).contains(&turns), "{turns}");
}

#[test]
fn a_narrow_path_lets_urgent_packets_pass_first() {
    let options = NetworkOptions {
        bytes_per_s: Some(100_000),
        ..NetworkOptions::clean(super::super::Latencies::default())
    };
    let net = weather(options);
    let mut path = path(10);
    let start = SimTime::from_ms(1);
    let mut send = |rank, bytes| path.transit(start, &net, Rank(rank), bytes);
    assert_eq!(
        send(4, 99_940).as_millis(),
        1_010,
        "a second of the path's time"
    );
    assert_eq!(send(4, 99_940).as_millis(), 2_010, "behind the first");
    assert_eq!(send(0, 940).as_millis(), 20, "behind nobody");
    assert_eq!(send(1, 940).as_millis(), 30, "behind the one before");
}

#[test]
fn losses_come_in_bursts() {
    let net = weather(NetworkOptions::clean(super::super::Latencies::default()));
    let mut path = path(10);
    let bursts = Bursts {
        bad_ppm: 300_000,
        bad_ms: 200,
        good_ms: 2_000,
    };
    path.begin_bursts(Hold(1), bursts, SimTime::ZERO);
    let lost: Vec<bool> = (0..100_000)
        .map(|ms| path.datagram(SimTime::from_ms(ms), &net, 100)[0].is_none())
        .collect();
    let all = lost.iter().filter(|lost| **lost).count();
    // A tenth of the time is bad, and three of ten are lost then.
    assert!((1_500..4_500).contains(&all), "{all}");
    let after_a_loss = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
    let ratio_percent = after_a_loss * 100 / all;
    assert!((20..40).contains(&ratio_percent), "{ratio_percent} %");
    path.end_bursts(Hold(1));
    assert!(path.datagram(SimTime::from_ms(200_000), &net, 100)[0].is_some());
}

#[test]
fn the_end_of_one_cut_does_not_end_another() {
    let mut path = path(10);
    let at = SimTime::from_ms;
    assert!(path.clog(Hold(1), at(5)).is_some());
    assert_eq!(path.cut(Hold(2), at(6)), None);
    assert_eq!(path.free(Hold(1)), None);
    assert!(matches!(path.gate(), Gate::Lost));
    assert_eq!(path.free(Hold(1)), None);
    let stall = path.free(Hold(2));
    let whole = Stall {
        since: at(5),
        lossy: Lossy::Yes,
    };
    assert_eq!(stall, Some(whole));
    assert!(matches!(path.gate(), Gate::Open));
}
