//! The failure detector at work in a whole cluster: a dead leader is replaced before Raft's own timers would do it, and
//! a wrong suspicion changes nothing.

use std::time::Duration;

use stellara_node::gateway::{Gateway as _, Role};
use stellara_node::node::Timers;
use stellara_raft_store::types::NodeId;
use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::runtime::{SimOptions, SimRuntime, SimTime, now, sleep};
use stellara_sim::world::load::{Load, LoadOptions};
use stellara_sim::world::{World, WorldOptions};

const SEEDS: std::ops::Range<u64> = 0..10;
const READY: Duration = Duration::from_secs(20);

/// Runs a scenario on a cluster at work, once a seed; no law may be broken, no task left.
fn check<T, F: Future<Output = (World, T)>>(
    timers: Timers,
    scenario: impl Fn(World, NodeId) -> F,
) -> Vec<T> {
    let run = |seed| {
        let mut runtime = SimRuntime::with_options(SimOptions {
            seed,
            time_limit: Some(SimTime::from_ms(600_000)),
            ..SimOptions::default()
        });
        let driven = runtime.drive(async {
            let options = WorldOptions {
                timers,
                ..WorldOptions::three_regions(seed)
            };
            let world = World::start(options).await.expect("the world starts");
            let checks = Checks::start(&world);
            let leader = world.until_ready(READY).await.expect("it is ready");
            // The detectors learn how far the others are.
            sleep(Duration::from_secs(2)).await;
            let (world, found) = scenario(world, leader).await;
            assert_eq!(checks.finish(Ending::Midway), []);
            world.stop();
            found
        });
        let found = driven.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let report = runtime.report();
        assert!(report.is_clean(), "seed {seed}: {report:?}");
        found
    };
    SEEDS.map(run).collect()
}

/// Who leads, and in which term, as the leader itself says.
fn reign(world: &World) -> Option<(NodeId, u64)> {
    let statuses = world.statuses();
    let leads = statuses.iter().filter(|status| status.role == Role::Leader);
    let leader = leads.max_by_key(|status| status.term)?;
    Some((leader.node_id, leader.term))
}

#[test]
fn a_dead_leader_is_replaced_before_the_election_timeout() {
    let WorldOptions { timers, .. } = WorldOptions::three_regions(0);
    let gaps_ms = check(timers, |mut world, leader| async move {
        let died = now();
        world.crash(leader);
        let another = |world: &World| reign(world).filter(|(next, _)| *next != leader);
        let elected = world.until("another leader", READY, another).await;
        elected.expect("the majority elects another leader");
        let gap_ms = now().as_ms() - died.as_ms();
        (world, gap_ms)
    });
    println!("from the crash to the next leader, in ms: {gaps_ms:?}");
    // Raft's own timers take the lease and the least election timeout, 420 + 250 ms, and four ways between the
    // survivors, 4 x 87 ms, at the very least: 1,018 ms. The suspicion takes 250 ms and a beat instead of the 670.
    let lease_ms = timers.election_timeout_max_ms;
    for gap_ms in gaps_ms {
        assert!(gap_ms < lease_ms + 4 * 87, "{gap_ms} ms");
    }
}

#[test]
fn the_second_caller_has_its_turn_when_the_first_has_the_shorter_log() {
    let WorldOptions { timers, .. } = WorldOptions::three_regions(0);
    let gaps_ms = check(timers, |mut world, leader| async move {
        let followers: Vec<NodeId> = world
            .node_ids()
            .into_iter()
            .filter(|id| *id != leader)
            .collect();
        // Payments reach the second follower only.
        world.network().cut(leader, followers[0]);
        let load = Load::start(
            &world,
            LoadOptions {
                payments: 20,
                over: Duration::from_millis(50),
            },
        );
        sleep(Duration::from_millis(220)).await;
        let died = now();
        world.crash(leader);
        let another = |world: &World| reign(world).filter(|(next, _)| *next != leader);
        let elected = world.until("another leader", READY, another).await;
        let (next, _) = elected.expect("the majority elects another leader");
        assert_eq!(next, followers[1], "the longer log leads");
        let gap_ms = now().as_ms() - died.as_ms();
        load.finish().await.expect("every payment is accepted");
        (world, gap_ms)
    });
    println!("from the crash to the next leader, in ms: {gaps_ms:?}");
    // One turn over 2 x 174 ms later than otherwise; Raft's own timers take up to 420 + 420 + 4 x 87 ms when the right
    // one is first.
    for gap_ms in gaps_ms {
        // Looks are 10 ms apart.
        assert!(gap_ms < 1_188 + 10, "{gap_ms} ms");
    }
}

#[test]
fn one_voter_that_misses_the_leader_changes_nothing() {
    // A lease that the farthest voter alone keeps up (rule R4): else the leader itself would grant a pre-vote.
    let timers = Timers {
        heartbeat_ms: 200,
        election_timeout_min_ms: 260,
        election_timeout_max_ms: 600,
    };
    check(timers, |world, leader| async move {
        let before = reign(&world);
        let followers: Vec<NodeId> = world
            .node_ids()
            .into_iter()
            .filter(|id| *id != leader)
            .collect();
        // The second time the first follower has withdrawn its lease, and honours it as it hears the leader.
        for follower in followers {
            world.network().cut(leader, follower);
            sleep(Duration::from_secs(3)).await;
            assert_eq!(
                reign(&world),
                before,
                "node {follower} was cut off from its leader"
            );
            world.network().heal(leader, follower);
            let follows = |world: &World| {
                let (_, node) = world
                    .roster()
                    .running()
                    .into_iter()
                    .find(|(id, _)| *id == follower)?;
                let (own, first) = (node.status(), world.statuses());
                let committed = first.iter().map(|status| status.committed_index).max();
                (own.leader_id == Some(leader) && Some(own.committed_index) == committed)
                    .then_some(())
            };
            let level = world.until("the follower is level", READY, follows).await;
            level.expect("it follows again");
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(reign(&world), before);
        (world, ())
    });
}
