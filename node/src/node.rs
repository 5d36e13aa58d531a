//! A running node: the parts put together over its ports, and the order in which they start and stop.
//!
//! Generic over the runtime and every port: production and the simulator run the same node.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::{Config, Raft, SnapshotPolicy};
use openraft_rt::AsyncRuntime;
use openraft_rt::watch::WatchReceiver as _;
use stellara_machine::command::Command;
use stellara_machine::decision::Reply;
use stellara_machine::ids::Index;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::engine::{Disk, EngineError, Purpose};
use stellara_raft_store::log::LogStore;
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_raft_store::view::View;
use thiserror::Error;

use crate::executor::envelope::Network;
use crate::executor::{Executor, Outside, Settings, SettingsError};
use crate::gate::Gate;
use crate::gateway::members::{MemberChange, MemberError, Membership};
use crate::gateway::{ClusterView, Failure, Freshness, Gateway, Joining};
use crate::http::ops::Admin;
use crate::ingress::{Group, Ingress, IngressLimits, Origin};
use crate::ports::{Clock, Ledger, PeerLink, Signer};
use crate::reads::{Reads, Whoami};
use crate::transport::detector::DetectorOptions;
use crate::transport::raft::memory::Recall;
use crate::transport::raft::{
    Heart, Memory, RaftFactory, RaftLinkOptions, RaftService, SnapshotBoard,
};

mod ended;
mod inside;
mod members;
mod peers;
mod rejoin;
mod standing;
mod suspicion;
mod term;
mod time;
mod transfer;
mod vitals;

pub use peers::PeerDoor;
pub use vitals::{LogPoint, Vitals, VitalsFeed};

/// The outside world of a node, chosen once where it is built.
pub trait Ports: Send + Sync + 'static {
    /// Tasks, time, channels.
    type Runtime: AsyncRuntime + 'static;
    /// Where log and state lie.
    type Disk: Disk;
    /// The way to other nodes.
    type Link: PeerLink;
    /// The Stellar network.
    type Ledger: Ledger;
    /// Who signs.
    type Signer: Signer;
    /// The time of day.
    type Clock: Clock;

    /// Runs what may wait for the disk, away from the tasks that serve calls: as the runtime does it, or on threads
    /// that the process keeps for that.
    ///
    /// # Errors
    /// `Interrupted` when the runtime stops; any other when `work` panicked.
    fn blocking<T, F>(work: F) -> impl Future<Output = io::Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Self::Runtime::spawn_blocking(work)
    }
}

/// The ports of one node, open.
pub struct Outer<P: Ports> {
    /// Where log and state lie.
    pub disk: P::Disk,
    /// The way to other nodes.
    pub link: P::Link,
    /// The Stellar network, the signer and the clock; `None` for a node that never settles.
    pub settlement: Option<Outside<P::Ledger, P::Signer, P::Clock>>,
    /// The time of day.
    pub clock: P::Clock,
}

/// Raft's timers, in milliseconds. The same on every node: the longest election timeout is the leader's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// How often an idle leader beats.
    pub heartbeat_ms: u64,
    /// The least a follower waits before it asks for votes.
    pub election_timeout_min_ms: u64,
    /// The most it waits; also the leader's lease.
    pub election_timeout_max_ms: u64,
}

impl Timers {
    /// When a silent leader is suspected.
    fn detector(&self) -> DetectorOptions {
        let ms = Duration::from_millis;
        DetectorOptions::for_timers(
            ms(self.heartbeat_ms),
            ms(self.election_timeout_min_ms),
            ms(self.election_timeout_max_ms),
        )
    }
}

/// What a node is told, already validated.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Who it is.
    pub whoami: Whoami,
    /// The voters of a new cluster.
    pub members: BTreeMap<NodeId, NodeInfo>,
    /// Raft's timers.
    pub timers: Timers,
    /// Log entries between snapshots.
    pub snapshot_entries: u64,
    /// How Raft uses the link.
    pub raft_link: RaftLinkOptions,
    /// The door's limits.
    pub ingress: IngressLimits,
    /// How the executor paces itself.
    pub settlement: Settings,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its data cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A setting is out of its bounds.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Raft refuses its configuration or its stored state.
    #[error("raft does not start: {0}")]
    Raft(String),
}

/// A running node. Clones are the same node.
pub struct Node<P: Ports> {
    inner: Arc<Inner<P>>,
}

impl<P: Ports> Clone for Node<P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

struct Inner<P: Ports> {
    raft: Group<P::Runtime, P::Disk>,
    ingress: Ingress<P::Runtime, P::Disk, P::Link, Time<P>>,
    reads: Reads<P::Runtime, P::Disk, P::Link>,
    gate: Gate,
    log: Log<P>,
    memory: Memory,
    link: P::Link,
    snapshots: SnapshotBoard,
    changes: members::Changes,
    /// Why the node ended, when it was no failure of Raft's.
    broken: OnceLock<String>,
    options: NodeOptions,
}

/// What a node stamps with.
type Time<P> = time::LogTime<<P as Ports>::Runtime, <P as Ports>::Disk, <P as Ports>::Clock>;

type Log<P> = LogStore<<P as Ports>::Runtime, <<P as Ports>::Disk as Disk>::Engine>;

/// What serves a node's peers.
pub type PeerHandler<P> = RaftService<
    <P as Ports>::Runtime,
    StateStore<<P as Ports>::Runtime, <P as Ports>::Disk>,
    <P as Ports>::Link,
    <P as Ports>::Disk,
    PeerDoor<P>,
>;

fn raft_config(options: &NodeOptions, memory: &Memory) -> Result<Arc<Config>, StartError> {
    let Timers {
        heartbeat_ms,
        election_timeout_min_ms,
        election_timeout_max_ms,
    } = options.timers;
    let config = Config {
        cluster_name: options.whoami.cluster_id.clone(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_timeout_min_ms,
        election_timeout_max: election_timeout_max_ms,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        // Who forgot what it promised does not stand for election.
        enable_elect: memory.may_vote().is_ok(),
        // A follower that lost its data answers with a shorter log: it is filled again, the leader goes on.
        allow_log_reversion: Some(true),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_entries),
        max_in_snapshot_log_to_keep: options.snapshot_entries / 4,
        // Where snapshots are frequent, so are purges: a node that was away is then sent a snapshot.
        purge_batch_size: options.snapshot_entries.clamp(1, 256),
        max_payload_entries: 64,
        install_snapshot_timeout: 60_000,
        ..Config::default()
    };
    config
        .validate()
        .map(Arc::new)
        .map_err(|error| StartError::Raft(error.to_string()))
}

/// The clients that Raft's core speaks to its peers with.
fn factory<P: Ports>(
    options: &NodeOptions,
    outer: &Outer<P>,
    memory: &Memory,
) -> RaftFactory<P::Runtime, P::Link, P::Disk> {
    let election_min = Duration::from_millis(options.timers.election_timeout_min_ms);
    RaftFactory::new(
        options.whoami.node_id,
        outer.link.clone(),
        outer.disk.clone(),
        options.raft_link,
    )
    .remembering(memory.clone())
    .electing_after(election_min)
}

impl<P: Ports> Node<P> {
    /// Opens the data, starts Raft, the door, the reads and the executor. The handler answers peers from the
    /// moment the caller serves it. A node with a blank log then asks its peers for their cluster, or makes a new one
    /// with them.
    ///
    /// # Errors
    /// Every [`StartError`]; nothing keeps running then.
    pub async fn start(
        options: NodeOptions,
        outer: Outer<P>,
    ) -> Result<(Self, Arc<PeerHandler<P>>), StartError> {
        let log = Log::<P>::open(outer.disk.open("log", Purpose::Log)?)?;
        let memory = Memory::of(log.past());
        let config = raft_config(&options, &memory)?;
        let store = StateStore::<P::Runtime, _>::open(outer.disk.clone())?;
        store.reach_log(log.last_index())?;
        let node_id = options.whoami.node_id;
        let factory = factory(&options, &outer, &memory);
        let snapshots = factory.snapshots();
        let raft = Raft::new(node_id, config, factory, log.clone(), store.clone())
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        let gate = Gate::default();
        let time = Time::<P>::new(outer.clock, store.view());
        let detector = options.timers.detector();
        let heart = Arc::new(Heart::new(node_id, outer.link.clone(), detector));
        let ingress = Ingress::open(
            raft.clone(),
            (outer.link.clone(), Arc::clone(&heart)),
            time.clone(),
            gate.clone(),
            options.ingress,
        );
        let reads = Reads::open(
            options.whoami.clone(),
            raft.clone(),
            store,
            outer.link.clone(),
            Arc::clone(&heart),
            options.ingress.answer_within,
        );
        let snapshot_idle = options.raft_link.snapshot_idle;
        let node = Self {
            inner: Arc::new(Inner {
                raft: raft.clone(),
                ingress,
                reads,
                gate,
                log,
                memory: memory.clone(),
                link: outer.link.clone(),
                snapshots,
                changes: members::Changes::default(),
                broken: OnceLock::new(),
                options,
            }),
        };
        let watching = suspicion::watch(
            raft.clone(),
            Arc::clone(&heart),
            node.gate(),
            memory.clone(),
        );
        drop(P::Runtime::spawn(watching));
        drop(P::Runtime::spawn(members::finish_left(node.clone())));
        let door = PeerDoor::new(&node);
        let recall = memory.recall();
        let handler = RaftService::new(raft, heart, memory, outer.disk, door, snapshot_idle)?;
        if let Some(outside) = outer.settlement {
            node.start_executor(outside.at(time))?;
        }
        if recall != Recall::Whole {
            drop(P::Runtime::spawn(rejoin::run(node.clone(), outer.link)));
        }
        Ok((node, Arc::new(handler)))
    }

    fn start_executor(
        &self,
        outside: Outside<P::Ledger, P::Signer, Time<P>>,
    ) -> Result<(), StartError> {
        self.inner.options.settlement.clone().validated()?;
        let watching = term::run_terms(self.clone(), outside);
        drop(P::Runtime::spawn(watching));
        Ok(())
    }

    /// Whether writes are refused, and why.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.inner.gate.clone()
    }

    /// What this node tells of its place in the group, to follow without asking it.
    #[must_use]
    pub fn vitals(&self) -> VitalsFeed<P::Runtime> {
        VitalsFeed::new(&self.inner.raft)
    }

    /// What this node has applied, without waiting for anyone.
    #[must_use]
    pub fn view(&self) -> View<P::Disk> {
        self.inner.reads.view()
    }

    /// Commands of callers that are admitted and not answered.
    #[must_use]
    pub fn admitted(&self) -> usize {
        self.inner.ingress.admitted()
    }

    /// The term in which this node leads, if it does.
    #[must_use]
    pub fn leads(&self) -> Option<u64> {
        term::led_term::<P>(&self.inner.raft.server_metrics().borrow_watched())
    }

    /// Writes a snapshot now.
    ///
    /// # Errors
    /// What Raft says.
    pub async fn take_snapshot(&self) -> Result<(), String> {
        self.inner
            .raft
            .trigger()
            .snapshot()
            .await
            .map_err(|error| error.to_string())
    }

    /// Refuses new callers, answers those admitted, hands leadership over; then the caller may stop the rest.
    pub async fn drain(&self, limit: Duration) {
        self.inner.gate.drain();
        let answered = async {
            while self.inner.ingress.admitted() > 0 {
                P::Runtime::sleep(Duration::from_millis(5)).await;
            }
        };
        if P::Runtime::timeout(limit / 2, answered).await.is_err() {
            tracing::warn!("callers still waited when the node stopped");
        }
        if self.inner.raft.is_leader()
            && let Err(reason) = self.transfer_leadership(None, limit / 2).await
        {
            tracing::warn!(%reason, "leadership not handed over");
        }
    }

    /// Stops Raft; the log and the state are as durable as they were acknowledged.
    pub async fn stop(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(%error, "raft did not stop cleanly");
        }
    }
}

impl<P: Ports> Gateway for Node<P> {
    type Runtime = P::Runtime;
    type Disk = P::Disk;

    fn blocking<T, F>(work: F) -> impl Future<Output = io::Result<T>> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        P::blocking(work)
    }

    async fn propose(&self, commands: Vec<Command>) -> Vec<Result<Reply, Failure>> {
        self.inner.ingress.propose(commands, Origin::Caller).await
    }

    async fn change_members(&self, change: MemberChange) -> Result<Membership, MemberError> {
        self.change_through_leader(change).await
    }

    async fn read(&self, freshness: Freshness) -> Result<View<P::Disk>, Failure> {
        self.inner.reads.read(freshness).await
    }

    fn status(&self) -> ClusterView {
        let view = self.inner.reads.status(self.inner.gate.reason());
        let joining = match self.inner.memory.recall() {
            Recall::Whole => None,
            Recall::Nothing => Some(Joining::Asking),
            Recall::Rebuilding { until } => Some(Joining::Rebuilding { until: until.0 }),
        };
        ClusterView { joining, ..view }
    }

    async fn applied_past(&self, seen: Index) {
        self.inner.reads.applied_past(seen).await;
    }
}

/// How long an operator's request to hand leadership over may take.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);

impl<P: Ports> Admin for Node<P> {
    async fn transfer(&self, to: Option<NodeId>) -> Result<(), String> {
        self.transfer_leadership(to, TRANSFER_WITHIN).await
    }

    async fn snapshot(&self) -> Result<(), String> {
        self.take_snapshot().await
    }
}

/// The executor of one term.
type TermExecutor<P> = Executor<
    <P as Ports>::Runtime,
    inside::Inside<P>,
    <P as Ports>::Ledger,
    <P as Ports>::Signer,
    Time<P>,
>;

fn term_executor<P: Ports>(
    node: &Node<P>,
    outside: Outside<P::Ledger, P::Signer, Time<P>>,
) -> Result<TermExecutor<P>, SettingsError> {
    let inside = inside::Inside::new(node.clone());
    Executor::new(inside, outside, node.inner.options.settlement.clone())
}

/// The network of a passphrase, for `Outside`.
#[must_use]
pub fn network(passphrase: &str) -> Network {
    Network::from_passphrase(passphrase)
}
