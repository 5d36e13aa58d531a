//! The way from callers to the nodes' public ports, as HTTP/2 over TCP would carry it: calls and streams.
//!
//! A caller stands in a region. What it sends takes its path's latency and jitter; a lost packet costs a wait. A node
//! that is down refuses a new connection and leaves an old one without a word; a cut stalls everything until it is
//! healed or the connection is given up. The handlers are the node's own and run on the node: a crash ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stellara_raft_store::types::NodeId;
use tonic::Status;
use tonic::service::Routes;

use super::PUBLIC_TAG;
use super::network::Latencies;
use crate::runtime::{EventKind, RandomStream, event, sleep, stream};

mod deadline;
mod line;
mod pipe;
mod surroundings;

pub use surroundings::SimSurroundings;

const CUT: EventKind = EventKind::new("caller-cut");
const HEAL: EventKind = EventKind::new("caller-heal");

/// Waits between looks at a path that is cut.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Losses of one packet in a row before it surely arrives.
const LOSSES_MAX: u32 = 6;

/// What answers on a node's public port.
#[derive(Clone, Debug)]
pub struct Door {
    /// The node's services.
    pub routes: Routes,
    /// Which of the node's lives this is: a connection does not outlive one.
    pub life: u64,
}

/// The nodes' public ports.
pub trait Doors: Send + Sync + 'static {
    /// The door of a node; `None` while the node does not run.
    fn door(&self, node_id: NodeId) -> Option<Door>;
}

/// Where the nodes are, and how the paths to them behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicOptions {
    /// The region of each node.
    pub regions: BTreeMap<NodeId, String>,
    /// The public address of each node, as `http://host:port`.
    pub addresses: BTreeMap<String, NodeId>,
    /// Between the nodes; a caller is where the first node of its region is. A region without nodes is as far from
    /// everything as anything is.
    pub latency: Latencies,
    /// The way to a node of the caller's own region, and from the caller to the rest of the network.
    pub near: Duration,
    /// The most that is added to a packet's time, in thousandths of it.
    pub jitter_permille: u32,
    /// Packets lost at random, in parts per million.
    pub loss_ppm: u32,
    /// A connection on which something is due and nothing is heard for this long is given up.
    pub idle: Duration,
}

/// The network between callers and nodes. Clones are the same network.
#[derive(Clone)]
pub struct PublicNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    options: PublicOptions,
    doors: Box<dyn Doors>,
    state: Mutex<State>,
}

struct State {
    draws: RandomStream,
    cuts: BTreeSet<(String, NodeId)>,
}

impl fmt::Debug for PublicNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicNetwork").finish_non_exhaustive()
    }
}

impl PublicNetwork {
    /// A whole network. Must be made inside a run.
    #[must_use]
    pub fn new(options: PublicOptions, doors: impl Doors) -> Self {
        let state = State {
            draws: stream(PUBLIC_TAG, "packets"),
            cuts: BTreeSet::new(),
        };
        Self {
            shared: Arc::new(Shared {
                options,
                doors: Box::new(doors),
                state: Mutex::new(state),
            }),
        }
    }

    /// What a caller in `region` finds around it. `seed` decides what it draws.
    #[must_use]
    pub fn surroundings(&self, region: &str, seed: u64) -> SimSurroundings {
        SimSurroundings::new(self.clone(), region, seed)
    }

    /// Nothing passes between the callers of a region and a node any more.
    pub fn cut(&self, region: &str, node_id: NodeId) {
        event(CUT, node_id, 0, || region.to_owned());
        self.state().cuts.insert((region.to_owned(), node_id));
    }

    /// Everything passes again.
    pub fn heal(&self, region: &str, node_id: NodeId) {
        event(HEAL, node_id, 0, || region.to_owned());
        self.state().cuts.remove(&(region.to_owned(), node_id));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self, node_id: NodeId) -> Option<Door> {
        self.shared.doors.door(node_id)
    }

    fn idle(&self) -> Duration {
        self.shared.options.idle
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToNode,
    ToCaller,
}

/// The path between the callers of a region and a node.
#[derive(Clone, Debug)]
struct Path {
    network: PublicNetwork,
    region: Arc<str>,
    node_id: NodeId,
}

/// The connection is gone, and with it whatever was under way.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke")]
struct Broken(#[source] Status);

impl Broken {
    fn new(why: &'static str) -> Self {
        Self(Status::unavailable(why))
    }
}

impl Path {
    /// How long a packet takes at least.
    fn latency(&self, direction: Direction) -> Duration {
        let PublicOptions {
            regions,
            latency,
            near,
            ..
        } = &self.shared().options;
        let one_way = |from: NodeId, to: NodeId| match direction {
            Direction::ToNode => latency.one_way(from, to),
            Direction::ToCaller => latency.one_way(to, from),
        };
        let own =
            |node_id: &NodeId| regions.get(node_id).map(String::as_str) == Some(&*self.region);
        if own(&self.node_id) {
            return *near;
        }
        let nodes = regions.keys().copied();
        let far = match nodes.clone().find(own) {
            Some(neighbour) => one_way(neighbour, self.node_id),
            None => nodes
                .clone()
                .flat_map(|from| nodes.clone().map(move |to| latency.one_way(from, to)))
                .max()
                .unwrap_or_default(),
        };
        far + *near
    }

    fn shared(&self) -> &Shared {
        &self.network.shared
    }

    /// How long a packet takes: its latency, its jitter, and a longer wait for each loss.
    fn transit(&self, direction: Direction) -> Duration {
        let least = self.latency(direction);
        let round_trip = self.latency(Direction::ToNode) + self.latency(Direction::ToCaller);
        let options = &self.shared().options;
        let most = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX) / 1_000
            * u64::from(options.jitter_permille);
        let mut state = self.network.state();
        let mut span = least + Duration::from_nanos(state.draws.below(most + 1));
        // TCP sends again after a round trip and some patience, and then after twice as long each time.
        let mut again = round_trip + Duration::from_millis(200);
        for _ in 0..LOSSES_MAX {
            if !state.draws.chance_ppm(options.loss_ppm) {
                break;
            }
            span += again;
            again *= 2;
        }
        span
    }

    fn is_cut(&self) -> bool {
        let state = self.network.state();
        let cuts = &state.cuts;
        !cuts.is_empty() && cuts.contains(&(self.region.to_string(), self.node_id))
    }

    /// What has come this far passes once the path is whole; gives up after the idle time.
    async fn whole(&self, direction: Direction) -> Result<(), Broken> {
        if !self.is_cut() {
            return Ok(());
        }
        let mut left = self.network.idle();
        while self.is_cut() {
            if left.is_zero() {
                return Err(Broken::new("nothing was heard for the idle time"));
            }
            let step = left.min(LOOK_EVERY);
            sleep(step).await;
            left -= step;
        }
        // It is sent again.
        sleep(self.transit(direction)).await;
        Ok(())
    }
}
