//! One node's UDP socket, as quinn uses it.
//!
//! It always takes what is sent. A process that died neither sends nor hears.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use stellara_raft_store::types::NodeId;

use super::{SimUdp, address_of, way_code};
use crate::runtime::{EventKind, event, is_killed, now};

const READ: EventKind = EventKind::new("packet-read");

/// As many packets as Linux takes in one call.
const SEGMENTS_MAX: usize = 10;

/// A socket of [`SimUdp`].
#[derive(Debug)]
pub struct UdpSocket {
    udp: SimUdp,
    node_id: NodeId,
    number: u64,
}

impl UdpSocket {
    pub(super) const fn new(udp: SimUdp, node_id: NodeId, number: u64) -> Self {
        Self {
            udp,
            node_id,
            number,
        }
    }

    fn is_bound(&self) -> bool {
        let state = self.udp.state();
        let inbox = state.inboxes.get(&self.node_id);
        inbox.is_some_and(|inbox| inbox.is_bound(self.number))
    }
}

/// A socket that never keeps its writer waiting.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if is_killed() || !self.is_bound() {
            return Ok(());
        }
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        for packet in transmit.contents.chunks(size.max(1)) {
            self.udp
                .send(self.node_id, transmit.destination, packet, transmit.ecn);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        told: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut guard = self.udp.state();
        let state = &mut *guard;
        let Some(inbox) = state.inboxes.get_mut(&self.node_id) else {
            return Poll::Pending;
        };
        if !inbox.is_bound(self.number) {
            return Poll::Pending;
        }
        inbox.settle(now(), self.node_id, &self.udp.shared, &mut state.counts);
        let mut read = 0;
        for (buffer, told) in buffers.iter_mut().zip(told) {
            let Some(packet) = inbox.take() else { break };
            let size = packet.bytes.len().min(buffer.len());
            buffer[..size].copy_from_slice(&packet.bytes[..size]);
            *told = RecvMeta::default();
            told.addr = address_of(packet.from);
            told.len = size;
            told.stride = size;
            told.ecn = packet.ecn;
            told.dst_ip = Some(address_of(self.node_id).ip());
            event(
                READ,
                way_code(packet.from, self.node_id),
                size as u64,
                String::new,
            );
            state.counts.read += 1;
            read += 1;
        }
        if read > 0 {
            return Poll::Ready(Ok(read));
        }
        inbox.look_out(self.node_id, &self.udp.shared, context);
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address_of(self.node_id))
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS_MAX
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
