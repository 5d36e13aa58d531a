//! A node's link on either tier: the modelled network, or the QUIC that ships over the simulated socket.

use std::time::Duration;

use bytes::Bytes;
use stellara_node::ports::peer_link::{FrameRx, FrameTx, LinkError, Peer, PeerLink, StreamClass};
use stellara_node::transport::quic::{QuicLink, QuicRx, QuicTx};
use stellara_raft_store::types::NodeId;

use super::network::{SimLink, SimRx, SimTx};
use crate::runtime::SimRuntime;

/// The way to other nodes.
#[derive(Clone, Debug)]
pub enum AnyLink {
    /// Over [`super::network`].
    Modelled(SimLink),
    /// Over [`super::udp`].
    Quic(QuicLink<SimRuntime>),
}

/// The sending half of a stream.
#[derive(Debug)]
pub enum AnyTx {
    /// Of a modelled stream.
    Modelled(SimTx),
    /// Of a QUIC stream.
    Quic(QuicTx),
}

/// The receiving half of a stream.
pub enum AnyRx {
    /// Of a modelled stream.
    Modelled(SimRx),
    /// Of a QUIC stream.
    Quic(QuicRx),
}

impl FrameTx for AnyTx {
    async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        match self {
            Self::Modelled(tx) => tx.send(frame).await,
            Self::Quic(tx) => tx.send(frame).await,
        }
    }

    async fn finish(&mut self) -> Result<(), LinkError> {
        match self {
            Self::Modelled(tx) => tx.finish().await,
            Self::Quic(tx) => tx.finish().await,
        }
    }
}

impl FrameRx for AnyRx {
    async fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        match self {
            Self::Modelled(rx) => rx.recv().await,
            Self::Quic(rx) => rx.recv().await,
        }
    }
}

impl PeerLink for AnyLink {
    type Tx = AnyTx;
    type Rx = AnyRx;

    async fn call(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        match self {
            Self::Modelled(link) => link.call(peer, class, request, limit).await,
            Self::Quic(link) => link.call(peer, class, request, limit).await,
        }
    }

    async fn open(&self, peer: &Peer, class: StreamClass) -> Result<(AnyTx, AnyRx), LinkError> {
        match self {
            Self::Modelled(link) => {
                let (tx, rx) = link.open(peer, class).await?;
                Ok((AnyTx::Modelled(tx), AnyRx::Modelled(rx)))
            }
            Self::Quic(link) => {
                let (tx, rx) = link.open(peer, class).await?;
                Ok((AnyTx::Quic(tx), AnyRx::Quic(rx)))
            }
        }
    }

    fn datagram(&self, peer: &Peer, payload: Bytes) -> Result<(), LinkError> {
        match self {
            Self::Modelled(link) => link.datagram(peer, payload),
            Self::Quic(link) => link.datagram(peer, payload),
        }
    }

    fn round_trip(&self, node_id: NodeId) -> Option<Duration> {
        match self {
            Self::Modelled(link) => link.round_trip(node_id),
            Self::Quic(link) => link.round_trip(node_id),
        }
    }
}
