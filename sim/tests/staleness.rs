//! The bound of a stale read, on real nodes in virtual time: a node that is cut off refuses once it has been silent
//! for longer than asked, says for how long, and still answers who takes anything.

use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_node::gateway::{Failure, Freshness, Gateway as _};
use stellara_node::node::Timers;
use stellara_raft_store::types::NodeId;
use stellara_sim::runtime::{SimOptions, SimRuntime, SimTime, sleep};
use stellara_sim::world::{World, WorldOptions};

const SOON: Duration = Duration::from_secs(20);
/// How long a node is cut off.
const CUT: Duration = Duration::from_secs(3);
/// Above a beat, a round trip and a few lost datagrams; below the cut.
const BOUND_MS: u64 = 1_500;

/// Three regions whose idle leader hears any majority that may be left: openraft gives a heartbeat up after one
/// interval, so the interval is above the longest round trip.
fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        timers: Timers {
            heartbeat_ms: 240,
            election_timeout_min_ms: 400,
            election_timeout_max_ms: 560,
        },
        ..WorldOptions::three_regions(seed)
    }
}

/// A stale read of a node, which never waits.
fn read(world: &World, node_id: NodeId, staleness_max_ms: u64) -> Result<(), Failure> {
    let running = world.roster().running();
    let (_, node) = running
        .into_iter()
        .find(|(running, _)| *running == node_id)
        .expect("the node runs");
    let read = node.read(Freshness::Stale { staleness_max_ms });
    let view = read.now_or_never().expect("a stale read does not wait");
    view.map(drop)
}

/// For how long the node says that it was silent.
fn silent_ms(refused: Result<(), Failure>) -> u64 {
    let Err(Failure::Unavailable { reason }) = refused else {
        panic!("not refused as unavailable: {refused:?}");
    };
    let words = reason.split_whitespace().collect::<Vec<_>>();
    let at = words.iter().position(|word| *word == "for");
    let silent = at.and_then(|at| words.get(at + 1)?.parse().ok());
    silent.unwrap_or_else(|| panic!("no time in {reason:?}"))
}

/// Cuts off the leader or a follower, and holds every node to its bound.
async fn scenario(seed: u64, choose: fn(leader: NodeId) -> NodeId) {
    let world = World::start(options(seed)).await;
    let world = world.expect("the world starts");
    let leader = world.until_ready(SOON).await.expect("a leader is found");
    let all_fresh = |world: &World| {
        let mut nodes = world.node_ids().into_iter();
        nodes
            .all(|node| read(world, node, BOUND_MS).is_ok())
            .then_some(())
    };
    let fresh = world.until("all nodes are in touch", SOON, all_fresh).await;
    fresh.expect("every node hears the leader");

    let cut = choose(leader);
    world.isolate(cut);
    sleep(CUT).await;
    let silent = silent_ms(read(&world, cut, BOUND_MS));
    let cut_ms = u64::try_from(CUT.as_millis()).expect("it is small");
    // The last word came a beat's interval and a round trip before the cut, or a lost datagram more.
    assert!((cut_ms..=cut_ms + 700).contains(&silent), "{silent}");
    assert_eq!(read(&world, cut, silent + 1), Ok(()));
    assert_eq!(read(&world, cut, 0), Ok(()));
    let others_fresh = |world: &World| {
        let mut others = world.node_ids().into_iter().filter(|node| *node != cut);
        others
            .all(|node| read(world, node, BOUND_MS).is_ok())
            .then_some(())
    };
    let fresh = world.until("the majority is in touch", SOON, others_fresh);
    fresh.await.expect("the others have a leader");

    world.rejoin(cut);
    let fresh = world.until("all nodes are in touch again", SOON, all_fresh);
    fresh.await.expect("the node that was cut off hears again");
    world.stop();
}

fn check(cut: fn(leader: NodeId) -> NodeId) {
    for seed in 0..4 {
        let mut runtime = SimRuntime::with_options(SimOptions {
            seed,
            time_limit: Some(SimTime::from_ms(120_000)),
            ..SimOptions::default()
        });
        runtime
            .drive(scenario(seed, cut))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_leader_without_its_majority_knows_how_old_its_word_is() {
    check(|leader| leader);
}

#[test]
fn a_follower_without_its_leader_knows_how_old_its_word_is() {
    check(|leader| leader % 3 + 1);
}
