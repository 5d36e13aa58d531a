//! Faults of machines, processes and clocks, and what operators do.

use std::time::Duration;

use stellara_node::gateway::{Gateway as _, Role};
use stellara_sim::plan::fault::{Fault, Unsynced};
use stellara_sim::plan::target::Target;
use stellara_sim::runtime::{NodeTag, monotonic_of, wall_clock_of};
use stellara_sim::world::Skipped;

use crate::stage::check_calm;

#[test]
fn a_crashed_leader_is_replaced_and_comes_back() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let fault = Fault::Crash {
            node: Target::Leader,
            unsynced: Unsynced::Lost,
        };
        let hit = stage.inflict(fault).await;
        assert_eq!(
            (hit.nodes.as_slice(), hit.hit_leader()),
            ([leader].as_slice(), true)
        );
        assert!(!stage.world.roster().runs(leader));
        stage.other_leader(leader).await;
        stage.pass(Duration::from_secs(3)).await;
        assert!(!stage.world.roster().runs(leader), "it is held down");
        stage.relieve(hit.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_node_stays_down_until_the_last_of_two_faults_is_over() {
    check_calm(|mut stage| async move {
        let node = Target::Node(stage.follower());
        let crash = Fault::Crash {
            node: node.clone(),
            unsynced: Unsynced::Drawn,
        };
        let first = stage.inflict(crash).await;
        let second = stage
            .inflict(Fault::CrashAll {
                unsynced: Unsynced::Kept,
            })
            .await;
        let pause = stage.world.inflict(&Fault::Pause { node }).await;
        assert!(matches!(pause.skipped, Some(Skipped::NotRunning(_))));
        stage.relieve(first.relief).await;
        stage.pass(Duration::from_secs(2)).await;
        assert_eq!(stage.world.roster().running().len(), 0);
        stage.relieve(second.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_paused_leader_is_replaced_and_its_connections_end() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let hit = stage
            .inflict(Fault::Pause {
                node: Target::Leader,
            })
            .await;
        let next = stage.other_leader(leader).await;
        let again = stage
            .inflict(Fault::Pause {
                node: Target::OldLeader,
            })
            .await;
        assert_eq!(again.nodes, [leader]);
        assert_eq!((again.leader, again.hit_leader()), (Some(next), false));
        stage.relieve(hit.relief).await;
        stage.pass(Duration::from_secs(8)).await;
        let node = stage.world.roster().get(leader).expect("it is there");
        assert_eq!(node.status().role, Role::Leader, "it knows nothing of it");
        stage.relieve(again.relief).await;
        stage.finish().await
    });
}

#[test]
fn who_is_isolated_leads_no_more() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let hit = stage
            .inflict(Fault::Isolate {
                node: Target::Leader,
            })
            .await;
        stage.other_leader(leader).await;
        let cut = stage.inflict(Fault::Cut {
            a: Target::Node(leader),
            b: Target::Leader,
        });
        let cut = cut.await;
        assert_eq!(cut.nodes.len(), 2);
        stage.relieve(hit.relief).await;
        stage.pass(Duration::from_secs(8)).await;
        stage.relieve(cut.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_restarted_leader_hands_over_before_it_stops() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let hit = stage
            .inflict(Fault::Restart {
                node: Target::Leader,
            })
            .await;
        assert!(
            !stage.world.roster().runs(leader),
            "its callers are refused"
        );
        stage.pass(Duration::from_millis(1_500)).await;
        assert_ne!(stage.leader(), leader);
        stage.relieve(hit.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_stop_that_takes_too_long_ends_with_the_fault() {
    check_calm(|mut stage| async move {
        let node = Target::Node(stage.leader());
        let isolated = stage.inflict(Fault::Isolate { node: node.clone() }).await;
        let stopping = stage.inflict(Fault::Restart { node: node.clone() }).await;
        let again = stage.world.inflict(&Fault::Restart { node }).await;
        assert!(matches!(again.skipped, Some(Skipped::NotRunning(_))));
        stage.pass(Duration::from_millis(300)).await;
        stage.relieve(stopping.relief).await;
        stage.pass(Duration::from_secs(1)).await;
        assert_eq!(stage.world.roster().running().len(), 3);
        stage.relieve(isolated.relief).await;
        stage.finish().await
    });
}

#[test]
fn an_operator_chooses_who_leads() {
    check_calm(|mut stage| async move {
        let follower = stage.follower();
        let to = Target::Node(follower);
        let hit = stage.inflict(Fault::Transfer { to: to.clone() }).await;
        assert!(hit.hit_leader() && hit.relief.is_nothing());
        let leads =
            |world: &stellara_sim::world::World| (world.leader() == Some(follower)).then_some(());
        stage.until("the transfer", leads).await;
        let again = stage.world.inflict(&Fault::Transfer { to }).await;
        assert_eq!(again.skipped, Some(Skipped::BothSides(follower)));
        stage.finish().await
    });
}

#[test]
fn a_wiped_node_is_filled_again_from_a_snapshot_that_outlived_a_restart() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let node = Target::Node(leader);
        let taken = stage.inflict(Fault::TakeSnapshot { node: node.clone() });
        assert!(taken.await.relief.is_nothing());
        let has_one = |world: &stellara_sim::world::World| {
            let disk = world.disk(leader)?;
            let kept = stellara_raft_store::engine::Disk::list(disk, "snapshots");
            kept.ok()?.first().map(|_| ())
        };
        stage.until("a snapshot", has_one).await;
        let crash = Fault::Crash {
            node,
            unsynced: Unsynced::Kept,
        };
        let crashed = stage.inflict(crash).await;
        stage.pass(Duration::from_millis(100)).await;
        stage.relieve(crashed.relief).await;
        stage.pass(Duration::from_secs(3)).await;
        stage.purge().await;
        let wiped = stage
            .inflict(Fault::Wipe {
                node: Target::Follower(1),
            })
            .await;
        assert_eq!(stage.world.damaged(), wiped.nodes);
        let second = stage
            .world
            .inflict(&Fault::Wipe {
                node: Target::Leader,
            })
            .await;
        assert!(matches!(
            second.skipped,
            Some(Skipped::TooMuchDamage { .. })
        ));
        stage.relieve(wiped.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_clock_that_jumps_shows_another_time() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let shown = || wall_clock_of(NodeTag(leader)).0;
        let before = shown();
        let node = Target::Leader;
        let hit = stage
            .inflict(Fault::ClockJump {
                node: node.clone(),
                by_ms: 90_000,
            })
            .await;
        assert!(hit.relief.is_nothing());
        assert_eq!(shown() - before, 90_000);
        stage.pass(Duration::from_secs(5)).await;
        let back = stage.inflict(Fault::ClockJump {
            node,
            by_ms: -120_000,
        });
        assert!(back.await.hit_leader());
        assert_eq!(shown() + 25_000, before);
        stage.finish().await
    });
}

#[test]
fn clocks_drift_by_the_sum_of_what_drives_them() {
    check_calm(|mut stage| async move {
        let follower = stage.follower();
        let node = Target::Node(follower);
        let passed_ms = |before: stellara_sim::runtime::SimInstant| {
            (monotonic_of(NodeTag(follower)) - before).as_millis()
        };
        let fast = stage
            .inflict(Fault::ClockDrift {
                node: node.clone(),
                ppm: 2_000,
            })
            .await;
        let faster = stage.inflict(Fault::ClockDrift { node, ppm: 8_000 }).await;
        let before = monotonic_of(NodeTag(follower));
        stage.pass(Duration::from_secs(10)).await;
        assert_eq!(passed_ms(before), 10_100);
        stage.relieve(fast.relief).await;
        let before = monotonic_of(NodeTag(follower));
        stage.pass(Duration::from_secs(10)).await;
        assert_eq!(passed_ms(before), 10_080);
        stage.relieve(faster.relief).await;
        let before = monotonic_of(NodeTag(follower));
        stage.pass(Duration::from_secs(10)).await;
        assert_eq!(passed_ms(before), 10_000);
        stage.finish().await
    });
}
