//! Many faults at once, drawn: none of them ends another, and the cluster recovers from all of them.

use std::time::Duration;

use stellara_sim::plan::fault::{DiskCall, Fault, Rot, Unsynced};
use stellara_sim::plan::target::Target;
use stellara_sim::runtime::{NodeTag, RandomStream, SimTime, now, stream};
use stellara_sim::world::{Relief, Stopped};

use crate::stage::{Stage, run};

const TROUBLED: Duration = Duration::from_secs(60);

fn target(draws: &mut RandomStream) -> Target {
    match draws.below(5) {
        0 => Target::Leader,
        1 => Target::OldLeader,
        2 => Target::Follower(1),
        3 => Target::Follower(2),
        _ => Target::Node(1 + draws.below(3)),
    }
}

fn unsynced(draws: &mut RandomStream) -> Unsynced {
    match draws.below(3) {
        0 => Unsynced::Lost,
        1 => Unsynced::Drawn,
        _ => Unsynced::Kept,
    }
}

fn of_a_machine(draws: &mut RandomStream) -> Fault {
    let node = target(draws);
    let unsynced = unsynced(draws);
    match draws.below(9) {
        0 => Fault::Crash { node, unsynced },
        1 => Fault::CrashAll { unsynced },
        2 => Fault::Wipe { node },
        3 => Fault::Pause { node },
        4 => Fault::Restart { node },
        5 => Fault::Transfer { to: node },
        6 => Fault::TakeSnapshot { node },
        7 => Fault::ClockJump {
            node,
            by_ms: i64::try_from(draws.below(20_000)).unwrap_or_default() - 10_000,
        },
        _ => Fault::ClockDrift {
            node,
            ppm: i32::try_from(draws.below(1_000)).unwrap_or_default() - 500,
        },
    }
}

fn of_a_path(draws: &mut RandomStream) -> Fault {
    let node = target(draws);
    let other = target(draws);
    match draws.below(11) {
        0 => Fault::Isolate { node },
        1 => Fault::Deaf { node },
        2 => Fault::Mute { node },
        3 => Fault::Cut { a: node, b: other },
        4 => Fault::Partition { side: vec![node] },
        5 => Fault::Loss { loss_ppm: 20_000 },
        6 => Fault::Bursts {
            bad_ppm: 200_000,
            bad_ms: 300,
            good_ms: 3_000,
        },
        7 => Fault::Duplicate {
            duplicate_ppm: 100_000,
        },
        8 => Fault::Detour {
            node,
            add_permille: 320,
        },
        9 => Fault::BrownOut {
            node,
            add_permille: 500,
            bytes_per_s: 100_000,
        },
        _ => Fault::Clog {
            from: node,
            to: other,
        },
    }
}

fn of_a_disk(draws: &mut RandomStream) -> Fault {
    let node = target(draws);
    let of = match draws.below(4) {
        0 => Rot::Log,
        1 => Rot::Vote,
        2 => Rot::State,
        _ => Rot::Snapshot,
    };
    match draws.below(8) {
        0 => Fault::DiskStall { node },
        1 => Fault::DiskSlow { node, sync_ms: 150 },
        2 => Fault::DiskError {
            node,
            on: DiskCall::Write,
        },
        3 => Fault::DiskError {
            node,
            on: DiskCall::Sync,
        },
        4 => Fault::DiskFull { node },
        5 => Fault::TornWrite { node },
        6 => Fault::Misdirected { node },
        _ => Fault::BitRot { node, of },
    }
}

fn of_the_ledger(draws: &mut RandomStream) -> Fault {
    match draws.below(5) {
        0 => Fault::LedgerDown {},
        1 => Fault::LedgerLoses {
            submit_ppm: 200_000,
            query_ppm: 100_000,
        },
        2 => Fault::LedgerLag {
            ingest_lag_ms: 3_000,
        },
        3 => Fault::LedgerSurge {
            ops_per_ledger: 2_000,
            bid_stroops: 300,
        },
        _ => Fault::LedgerClock { by_ms: 20_000 },
    }
}

fn any(draws: &mut RandomStream) -> Fault {
    match draws.below(4) {
        0 => of_a_machine(draws),
        1 => of_a_path(draws),
        2 => of_a_disk(draws),
        _ => of_the_ledger(draws),
    }
}

async fn chaos(mut stage: Stage) -> Vec<Stopped> {
    let mut draws = stream(NodeTag::DRIVER, "chaos");
    let mut under_way: Vec<(SimTime, Relief)> = Vec::new();
    let end = now() + TROUBLED;
    stage.begin_payments(60, TROUBLED);
    while now() < end {
        stage.pass(Duration::from_millis(100)).await;
        let over = under_way.extract_if(.., |(at, _)| *at <= now());
        for (_, relief) in over.collect::<Vec<_>>() {
            stage.relieve(relief).await;
        }
        if draws.below(20) == 0 {
            let fault = any(&mut draws);
            let inflicted = stage.world.inflict(&fault).await;
            println!(
                "{} {fault:?} {:?} {:?}",
                now(),
                inflicted.nodes,
                inflicted.skipped
            );
            let at = now() + Duration::from_millis(draws.between(200, 12_000));
            under_way.push((at, inflicted.relief));
        }
    }
    for (_, relief) in under_way {
        stage.relieve(relief).await;
    }
    // What was damaged and never read is thrown away by an operator.
    stage.pass(Duration::from_secs(20)).await;
    for node_id in stage.world.damaged() {
        stage.wipe_if_damaged(node_id).await;
    }
    stage.finish_payments().await;
    stage.finish().await
}

#[test]
fn the_cluster_recovers_from_many_faults_at_once() {
    for seed in 0..seeds(6) {
        let (_, stopped) = run(seed, |topology| topology.snapshot_entries = 60, chaos);
        println!(
            "seed {seed}: {} processes ended by themselves",
            stopped.len()
        );
    }
}

#[test]
fn one_seed_is_one_history_with_all_its_faults() {
    let history = || run(3, |topology| topology.network.route_change_s = 20, chaos);
    assert_eq!(history(), history());
}

fn seeds(standard: u64) -> u64 {
    let count = std::env::var("STELLARA_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    count.unwrap_or(standard)
}
