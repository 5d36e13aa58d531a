//! The network's state: paths, cuts, loss, connections and who serves.
//!
//! One lock, never held while foreign code runs. Connections are made by a handshake of one round trip, and end when
//! one side has heard nothing for the idle time, or when a node came back without its memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stellara_node::ports::peer_link::PeerIdentity;
use stellara_raft_store::types::NodeId;

use super::NetworkOptions;
use super::pipe::Pipe;
use super::service::Served;
use crate::fake::NETWORK_TAG;
use crate::runtime::{EventKind, RandomStream, SimTime, event, now, sleep, spawn_on, stream};

const CUT: EventKind = EventKind::new("cut");
const HEAL: EventKind = EventKind::new("heal");
const CONNECTED: EventKind = EventKind::new("connected");
const DISCONNECTED: EventKind = EventKind::new("disconnected");

/// Losses of one packet in a row before it surely arrives: QUIC's probes go on until then.
const LOSSES_MAX: u32 = 6;

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
    draws: RandomStream,
    loss_ppm: u32,
    cuts: BTreeMap<Way, SimTime>,
    servers: BTreeMap<NodeId, Server>,
    connections: BTreeMap<Pair, Connection>,
    made: u64,
}

pub(super) struct SharedState {
    pub(super) options: NetworkOptions,
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
    Reachable { round_trip: Duration },
    Unreachable,
}

impl SharedState {
    pub(super) fn new(options: NetworkOptions) -> Self {
        let state = State {
            draws: stream(NETWORK_TAG, "packets"),
            loss_ppm: options.loss_ppm,
            cuts: BTreeMap::new(),
            servers: BTreeMap::new(),
            connections: BTreeMap::new(),
            made: 0,
        };
        Self {
            options,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_loss_ppm(&self, loss_ppm: u32) {
        self.state().loss_ppm = loss_ppm;
    }

    pub(super) fn round_trip(&self, way: Way) -> Duration {
        self.options.latency.one_way(way.from, way.to)
            + self.options.latency.one_way(way.to, way.from)
    }

    /// A probe after a loss waits this long (RFC 9002: more than a round trip, and the peer's delay of acknowledgements).
    fn probe(&self, way: Way) -> Duration {
        self.round_trip(way) * 5 / 4 + Duration::from_millis(25)
    }

    /// How long a reliable packet takes: its latency, its jitter, and a probe for each loss.
    pub(super) fn transit(&self, way: Way) -> Duration {
        let mut state = self.state();
        let mut span = self.one_way(&mut state, way);
        let mut probe = self.probe(way);
        for _ in 0..LOSSES_MAX {
            let loss_ppm = state.loss_ppm;
            if !state.draws.chance_ppm(loss_ppm) {
                break;
            }
            span += probe;
            probe *= 2;
        }
        span
    }

    fn one_way(&self, state: &mut State, way: Way) -> Duration {
        let latency = self.options.latency.one_way(way.from, way.to);
        let most = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX) / 1_000
            * u64::from(self.options.jitter_permille);
        latency + Duration::from_nanos(state.draws.below(most + 1))
    }

    /// When a datagram arrives; `None` when it is lost on the way.
    pub(super) fn datagram_span(&self, way: Way) -> Option<Duration> {
        let mut state = self.state();
        let span = self.one_way(&mut state, way);
        let loss_ppm = state.loss_ppm;
        let lost = state.draws.chance_ppm(loss_ppm);
        (!lost && !state.cuts.contains_key(&way)).then_some(span)
    }

    pub(super) fn cut_since(&self, way: Way) -> Option<SimTime> {
        self.state().cuts.get(&way).copied()
    }

    /// Nothing passes any more; the connection breaks when this lasts for the idle time.
    pub(super) fn cut(self: &Arc<Self>, way: Way) {
        let since = now();
        if self.state().cuts.contains_key(&way) {
            return;
        }
        event(CUT, way.from, way.to, String::new);
        self.state().cuts.insert(way, since);
        let number = self.connection_number(way);
        let shared = Arc::clone(self);
        drop(spawn_on(NETWORK_TAG, async move {
            sleep(shared.options.idle).await;
            if shared.cut_since(way) == Some(since) {
                shared.disconnect(way, number, "idle for too long");
            }
        }));
    }

    /// Everything passes again; what was under way is sent again after a probe.
    pub(super) fn heal(&self, way: Way) {
        let Some(since) = self.state().cuts.remove(&way) else {
            return;
        };
        event(HEAL, way.from, way.to, String::new);
        let again = now() + self.transit(way) + self.probe(way);
        for pipe in self.pipes(way) {
            if pipe.way == way {
                pipe.resume(since, again);
            }
        }
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
                sleep(shared.options.idle).await;
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
        let cut = state.cuts.contains_key(&way) || state.cuts.contains_key(&way.back());
        if cut || !state.servers.contains_key(&way.to) {
            return Standing::Unreachable;
        }
        drop(state);
        Standing::Reachable {
            round_trip: self.round_trip(way),
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
    pub(super) fn open(&self, way: Way) -> Option<(Arc<Pipe>, Arc<Pipe>)> {
        let there = Pipe::new(way.from, way.to);
        let back = Pipe::new(way.to, way.from);
        let mut state = self.state();
        let connection = state.connections.get_mut(&way.pair())?;
        connection.pipes.retain(|pipe| pipe.strong_count() > 0);
        connection.pipes.push(Arc::downgrade(&there));
        connection.pipes.push(Arc::downgrade(&back));
        Some((there, back))
    }
}
