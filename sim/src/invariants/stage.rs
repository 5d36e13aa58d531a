//! A sight for tests: a run of a real cluster, after its end, to be tampered with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stellara_ledger::Network;
use stellara_machine::ids::Index;
use stellara_node::gateway::Role;
use stellara_node::ingress::IngressLimits;
use stellara_node::node::{LogPoint, Vitals};
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::engine::memory::{Immediate, MemoryDisk, Stored, Unsynced};
use stellara_raft_store::engine::{Batch, Disk as _, Engine as _, Purpose, Space};
use stellara_raft_store::log::inspect;
use stellara_raft_store::types::{NodeId, term_of};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Breach, Ending, Explained, Facts, Invariant, Memberships, Record, Running, Seen, Sight,
};
use crate::history::{Answer, Asked, Calls};
use crate::runtime::{SimRuntime, SimTime, TaskPanic};
use crate::world::load::{Load, LoadOptions, Standing, standing};
use crate::world::{Ears, World, WorldOptions};

const LIMIT: Duration = Duration::from_secs(120);
/// Payments of a stage's run.
pub const PAYMENTS: u32 = 12;

/// What is seen, to be changed by a test.
pub struct Stage {
    pub at: SimTime,
    pub nodes: BTreeMap<NodeId, Seen>,
    pub calls: Calls,
    pub ledger: Network,
    pub ears: Ears,
    pub explained: Explained,
    pub memberships: Memberships,
    pub panics: Vec<TaskPanic>,
    pub facts: Facts,
}

async fn played(seed: u64) -> (BTreeMap<NodeId, MemoryDisk>, Calls, Network, Facts) {
    let options = WorldOptions {
        unsynced: Unsynced::Kept,
        ..WorldOptions::three_regions(seed)
    };
    let world = World::start(options).await.expect("the world starts");
    let opening = |network: &Network| {
        let each = network.accounts();
        each.map(|(id, account)| (id.to_string(), account.balance_stroops))
            .collect()
    };
    let facts = Facts {
        treasury: world.funds().treasury(),
        fee_account: world.funds().fee_account(),
        opening_stroops: world.ledger().peek(opening),
        secrets: world.funds().secrets(),
        limits: IngressLimits::default(),
    };
    world.until_ready(LIMIT).await.expect("it is ready");
    let load = LoadOptions {
        payments: PAYMENTS,
        over: Duration::from_secs(1),
    };
    let accepted = Load::start(&world, load).finish().await;
    let accepted = accepted.expect("every payment is accepted");
    let settled = |world: &World| {
        let all = accepted
            .iter()
            .all(|one| standing(world, one.acknowledged.payment) == Standing::Settled);
        all.then_some(())
    };
    let settled = world.until("settlement", LIMIT, settled).await;
    settled.expect("every payment is settled");
    let disks = world.node_ids().into_iter().map(|node_id| {
        let disk = world.disk(node_id).expect("every node has a disk");
        (node_id, disk.clone())
    });
    let disks = disks.collect();
    let calls = world.history().with(Clone::clone);
    let ledger = world.ledger().peek(Clone::clone);
    world.stop();
    (disks, calls, ledger, facts)
}

impl Stage {
    /// A cluster of three after a few payments, all of it as it should be.
    pub fn of_run(seed: u64) -> Self {
        let mut runtime = SimRuntime::with_seed(seed);
        let (disks, calls, ledger, facts) =
            runtime.drive(played(seed)).expect("the run does not hang");
        drop(runtime);
        let nodes = disks.into_iter().map(|(node_id, disk)| {
            disk.set_sync_delay(Arc::new(Immediate));
            (node_id, seen(node_id, disk))
        });
        Self {
            at: SimTime::from_ms(120_000),
            nodes: nodes.collect(),
            calls,
            ledger,
            ears: Ears::default(),
            explained: Explained::default(),
            memberships: Memberships::default(),
            panics: Vec::new(),
            facts,
        }
    }

    pub fn node(&mut self, node_id: NodeId) -> &mut Seen {
        self.nodes.get_mut(&node_id).expect("there is such a node")
    }

    pub fn running(&mut self, node_id: NodeId) -> &mut Running {
        let running = self.node(node_id).running.as_mut();
        running.expect("it runs")
    }

    /// The node of a finished run is given a copy of its disk with every row put through `edit`, and starts on it.
    pub fn rewrite(
        &mut self,
        node_id: NodeId,
        edit: impl FnMut(&str, Space, &[u8], &[u8]) -> Option<Vec<u8>>,
    ) {
        let running = self.node(node_id).running.take();
        let edited = edited(&self.node(node_id).disk, edit);
        let fresh = seen(node_id, edited);
        let node = self.node(node_id);
        node.disk = fresh.disk;
        node.running = fresh.running;
        let vitals = running.map(|running| running.vitals);
        if let (Some(running), Some(vitals)) = (&mut node.running, vitals) {
            running.vitals = vitals;
        }
    }

    /// Shows everything to a property, as a moment and as the end.
    pub fn show(&self, invariant: &mut dyn Invariant, ending: Ending) -> Result<(), Breach> {
        self.look(invariant)?;
        let changed: Vec<NodeId> = self.nodes.keys().copied().collect();
        invariant.finish(&self.sight(&changed), ending)
    }

    /// Shows a moment in which all nodes changed.
    pub fn look(&self, invariant: &mut dyn Invariant) -> Result<(), Breach> {
        let changed: Vec<NodeId> = self.nodes.keys().copied().collect();
        invariant.look(&self.sight(&changed))
    }

    pub fn sight<'a>(&'a self, changed: &'a [NodeId]) -> Sight<'a> {
        Sight {
            at: self.at,
            nodes: &self.nodes,
            changed,
            calls: &self.calls,
            ledger: &self.ledger,
            ears: &self.ears,
            explained: &self.explained,
            memberships: &self.memberships,
            panics: &self.panics,
            facts: &self.facts,
        }
    }

    /// A client asks and is answered.
    pub fn call(&mut self, node_id: NodeId, asked: Asked, answer: Answer) {
        let call = self.calls.ask_at(self.at, 0, node_id, asked);
        self.calls.answer_at(self.at, call, answer);
    }

    /// The first accepted submission of the run.
    pub fn first(
        &self,
    ) -> (
        stellara_machine::command::SubmitPayment,
        stellara_machine::ids::PaymentId,
    ) {
        let calls = self.calls.all().iter();
        let mut accepted = calls.filter_map(|call| match (&call.asked, &call.answer) {
            (Asked::Submit(asked), Some((_, Answer::Accepted { payment, .. }))) => {
                Some((asked.clone(), *payment))
            }
            _ => None,
        });
        accepted.next().expect("a payment was accepted")
    }
}

/// A property that must hold on an untouched run, and be broken once `tamper` is done; it says `expected` then.
pub fn check<I: Invariant + Default>(
    ending: Ending,
    expected: &str,
    tamper: impl FnOnce(&mut Stage),
) {
    let mut stage = Stage::of_run(5);
    let mut whole = I::default();
    assert_eq!(
        stage.show(&mut whole, ending),
        Ok(()),
        "nothing is wrong yet"
    );
    tamper(&mut stage);
    let mut fresh = I::default();
    let breach = stage.show(&mut fresh, ending).expect_err("it is broken");
    assert!(breach.detail.contains(expected), "{breach:?}");
}

/// A property that holds in the first moment, and is broken in the next.
pub fn check_next<I: Invariant + Default>(expected: &str, tamper: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::of_run(5);
    let mut invariant = I::default();
    assert_eq!(stage.look(&mut invariant), Ok(()), "nothing is wrong yet");
    tamper(&mut stage);
    let breach = stage.look(&mut invariant).expect_err("it is broken");
    assert!(breach.detail.contains(expected), "{breach:?}");
}

fn seen(node_id: NodeId, disk: MemoryDisk) -> Seen {
    let store = StateStore::<SimRuntime, _>::open(disk.clone()).expect("the state is whole");
    let view = store.view();
    let rows = view.record_rows_after(Index(0), 100_000);
    let records = rows.expect("the records are read").into_iter();
    let records = records.map(|(index, bytes)| {
        let hash = xxh3_128(&bytes);
        Record { index, bytes, hash }
    });
    let last = disk
        .durable_last(inspect::FOLDER, Space::Entries, |key, value| {
            let position = inspect::entry_position(key, value);
            position.expect("the log is whole")
        })
        .expect("there is a log");
    let applied = view.applied_index().0;
    let point = LogPoint {
        term: term_of(&last),
        index: applied,
    };
    let running = Running {
        run: node_id,
        vitals: Vitals {
            role: if node_id == 1 {
                Role::Leader
            } else {
                Role::Follower
            },
            term: term_of(&last),
            voted_for: 1,
            vote_committed: true,
            last_log: Some(LogPoint::from(&last)),
            committed: Some(point),
            applied: Some(point),
            snapshot: None,
            purged: None,
            membership_at: None,
        },
        voters: vec![vec![1, 2, 3]],
        records: records.collect(),
        records_after: Index(0),
        view,
        admitted: 0,
        ended: None,
    };
    Seen {
        disk,
        life: 0,
        forgotten: 0,
        running: Some(running),
    }
}

fn edited(
    disk: &MemoryDisk,
    mut edit: impl FnMut(&str, Space, &[u8], &[u8]) -> Option<Vec<u8>>,
) -> MemoryDisk {
    let mut rows: BTreeMap<String, Batch> = BTreeMap::new();
    disk.everything(|folder, stored, bytes| {
        // A snapshot's files are of no interest here.
        if let Stored::Row(space, key) = stored
            && let Some(value) = edit(folder, space, key, bytes)
        {
            let batch = rows.entry(folder.to_owned()).or_default();
            batch.put(space, key, value);
        }
    });
    let copy = MemoryDisk::default();
    for (folder, batch) in rows {
        let engine = copy.open(&folder, Purpose::State).expect("it opens");
        engine.apply(batch).expect("it is written");
    }
    // What was written is durable, as after a restart.
    copy.set_unsynced(Unsynced::Kept);
    copy.crash();
    copy
}
