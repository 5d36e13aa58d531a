//! Each fault of a plan on a small world: it is felt, and when it is over the cluster takes a payment and all agree.

use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_node::gateway::{Gateway as _, Role};
use stellara_raft_store::types::NodeId;
use stellara_sim::plan::fault::{Fault, Unsynced};
use stellara_sim::plan::target::Target;
use stellara_sim::plan::topology::Topology;
use stellara_sim::runtime::{
    NodeTag, RunReport, SimOptions, SimRuntime, SimTime, now, sleep, spawn_on,
};
use stellara_sim::world::load::{Load, LoadOptions, Standing, standing};
use stellara_sim::world::{Inflicted, Relief, Skipped, Stopped, World, WorldOptions, view_of};

const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);
const TICK: Duration = Duration::from_millis(50);

/// A world that is looked after, and what was seen of it.
struct Stage {
    world: World,
    stopped: Vec<Stopped>,
}

impl Stage {
    /// Passes time, as a run does: the world is looked after all the while.
    async fn pass(&mut self, span: Duration) {
        let end = now() + span;
        while now() < end {
            self.stopped.extend(self.world.supervise());
            sleep(TICK).await;
        }
    }

    /// Passes time until `look` finds something.
    async fn until<T>(&mut self, what: &str, mut look: impl FnMut(&World) -> Option<T>) -> T {
        let end = now() + READY * 3;
        loop {
            if let Some(found) = look(&self.world) {
                return found;
            }
            assert!(now() < end, "{what}: {:#?}", self.world.statuses());
            self.pass(TICK).await;
        }
    }

    async fn inflict(&mut self, fault: Fault) -> Inflicted {
        let inflicted = self.world.inflict(&fault).await;
        assert_eq!(inflicted.skipped, None, "{fault:?}");
        inflicted
    }

    async fn relieve(&mut self, relief: Relief) {
        self.world.relieve(relief).await;
    }

    fn leader(&self) -> NodeId {
        self.world.leader().expect("there is a leader")
    }

    fn follower(&self) -> NodeId {
        let leader = self.leader();
        let mut others = self.world.node_ids().into_iter();
        others.find(|id| *id != leader).expect("there are three")
    }

    async fn other_leader(&mut self, than: NodeId) -> NodeId {
        let other = |world: &World| world.leader().filter(|leader| *leader != than);
        self.until("another leader", other).await
    }

    /// A payment is taken, settled, and known to all; all nodes agree on the state.
    async fn finish(mut self) -> Vec<Stopped> {
        let everybody = |world: &World| {
            let whole = world
                .statuses()
                .iter()
                .all(|status| status.joining.is_none());
            let all = world.statuses().len() == world.node_ids().len();
            (all && whole && world.leader().is_some()).then_some(())
        };
        self.until("everybody takes part", everybody).await;
        let over = Duration::from_millis(10);
        let load = Load::start(&self.world, LoadOptions { payments: 3, over });
        let mut answers = spawn_on(NodeTag::DRIVER, load.finish());
        let accepted = loop {
            if let Some(accepted) = (&mut answers).now_or_never() {
                break accepted.expect("the callers end");
            }
            self.pass(TICK).await;
        };
        let accepted = accepted.expect("every payment is accepted");
        let end = now() + SETTLED;
        let is_open = |world: &World| {
            accepted
                .iter()
                .any(|one| standing(world, one.acknowledged.payment) != Standing::Settled)
        };
        while is_open(&self.world) {
            assert!(now() < end, "settlement: {:#?}", self.world.statuses());
            self.pass(TICK).await;
        }
        self.until("one state", |world| agreed(world).then_some(()))
            .await;
        assert!(self.world.damaged().is_empty(), "all is repaired");
        self.world.stop();
        self.stopped
    }
}

fn agreed(world: &World) -> bool {
    let running = world.roster().running();
    let states = running.iter().filter_map(|(_, node)| {
        let view = view_of(node)?;
        Some(view.state(|state| (state.index(), state.digest())))
    });
    let states: Vec<_> = states.collect();
    states.len() == world.node_ids().len() && states.iter().all(|state| *state == states[0])
}

fn run<F: Future<Output = Vec<Stopped>>>(
    seed: u64,
    change: impl FnOnce(&mut Topology),
    scenario: impl FnOnce(Stage) -> F,
) -> (RunReport, Vec<Stopped>) {
    let mut topology = Topology {
        snapshot_entries: 200,
        ..Topology::default()
    };
    change(&mut topology);
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        time_limit: Some(SimTime::from_ms(900_000)),
        ..SimOptions::default()
    });
    let driven = runtime.drive(async {
        let options = WorldOptions::from_topology(seed, &topology).expect("regions are known");
        let world = World::start(options).await.expect("the world starts");
        world.until_ready(READY).await.expect("it is ready");
        let stopped = Vec::new();
        let mut stage = Stage { world, stopped };
        stage.pass(Duration::from_secs(1)).await;
        scenario(stage).await
    });
    let stopped = driven.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}: {report:?}");
    for one in &stopped {
        assert!(one.cause.is_some(), "nothing explains {one:?}");
    }
    (report, stopped)
}

/// Runs a scenario on three nodes; answers the processes that ended by themselves, all of them explained.
fn check<F: Future<Output = Vec<Stopped>>>(scenario: impl FnOnce(Stage) -> F) -> Vec<Stopped> {
    run(11, |_| {}, scenario).1
}

/// As `check`, when no process may end by itself.
fn check_calm<F: Future<Output = Vec<Stopped>>>(scenario: impl FnOnce(Stage) -> F) {
    assert_eq!(check(scenario), []);
}

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
