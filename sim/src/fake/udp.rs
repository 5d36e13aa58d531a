//! UDP between nodes in virtual time, for the QUIC that ships to run over: latency, jitter, loss, cuts, duplicates.
//!
//! A packet travels the ways of the [`SimNetwork`]. It keeps its place among those of its way unless it is drawn to
//! overtake. What is read too late overflows the socket's buffer, what is too large is lost, and nobody is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::udp::EcnCodepoint;
use stellara_node::transport::quic::{Ground, Seed};
use stellara_raft_store::types::NodeId;

use super::NETWORK_TAG;
use super::network::SimNetwork;
use crate::runtime::{EventKind, NodeTag, RandomStream, SimTime, event, now, stream};

mod inbox;
mod quinn_runtime;
mod socket;

use inbox::{Inbox, Packet};
pub use quinn_runtime::{SimQuinn, SimWall};
pub use socket::UdpSocket;

const SENT: EventKind = EventKind::new("packet-sent");
const LOST: EventKind = EventKind::new("packet-lost");

/// The port of every node.
const PORT: u16 = 4433;
/// The first address of the nodes: 10.0.0.0.
const NODES_FROM: u32 = 0x0a00_0000;
/// Nodes are told apart by the rest of their address.
const NODES_MAX: u64 = 1 << 24;

/// How the sockets and paths behave beyond what the network's options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Packets that may arrive before earlier ones, in parts per million.
    pub overtaking_ppm: u32,
    /// The bytes of a socket's receive buffer.
    pub buffer_bytes: usize,
    /// The most bytes of a packet's payload that the paths carry.
    pub packet_bytes_max: usize,
    /// Packets under way to one node at once, at most.
    pub under_way_max: usize,
    /// How long the queue before a narrow path is: a packet that would leave later is dropped.
    pub queue_max: Duration,
}

impl Default for UdpOptions {
    /// 500 overtakers in a million, the receive buffer that Linux gives, Ethernet's 1,500 bytes less the headers of
    /// IPv6 and UDP, a path that holds 65,536 packets, and queues of a quarter of a second.
    fn default() -> Self {
        Self {
            overtaking_ppm: 500,
            buffer_bytes: 212_992,
            packet_bytes_max: 1_452,
            under_way_max: 65_536,
            queue_max: Duration::from_millis(250),
        }
    }
}

/// What happened to the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpCounts {
    /// Packets sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets that a socket's owner has read.
    pub read: u64,
    /// Packets lost on the way, by chance, by a cut, or because nobody listened.
    pub lost: u64,
    /// Packets larger than the paths carry.
    pub too_large: u64,
    /// Packets for which a full buffer or path had no room.
    pub overflowed: u64,
    /// Packets that arrived once more.
    pub duplicated: u64,
}

/// The address of a node's socket.
///
/// # Panics
/// For a node above 2^24.
#[must_use]
pub fn address_of(node_id: NodeId) -> SocketAddr {
    assert!(node_id < NODES_MAX, "node {node_id} has no address");
    let host = u32::try_from(node_id).expect("it is below 2^24");
    (Ipv4Addr::from(NODES_FROM | host), PORT).into()
}

fn node_at(address: SocketAddr) -> Option<NodeId> {
    let IpAddr::V4(host) = address.ip() else {
        return None;
    };
    let host = NodeId::from(u32::from(host).checked_sub(NODES_FROM)?);
    (host < NODES_MAX && address.port() == PORT).then_some(host)
}

struct State {
    draws: RandomStream,
    inboxes: BTreeMap<NodeId, Inbox>,
    // When the last packet of a way arrives.
    last: BTreeMap<(NodeId, NodeId), SimTime>,
    sockets: u64,
    packets: u64,
    counts: UdpCounts,
}

struct Shared {
    network: SimNetwork,
    options: UdpOptions,
    state: Mutex<State>,
}

/// All sockets and what is under way between them. Clones are the same.
#[derive(Clone)]
pub struct SimUdp {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SimUdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimUdp").finish_non_exhaustive()
    }
}

impl SimUdp {
    /// No sockets yet, over the ways of `network`. Must be made inside a run.
    #[must_use]
    pub fn new(network: SimNetwork, options: UdpOptions) -> Self {
        let state = State {
            draws: stream(NETWORK_TAG, "udp"),
            inboxes: BTreeMap::new(),
            last: BTreeMap::new(),
            sockets: 0,
            packets: 0,
            counts: UdpCounts::default(),
        };
        Self {
            shared: Arc::new(Shared {
                network,
                options,
                state: Mutex::new(state),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// A node's socket; an earlier one of the node hears nothing any more.
    #[must_use]
    pub fn bind(&self, node_id: NodeId) -> UdpSocket {
        let mut state = self.state();
        state.sockets += 1;
        let number = state.sockets;
        let inbox = state.inboxes.entry(node_id).or_default();
        let waker = inbox.bind(Some(number));
        drop(state);
        drop(waker);
        UdpSocket::new(self.clone(), node_id, number)
    }

    /// All that a node's QUIC endpoint stands on, with a new socket. To be called by the node's own code.
    #[must_use]
    pub fn ground(&self, node_id: NodeId) -> Ground {
        let mut draws = stream(NodeTag(node_id), "quic");
        let mut seed = [0; 32];
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&draws.next_bits().to_le_bytes());
        }
        Ground {
            socket: Arc::new(self.bind(node_id)),
            runtime: Arc::new(SimQuinn::here()),
            seed: Seed(seed),
            wall: Arc::new(SimWall),
        }
    }

    /// A node has no socket any more: what arrives for it is lost.
    pub fn unbind(&self, node_id: NodeId) {
        let mut state = self.state();
        let waker = state
            .inboxes
            .get_mut(&node_id)
            .and_then(|inbox| inbox.bind(None));
        drop(state);
        drop(waker);
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> UdpCounts {
        self.state().counts
    }

    /// Sends one packet. Nobody is told what becomes of it.
    fn send(&self, from: NodeId, to: SocketAddr, bytes: &[u8], ecn: Option<EcnCodepoint>) {
        let Some(to) = node_at(to) else { return };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        event(SENT, way_code(from, to), size, String::new);
        let mut state = self.state();
        state.counts.sent += 1;
        state.counts.sent_bytes += size;
        if bytes.len() > self.shared.options.packet_bytes_max {
            state.counts.too_large += 1;
            drop(state);
            lose(from, to, size);
            return;
        }
        let queue_max = self.shared.options.queue_max;
        let network = &self.shared.network;
        let [first, again] = network.packet((from, to), bytes.len(), queue_max);
        state.counts.lost += u64::from(first.is_none());
        state.counts.duplicated += u64::from(again.is_some());
        drop(state);
        if first.is_none() {
            lose(from, to, size);
        }
        for span in first.into_iter().chain(again) {
            let packet = Packet {
                from,
                bytes: bytes.into(),
                ecn,
            };
            self.carry(to, packet, span);
        }
    }

    fn carry(&self, to: NodeId, packet: Packet, span: Duration) {
        let from = packet.from;
        let mut guard = self.state();
        let state = &mut *guard;
        let mut at = now() + span;
        if !state.draws.chance_ppm(self.shared.options.overtaking_ppm) {
            let last = state.last.entry((from, to)).or_default();
            at = at.max(*last);
            *last = at;
        }
        state.packets += 1;
        let inbox = state.inboxes.entry(to).or_default();
        inbox.settle(now(), to, &self.shared, &mut state.counts);
        let woken = if inbox.under_way() < self.shared.options.under_way_max {
            inbox.put(at, state.packets, packet)
        } else {
            state.counts.overflowed += 1;
            None
        };
        drop(guard);
        if let Some(waker) = woken {
            waker.wake();
        }
    }
}

const fn way_code(from: NodeId, to: NodeId) -> u64 {
    (from << 32) | to
}

fn lose(from: NodeId, to: NodeId, size: u64) {
    event(LOST, way_code(from, to), size, String::new);
}
