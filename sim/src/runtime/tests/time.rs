//! Virtual time, drift, and wall clocks.

use openraft_rt::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Sleeps one second on a node drifting by `ppm`: true and node time it took.
fn check_drift(ppm: i32) -> (Duration, Duration) {
    check(1, async move {
        set_drift(NODE_A, DriftPpm::new(ppm).unwrap());
        let start = now();
        let node = spawn_on(NODE_A, async {
            let start = SimInstant::now();
            SimRuntime::sleep(SECOND).await;
            SimInstant::now() - start
        });
        let local = node.await.unwrap();
        (now() - start, local)
    })
    .0
}

#[test]
fn a_sleep_follows_the_clock_of_its_node() {
    assert_eq!(check_drift(0), (SECOND, SECOND));
    // A fast clock reads its deadline early in true time.
    let (true_time, local) = check_drift(500_000);
    assert_eq!(true_time, Duration::from_nanos(666_666_667));
    assert_eq!(local, SECOND);
    let (true_time, local) = check_drift(-200);
    assert_eq!(true_time, Duration::from_nanos(1_000_200_041));
    assert!(
        local >= SECOND && local < SECOND + Duration::from_nanos(2),
        "{local:?}"
    );
}

#[test]
fn a_change_of_drift_moves_pending_sleeps() {
    let (elapsed, _) = check(1, async {
        let node = spawn_on(NODE_A, async { SimRuntime::sleep(SECOND).await });
        sleep(Duration::from_millis(400)).await;
        // 600 ms are left on its clock, which now takes half again as long.
        set_drift(NODE_A, DriftPpm::new(-400_000).unwrap());
        node.await.unwrap();
        now()
    });
    assert_eq!(elapsed, SimTime::from_ms(1_400));
}

#[test]
fn drift_is_of_one_node_only() {
    check(1, async {
        set_drift(NODE_A, DriftPpm::new(100_000).unwrap());
        let start = (monotonic_of(NODE_A), monotonic_of(NODE_B));
        sleep(SECOND).await;
        assert_eq!(now(), SimTime::from_ms(1_000));
        assert_eq!(monotonic_of(NODE_A) - start.0, Duration::from_millis(1_100));
        assert_eq!(monotonic_of(NODE_B) - start.1, SECOND);
    });
}

#[test]
fn a_drift_out_of_range_is_refused() {
    let refused = DriftPpm::new(-1_000_000).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "drift of -1000000 ppm is out of range: expected -500000 to 500000"
    );
    assert!(DriftPpm::new(i32::MIN).is_err());
}

#[test]
fn wall_clocks_have_offsets_and_jump() {
    check(1, async {
        let start = wall_clock().0;
        set_wall_offset_ms(NODE_A, -250);
        sleep(SECOND).await;
        assert_eq!(wall_clock_of(NODE_A), UnixMs(start + 750));
        assert_eq!(
            spawn_on(NODE_A, async { wall_clock() }).await.unwrap(),
            UnixMs(start + 750)
        );
        let before = monotonic_of(NODE_A);
        jump_wall_clock_ms(NODE_A, 3_600_000);
        assert_eq!(wall_clock_of(NODE_A), UnixMs(start + 750 + 3_600_000));
        assert_eq!(
            monotonic_of(NODE_A),
            before,
            "a monotonic clock does not jump"
        );
        assert_eq!(wall_clock_of(NODE_B), UnixMs(start + 1_000));
    });
}

#[test]
fn time_moves_only_to_the_next_timer() {
    let (_, report) = check(1, async {
        let long = SimRuntime::timeout(Duration::MAX, SimRuntime::sleep(86_400 * SECOND)).await;
        assert!(long.is_ok());
        assert_eq!(now(), SimTime::from_ms(86_400_000));
    });
    assert_eq!(report.advances, 1);
    assert_eq!(report.timers_pending, 0);
}

#[test]
fn a_time_limit_that_is_not_needed_leaves_no_timer() {
    let (_, report) = check(1, async {
        for _ in 0..100 {
            SimRuntime::timeout(SECOND, yield_now()).await.unwrap();
        }
        let late = SimRuntime::timeout(SECOND, std::future::pending::<()>()).await;
        assert_eq!(late, Err(Elapsed));
    });
    assert_eq!(
        (report.at, report.timers_pending),
        (SimTime::from_ms(1_000), 0)
    );
}
