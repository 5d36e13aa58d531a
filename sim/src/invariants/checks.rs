//! The checks of a run: looks in every moment at the nodes that changed, and shows them to every property.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use stellara_machine::ids::Index;
use stellara_node::node::VitalsFeed;
use stellara_raft_store::engine::Space;
use stellara_raft_store::log::inspect;
use stellara_raft_store::types::NodeId;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Ending, Explained, Facts, Invariant, Memberships, Record, Running, Seen, Sight, Violation, all,
};
use crate::fake::ledger::SimLedger;
use crate::history::History;
use crate::runtime::{Moment, SimRuntime, SimTime, TaskPanic, now, on_moment};
use crate::timeline::recorder;
use crate::world::{Ears, Roster, Shelf, World};

/// Records read at a time.
const RECORDS_MAX: usize = 64;

/// The properties of a run, looked at in every moment. Clones are the same checks.
#[derive(Clone)]
pub struct Checks {
    watcher: Arc<Mutex<Watcher>>,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").finish_non_exhaustive()
    }
}

impl Checks {
    /// Looks at a world in every moment from now on, until the run ends. Call it inside the run.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let checks = Self {
            watcher: Arc::new(Mutex::new(Watcher::new(world))),
        };
        let watching = checks.clone();
        on_moment(move |moment| watching.lock().moment(moment));
        checks
    }

    fn lock(&self) -> MutexGuard<'_, Watcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first violation of each property that was broken so far, in the order in which they were seen.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// Looks now, at all nodes.
    ///
    /// # Errors
    /// The first violation so far.
    pub fn hold(&self) -> Result<(), Violation> {
        let mut watcher = self.lock();
        watcher.look_at_all(now());
        match watcher.violations.first() {
            Some(first) => Err(first.clone()),
            None => Ok(()),
        }
    }

    /// Looks once more at everything and tells all violations. Call it inside the run, before the world stops.
    #[must_use]
    pub fn finish(&self, ending: Ending) -> Vec<Violation> {
        let mut watcher = self.lock();
        watcher.finish(now(), ending);
        watcher.violations.clone()
    }

    /// How many things each property compared.
    #[must_use]
    pub fn compared(&self) -> BTreeMap<&'static str, u64> {
        let watcher = self.lock();
        let each = watcher.invariants.iter();
        each.map(|invariant| (invariant.name(), invariant.compared()))
            .collect()
    }
}

/// Follows one run of a node.
struct Eye {
    feed: VitalsFeed<SimRuntime>,
    /// The last record that was read.
    record: Index,
}

struct Watcher {
    roster: Roster,
    shelf: Shelf,
    ledger: SimLedger,
    history: History,
    ears: Ears,
    explained: Explained,
    facts: Facts,
    roster_changes: u64,
    shelf_changes: u64,
    runs: u64,
    eyes: BTreeMap<NodeId, Eye>,
    nodes: BTreeMap<NodeId, Seen>,
    /// The last record of each node that was read, over its restarts.
    records: BTreeMap<NodeId, Index>,
    memberships: Memberships,
    changed: Vec<NodeId>,
    answered: usize,
    panics: u64,
    new_panics: Vec<TaskPanic>,
    invariants: Vec<Box<dyn Invariant>>,
    broken: BTreeSet<&'static str>,
    violations: Vec<Violation>,
}

impl Watcher {
    fn new(world: &World) -> Self {
        let funds = world.funds();
        let (treasury, fee_account) = (funds.treasury(), funds.fee_account());
        let opening = |network: &stellara_ledger::Network| {
            let each = network.accounts();
            each.map(|(id, account)| (id.to_string(), account.balance_stroops))
                .filter(|(id, _)| [&treasury, &fee_account].contains(&&Some(id.clone())))
                .collect()
        };
        let facts = Facts {
            opening_stroops: world.ledger().peek(opening),
            treasury,
            fee_account,
            secrets: funds.secrets(),
            limits: stellara_node::ingress::IngressLimits::default(),
        };
        Self {
            roster: world.roster().clone(),
            shelf: world.shelf().clone(),
            ledger: world.ledger().clone(),
            history: world.history().clone(),
            ears: world.ears().clone(),
            explained: world.explained().clone(),
            facts,
            roster_changes: u64::MAX,
            shelf_changes: u64::MAX,
            runs: 0,
            eyes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            records: BTreeMap::new(),
            memberships: Memberships::default(),
            changed: Vec::new(),
            answered: 0,
            panics: 0,
            new_panics: Vec::new(),
            invariants: all(),
            broken: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    fn moment(&mut self, moment: &Moment<'_>) {
        self.changed.clear();
        self.sync();
        for tag in moment.polled {
            self.follow(tag.0);
        }
        if moment.panics_total > self.panics {
            self.new_panics = moment.panics_after(self.panics);
            self.panics = moment.panics_total;
        }
        let answered = self.history.with(crate::history::Calls::answered_len);
        let idle = self.changed.is_empty() && self.new_panics.is_empty();
        if idle && answered == self.answered {
            return;
        }
        self.answered = answered;
        self.show(moment.at, |invariant, sight| invariant.look(sight));
        self.new_panics.clear();
    }

    fn look_at_all(&mut self, at: SimTime) {
        self.changed.clear();
        self.sync();
        let all: Vec<NodeId> = self.eyes.keys().copied().collect();
        for node_id in all {
            self.take(node_id, Wanted::All);
        }
        self.show(at, |invariant, sight| invariant.look(sight));
    }

    fn finish(&mut self, at: SimTime, ending: Ending) {
        self.look_at_all(at);
        self.show(at, |invariant, sight| invariant.finish(sight, ending));
    }

    fn show(
        &mut self,
        at: SimTime,
        mut look: impl FnMut(&mut dyn Invariant, &Sight<'_>) -> Result<(), super::Breach>,
    ) {
        let (invariants, broken) = (&mut self.invariants, &mut self.broken);
        let violations = &mut self.violations;
        let (history, ledger) = (&self.history, &self.ledger);
        history.with(|calls| {
            ledger.peek(|network| {
                let sight = Sight {
                    at,
                    nodes: &self.nodes,
                    changed: &self.changed,
                    calls,
                    ledger: network,
                    ears: &self.ears,
                    explained: &self.explained,
                    memberships: &self.memberships,
                    panics: &self.new_panics,
                    facts: &self.facts,
                };
                for invariant in invariants.iter_mut() {
                    let name = invariant.name();
                    if broken.contains(name) {
                        continue;
                    }
                    if let Err(breach) = look(invariant.as_mut(), &sight) {
                        broken.insert(name);
                        violations.push(Violation::new(name, at, breach));
                    }
                }
            });
        });
    }

    /// Takes note of nodes that started or ended, and of disks that were replaced.
    fn sync(&mut self) {
        let disks = self.shelf.changes();
        if disks != self.shelf_changes {
            self.shelf_changes = disks;
            self.sync_disks();
        }
        let nodes = self.roster.changes();
        if nodes != self.roster_changes {
            self.roster_changes = nodes;
            self.sync_nodes();
        }
    }

    fn sync_disks(&mut self) {
        for (node_id, shelved) in self.shelf.all() {
            let earlier = self.nodes.remove(&node_id);
            let same = |seen: &Seen| seen.life == shelved.life;
            let seen = match earlier {
                Some(seen) if same(&seen) => seen,
                other => Seen {
                    forgotten: other.map_or(0, |lost| lost.forgotten.max(last_kept(&lost))),
                    disk: shelved.disk,
                    life: shelved.life,
                    running: None,
                },
            };
            self.nodes.insert(node_id, seen);
        }
    }

    fn sync_nodes(&mut self) {
        let mut gone: BTreeSet<NodeId> = self.eyes.keys().copied().collect();
        let mut started = Vec::new();
        let (roster, eyes, nodes) = (&self.roster, &mut self.eyes, &mut self.nodes);
        let (runs, records) = (&mut self.runs, &self.records);
        roster.each(|node_id, node| {
            gone.remove(&node_id);
            let Some(seen) = nodes.get_mut(&node_id) else {
                return;
            };
            let mut feed = node.vitals();
            // A node that ended and started within one moment has another feed.
            let known = eyes.get(&node_id).filter(|_| seen.running.is_some());
            if known.is_some_and(|eye| eye.feed.server.is_same(&feed.server)) {
                return;
            }
            *runs += 1;
            let view = node.view();
            let vitals = feed.take();
            recorder::vitals(node_id, &vitals);
            let read = records.get(&node_id).copied().unwrap_or_default();
            let eye = Eye {
                record: read.min(view.applied_index()),
                feed,
            };
            seen.running = Some(Running {
                run: *runs,
                vitals,
                voters: eye.feed.voters(),
                view,
                records: Vec::new(),
                records_after: Index(0),
                admitted: 0,
                ended: None,
            });
            eyes.insert(node_id, eye);
            started.push(node_id);
        });
        for node_id in gone {
            self.eyes.remove(&node_id);
            if let Some(seen) = self.nodes.get_mut(&node_id) {
                seen.running = None;
            }
        }
        for node_id in started {
            self.take(node_id, Wanted::All);
        }
    }

    /// Looks at a node that ran in this moment, if it has anything to tell.
    fn follow(&mut self, node_id: NodeId) {
        let Some(eye) = self.eyes.get(&node_id) else {
            return;
        };
        let news = eye.feed.data.has_news() || eye.feed.server.has_news();
        if news || eye.feed.server.is_closed() {
            self.take(node_id, Wanted::News);
        }
    }

    /// Takes what a node tells, and lists it as wanted.
    fn take(&mut self, node_id: NodeId, wanted: Wanted) {
        if self.changed.contains(&node_id) {
            return;
        }
        let Some(eye) = self.eyes.get_mut(&node_id) else {
            return;
        };
        let seen = self.nodes.get_mut(&node_id);
        let Some(running) = seen.and_then(|seen| seen.running.as_mut()) else {
            return;
        };
        let vitals = eye.feed.take();
        let ends = eye.feed.server.is_closed() && running.ended.is_none();
        // Most of what Raft tells anew is its own measures.
        if wanted == Wanted::News && vitals == running.vitals && !ends {
            return;
        }
        self.roster.each(|other, node| {
            if other == node_id {
                running.admitted = node.admitted();
                if ends {
                    running.ended = node.failed().now_or_never();
                }
            }
        });
        if vitals.membership_at != running.vitals.membership_at || wanted == Wanted::All {
            running.voters = eye.feed.voters();
            let at = vitals.membership_at.map_or(0, |at| at.index);
            self.memberships.note(at, &running.voters);
        }
        recorder::vitals(node_id, &vitals);
        running.vitals = vitals;
        running.records.clear();
        running.records_after = eye.record;
        read_records(running, &mut eye.record);
        self.records.insert(node_id, eye.record);
        self.changed.push(node_id);
    }
}

/// Which nodes to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Those that tell something new.
    News,
    /// Any.
    All,
}

fn read_records(running: &mut Running, last: &mut Index) {
    loop {
        // A state that cannot be read stops its node, which is told on its own.
        let Ok(rows) = running.view.record_rows_after(*last, RECORDS_MAX) else {
            return;
        };
        let full = rows.len() == RECORDS_MAX;
        for (index, bytes) in rows {
            *last = index;
            let hash = xxh3_128(&bytes);
            running.records.push(Record { index, bytes, hash });
        }
        if !full {
            return;
        }
    }
}

/// The last entry that a disk kept for sure when it was lost.
fn last_kept(lost: &Seen) -> u64 {
    let last = lost
        .disk
        .durable_last(inspect::FOLDER, Space::Entries, |key, _| {
            <[u8; 8]>::try_from(key).map_or(0, u64::from_be_bytes)
        });
    last.unwrap_or(0)
}
