//! How the nodes of a world reach each other: over the modelled network, or over the QUIC that ships.
//!
//! Both obey one network's latencies, losses and cuts, so a scenario needs not know which it runs on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use stellara_machine::units::UnixMs;
use stellara_node::certs::{CertError, Lifetime, seeded};
use stellara_node::ports::peer_link::{PeerIdentity, PeerService};
use stellara_node::transport::quic::{QuicEndpoint, QuicError, QuicOptions, RefusedPeer};
use stellara_raft_store::types::NodeId;

use crate::fake::NETWORK_TAG;
use crate::fake::link::AnyLink;
use crate::fake::network::SimNetwork;
use crate::fake::udp::{SimUdp, UdpOptions, address_of};
use crate::runtime::{SimRuntime, wall_clock_of};

/// What carries the nodes' messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// The network implements the nodes' link itself: the faster.
    #[default]
    Modelled,
    /// The node's own transport, quinn and TLS, over simulated UDP sockets.
    Quic,
}

/// Why a node does not get onto the network.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Its certificates cannot be made.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// Its endpoint does not start.
    #[error(transparent)]
    Endpoint(#[from] QuicError),
}

type Endpoint = Arc<QuicEndpoint<SimRuntime>>;

/// The second tier's sockets, keys and endpoints. Clones are the same.
#[derive(Clone)]
pub(super) struct QuicTier {
    udp: SimUdp,
    seed: [u8; 32],
    issued_at: UnixMs,
    endpoints: Arc<Mutex<BTreeMap<NodeId, Endpoint>>>,
}

/// Joins nodes to the network.
#[derive(Clone)]
pub(super) enum Wires {
    Modelled(SimNetwork),
    Quic(QuicTier),
}

impl Wires {
    pub(super) fn new(tier: Tier, network: SimNetwork, udp: UdpOptions, seed: u64) -> Self {
        match tier {
            Tier::Modelled => Self::Modelled(network),
            Tier::Quic => Self::Quic(QuicTier {
                udp: SimUdp::new(network, udp),
                seed: spread(seed),
                // Before anybody's clock goes wrong.
                issued_at: UnixMs(wall_clock_of(NETWORK_TAG).0),
                endpoints: Arc::default(),
            }),
        }
    }

    /// The address under which its peers know a node.
    pub(super) fn address(&self, node_id: NodeId) -> String {
        match self {
            Self::Modelled(_) => format!("node-{node_id}:4433"),
            Self::Quic(_) => address_of(node_id).to_string(),
        }
    }

    /// A node's way to the others. Must be called by the node's own code.
    pub(super) fn join(&self, identity: &PeerIdentity) -> Result<AnyLink, JoinError> {
        match self {
            Self::Modelled(network) => Ok(AnyLink::Modelled(network.link(identity.node_id))),
            Self::Quic(tier) => {
                let endpoint = tier.endpoint(identity)?;
                Ok(AnyLink::Quic(endpoint.link()))
            }
        }
    }

    /// The node answers from now on. Must be called by the node's own code.
    pub(super) fn serve<S: PeerService>(&self, identity: PeerIdentity, service: Arc<S>) {
        match self {
            Self::Modelled(network) => network.serve(identity, service),
            Self::Quic(tier) => {
                let endpoint = tier.endpoints().get(&identity.node_id).cloned();
                if let Some(endpoint) = endpoint {
                    endpoint.serve(service);
                }
            }
        }
    }

    /// The node is gone and tells nobody.
    pub(super) fn silence(&self, node_id: NodeId) {
        match self {
            Self::Modelled(network) => network.silence(node_id),
            Self::Quic(tier) => {
                tier.udp.unbind(node_id);
                let endpoint = tier.endpoints().remove(&node_id);
                drop(endpoint);
            }
        }
    }

    /// The sockets of the second tier.
    pub(super) const fn udp(&self) -> Option<&SimUdp> {
        match self {
            Self::Modelled(_) => None,
            Self::Quic(tier) => Some(&tier.udp),
        }
    }

    /// Whom a running node refused last, or who refused it.
    pub(super) fn refusals(&self, node_id: NodeId) -> Vec<RefusedPeer> {
        match self {
            Self::Modelled(_) => Vec::new(),
            Self::Quic(tier) => {
                let endpoint = tier.endpoints().get(&node_id).cloned();
                endpoint.map_or_else(Vec::new, |endpoint| endpoint.refusals())
            }
        }
    }
}

impl QuicTier {
    fn endpoints(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Endpoint>> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, identity: &PeerIdentity) -> Result<Endpoint, JoinError> {
        let node_id = identity.node_id;
        let certs = seeded(&self.seed, identity, Lifetime::default(), self.issued_at)?;
        let options = QuicOptions::new(address_of(node_id));
        let endpoint = Arc::new(QuicEndpoint::over(
            self.udp.ground(node_id),
            options,
            &certs,
        )?);
        let earlier = self.endpoints().insert(node_id, Arc::clone(&endpoint));
        drop(earlier);
        Ok(endpoint)
    }
}

/// A key's length from a seed.
fn spread(seed: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key
}
