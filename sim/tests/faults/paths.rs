//! Faults of the paths between nodes.

use std::time::Duration;

use stellara_node::gateway::Gateway as _;
use stellara_node::ports::peer_link::PeerLink as _;
use stellara_raft_store::types::NodeId;
use stellara_sim::plan::fault::Fault;
use stellara_sim::plan::target::Target;
use stellara_sim::world::{Skipped, World};

use crate::stage::{check_calm, run};

fn round_trip(world: &World, from: NodeId, to: NodeId) -> Option<Duration> {
    world.network().link(from).round_trip(to)
}

#[test]
fn a_deaf_leader_loses_its_lead() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let hit = stage
            .inflict(Fault::Deaf {
                node: Target::Leader,
            })
            .await;
        stage.other_leader(leader).await;
        stage.relieve(hit.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_mute_leader_loses_its_lead() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let hit = stage
            .inflict(Fault::Mute {
                node: Target::Leader,
            })
            .await;
        stage.other_leader(leader).await;
        stage.relieve(hit.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_partition_leaves_the_lead_to_the_majority() {
    let (_, stopped) = run(
        5,
        |topology| {
            let more = ["eu-central-1", "us-west-2"];
            topology.regions.extend(more.map(str::to_owned));
        },
        |mut stage| async move {
            let leader = stage.leader();
            let all = vec![
                Target::Leader,
                Target::Follower(1),
                Target::Follower(2),
                Target::Follower(3),
                Target::Follower(4),
            ];
            let none = stage
                .world
                .inflict(&Fault::Partition { side: all.clone() })
                .await;
            assert_eq!(none.skipped, Some(Skipped::EmptySide));
            let side = all[..2].to_vec();
            let hit = stage.inflict(Fault::Partition { side }).await;
            assert_eq!(hit.nodes.len(), 2);
            let next = stage.other_leader(leader).await;
            assert!(!hit.nodes.contains(&next));
            stage.relieve(hit.relief).await;
            stage.finish().await
        },
    );
    assert_eq!(stopped, []);
}

#[test]
fn payments_pass_through_loss_bursts_and_doubles() {
    check_calm(|mut stage| async move {
        let reliefs = [
            stage.inflict(Fault::Loss { loss_ppm: 20_000 }).await.relief,
            stage
                .inflict(Fault::Bursts {
                    bad_ppm: 300_000,
                    bad_ms: 300,
                    good_ms: 3_000,
                })
                .await
                .relief,
            stage
                .inflict(Fault::Duplicate {
                    duplicate_ppm: 300_000,
                })
                .await
                .relief,
        ];
        stage.pay(20).await;
        for relief in reliefs {
            assert!(!relief.is_nothing());
            stage.relieve(relief).await;
        }
        stage.finish().await
    });
}

#[test]
fn a_detour_is_seen_in_the_round_trips() {
    check_calm(|mut stage| async move {
        let (leader, follower) = (stage.leader(), stage.follower());
        let usual = round_trip(&stage.world, leader, follower).expect("they are connected");
        let node = Target::Leader;
        let detour = stage
            .inflict(Fault::Detour {
                node: node.clone(),
                add_permille: 500,
            })
            .await;
        let brown_out = Fault::BrownOut {
            node,
            add_permille: 1_500,
            bytes_per_s: 50_000,
        };
        let brown_out = stage.inflict(brown_out).await;
        let longer = round_trip(&stage.world, leader, follower).expect("they are connected");
        assert_eq!(longer, usual * 3, "both add up");
        stage.relieve(detour.relief).await;
        let longer = round_trip(&stage.world, leader, follower).expect("they are connected");
        assert_eq!(longer, usual * 5 / 2);
        stage.pay(5).await;
        stage.relieve(brown_out.relief).await;
        let again = round_trip(&stage.world, leader, follower).expect("they are connected");
        assert_eq!(again, usual);
        stage.finish().await
    });
}

#[test]
fn what_a_clog_holds_arrives_at_its_end() {
    check_calm(|mut stage| async move {
        let (leader, follower) = (stage.leader(), stage.follower());
        let clog = Fault::Clog {
            from: Target::Leader,
            to: Target::Node(follower),
        };
        let hit = stage.inflict(clog).await;
        let term = stage.world.statuses()[0].term;
        stage.pass(Duration::from_millis(200)).await;
        let matched = |world: &World| {
            let node = world.roster().get(leader).expect("it runs");
            let view = node.status();
            let members = view.members.iter();
            let found = members.filter(|member| member.node_id == follower);
            found.map(|member| member.matched_index).max()
        };
        let before = matched(&stage.world);
        stage.pay_without_settlement(3).await;
        assert_eq!(
            stage.world.statuses()[0].term,
            term,
            "the third keeps the leader"
        );
        assert_eq!(matched(&stage.world), before);
        stage.relieve(hit.relief).await;
        stage.pass(Duration::from_secs(1)).await;
        assert!(matched(&stage.world) > before);
        stage.finish().await
    });
}

#[test]
fn nobody_is_meant_by_what_is_not_there() {
    check_calm(|mut stage| async move {
        for node in [
            Target::Node(9),
            Target::Region("sa-east-1".to_owned()),
            Target::Follower(3),
            Target::Any,
        ] {
            let missed = stage
                .world
                .inflict(&Fault::Isolate { node: node.clone() })
                .await;
            assert_eq!(missed.skipped, Some(Skipped::Nobody(node)));
            assert!(missed.relief.is_nothing() && missed.nodes.is_empty());
        }
        let same = Fault::Cut {
            a: Target::Node(2),
            b: Target::Region("eu-west-1".to_owned()),
        };
        let same = stage.world.inflict(&same).await;
        assert_eq!(same.skipped, Some(Skipped::BothSides(2)));
        stage.finish().await
    });
}
