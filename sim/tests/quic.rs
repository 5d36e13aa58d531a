//! The transport that ships, quinn and TLS included, in virtual time: the cluster works on it through a cut and a power
//! loss, strangers are refused, snapshots leave room for heartbeats, and a seed is one history.

use std::time::Duration;

use bytes::Bytes;
use stellara_machine::units::UnixMs;
use stellara_node::certs::{Lifetime, seeded};
use stellara_node::node::Timers;
use stellara_node::ports::peer_link::{LinkError, Peer, PeerIdentity, PeerLink as _, StreamClass};
use stellara_node::transport::quic::{QuicEndpoint, QuicOptions};
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_sim::fake::udp::address_of;
use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::plan::topology::Tier;
use stellara_sim::runtime::{
    NodeTag, RunReport, SimOptions, SimRuntime, SimTime, TraceText, now, sleep, spawn_on,
    wall_clock,
};
use stellara_sim::world::load::{Accepted, Load, LoadOptions, Standing, paid, standing};
use stellara_sim::world::{World, WorldOptions};

const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);
const PAYMENTS: u32 = 50;

fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        tier: Tier::Quic,
        ..WorldOptions::three_regions(seed)
    }
}

fn run<F: Future<Output = ()>>(
    seed: u64,
    text: TraceText,
    scenario: impl FnOnce(u64) -> F,
) -> (RunReport, Vec<String>) {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        text,
        time_limit: Some(SimTime::from_ms(600_000)),
        ..SimOptions::default()
    });
    runtime
        .drive(scenario(seed))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}: {report:?}");
    (report, runtime.take_lines())
}

async fn ready(options: WorldOptions) -> (World, Checks, NodeId) {
    let world = World::start(options).await.expect("the world starts");
    let checks = Checks::start(&world);
    let leader = world.until_ready(READY).await;
    (world, checks, leader.expect("the cluster is ready"))
}

fn pay(world: &World) -> Load {
    let over = Duration::from_secs(8);
    let payments = PAYMENTS;
    Load::start(world, LoadOptions { payments, over })
}

fn terms(checks: &Checks) -> u64 {
    checks.compared()["election_safety"]
}

/// Everything acknowledged is settled, once, as every node says.
async fn finish(world: World, checks: &Checks, accepted: &[Accepted]) {
    let settled = |world: &World| {
        let open = accepted
            .iter()
            .any(|one| standing(world, one.acknowledged.payment) != Standing::Settled);
        (!open).then_some(())
    };
    let settled = world.until("settlement", SETTLED, settled).await;
    settled.expect("what was acknowledged is settled");
    let report = paid(&world, accepted);
    assert!(report.is_exactly_once(), "{report:?}");
    let all = u64::from(PAYMENTS);
    assert_eq!((report.intents, report.paid_1), (all, all));
    assert_eq!(checks.finish(Ending::Settled), []);
    for node_id in world.node_ids() {
        let heard_at = world.ears().heard_at(node_id);
        assert!(heard_at.is_some(), "node {node_id} heard beats");
    }
    world.stop();
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    CutOff,
    PowerLoss,
}

/// The leader is gone for three seconds, and comes back.
async fn leader_gone(seed: u64, trouble: Trouble) {
    let (mut world, checks, leader) = ready(options(seed)).await;
    let load = pay(&world);
    sleep(Duration::from_secs(2)).await;
    match trouble {
        Trouble::CutOff => world.isolate(leader),
        Trouble::PowerLoss => world.crash(leader),
    }
    let another = |world: &World| world.leader().filter(|now| *now != leader);
    let elected = world.until("another leader", READY, another).await;
    elected.expect("the majority elects another leader");
    sleep(Duration::from_secs(3)).await;
    match trouble {
        Trouble::CutOff => world.rejoin(leader),
        Trouble::PowerLoss => {
            let started = world.start_node(leader).await;
            started.expect("the node starts from what its disk kept");
        }
    }
    let accepted = load.finish().await.expect("every payment is accepted");
    assert!(terms(&checks) >= 2, "leadership moved");
    let counts = world.udp().expect("it is the tier of sockets").counts();
    assert!(counts.read > 1_000, "{counts:?}");
    finish(world, &checks, &accepted).await;
}

fn seeds(standard: u64) -> std::ops::Range<u64> {
    let count = std::env::var("STELLARA_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    0..count.unwrap_or(standard)
}

fn swarm(trouble: Trouble) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the speed of the simulation is told in real time"
    )]
    let started = std::time::Instant::now();
    let mut virtual_ms = 0;
    for seed in seeds(3) {
        let (report, _) = run(seed, TraceText::Off, |seed| leader_gone(seed, trouble));
        println!("seed {seed}: {trouble:?} {}", report.trace_hash);
        virtual_ms += report.at.as_ms();
    }
    let wall_ms = started.elapsed().as_millis().max(1);
    println!(
        "{trouble:?}: {virtual_ms} virtual ms in {wall_ms} ms, {} virtual ms per ms",
        u128::from(virtual_ms) / wall_ms
    );
}

#[test]
fn the_leader_is_cut_off_and_joined_again() {
    swarm(Trouble::CutOff);
}

#[test]
fn the_leader_loses_power_and_starts_again() {
    swarm(Trouble::PowerLoss);
}

#[test]
fn one_seed_is_one_history() {
    for trouble in [Trouble::CutOff, Trouble::PowerLoss] {
        let text = TraceText::Polls {
            lines_max: 3_000_000,
        };
        let (first, first_lines) = run(77, text, |seed| leader_gone(seed, trouble));
        let (second, second_lines) = run(77, text, |seed| leader_gone(seed, trouble));
        let parted = first_lines
            .iter()
            .zip(&second_lines)
            .position(|(first, second)| first != second);
        if let Some(at) = parted {
            panic!(
                "{trouble:?} parts at line {at}: {} and {}",
                first_lines[at], second_lines[at]
            );
        }
        assert_eq!(first, second);
    }
}

/// What the peer at a world's node 1 tells a fourth node with certificates of `authority` and `cluster_id`.
async fn stranger(world: &World, authority: u64, cluster_id: &str) -> Result<Bytes, LinkError> {
    let identity = PeerIdentity {
        node_id: 4,
        region: "us-east-1".into(),
        cluster_id: cluster_id.into(),
    };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&authority.to_le_bytes());
    let udp = world.udp().expect("it is the tier of sockets").clone();
    let asking = spawn_on(NodeTag(4), async move {
        let issued_at = UnixMs(wall_clock().0);
        let certs = seeded(&key, &identity, Lifetime::default(), issued_at);
        let certs = certs.expect("the identity is plain");
        let options = QuicOptions::new(address_of(4));
        let endpoint = QuicEndpoint::<SimRuntime>::over(udp.ground(4), options, &certs);
        let endpoint = endpoint.expect("the socket is there");
        let peer = Peer {
            node_id: 1,
            info: NodeInfo {
                region: "us-east-1".into(),
                peer_address: address_of(1).to_string(),
                public_address: String::new(),
            },
        };
        let link = endpoint.link();
        let answer = link
            .call(&peer, StreamClass::Vote, Bytes::new(), READY)
            .await;
        endpoint.close().await;
        answer
    });
    let answer = asking.await.expect("nobody kills the stranger");
    world.udp().expect("as before").unbind(4);
    answer
}

#[test]
fn a_peer_of_another_cluster_is_refused() {
    let scenario = |seed| async move {
        let (world, checks, _) = ready(options(seed)).await;
        for (authority, cluster_id) in [(seed + 1, "simulated"), (seed, "another")] {
            let answer = stranger(&world, authority, cluster_id).await;
            let refused = matches!(&answer, Err(LinkError::Refused { .. }));
            assert!(refused, "{cluster_id}: {answer:?}");
        }
        // Of the same authority and cluster, but no member.
        let answer = stranger(&world, seed, "simulated").await;
        assert!(answer.is_err(), "{answer:?}");
        let refusals = world.refusals(1);
        assert!(refusals.len() >= 2, "{refusals:?}");
        let accepted = pay(&world).finish().await;
        finish(
            world,
            &checks,
            &accepted.expect("every payment is accepted"),
        )
        .await;
    };
    run(5, TraceText::Off, scenario);
}

/// A follower that was away long needs a snapshot, on paths that lose one packet in a hundred.
#[test]
fn a_snapshot_over_lossy_paths_leaves_room_for_heartbeats() {
    let scenario = |seed| async move {
        let mut options = options(seed);
        // For any two of the three: the longest round trip is some 230 ms.
        options.timers = Timers {
            heartbeat_ms: 240,
            election_timeout_min_ms: 340,
            election_timeout_max_ms: 560,
        };
        options.network.loss_ppm = 10_000;
        options.snapshot_entries = 20;
        let (mut world, checks, leader) = ready(options).await;
        let away = leader % 3 + 1;
        let applied = |world: &World| {
            let statuses = world.statuses();
            statuses.iter().map(|status| status.applied_index).max()
        };
        let missed_from = applied(&world);
        world.crash(away);
        let accepted = pay(&world).finish().await;
        let accepted = accepted.expect("every payment is accepted");
        // A quarter of a snapshot's entries is kept: the log alone cannot bring the node up.
        let missed = applied(&world).zip(missed_from).map(|(to, from)| to - from);
        assert!(missed > Some(2 * 20), "{missed:?} entries");
        let before = terms(&checks);
        world.start_node(away).await.expect("the node starts");
        let back = now();
        let caught_up = |world: &World| {
            let statuses = world.statuses();
            let applied = statuses.iter().map(|status| status.applied_index);
            (statuses.len() == 3 && applied.clone().min() == applied.max()).then_some(())
        };
        let caught_up = world.until("all nodes are level", READY, caught_up).await;
        caught_up.expect("the snapshot and the log reach the node");
        println!("level after {} ms", (now() - back).as_millis());
        sleep(Duration::from_secs(10)).await;
        assert_eq!(terms(&checks), before, "nobody missed the leader");
        finish(world, &checks, &accepted).await;
    };
    for seed in seeds(2) {
        run(seed, TraceText::Off, scenario);
    }
}
