//! Faults of disks, and what becomes of nodes whose data is damaged.

use std::time::Duration;

use stellara_raft_store::engine::Space;
use stellara_sim::plan::fault::{DiskCall, Fault, Rot, Unsynced};
use stellara_sim::plan::target::Target;
use stellara_sim::world::{Cause, Skipped, Stopped};

use crate::stage::{Stage, check, check_calm, run};

fn causes(stopped: &[Stopped]) -> Vec<Option<Cause>> {
    stopped.iter().map(|one| one.cause).collect()
}

#[test]
fn a_stalled_disk_costs_the_lead_and_nothing_else() {
    check_calm(|mut stage| async move {
        let node = Target::Leader;
        let stall = stage.inflict(Fault::DiskStall { node: node.clone() }).await;
        let slow = stage.inflict(Fault::DiskSlow { node, sync_ms: 200 }).await;
        // The others make a majority of a leader's log without its own disk.
        stage.pay_without_settlement(3).await;
        stage.relieve(stall.relief).await;
        stage.pay(3).await;
        stage.relieve(slow.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_node_starts_when_its_stalled_disk_does() {
    check_calm(|mut stage| async move {
        let node = Target::Node(stage.follower());
        let stall = stage.inflict(Fault::DiskStall { node: node.clone() }).await;
        let wipe = stage.inflict(Fault::Wipe { node }).await;
        stage.pass(Duration::from_secs(1)).await;
        stage.relieve(wipe.relief).await;
        stage.pass(Duration::from_secs(5)).await;
        assert_eq!(stage.world.damaged(), wipe.nodes, "it cannot be filled yet");
        stage.relieve(stall.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_disk_error_stops_the_process_and_it_starts_again() {
    for on in [DiskCall::Write, DiskCall::Sync] {
        let stopped = check(|mut stage| async move {
            let leader = stage.leader();
            let hit = stage
                .inflict(Fault::DiskError {
                    node: Target::Leader,
                    on,
                })
                .await;
            assert!(hit.hit_leader() && hit.relief.is_nothing());
            stage.pay(3).await;
            assert!(stage.world.roster().runs(leader));
            stage.finish().await
        });
        assert_eq!(
            causes(&stopped),
            [Some(Cause::DiskError)],
            "{on:?}: {stopped:?}"
        );
    }
}

#[test]
fn a_full_disk_takes_no_lead_and_recovers_with_room() {
    let stopped = check(|mut stage| async move {
        let leader = stage.leader();
        let first = stage
            .inflict(Fault::DiskFull {
                node: Target::Leader,
            })
            .await;
        let node = stage.world.roster().get(leader).expect("it runs");
        assert!(node.gate().reason().is_some(), "it is read-only at once");
        drop(node);
        stage.other_leader(leader).await;
        let node = Target::Node(leader);
        let second = stage.inflict(Fault::DiskFull { node }).await;
        stage.relieve(first.relief).await;
        stage.pay(300).await;
        let over = stage.stopped.len();
        assert!(over > 0, "the reserve was used up");
        stage.relieve(second.relief).await;
        stage.pass(Duration::from_secs(3)).await;
        let node = stage.world.roster().get(leader).expect("it runs again");
        assert_eq!(node.gate().reason(), None);
        drop(node);
        stage.finish().await
    });
    assert!(
        causes(&stopped)
            .iter()
            .all(|cause| *cause == Some(Cause::DiskFull)),
        "{stopped:?}"
    );
}

/// A record of the leader's disk rots; the leader crashes, and is filled again from the others.
fn check_rot(of: Rot) {
    let stopped = check(|mut stage| async move {
        stage.pay(5).await;
        let leader = stage.leader();
        let node = Target::Node(leader);
        let hit = stage
            .inflict(Fault::BitRot {
                node: node.clone(),
                of,
            })
            .await;
        assert_eq!(stage.world.damaged(), hit.nodes);
        let other = Target::Node(stage.follower());
        let second = Fault::BitRot {
            node: other,
            of: Rot::State,
        };
        let second = stage.world.inflict(&second).await;
        assert!(matches!(
            second.skipped,
            Some(Skipped::TooMuchDamage { .. })
        ));
        let crash = Fault::Crash {
            node,
            unsynced: Unsynced::Kept,
        };
        let crash = stage.inflict(crash).await;
        stage.pass(Duration::from_millis(500)).await;
        stage.relieve(crash.relief).await;
        stage.pass(Duration::from_secs(2)).await;
        assert!(
            !stage.world.roster().runs(leader),
            "it serves no damaged data"
        );
        stage.finish().await
    });
    assert_eq!(
        causes(&stopped),
        [Some(Cause::Damage)],
        "{of:?}: {stopped:?}"
    );
}

#[test]
fn a_rotten_log_entry_is_found_and_repaired_from_the_others() {
    check_rot(Rot::Log);
}

#[test]
fn a_rotten_vote_is_found_and_repaired_from_the_others() {
    check_rot(Rot::Vote);
}

#[test]
fn a_rotten_row_of_the_state_is_found_and_repaired_from_the_others() {
    for seed in 0..4 {
        let (_, stopped) = run(
            seed,
            |_| {},
            |mut stage| async move {
                stage.pay(5).await;
                let node = Target::Leader;
                let hit = stage
                    .inflict(Fault::BitRot {
                        node,
                        of: Rot::State,
                    })
                    .await;
                assert_eq!(stage.world.damaged(), hit.nodes);
                stage.wipe_if_damaged(hit.nodes[0]).await;
                stage.finish().await
            },
        );
        assert!(
            causes(&stopped)
                .iter()
                .all(|cause| *cause == Some(Cause::Damage)),
            "{stopped:?}"
        );
    }
}

#[test]
fn a_rotten_snapshot_is_not_taken_for_data() {
    let stopped = check(|mut stage| async move {
        stage.pay(5).await;
        let leader = stage.leader();
        let node = Target::Node(leader);
        let none = stage
            .world
            .inflict(&Fault::BitRot {
                node: node.clone(),
                of: Rot::Snapshot,
            })
            .await;
        assert_eq!(none.skipped, Some(Skipped::NoRecord(leader)));
        stage
            .inflict(Fault::TakeSnapshot { node: node.clone() })
            .await;
        stage.purge().await;
        stage
            .inflict(Fault::BitRot {
                node,
                of: Rot::Snapshot,
            })
            .await;
        assert!(
            stage.world.damaged().is_empty(),
            "the state itself is whole"
        );
        let wiped = stage
            .inflict(Fault::Wipe {
                node: Target::Follower(1),
            })
            .await;
        stage.relieve(wiped.relief).await;
        stage.pass(Duration::from_secs(5)).await;
        // Its next snapshot is good.
        let node = Target::Node(leader);
        stage.inflict(Fault::TakeSnapshot { node }).await;
        stage.finish().await
    });
    assert_eq!(stopped, []);
}

#[test]
fn a_torn_record_is_found_and_repaired_from_the_others() {
    let stopped = check(|mut stage| async move {
        stage.pay(3).await;
        let hit = stage
            .inflict(Fault::TornWrite {
                node: Target::Leader,
            })
            .await;
        assert_eq!(stage.world.damaged(), hit.nodes);
        stage.pass(Duration::from_secs(1)).await;
        stage.relieve(hit.relief).await;
        stage.finish().await
    });
    assert_eq!(causes(&stopped), [Some(Cause::Damage)], "{stopped:?}");
}

#[test]
fn a_record_that_went_astray_is_found_and_repaired_from_the_others() {
    let stopped = check(|mut stage| async move {
        stage.pay(3).await;
        let follower = stage.follower();
        let node = Target::Node(follower);
        let hit = stage
            .inflict(Fault::Misdirected { node: node.clone() })
            .await;
        assert!(hit.relief.is_nothing());
        stage.pay(3).await;
        let disk = stage.world.disk(follower).expect("it has a disk").clone();
        let landed = disk.misdirected().expect("a record was written since");
        assert_eq!(
            (landed.folder.as_str(), landed.space),
            ("log", Space::Entries)
        );
        assert_eq!(stage.world.damaged(), [follower]);
        let crash = Fault::Crash {
            node,
            unsynced: Unsynced::Kept,
        };
        let crash = stage.inflict(crash).await;
        stage.relieve(crash.relief).await;
        stage.finish().await
    });
    assert_eq!(causes(&stopped), [Some(Cause::Damage)], "{stopped:?}");
}

#[test]
fn what_survives_a_loss_of_power_is_what_was_acknowledged() {
    check_calm(|mut stage| async move {
        stage.pay(5).await;
        let follower = stage.follower();
        let rows = |stage: &Stage| {
            let disk = stage.world.disk(follower).expect("it has a disk");
            disk.durable_rows("log", Space::Entries)
        };
        let before = rows(&stage);
        let crash = Fault::Crash {
            node: Target::Node(follower),
            unsynced: Unsynced::Lost,
        };
        let crash = stage.inflict(crash).await;
        assert!(before.len() > 5);
        assert_eq!(rows(&stage), before);
        stage.relieve(crash.relief).await;
        stage.finish().await
    });
}
