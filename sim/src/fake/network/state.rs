//! The network's state: paths and what is wrong with them, connections, and who serves.
//!
//! One lock, never held while foreign code runs. Connections are made by a handshake of one round trip, and end when
//! one side has heard nothing for the idle time, or when a node came back without its memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stellara_node::ports::peer_link::PeerIdentity;
use stellara_raft_store::types::NodeId;

use super::ailment::{Ailment, Hold};
use super::options::NetworkOptions;
use super::path::{Gate, Lossy, Path, Rank, Stall, Weather};
use super::pipe::Pipe;
use super::service::Served;
use crate::fake::NETWORK_TAG;
use crate::runtime::{EventKind, RandomStream, SimTime, event, now, sleep, spawn_on, stream};
use crate::timeline::picture::Leg;

mod troubles;

const CONNECTED: EventKind = EventKind::new("connected");
const DISCONNECTED: EventKind = EventKind::new("disconnected");

/// What a handshake sends each way, in bytes.
const HELLO_BYTES: usize = 1_200;

/// From one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

impl Way {
    pub(super) const fn back(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }

    /// For the trace.
    pub(super) const fn code(self) -> u64 {
        (self.from << 32) | self.to
    }

    fn pair(self) -> Pair {
        Pair(self.from.min(self.to), self.from.max(self.to))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair(NodeId, NodeId);

struct Connection {
    number: u64,
    pipes: Vec<Weak<Pipe>>,
}

struct Server {
    service: Arc<dyn Served>,
    identity: PeerIdentity,
}

struct State {
    /// Each path's stream is derived from this.
    seed: u64,
    weather: Weather,
    paths: BTreeMap<Way, Path>,
    holds: BTreeMap<Hold, Ailment>,
    held: u64,
    /// Nodes whose processes are not scheduled, and since when.
    still: BTreeMap<NodeId, SimTime>,
    servers: BTreeMap<NodeId, Server>,
    connections: BTreeMap<Pair, Connection>,
    made: u64,
}

pub(super) struct SharedState {
    pub(super) idle: Duration,
    pub(super) dial: Duration,
    state: Mutex<State>,
}

impl std::fmt::Debug for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedState").finish_non_exhaustive()
    }
}

/// How a node stands to another.
pub(super) enum Standing {
    Connected,
    Reachable,
    Unreachable,
}

impl State {
    fn path(&mut self, way: Way) -> (&mut Path, &Weather) {
        let (seed, weather) = (self.seed, &self.weather);
        let path = self.paths.entry(way).or_insert_with(|| {
            let draws = RandomStream::derive(&[seed, way.from, way.to]);
            Path::new(draws, weather.options.latency.one_way(way.from, way.to))
        });
        (path, weather)
    }

    fn latency(&mut self, way: Way) -> Duration {
        let (path, weather) = self.path(way);
        path.latency(now(), &weather.options)
    }

    fn round_trip(&mut self, way: Way) -> Duration {
        self.latency(way) + self.latency(way.back())
    }

    fn transit(&mut self, way: Way, rank: Rank, bytes: usize) -> Duration {
        let (path, weather) = self.path(way);
        path.transit(now(), weather, rank, bytes)
    }

    fn stall(&self, way: Way) -> Option<Stall> {
        self.paths.get(&way).and_then(Path::stall)
    }
}

impl SharedState {
    pub(super) fn new(options: NetworkOptions) -> Self {
        let (idle, dial) = (options.idle, options.dial);
        let state = State {
            seed: stream(NETWORK_TAG, "paths").next_bits(),
            weather: Weather {
                loss_ppm: options.loss_ppm,
                duplicate_ppm: options.duplicate_ppm,
                options,
            },
            paths: BTreeMap::new(),
            holds: BTreeMap::new(),
            held: 0,
            still: BTreeMap::new(),
            servers: BTreeMap::new(),
            connections: BTreeMap::new(),
            made: 0,
        };
        Self {
            idle,
            dial,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a packet takes there and back now, without jitter.
    pub(super) fn round_trip(&self, way: Way) -> Duration {
        self.state().round_trip(way)
    }

    /// How long a reliable packet takes: its turn, its latency, its jitter, and a probe for each loss.
    pub(super) fn transit(&self, way: Way, rank: Rank, bytes: usize) -> Duration {
        self.state().transit(way, rank, bytes)
    }

    /// How long a handshake takes.
    pub(super) fn handshake(&self, way: Way) -> Duration {
        let mut state = self.state();
        let there = state.transit(way, Rank::FIRST, HELLO_BYTES);
        there + state.transit(way.back(), Rank::FIRST, HELLO_BYTES)
    }

    /// When a datagram arrives, and when again if it comes twice; no time when it is lost on the way.
    pub(super) fn datagram(&self, way: Way, bytes: usize) -> [Option<Duration>; 2] {
        let mut state = self.state();
        let (path, weather) = state.path(way);
        path.datagram(now(), weather, bytes)
    }

    /// The same for a packet on a path whose queue takes what leaves within `queue_max`.
    pub(super) fn packet(
        &self,
        way: Way,
        bytes: usize,
        queue_max: Duration,
    ) -> [Option<Duration>; 2] {
        let mut state = self.state();
        let (path, weather) = state.path(way);
        path.packet(now(), weather, bytes, queue_max)
    }

    /// Since when nothing arrives on this way.
    pub(super) fn stalled_since(&self, way: Way) -> Option<SimTime> {
        self.state().stall(way).map(|stall| stall.since)
    }

    /// What becomes of a datagram that is at the end of its way.
    pub(super) fn gate(&self, way: Way) -> Gate {
        let state = self.state();
        if !state.connections.contains_key(&way.pair()) {
            return Gate::Lost;
        }
        state.paths.get(&way).map_or(Gate::Open, Path::gate)
    }

    /// The same for a packet, which needs no connection.
    pub(super) fn packet_gate(&self, way: Way) -> Gate {
        let state = self.state();
        state.paths.get(&way).map_or(Gate::Open, Path::gate)
    }

    fn pipes(&self, way: Way) -> Vec<Arc<Pipe>> {
        let state = self.state();
        let connection = state.connections.get(&way.pair());
        connection.map_or_else(Vec::new, |connection| {
            connection.pipes.iter().filter_map(Weak::upgrade).collect()
        })
    }

    fn connection_number(&self, way: Way) -> Option<u64> {
        let state = self.state();
        let connection = state.connections.get(&way.pair());
        connection.map(|connection| connection.number)
    }

    /// Ends the connection, if it is still the one of `number`.
    fn disconnect(&self, way: Way, number: Option<u64>, why: &str) {
        let connection = {
            let mut state = self.state();
            let current = state.connections.get(&way.pair());
            if current.map(|connection| connection.number) != number {
                return;
            }
            state.connections.remove(&way.pair())
        };
        let Some(connection) = connection else {
            return;
        };
        event(DISCONNECTED, way.from, way.to, || why.to_owned());
        for pipe in connection.pipes.iter().filter_map(Weak::upgrade) {
            pipe.break_off(why);
        }
    }

    fn others(&self, node_id: NodeId) -> Vec<(Way, u64)> {
        let state = self.state();
        let own = state.connections.iter().filter_map(|(pair, connection)| {
            let to = match (pair.0 == node_id, pair.1 == node_id) {
                (true, _) => pair.1,
                (false, true) => pair.0,
                (false, false) => return None,
            };
            Some((Way { from: node_id, to }, connection.number))
        });
        own.collect()
    }

    /// A node serves from now on. Connections of an earlier life of it end: it does not know them.
    pub(super) fn serve(&self, identity: PeerIdentity, service: Arc<dyn Served>) {
        let node_id = identity.node_id;
        for (way, number) in self.others(node_id) {
            self.disconnect(way, Some(number), "reset by the peer");
        }
        let server = Server { service, identity };
        let earlier = self.state().servers.insert(node_id, server);
        drop(earlier);
    }

    /// A node serves no more, without a word: its peers find out after the idle time.
    pub(super) fn silence(self: &Arc<Self>, node_id: NodeId) {
        let earlier = self.state().servers.remove(&node_id);
        drop(earlier);
        for (way, number) in self.others(node_id) {
            let shared = Arc::clone(self);
            drop(spawn_on(NETWORK_TAG, async move {
                sleep(shared.idle).await;
                shared.disconnect(way, Some(number), "idle for too long");
            }));
        }
    }

    pub(super) fn service(&self, node_id: NodeId) -> Option<Arc<dyn Served>> {
        let state = self.state();
        let server = state.servers.get(&node_id)?;
        Some(Arc::clone(&server.service))
    }

    pub(super) fn identity(&self, node_id: NodeId) -> Option<PeerIdentity> {
        let state = self.state();
        Some(state.servers.get(&node_id)?.identity.clone())
    }

    pub(super) fn standing(&self, way: Way) -> Standing {
        let state = self.state();
        if state.connections.contains_key(&way.pair()) {
            return Standing::Connected;
        }
        let stalled = state.stall(way).or(state.stall(way.back()));
        let away = !state.servers.contains_key(&way.to) || state.still.contains_key(&way.to);
        match stalled.is_some() || away {
            true => Standing::Unreachable,
            false => Standing::Reachable,
        }
    }

    /// The handshake is done.
    pub(super) fn connect(&self, way: Way) {
        let mut state = self.state();
        if state.connections.contains_key(&way.pair()) {
            return;
        }
        state.made += 1;
        let number = state.made;
        let pipes = Vec::new();
        let connection = Connection { number, pipes };
        state.connections.insert(way.pair(), connection);
        drop(state);
        event(CONNECTED, way.from, way.to, String::new);
    }

    /// Two pipes, there and back; `None` without a connection.
    pub(super) fn open(&self, way: Way, rank: Rank) -> Option<(Arc<Pipe>, Arc<Pipe>)> {
        let there = Pipe::new(way, Leg::There, rank);
        let back = Pipe::new(way.back(), Leg::Back, rank);
        let mut state = self.state();
        let connection = state.connections.get_mut(&way.pair())?;
        connection.pipes.retain(|pipe| pipe.strong_count() > 0);
        connection.pipes.push(Arc::downgrade(&there));
        connection.pipes.push(Arc::downgrade(&back));
        Some((there, back))
    }
}
