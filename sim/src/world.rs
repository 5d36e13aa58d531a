//! A whole cluster in one run: real nodes over the simulated network, disks and ledger, and what befalls them.
//!
//! Every node lives under its own tag, so a crash ends it whole. The world lives inside the driven future; end it
//! with [`World::stop`], or the nodes and the network keep each other in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stellara_ledger::ConfigError;
use stellara_machine::command::AccountRole;
use stellara_node::certs::CertError;
use stellara_node::executor::{Outside, Settings};
use stellara_node::gateway::{ClusterView, Freshness, Gateway as _};
use stellara_node::ingress::IngressLimits;
use stellara_node::node::{Node, NodeOptions, Outer, Ports, StartError, Timers, network};
use stellara_node::ports::peer_link::PeerIdentity;
use stellara_node::ports::signer::LocalSigner;
use stellara_node::reads::Whoami;
use stellara_node::transport::quic::RefusedPeer;
use stellara_node::transport::raft::RaftLinkOptions;
use stellara_raft_store::engine::memory::{MemoryDisk, Unsynced};
use stellara_raft_store::types::{NodeId, NodeInfo};
use stellara_raft_store::view::View;

use crate::fake::api::PublicNetwork;
use crate::fake::clock::SimClock;
use crate::fake::ledger::SimLedger;
use crate::fake::link::AnyLink;
use crate::fake::network::{Latencies, NetworkOptions, SimNetwork};
use crate::fake::udp::{SimUdp, UdpOptions};
use crate::history::History;
use crate::invariants::Explained;
use crate::plan::topology::Tier;
use crate::runtime::{EventKind, NodeTag, SimRuntime, SimTime, event, now, sleep, spawn_on};
use crate::timeline::picture::Life;
use crate::timeline::recorder;

pub mod client;
mod damage;
mod ears;
pub mod inflict;
pub mod load;
mod money;
mod operators;
mod options;
mod power;
mod roster;
pub mod sdk;
mod seat;
mod shelf;
mod supervise;
mod tier;

pub use ears::Ears;
use inflict::Leaders;
pub use inflict::{Inflicted, Relief, Skipped};
pub use money::{Funds, Secret, payment_intent};
pub use options::NoPath;
pub use roster::Roster;
pub use sdk::SdkClient;
use seat::Seat;
pub use shelf::{Shelf, Shelved};
pub use supervise::{Cause, Stopped};
use tier::Wires;

const STARTED: EventKind = EventKind::new("node-start");

/// The ports of a simulated node.
#[derive(Clone, Copy, Debug)]
pub struct SimPorts;

impl Ports for SimPorts {
    type Runtime = SimRuntime;
    type Disk = MemoryDisk;
    type Link = AnyLink;
    type Ledger = SimLedger;
    type Signer = LocalSigner;
    type Clock = SimClock;
}

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Decides keys and disks; the runtime's own seed decides the rest.
    pub seed: u64,
    /// The region of each node; nodes are numbered from 1 in this order.
    pub regions: Vec<String>,
    /// What carries the nodes' messages.
    pub tier: Tier,
    /// How the network behaves.
    pub network: NetworkOptions,
    /// How the sockets of [`Tier::Quic`] behave.
    pub udp: UdpOptions,
    /// Raft's timers.
    pub timers: Timers,
    /// Log entries between snapshots.
    pub snapshot_entries: u64,
    /// The executor's pace.
    pub settlement: Settings,
    /// How long a sync of a disk takes, from and to.
    pub sync: (Duration, Duration),
    /// What a crash does with unsynced writes.
    pub unsynced: Unsynced,
    /// How long one way to the ledger takes, from and to.
    pub ledger_way: (Duration, Duration),
    /// Channels of the cluster.
    pub channels: u8,
    /// Accounts that receive.
    pub destinations: u8,
    /// How many nodes' data may be damaged at one time; a minority when `None`.
    pub damaged_max: Option<usize>,
}

impl WorldOptions {
    /// us-east-1, eu-west-1 and ap-southeast-1, with the timers that keep the lease over them.
    #[must_use]
    pub fn three_regions(seed: u64) -> Self {
        let ms = Duration::from_millis;
        let latency = Latencies::both_ways(&[(1, 2, ms(34)), (1, 3, ms(107)), (2, 3, ms(87))]);
        Self {
            seed,
            regions: ["us-east-1", "eu-west-1", "ap-southeast-1"]
                .map(str::to_owned)
                .to_vec(),
            tier: Tier::Modelled,
            udp: UdpOptions::default(),
            network: NetworkOptions {
                jitter_permille: 80,
                loss_ppm: 500,
                ..NetworkOptions::clean(latency)
            },
            timers: Timers {
                heartbeat_ms: 190,
                election_timeout_min_ms: 250,
                election_timeout_max_ms: 420,
            },
            snapshot_entries: 1_000,
            settlement: Settings::default(),
            sync: (Duration::from_micros(500), ms(3)),
            unsynced: Unsynced::Drawn,
            ledger_way: (ms(20), ms(80)),
            channels: 4,
            destinations: 10,
            damaged_max: None,
        }
    }
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A node does not start.
    #[error("node {node_id} does not start: {source}")]
    Start {
        /// Which.
        node_id: NodeId,
        /// Why.
        source: StartError,
    },
    /// A node gets no certificates.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// A node crashed while it started.
    #[error("node {node_id} crashed while it started")]
    Crashed {
        /// Which.
        node_id: NodeId,
    },
    /// The ledger refuses its configuration.
    #[error(transparent)]
    Ledger(#[from] ConfigError),
    /// The ledger refuses its accounts.
    #[error(transparent)]
    Setup(#[from] stellara_ledger::SetupError),
}

/// What did not happen in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {} ms", limit.as_millis())]
pub struct NotInTime {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub limit: Duration,
}

/// A cluster and its surroundings.
pub struct World {
    options: WorldOptions,
    network: SimNetwork,
    wires: Wires,
    ledger: SimLedger,
    funds: Funds,
    seats: BTreeMap<NodeId, Seat>,
    roster: Roster,
    public: PublicNetwork,
    tickets: u64,
    leaders: Leaders,
    shelf: Shelf,
    ears: Ears,
    history: History,
    explained: Explained,
}

impl World {
    /// Starts all nodes; they make a cluster of themselves.
    ///
    /// # Errors
    /// When a node does not start.
    pub async fn start(options: WorldOptions) -> Result<Self, WorldError> {
        let funds = Funds::new(options.seed, options.channels, options.destinations);
        let (least, most) = options.ledger_way;
        let config = stellara_ledger::Config {
            seed: options.seed,
            ..stellara_ledger::Config::default()
        };
        let ledger = SimLedger::new(config, least, most)?;
        ledger.with(|network| network.set_up(&funds.setup()))?;
        let network = SimNetwork::new(options.network.clone());
        let wires = Wires::new(options.tier, network.clone(), options.udp, options.seed);
        let roster = Roster::default();
        let mut world = Self {
            network,
            wires,
            ledger,
            funds,
            seats: BTreeMap::new(),
            public: sdk::public_network(&options, &roster),
            roster,
            tickets: 0,
            leaders: Leaders::default(),
            shelf: Shelf::default(),
            ears: Ears::default(),
            history: History::default(),
            explained: Explained::default(),
            options,
        };
        for node_id in world.node_ids() {
            let seat = world.new_seat(node_id);
            world.shelf.put(node_id, seat.disk.clone());
            world.seats.insert(node_id, seat);
            world.wires.enrol(&world.identity(node_id))?;
            world.start_node(node_id).await?;
        }
        Ok(world)
    }

    /// All nodes, running or not.
    #[must_use]
    pub fn node_ids(&self) -> Vec<NodeId> {
        (1..).zip(&self.options.regions).map(|(id, _)| id).collect()
    }

    /// The nodes that run.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The disks, for those who look at them while the world runs.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What the nodes hear of each other.
    #[must_use]
    pub const fn ears(&self) -> &Ears {
        &self.ears
    }

    /// What clients did: who asks the cluster notes it here.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Whom something was done to that stops a node: who does it notes it here.
    #[must_use]
    pub const fn explained(&self) -> &Explained {
        &self.explained
    }

    /// What the world was made from.
    #[must_use]
    pub const fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// The network between the nodes.
    #[must_use]
    pub const fn network(&self) -> &SimNetwork {
        &self.network
    }

    /// The sockets between the nodes; `None` on [`Tier::Modelled`].
    #[must_use]
    pub const fn udp(&self) -> Option<&SimUdp> {
        self.wires.udp()
    }

    /// Whom a running node refused last, or who refused it; nobody on [`Tier::Modelled`].
    #[must_use]
    pub fn refusals(&self, node_id: NodeId) -> Vec<RefusedPeer> {
        self.wires.refusals(node_id)
    }

    /// The simulated Stellar network.
    #[must_use]
    pub const fn ledger(&self) -> &SimLedger {
        &self.ledger
    }

    /// The accounts.
    #[must_use]
    pub const fn funds(&self) -> &Funds {
        &self.funds
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, node_id: NodeId) -> Option<&MemoryDisk> {
        self.seats.get(&node_id).map(|seat| &seat.disk)
    }

    fn whoami(&self, node_id: NodeId) -> Whoami {
        let at = usize::try_from(node_id - 1).unwrap_or(usize::MAX);
        Whoami {
            cluster_id: "simulated".to_owned(),
            node_id,
            region: self.options.regions.get(at).cloned().unwrap_or_default(),
        }
    }

    fn identity(&self, node_id: NodeId) -> PeerIdentity {
        let whoami = self.whoami(node_id);
        PeerIdentity {
            node_id,
            region: whoami.region,
            cluster_id: whoami.cluster_id,
        }
    }

    fn members(&self) -> BTreeMap<NodeId, NodeInfo> {
        let named = |node_id: NodeId| NodeInfo {
            region: self.whoami(node_id).region,
            peer_address: self.wires.address(node_id),
            public_address: public_address(node_id),
        };
        self.node_ids()
            .into_iter()
            .map(|node_id| (node_id, named(node_id)))
            .collect()
    }

    fn node_options(&self, node_id: NodeId) -> NodeOptions {
        NodeOptions {
            whoami: self.whoami(node_id),
            members: self.members(),
            timers: self.options.timers,
            snapshot_entries: self.options.snapshot_entries,
            raft_link: RaftLinkOptions::default(),
            ingress: IngressLimits::default(),
            settlement: self.options.settlement.clone(),
        }
    }

    /// A node that does not run begins to start, from what its disk holds.
    fn begin_start(&mut self, node_id: NodeId) {
        if self.has_process(node_id) {
            return;
        }
        let Some(disk) = self.seats.get(&node_id).map(|seat| seat.disk.clone()) else {
            return;
        };
        event(STARTED, node_id, 0, String::new);
        recorder::life(node_id, Life::Started);
        let settlement = Some(Outside {
            ledger: self.ledger.clone(),
            signer: self.funds.signer(),
            clock: SimClock,
            network: network(stellara_ledger::TEST_PASSPHRASE),
        });
        let options = self.node_options(node_id);
        let identity = self.identity(node_id);
        let (wires, roster) = (self.wires.clone(), self.roster.clone());
        let ears = self.ears.clone();
        let starting = spawn_on(NodeTag(node_id), async move {
            let outer = Outer {
                disk,
                link: wires.join(node_id),
                settlement,
                clock: SimClock,
            };
            let (node, handler) = Node::<SimPorts>::start(options, outer).await?;
            wires.serve(identity, ears.listening(node_id, Arc::clone(&handler)));
            drop(spawn_on(NodeTag(node_id), async move {
                handler.beat(std::future::pending()).await;
            }));
            roster.add(node_id, node);
            Ok(())
        });
        if let Some(seat) = self.seats.get_mut(&node_id) {
            seat.revival = None;
            seat.starting = Some(starting);
        }
    }

    /// The running nodes as they see the cluster.
    #[must_use]
    pub fn statuses(&self) -> Vec<ClusterView> {
        self.roster
            .running()
            .iter()
            .map(|(_, node)| node.status())
            .collect()
    }

    /// Who leads in the highest term, if anyone does.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let leaders = self.leaders_by_term();
        leaders
            .max_by_key(|(_, term)| *term)
            .map(|(node_id, _)| node_id)
    }

    /// Waits until `look` finds something, at most `limit`, looking every few milliseconds.
    ///
    /// # Errors
    /// When the limit passes first.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, NotInTime> {
        let end: SimTime = now() + limit;
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if now() >= end {
                return Err(NotInTime {
                    what: what.to_owned(),
                    limit,
                });
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until there is a leader and a treasury, so that payments are accepted.
    ///
    /// # Errors
    /// When the limit passes first.
    pub async fn until_ready(&self, limit: Duration) -> Result<NodeId, NotInTime> {
        self.until("a leader with a treasury", limit, |world| {
            let leader = world.leader()?;
            let all_know = world.roster.running().iter().all(|(_, node)| {
                view_of(node).is_some_and(|view| {
                    view.state(|state| {
                        let accounts = state.accounts();
                        accounts
                            .values()
                            .any(|account| account.role == AccountRole::Treasury)
                    })
                })
            });
            all_know.then_some(leader)
        })
        .await
    }

    /// Ends everything.
    pub fn stop(mut self) {
        for node_id in self.node_ids() {
            self.crash(node_id);
        }
    }
}

/// Where callers find a node.
#[must_use]
pub fn public_address(node_id: NodeId) -> String {
    format!("http://node-{node_id}:8080")
}

/// What a node has applied, as of now.
#[must_use]
pub fn view_of(node: &Node<SimPorts>) -> Option<View<MemoryDisk>> {
    let any = Freshness::Stale {
        staleness_max_ms: 0,
    };
    node.read(any).now_or_never()?.ok()
}
