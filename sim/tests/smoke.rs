//! The real node in virtual time: payments through random nodes while the leader is cut off, or crashes.
//!
//! In the end everything acknowledged is settled, once; all nodes agree; and a seed is one history.

use std::time::Duration;

use stellara_ledger::{FaultKind, FaultPlan, FaultRule, FaultTarget};
use stellara_machine::decision::Acceptance;
use stellara_raft_store::engine::memory::Unsynced;
use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::runtime::{RunReport, SimOptions, SimRuntime, SimTime, TraceText, sleep};
use stellara_sim::world::client::Acknowledged;
use stellara_sim::world::load::{Load, LoadOptions, Standing, paid, standing};
use stellara_sim::world::{World, WorldOptions};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The leader is cut off from the others and joined again.
    CutOff,
    /// The leader loses power, with all that it had not synced, and starts again.
    PowerLoss,
    /// The same, but some of what was not synced survives, with lossy paths, a ledger that loses answers, and snapshots all the time.
    PowerLossAmidFaults,
}

/// One submission in five is lost, accepted without an answer, or answered with a lie; one query in ten fails.
fn ledger_faults() -> FaultPlan {
    let rule = |on, kind, rate_ppm| FaultRule {
        on,
        rate_ppm,
        delay_ms: 2_000,
        ..FaultRule::new(kind)
    };
    FaultPlan {
        rules: vec![
            rule(FaultTarget::Submit, FaultKind::TimeoutBefore, 50_000),
            rule(FaultTarget::Submit, FaultKind::ResetAfter, 50_000),
            rule(FaultTarget::Submit, FaultKind::InternalErrorAfter, 50_000),
            rule(FaultTarget::Submit, FaultKind::ErrorAfter, 50_000),
            rule(FaultTarget::Query, FaultKind::ErrorBefore, 100_000),
        ],
        ingest_lag_ms: 500,
        ..FaultPlan::default()
    }
}

fn world_options(seed: u64, kind: Trouble) -> WorldOptions {
    let mut options = WorldOptions::three_regions(seed);
    match kind {
        Trouble::CutOff => {}
        Trouble::PowerLoss => options.unsynced = Unsynced::Lost,
        Trouble::PowerLossAmidFaults => {
            options.unsynced = Unsynced::Drawn;
            options.network.loss_ppm = 10_000;
            options.snapshot_entries = 40;
        }
    }
    options
}

const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);

async fn trouble(world: &mut World, kind: Trouble) {
    let leader = world.leader().expect("a cluster at work has a leader");
    match kind {
        Trouble::CutOff => world.isolate(leader),
        Trouble::PowerLoss | Trouble::PowerLossAmidFaults => world.crash(leader),
    }
    let another = |world: &World| world.leader().filter(|now| *now != leader);
    world
        .until("another leader", READY, another)
        .await
        .expect("the majority elects another leader");
    sleep(Duration::from_secs(3)).await;
    match kind {
        Trouble::CutOff => world.rejoin(leader),
        Trouble::PowerLoss | Trouble::PowerLossAmidFaults => world
            .start_node(leader)
            .await
            .expect("the node starts from what its disk kept"),
    }
}

/// How many payments were asked more than once, and how many of them were found accepted already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeats {
    asked_again: usize,
    found: usize,
}

/// What the checks must have compared in any of the runs, to mean anything.
const LEAST_COMPARED: [(&str, u64); 12] = [
    ("log_matching", 200),
    ("leader_completeness", 1),
    ("equal_state", 100),
    ("quorum_commit", 100),
    ("monotone", 1_000),
    ("durability", 200),
    ("no_payment_lost", 600),
    ("settled_once", 200),
    ("audit_chain", 100),
    ("watch_no_gap", 200),
    ("idempotent", 600),
    ("linearizable", 200),
];

async fn scenario(seed: u64, kind: Trouble) -> Repeats {
    let mut world = World::start(world_options(seed, kind))
        .await
        .expect("the world starts");
    let checks = Checks::start(&world);
    world
        .until_ready(READY)
        .await
        .expect("the cluster is ready");
    if kind == Trouble::PowerLossAmidFaults {
        world
            .ledger()
            .with(|network| network.set_faults(ledger_faults()))
            .expect("the plan is valid");
    }
    let load = Load::start(
        &world,
        LoadOptions {
            payments: 200,
            over: Duration::from_secs(12),
        },
    );
    sleep(Duration::from_secs(5)).await;
    trouble(&mut world, kind).await;
    let accepted = load.finish().await.expect("every payment is accepted");
    let mut open = String::new();
    let all_settled = |world: &World| {
        let first = accepted.iter().find_map(|accepted| {
            match standing(world, accepted.acknowledged.payment) {
                Standing::Settled => None,
                Standing::Open(why) => Some(why),
            }
        });
        match first {
            None => Some(()),
            Some(why) => {
                open = why;
                None
            }
        }
    };
    let settled = world.until("settlement", SETTLED, all_settled).await;
    assert!(settled.is_ok(), "{settled:?}: {open}");
    let report = paid(&world, &accepted);
    assert!(report.is_exactly_once(), "{report:?}");
    assert_eq!((report.intents, report.paid_1), (200, 200));
    assert_eq!(checks.finish(Ending::Settled), []);
    let compared = checks.compared();
    assert!(compared["election_safety"] >= 2, "leadership moved");
    for (invariant, least) in LEAST_COMPARED {
        let compared = compared[invariant];
        assert!(compared >= least, "{invariant} compared {compared} only");
    }
    world.stop();
    let count = |of: fn(&Acknowledged) -> bool| {
        let matching = accepted.iter().filter(|all| of(&all.acknowledged));
        matching.count()
    };
    Repeats {
        asked_again: count(|acknowledged| acknowledged.calls > 1),
        found: count(|acknowledged| acknowledged.acceptance == Acceptance::Repeated),
    }
}

fn run(seed: u64, kind: Trouble, text: TraceText) -> (RunReport, Repeats, Vec<String>) {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        text,
        time_limit: Some(SimTime::from_ms(600_000)),
        ..SimOptions::default()
    });
    let repeats = runtime
        .drive(scenario(seed, kind))
        .unwrap_or_else(|error| panic!("seed {seed}, {kind:?}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}, {kind:?}: {report:?}");
    (report, repeats, runtime.take_lines())
}

fn swarm(seeds: std::ops::Range<u64>, kind: Trouble) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the speed of the simulation is told in real time"
    )]
    let started = std::time::Instant::now();
    let mut virtual_ms = 0;
    let mut all = Repeats::default();
    for seed in seeds {
        let (report, repeats, _) = run(seed, kind, TraceText::Off);
        virtual_ms += report.at.as_ms();
        all.asked_again += repeats.asked_again;
        all.found += repeats.found;
    }
    let wall_ms = started.elapsed().as_millis().max(1);
    println!(
        "{kind:?}: {virtual_ms} virtual ms in {wall_ms} ms, {} virtual ms per ms; {all:?}",
        u128::from(virtual_ms) / wall_ms
    );
    assert!(all.asked_again > 0, "the trouble was felt");
}

fn seeds(standard: u64) -> std::ops::Range<u64> {
    let count = std::env::var("STELLARA_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    0..count.unwrap_or(standard)
}

#[test]
fn the_leader_is_cut_off_and_joined_again() {
    swarm(seeds(8), Trouble::CutOff);
}

#[test]
fn the_leader_loses_power_and_starts_again() {
    swarm(seeds(8), Trouble::PowerLoss);
}

#[test]
fn the_leader_loses_power_amid_faults() {
    swarm(seeds(6), Trouble::PowerLossAmidFaults);
}

#[test]
fn one_seed_is_one_history() {
    for kind in [
        Trouble::CutOff,
        Trouble::PowerLoss,
        Trouble::PowerLossAmidFaults,
    ] {
        let text = TraceText::Polls {
            lines_max: 5_000_000,
        };
        let (first, _, first_lines) = run(77, kind, text);
        let (second, _, second_lines) = run(77, kind, text);
        let parted = first_lines
            .iter()
            .zip(&second_lines)
            .position(|(first, second)| first != second);
        if let Some(at) = parted {
            panic!(
                "{kind:?} parts at line {at}: {} and {}",
                first_lines[at], second_lines[at]
            );
        }
        assert_eq!(first, second);
    }
}
