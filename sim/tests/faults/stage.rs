//! A world that is looked after, as a run does it, and what must hold when all faults are over.

use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_raft_store::engine::Space;
use stellara_raft_store::types::NodeId;
use stellara_sim::plan::fault::Fault;
use stellara_sim::plan::target::Target;
use stellara_sim::plan::topology::Topology;
use stellara_sim::runtime::{
    JoinHandle, NodeTag, RunReport, SimOptions, SimRuntime, SimTime, now, sleep, spawn_on,
};
use stellara_sim::world::load::{Accepted, Load, LoadError, LoadOptions, Standing, paid, standing};
use stellara_sim::world::{Inflicted, Relief, Stopped, World, WorldOptions, view_of};

pub const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);
pub const TICK: Duration = Duration::from_millis(50);

/// A world that is looked after, and what was seen of it.
pub struct Stage {
    pub world: World,
    pub stopped: Vec<Stopped>,
    accepted: Vec<Accepted>,
    answers: Vec<JoinHandle<Result<Vec<Accepted>, LoadError>>>,
    first: u32,
}

impl Stage {
    /// Passes time, as a run does: the world is looked after all the while.
    pub async fn pass(&mut self, span: Duration) {
        let end = now() + span;
        while now() < end {
            self.stopped.extend(self.world.supervise());
            sleep(TICK).await;
        }
    }

    /// Passes time until `look` finds something.
    pub async fn until<T>(&mut self, what: &str, mut look: impl FnMut(&World) -> Option<T>) -> T {
        let end = now() + READY * 3;
        loop {
            if let Some(found) = look(&self.world) {
                return found;
            }
            assert!(now() < end, "{what}: {:#?}", self.world.statuses());
            self.pass(TICK).await;
        }
    }

    pub async fn inflict(&mut self, fault: Fault) -> Inflicted {
        let inflicted = self.world.inflict(&fault).await;
        assert_eq!(inflicted.skipped, None, "{fault:?}");
        inflicted
    }

    pub async fn relieve(&mut self, relief: Relief) {
        self.world.relieve(relief).await;
    }

    pub fn leader(&self) -> NodeId {
        self.world.leader().expect("there is a leader")
    }

    pub fn follower(&self) -> NodeId {
        let leader = self.leader();
        let mut others = self.world.node_ids().into_iter();
        others.find(|id| *id != leader).expect("there are three")
    }

    pub async fn other_leader(&mut self, than: NodeId) -> NodeId {
        let other = |world: &World| world.leader().filter(|leader| *leader != than);
        self.until("another leader", other).await
    }

    /// Payments are accepted while time passes.
    pub async fn pay_without_settlement(&mut self, payments: u32) {
        let over = Duration::from_millis(10 * u64::from(payments));
        self.begin_payments(payments, over);
        self.finish_payments().await;
    }

    /// Callers ask for payments from now on.
    pub fn begin_payments(&mut self, payments: u32, over: Duration) {
        let options = LoadOptions { payments, over };
        let load = Load::numbered(&self.world, self.first, options);
        self.first += payments;
        self.answers.push(spawn_on(NodeTag::DRIVER, load.finish()));
    }

    /// All of them are answered.
    pub async fn finish_payments(&mut self) {
        while let Some(mut answers) = self.answers.pop() {
            let accepted = loop {
                if let Some(accepted) = (&mut answers).now_or_never() {
                    break accepted.expect("the callers end");
                }
                self.pass(TICK).await;
            };
            let accepted = accepted.expect("every payment is accepted");
            self.accepted.extend(accepted);
        }
    }

    /// Everything accepted is settled, as all nodes that run say.
    pub async fn settle(&mut self) {
        let end = now() + SETTLED;
        loop {
            let mut open = self.accepted.iter().filter_map(|one| {
                match standing(&self.world, one.acknowledged.payment) {
                    Standing::Settled => None,
                    Standing::Open(why) => Some(why),
                }
            });
            let Some(open) = open.next() else {
                return;
            };
            assert!(now() < end, "{open}: {:#?}", self.world.statuses());
            self.pass(TICK).await;
        }
    }

    /// Payments are accepted and settled.
    pub async fn pay(&mut self, payments: u32) {
        self.pay_without_settlement(payments).await;
        self.settle().await;
    }

    /// An operator throws away what is damaged and was not found so far.
    pub async fn wipe_if_damaged(&mut self, node_id: NodeId) {
        if self.world.is_damaged(node_id) {
            let node = Target::Node(node_id);
            let wiped = self.inflict(Fault::Wipe { node }).await;
            self.relieve(wiped.relief).await;
        }
    }

    /// Writes until no log has its first entries any more.
    pub async fn purge(&mut self) {
        for _ in 0..40 {
            self.pay_without_settlement(20).await;
            let purged = |node_id: &NodeId| {
                let disk = self.world.disk(*node_id)?;
                let first = disk.first_key("log", Space::Entries)?;
                (first.as_slice() > 10_u64.to_be_bytes().as_slice()).then_some(())
            };
            let nodes = self.world.node_ids();
            if nodes.iter().all(|node_id| purged(node_id).is_some()) {
                return;
            }
        }
        panic!("the logs are never purged");
    }

    /// A payment is taken, settled, and known to all; all nodes agree on the state.
    pub async fn finish(mut self) -> Vec<Stopped> {
        let everybody = |world: &World| {
            let whole = world
                .statuses()
                .iter()
                .all(|status| status.joining.is_none());
            let all = world.statuses().len() == world.node_ids().len();
            (all && whole && world.leader().is_some()).then_some(())
        };
        self.until("everybody takes part", everybody).await;
        self.pay(3).await;
        self.until("one state", |world| agreed(world).then_some(()))
            .await;
        assert!(self.world.damaged().is_empty(), "all is repaired");
        let report = paid(&self.world, &self.accepted);
        assert!(report.is_exactly_once(), "{report:?}");
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

pub fn run<F: Future<Output = Vec<Stopped>>>(
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
        let mut stage = Stage {
            world,
            stopped: Vec::new(),
            accepted: Vec::new(),
            answers: Vec::new(),
            first: 0,
        };
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
pub fn check<F: Future<Output = Vec<Stopped>>>(scenario: impl FnOnce(Stage) -> F) -> Vec<Stopped> {
    run(11, |_| {}, scenario).1
}

/// As `check`, when no process may end by itself.
pub fn check_calm<F: Future<Output = Vec<Stopped>>>(scenario: impl FnOnce(Stage) -> F) {
    assert_eq!(check(scenario), []);
}
