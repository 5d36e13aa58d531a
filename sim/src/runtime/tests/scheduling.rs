//! Same seed, same history; what is random, and what is not.

use openraft_rt::{Mpsc, MpscReceiver as _, MpscSender as _};
use rand::RngExt;

use super::*;

const WORK: EventKind = EventKind::new("work");

/// Tasks that race for a channel, sleep for random spans and use time limits.
async fn busy_scenario() -> Vec<u64> {
    let (sender, mut receiver) = SimMpsc::channel::<u64>(4);
    for task in 0..20_u64 {
        let sender = sender.clone();
        spawn_on(NodeTag(1 + task % 3), async move {
            for round in 0..10 {
                let span = SimRuntime::thread_rng().random_range(1..5_000_u64);
                let limit = Duration::from_micros(2_500);
                let slept =
                    SimRuntime::timeout(limit, SimRuntime::sleep(Duration::from_micros(span)))
                        .await;
                event(WORK, task, round, || format!("slept {}", slept.is_ok()));
                sender.send(task * 100 + round).await.unwrap();
            }
        });
    }
    drop(sender);
    let mut order = Vec::new();
    while let Some(message) = receiver.recv().await {
        order.push(message);
    }
    order
}

#[test]
fn one_seed_is_one_history() {
    let (order, report) = check(7, busy_scenario());
    let (order_again, report_again) = check(7, busy_scenario());
    assert_eq!(order, order_again);
    assert_eq!(report, report_again);
    assert!(report.events > 400, "{report:?}");
}

#[test]
fn other_seeds_are_other_histories() {
    let hashes: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| check(seed, busy_scenario()).1.trace_hash)
        .collect();
    assert_eq!(hashes.len(), 50);
}

#[test]
fn text_does_not_change_the_hash() {
    let text = TraceText::Polls { lines_max: 100 };
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed: 7,
        text,
        ..SimOptions::default()
    });
    runtime.drive(busy_scenario()).unwrap();
    assert_eq!(
        runtime.report().trace_hash,
        check(7, busy_scenario()).1.trace_hash
    );
    let lines = runtime.take_lines();
    assert_eq!(lines.len(), 100, "the oldest lines give way");
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" work ") && line.ends_with("slept true")),
        "{lines:?}"
    );
    assert!(runtime.take_lines().is_empty());
}

#[test]
fn payload_bytes_are_part_of_the_hash() {
    let hash = |bytes: &'static [u8]| check(1, async { event_bytes(WORK, 1, bytes) }).1.trace_hash;
    assert_eq!(hash(b"abcdefghi"), hash(b"abcdefghi"));
    assert_ne!(hash(b"abcdefghi"), hash(b"abcdefghj"));
    assert_ne!(hash(b"a"), hash(b"a\0"));
}

#[test]
fn seeds_explore_the_orders_of_two_tasks() {
    let first = |seed| {
        let notes = Notes::default();
        let (one, two) = (notes.clone(), notes.clone());
        check(seed, async move {
            let one = SimRuntime::spawn(async move { one.add(1) });
            let two = SimRuntime::spawn(async move { two.add(2) });
            one.await.unwrap();
            two.await.unwrap();
        });
        notes.all()[0]
    };
    let firsts: std::collections::BTreeSet<_> = (0..20).map(first).collect();
    assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn streams_are_independent_and_never_repeat() {
    let draws = |disk_draws: usize| {
        check(3, async move {
            let mut disk = stream(NODE_A, "disk");
            for _ in 0..disk_draws {
                disk.next_bits();
            }
            let mut network = stream(NODE_A, "network");
            let mut other = stream(NODE_B, "network");
            let mut again = stream(NODE_A, "network");
            [network.next_bits(), other.next_bits(), again.next_bits()]
        })
        .0
    };
    let [network, other, again] = draws(0);
    assert_eq!(draws(100), [network, other, again]);
    assert!(network != other && network != again && other != again);
}

#[test]
fn a_stream_keeps_its_bounds() {
    let mut random = RandomStream::derive(&[1]);
    let draws: Vec<u64> = (0..1_000).map(|_| random.between(5, 7)).collect();
    assert_eq!(
        (draws.iter().min(), draws.iter().max()),
        (Some(&5), Some(&7))
    );
    assert_eq!(random.between(7, 5), 7);
    assert_eq!(random.below(0), 0);
    random.between(0, u64::MAX);
    let hits = (0..10_000).filter(|_| random.chance_ppm(250_000)).count();
    assert!((2_300..2_700).contains(&hits), "{hits}");
}

#[test]
fn a_node_draws_on_after_a_crash() {
    let draw = || async {
        spawn_on(NODE_A, async { SimRuntime::thread_rng().random::<u64>() })
            .await
            .unwrap()
    };
    let (draws, _) = check(1, async move {
        let before = draw().await;
        kill_node(NODE_A);
        (before, draw().await)
    });
    assert_ne!(draws.0, draws.1);
}

#[test]
fn blocking_work_takes_no_time_and_its_panic_is_an_error() {
    let mut runtime = SimRuntime::with_seed(1);
    let (value, failed) = runtime
        .drive(async {
            let value = SimRuntime::spawn_blocking(|| 5).await.unwrap();
            let failed: io::Result<()> =
                SimRuntime::spawn_blocking(|| panic!("disk on fire")).await;
            (value, failed)
        })
        .unwrap();
    assert_eq!(value, 5);
    assert!(failed.unwrap_err().to_string().contains("disk on fire"));
    assert_eq!(
        (runtime.report().at, runtime.report().panics_total),
        (SimTime::ZERO, 1)
    );
}

#[test]
fn tasks_go_on_when_driven_again() {
    let mut runtime = SimRuntime::with_seed(1);
    let [task] = runtime
        .drive(async { [SimRuntime::spawn(async { SimRuntime::sleep(SECOND).await })] })
        .unwrap();
    assert_eq!(runtime.report().tasks_alive, 1);
    runtime.drive(task).unwrap().unwrap();
    assert_eq!(runtime.report().at, SimTime::from_ms(1_000));
    assert_eq!(runtime.report().tasks_alive, 0);
}

const SECOND: Duration = Duration::from_secs(1);
