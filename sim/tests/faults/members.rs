//! Operators who change who votes, and what they are refused.

use std::time::Duration;

use stellara_node::gateway::Gateway as _;
use stellara_node::gateway::members::{Effect, MemberChange, MemberError, MemberRefusal};
use stellara_raft_store::types::NodeId;
use stellara_sim::plan::fault::{Fault, Unsynced};
use stellara_sim::plan::target::Target;
use stellara_sim::runtime::{NodeTag, spawn_on};
use stellara_sim::world::World;

use crate::stage::{Stage, check_calm, run};

/// Many elections long.
const LONG: Duration = Duration::from_secs(20);

fn members(world: &World) -> Vec<NodeId> {
    let statuses = world.statuses();
    let leader = statuses
        .iter()
        .filter(|one| one.leader_id == Some(one.node_id))
        .max_by_key(|one| one.term);
    let members = leader.map(|leader| leader.members.iter().map(|one| one.node_id).collect());
    members.unwrap_or_default()
}

async fn until_out(stage: &mut Stage, node_id: NodeId) {
    let out = |world: &World| {
        let members = members(world);
        (!members.is_empty() && !members.contains(&node_id)).then_some(())
    };
    stage.until("it is out", out).await;
}

async fn until_all_vote(stage: &mut Stage) {
    let all_vote = |world: &World| {
        let all = members(world).len() == world.node_ids().len();
        (all && world.misplaced().is_none()).then_some(())
    };
    stage.until("all vote", all_vote).await;
}

fn highest_term(world: &World) -> Option<u64> {
    world.statuses().iter().map(|status| status.term).max()
}

async fn ask(stage: &Stage, at: NodeId, change: MemberChange) -> Result<Effect, MemberError> {
    let node = stage.world.roster().get(at).expect("it runs");
    let asked = spawn_on(
        NodeTag(at),
        async move { node.change_members(change).await },
    );
    let answer = asked.await.expect("it lives");
    answer.map(|membership| membership.effect)
}

#[test]
fn a_voter_is_taken_out_and_added_again() {
    check_calm(|mut stage| async move {
        let node_id = stage.follower();
        let node = Target::Node(node_id);
        let out = stage.inflict(Fault::RemoveVoter { node }).await;
        until_out(&mut stage, node_id).await;
        let term = highest_term(&stage.world);
        stage.pay_without_settlement(10).await;
        stage.pass(LONG).await;
        assert_eq!(
            highest_term(&stage.world),
            term,
            "who is out stands for no election"
        );
        stage.relieve(out.relief).await;
        until_all_vote(&mut stage).await;
        stage.finish().await
    });
}

#[test]
fn a_leader_that_is_taken_out_hands_leadership_over() {
    check_calm(|mut stage| async move {
        let leader = stage.leader();
        let node = Target::Leader;
        let out = stage.inflict(Fault::RemoveVoter { node }).await;
        stage.other_leader(leader).await;
        until_out(&mut stage, leader).await;
        stage.pay_without_settlement(5).await;
        stage.relieve(out.relief).await;
        until_all_vote(&mut stage).await;
        stage.finish().await
    });
}

#[test]
fn a_voter_that_was_down_when_it_was_taken_out_does_not_disturb() {
    check_calm(|mut stage| async move {
        let node_id = stage.follower();
        let node = Target::Node(node_id);
        let unsynced = Unsynced::Lost;
        let crash = Fault::Crash {
            node: node.clone(),
            unsynced,
        };
        let down = stage.inflict(crash).await;
        let out = stage.inflict(Fault::RemoveVoter { node }).await;
        until_out(&mut stage, node_id).await;
        let term = highest_term(&stage.world);
        stage.relieve(down.relief).await;
        stage.pass(LONG).await;
        assert_eq!(
            highest_term(&stage.world),
            term,
            "its old membership is not believed"
        );
        stage.pay_without_settlement(5).await;
        stage.relieve(out.relief).await;
        until_all_vote(&mut stage).await;
        stage.finish().await
    });
}

#[test]
fn a_machine_is_replaced_under_its_old_number() {
    check_calm(|mut stage| async move {
        let node_id = stage.follower();
        let node = Target::Node(node_id);
        let wiped = stage.inflict(Fault::Wipe { node: node.clone() }).await;
        let out = stage.inflict(Fault::RemoveVoter { node }).await;
        until_out(&mut stage, node_id).await;
        stage.pay_without_settlement(5).await;
        stage.relieve(wiped.relief).await;
        stage.pass(Duration::from_secs(3)).await;
        stage.relieve(out.relief).await;
        until_all_vote(&mut stage).await;
        stage.finish().await
    });
}

#[test]
fn what_cannot_be_is_refused_and_what_is_so_changes_nothing() {
    check_calm(|mut stage| async move {
        let (leader, other) = (stage.leader(), stage.follower());
        for at in [leader, other] {
            let unknown = MemberRefusal::NodeUnknown { node_id: 9 };
            for change in [MemberChange::AddVoter(9), MemberChange::RemoveVoter(9)] {
                assert_eq!(ask(&stage, at, change).await, Err(unknown.into()));
            }
            let voter = MemberChange::AddVoter(other);
            assert_eq!(ask(&stage, at, voter).await, Ok(Effect::AlreadySo));
        }
        let third = 6 - leader - other;
        let unsynced = Unsynced::Kept;
        let node = Target::Node(third);
        let down = stage.inflict(Fault::Crash { node, unsynced }).await;
        let no_majority = MemberRefusal::NoMajority {
            count: 1,
            of_voters: 2,
            needed: 2,
        };
        let removal = MemberChange::RemoveVoter(other);
        assert_eq!(ask(&stage, other, removal).await, Err(no_majority.into()));
        // It is the node that is down that may go, and cannot come back before it answers.
        let removal = MemberChange::RemoveVoter(third);
        assert_eq!(ask(&stage, other, removal).await, Ok(Effect::Changed));
        assert_eq!(ask(&stage, other, removal).await, Ok(Effect::AlreadySo));
        let silent = MemberRefusal::NodeSilent { node_id: third };
        let back = MemberChange::AddVoter(third);
        assert_eq!(ask(&stage, leader, back).await, Err(silent.into()));
        stage.relieve(down.relief).await;
        let runs = |world: &World| world.roster().runs(third).then_some(());
        stage.until("it runs", runs).await;
        assert_eq!(ask(&stage, third, back).await, Ok(Effect::Changed));
        stage.finish().await
    });
}

#[test]
fn the_last_voter_stays() {
    run(
        11,
        |topology| topology.regions.truncate(1),
        |stage| async move {
            let last = MemberRefusal::LastVoter { node_id: 1 };
            let removal = MemberChange::RemoveVoter(1);
            assert_eq!(ask(&stage, 1, removal).await, Err(last.into()));
            stage.finish().await
        },
    );
}

/// Whenever its leader dies in the middle of a change, the next one ends it.
#[test]
fn a_change_that_a_dead_leader_left_is_ended() {
    for wait_ms in [40, 120, 200, 280, 360, 440] {
        check_calm(|mut stage| async move {
            let leader = stage.leader();
            let node = Target::Node(stage.follower());
            let out = stage.inflict(Fault::RemoveVoter { node }).await;
            stage.pass(Duration::from_millis(wait_ms)).await;
            let node = Target::Node(leader);
            let unsynced = Unsynced::Kept;
            let down = stage.inflict(Fault::Crash { node, unsynced }).await;
            stage.relieve(out.relief).await;
            stage.pass(Duration::from_secs(2)).await;
            stage.relieve(down.relief).await;
            until_all_vote(&mut stage).await;
            stage.finish().await
        });
    }
}
