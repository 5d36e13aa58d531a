//! Voters that lose their disks: what they forgot is never lost, and they vote again once they have it back.

use std::time::Duration;

use stellara_node::gateway::{Gateway as _, Joining};
use stellara_node::node::Timers;
use stellara_raft_store::engine::memory::Unsynced;
use stellara_raft_store::types::NodeId;
use stellara_sim::fake::network::Latencies;
use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::runtime::{
    NodeTag, RandomStream, SimOptions, SimRuntime, SimTime, sleep, stream,
};
use stellara_sim::world::load::{Accepted, Load, LoadOptions, Standing, paid, standing};
use stellara_sim::world::{World, WorldOptions};

const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);
/// Many elections long.
const LONG: Duration = Duration::from_secs(60);

fn check<F: Future<Output = ()>>(seed: u64, scenario: impl FnOnce(u64) -> F) {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        time_limit: Some(SimTime::from_ms(1_200_000)),
        ..SimOptions::default()
    });
    runtime
        .drive(scenario(seed))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}: {report:?}");
}

/// Three regions with timers for any two of them: the longest round trip is some 230 ms.
fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        timers: Timers {
            heartbeat_ms: 240,
            election_timeout_min_ms: 340,
            election_timeout_max_ms: 560,
        },
        ..WorldOptions::three_regions(seed)
    }
}

struct Stage {
    world: World,
    checks: Checks,
    leader: NodeId,
    others: Vec<NodeId>,
}

impl Stage {
    async fn new(options: WorldOptions) -> Self {
        let world = World::start(options).await.expect("the world starts");
        let checks = Checks::start(&world);
        let leader = world
            .until_ready(READY)
            .await
            .expect("the cluster is ready");
        let others = world.node_ids().into_iter();
        let others = others.filter(|node| *node != leader).collect();
        Self {
            world,
            checks,
            leader,
            others,
        }
    }

    fn joining(&self, node_id: NodeId) -> Option<Joining> {
        let running = self.world.roster().running();
        let found = running.iter().find(|(running, _)| *running == node_id);
        found.expect("the node runs").1.status().joining
    }

    async fn pay(&self, payments: u32) -> Vec<Accepted> {
        let over = Duration::from_secs(1);
        let load = Load::start(&self.world, LoadOptions { payments, over });
        load.finish().await.expect("every payment is accepted")
    }

    async fn start(&mut self, node_id: NodeId) {
        let started = self.world.start_node(node_id).await;
        started.expect("the node starts from what its disk holds");
    }

    async fn nobody_leads(&self) {
        let leader = self.world.until("a leader", LONG, World::leader).await;
        assert!(leader.is_err(), "node {leader:?} leads");
    }

    async fn all_take_part(&self) {
        let all = |world: &World| {
            let statuses = world.statuses();
            let whole = statuses.iter().all(|status| status.joining.is_none());
            (whole && world.leader().is_some()).then_some(())
        };
        let done = self.world.until("everyone takes full part", READY, all);
        let done = done.await;
        assert!(done.is_ok(), "{done:?}: {:#?}", self.world.statuses());
    }

    /// Everything acknowledged is settled, once, as every node says.
    async fn finish(self, accepted: &[Accepted]) {
        let settled = |world: &World| {
            let open = accepted
                .iter()
                .any(|one| standing(world, one.acknowledged.payment) != Standing::Settled);
            (!open).then_some(())
        };
        let settled = self.world.until("settlement", SETTLED, settled).await;
        settled.expect("what was acknowledged is settled");
        let report = paid(&self.world, accepted);
        assert!(report.is_exactly_once(), "{report:?}");
        assert_eq!(self.checks.finish(Ending::Settled), []);
        self.world.stop();
    }
}

/// The leader and one other acknowledge while the third is cut off; the other forgets, and the leader is away.
async fn forgotten_and_away(seed: u64) {
    let mut stage = Stage::new(options(seed)).await;
    let (holder, forgetful, behind) = (stage.leader, stage.others[0], stage.others[1]);
    stage.world.isolate(behind);
    let accepted = stage.pay(20).await;
    stage.world.wipe(forgetful);
    stage.world.crash(holder);
    stage.world.rejoin(behind);
    stage.start(forgetful).await;
    // Of the two that run, one never had the payments and the other forgot them.
    stage.nobody_leads().await;
    assert_eq!(stage.joining(forgetful), Some(Joining::Asking));
    stage.start(holder).await;
    stage.all_take_part().await;
    // Who forgot votes again: without it, the two that remain elect nobody.
    let leader = stage.world.leader().expect("there is a leader");
    let away = if leader == forgetful { behind } else { leader };
    stage.world.crash(away);
    let another = |world: &World| world.leader().filter(|leader| *leader != away);
    let elected = stage.world.until("a leader of two", READY, another).await;
    elected.expect("who forgot votes again");
    stage.start(away).await;
    stage.all_take_part().await;
    stage.finish(&accepted).await;
}

#[test]
fn what_a_wiped_voter_forgot_is_not_lost_while_its_holder_is_away() {
    for seed in seeds(6) {
        check(seed, forgotten_and_away);
    }
}

/// Power is lost between the leader's word and the end of the rebuild.
async fn crash_in_the_middle(seed: u64) {
    let mut stage = Stage::new(options(seed)).await;
    let (leader, forgetful) = (stage.leader, stage.others[0]);
    let accepted = stage.pay(20).await;
    stage.world.wipe(forgetful);
    stage.start(forgetful).await;
    let rebuilding = |world: &World| {
        let statuses = world.statuses();
        let mut joining = statuses.iter().filter_map(|status| status.joining);
        joining.find(|joining| matches!(joining, Joining::Rebuilding { .. }))
    };
    let begun = stage.world.until("a rebuild", READY, rebuilding).await;
    let begun = begun.expect("the leader takes the node back");
    stage.world.crash(forgetful);
    stage.world.crash(leader);
    stage.start(forgetful).await;
    assert_eq!(stage.joining(forgetful), Some(begun), "it is on the disk");
    stage.nobody_leads().await;
    stage.start(leader).await;
    stage.all_take_part().await;
    stage.finish(&accepted).await;
}

#[test]
fn a_crash_during_the_rebuild_does_not_bring_the_vote_back() {
    for seed in seeds(4) {
        check(seed, crash_in_the_middle);
    }
}

/// Two of three lose their disks while the third is off.
async fn majority_lost(seed: u64) {
    let mut stage = Stage::new(options(seed)).await;
    let accepted = stage.pay(5).await;
    assert_eq!(accepted.len(), 5);
    stage.world.crash(stage.leader);
    for node_id in stage.others.clone() {
        stage.world.wipe(node_id);
        stage.start(node_id).await;
    }
    // They do not make a new cluster beside the data that the third holds.
    stage.nobody_leads().await;
    stage.start(stage.leader).await;
    stage.nobody_leads().await;
    for node_id in stage.others.clone() {
        assert_eq!(stage.joining(node_id), Some(Joining::Asking));
    }
    stage.world.stop();
}

#[test]
fn two_blank_nodes_make_no_cluster_beside_the_third_ones_data() {
    for seed in seeds(3) {
        check(seed, majority_lost);
    }
}

/// One disk after the other is lost under load, anyone's, amid losses and snapshots, with a crash thrown in.
async fn one_after_the_other(seed: u64) {
    let mut options = options(seed);
    options.unsynced = Unsynced::Drawn;
    options.network.loss_ppm = 5_000;
    options.snapshot_entries = 40;
    let mut stage = Stage::new(options).await;
    let mut draws = stream(NodeTag::DRIVER, "disasters");
    let load = Load::start(
        &stage.world,
        LoadOptions {
            payments: 200,
            over: Duration::from_secs(25),
        },
    );
    for _ in 0..5 {
        disaster(&mut stage, &mut draws).await;
    }
    let accepted = load.finish().await.expect("every payment is accepted");
    stage.finish(&accepted).await;
}

async fn disaster(stage: &mut Stage, draws: &mut RandomStream) {
    sleep(Duration::from_millis(draws.between(500, 3_000))).await;
    let victim = 1 + draws.below(3);
    stage.world.wipe(victim);
    sleep(Duration::from_millis(draws.below(1_500))).await;
    stage.start(victim).await;
    if draws.below(2) == 0 {
        // Somewhere between the first question and the first vote.
        sleep(Duration::from_millis(draws.below(1_000))).await;
        let other = 1 + draws.below(3);
        stage.world.crash(other);
        sleep(Duration::from_millis(draws.below(1_000))).await;
        stage.start(other).await;
    }
    stage.all_take_part().await;
}

#[test]
fn disks_are_lost_one_after_the_other_under_load() {
    for seed in seeds(6) {
        check(seed, one_after_the_other);
    }
}

/// Two of five lose their disks at once, again and again, and come back one after the other.
async fn two_of_five(seed: u64) {
    let mut options = options(seed);
    options.regions = (1..=5).map(|node| format!("region-{node}")).collect();
    let ways = (1..=5).flat_map(|from| (from + 1..=5).map(move |to| (from, to)));
    let ways = ways.map(|(from, to)| (from, to, Duration::from_millis(10 * (from + to))));
    options.network.latency = Latencies::both_ways(&ways.collect::<Vec<_>>());
    let mut stage = Stage::new(options).await;
    let mut draws = stream(NodeTag::DRIVER, "disasters");
    let load = Load::start(
        &stage.world,
        LoadOptions {
            payments: 100,
            over: Duration::from_secs(15),
        },
    );
    for _ in 0..4 {
        sleep(Duration::from_millis(draws.between(500, 3_000))).await;
        let first = 1 + draws.below(5);
        let second = 1 + (first + draws.below(4)) % 5;
        for victim in [first, second] {
            stage.world.wipe(victim);
        }
        for victim in [first, second] {
            sleep(Duration::from_millis(draws.below(1_500))).await;
            stage.start(victim).await;
        }
        stage.all_take_part().await;
    }
    let accepted = load.finish().await.expect("every payment is accepted");
    stage.finish(&accepted).await;
}

#[test]
fn two_of_five_voters_forget_at_once() {
    for seed in seeds(4) {
        check(seed, two_of_five);
    }
}

fn seeds(standard: u64) -> std::ops::Range<u64> {
    let count = std::env::var("STELLARA_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    0..count.unwrap_or(standard)
}
