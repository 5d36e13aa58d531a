//! What is under way to a node's address, and what its socket's buffer holds.
//!
//! Packets move from the one to the other when someone looks, in the order of their arrival: between two looks nothing
//! is read, so the buffer is as full as it would have been. What a clogged way holds moves when the clog has ended.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Waker};

use quinn::udp::EcnCodepoint;
use stellara_raft_store::types::NodeId;
use tokio::sync::futures::OwnedNotified;

use super::{Shared, UdpCounts, lose};
use crate::fake::network::Gate;
use crate::runtime::{SimTime, Sleep, sleep_until};

pub(super) struct Packet {
    pub(super) from: NodeId,
    pub(super) bytes: Box<[u8]>,
    pub(super) ecn: Option<EcnCodepoint>,
}

#[derive(Default)]
pub(super) struct Inbox {
    // By arrival, then by the order of sending.
    under_way: BTreeMap<(SimTime, u64), Packet>,
    // What came to the end of a clogged way, by its sender; no entry is empty.
    held: BTreeMap<NodeId, VecDeque<Packet>>,
    // Tells the reader of the clogs' ends.
    releases: Vec<Pin<Box<OwnedNotified>>>,
    buffer: VecDeque<Packet>,
    buffer_bytes: usize,
    // The number of the socket that is bound; packets find nobody without one.
    socket: Option<u64>,
    reader: Option<Waker>,
    next_arrival: Option<(SimTime, Sleep)>,
}

impl Inbox {
    /// Another socket, or none, owns the address; gives back the waker of the earlier one.
    pub(super) fn bind(&mut self, socket: Option<u64>) -> Option<Waker> {
        self.socket = socket;
        self.buffer.clear();
        self.buffer_bytes = 0;
        self.next_arrival = None;
        self.releases.clear();
        self.reader.take()
    }

    pub(super) fn is_bound(&self, socket: u64) -> bool {
        self.socket == Some(socket)
    }

    /// How many packets have been sent and not been let out.
    pub(super) fn under_way(&self) -> usize {
        let held = self.held.values().map(VecDeque::len);
        self.under_way.len() + held.sum::<usize>()
    }

    /// A packet is on its way; gives back who must be woken to look out for it.
    pub(super) fn put(&mut self, at: SimTime, number: u64, packet: Packet) -> Option<Waker> {
        let first = self.under_way.first_key_value().map(|(key, _)| key.0);
        self.under_way.insert((at, number), packet);
        let earlier = first.is_none_or(|first| at < first);
        earlier.then(|| self.reader.take()).flatten()
    }

    /// Moves what has arrived by now into the buffer, as far as there is room and the way was not cut. What is at the
    /// end of a clogged way stays there.
    pub(super) fn settle(
        &mut self,
        now: SimTime,
        own: NodeId,
        shared: &Shared,
        counts: &mut UdpCounts,
    ) {
        for (_, packets) in std::mem::take(&mut self.held) {
            for packet in packets {
                self.let_out(packet, own, shared, counts);
            }
        }
        while let Some(first) = self.under_way.first_entry() {
            if first.key().0 > now {
                return;
            }
            let packet = first.remove();
            self.let_out(packet, own, shared, counts);
        }
    }

    fn let_out(&mut self, packet: Packet, own: NodeId, shared: &Shared, counts: &mut UdpCounts) {
        let size = packet.bytes.len();
        let full = self.buffer_bytes + size > shared.options.buffer_bytes;
        match shared.network.packet_gate(packet.from, own) {
            Gate::Held(_) => {
                self.held.entry(packet.from).or_default().push_back(packet);
                return;
            }
            Gate::Open if self.socket.is_some() && !full => {
                self.buffer_bytes += size;
                self.buffer.push_back(packet);
                return;
            }
            Gate::Open if full => counts.overflowed += 1,
            Gate::Open | Gate::Lost => counts.lost += 1,
        }
        lose(packet.from, own, size as u64);
    }

    pub(super) fn take(&mut self) -> Option<Packet> {
        let packet = self.buffer.pop_front()?;
        self.buffer_bytes -= packet.bytes.len();
        Some(packet)
    }

    /// Wakes the reader when the next packet arrives, when an earlier one is sent, or when a clog ends. To be called
    /// after `settle`.
    pub(super) fn look_out(&mut self, own: NodeId, shared: &Shared, context: &mut Context<'_>) {
        self.await_releases(own, shared, context);
        let known = self.reader.as_ref();
        if !known.is_some_and(|known| known.will_wake(context.waker())) {
            self.reader = Some(context.waker().clone());
        }
        let first = self.under_way.first_key_value().map(|(key, _)| key.0);
        let Some(at) = first else {
            self.next_arrival = None;
            return;
        };
        let sleep = match self.next_arrival.take() {
            Some((known, sleep)) if known == at => sleep,
            Some(_) | None => sleep_until(at),
        };
        let (_, sleep) = self.next_arrival.insert((at, sleep));
        // It lies ahead: what has arrived was taken out before.
        let pending = Pin::new(sleep).poll(context);
        debug_assert!(pending.is_pending(), "the next packet has not arrived yet");
    }

    fn await_releases(&mut self, own: NodeId, shared: &Shared, context: &mut Context<'_>) {
        self.releases.clear();
        for from in self.held.keys() {
            let Gate::Held(released) = shared.network.packet_gate(*from, own) else {
                continue;
            };
            let mut release = Box::pin(released.notified_owned());
            let pending = release.as_mut().poll(context);
            debug_assert!(pending.is_pending(), "the clog has not ended yet");
            self.releases.push(release);
        }
    }
}
