//! How the nodes of a world reach each other: over the modelled network, or over the QUIC that ships.
//!
//! Both obey one network's latencies, losses and cuts, so a scenario needs not know which it runs on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stellara_machine::units::UnixMs;
use stellara_node::certs::{CertError, Lifetime, NodeCerts, seeded};
use stellara_node::ports::peer_link::{PeerIdentity, PeerService};
use stellara_node::transport::quic::{QuicEndpoint, QuicOptions, RefusedPeer};
use stellara_raft_store::types::NodeId;

use crate::fake::NETWORK_TAG;
use crate::fake::link::AnyLink;
use crate::fake::network::SimNetwork;
use crate::fake::udp::{SimUdp, UdpOptions, address_of};
use crate::plan::topology::Tier;
use crate::runtime::{SimRuntime, wall_clock_of};

type Endpoint = Arc<QuicEndpoint<SimRuntime>>;

/// The second tier's sockets, keys and endpoints. Clones are the same.
#[derive(Clone)]
pub(super) struct QuicTier {
    udp: SimUdp,
    seed: [u8; 32],
    issued_at: UnixMs,
    enrolled: Arc<Mutex<BTreeMap<NodeId, Enrolled>>>,
}

/// A node's certificates, and its endpoint while it runs.
struct Enrolled {
    certs: Arc<NodeCerts>,
    endpoint: Option<Endpoint>,
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
                enrolled: Arc::default(),
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

    /// A node gets what it needs to prove who it is, once.
    pub(super) fn enrol(&self, identity: &PeerIdentity) -> Result<(), CertError> {
        match self {
            Self::Modelled(_) => Ok(()),
            Self::Quic(tier) => tier.enrol(identity),
        }
    }

    /// The way to the others of a node that was enrolled. Must be called by the node's own code.
    pub(super) fn join(&self, node_id: NodeId) -> AnyLink {
        match self {
            Self::Modelled(network) => AnyLink::Modelled(network.link(node_id)),
            Self::Quic(tier) => AnyLink::Quic(tier.bind(node_id).link()),
        }
    }

    /// The node answers from now on. Must be called by the node's own code.
    pub(super) fn serve<S: PeerService>(&self, identity: PeerIdentity, service: Arc<S>) {
        match self {
            Self::Modelled(network) => network.serve(identity, service),
            Self::Quic(tier) => {
                if let Some(endpoint) = tier.endpoint(identity.node_id) {
                    endpoint.serve(service);
                }
            }
        }
    }

    /// The node stops in order, and its peers are told where there is a way to tell them. Must be called by the node's
    /// own code.
    pub(super) async fn close(&self, node_id: NodeId) {
        match self {
            Self::Modelled(_) => {}
            Self::Quic(tier) => {
                if let Some(endpoint) = tier.endpoint(node_id) {
                    endpoint.close().await;
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
                let gone = tier
                    .enrolled()
                    .get_mut(&node_id)
                    .map(|one| one.endpoint.take());
                drop(gone);
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
                let endpoint = tier.endpoint(node_id);
                endpoint.map_or_else(Vec::new, |endpoint| endpoint.refusals())
            }
        }
    }
}

impl QuicTier {
    fn enrolled(&self) -> MutexGuard<'_, BTreeMap<NodeId, Enrolled>> {
        self.enrolled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, node_id: NodeId) -> Option<Endpoint> {
        self.enrolled().get(&node_id)?.endpoint.clone()
    }

    fn enrol(&self, identity: &PeerIdentity) -> Result<(), CertError> {
        let certs = seeded(&self.seed, identity, Lifetime::default(), self.issued_at)?;
        let one = Enrolled {
            certs: Arc::new(certs),
            endpoint: None,
        };
        self.enrolled().insert(identity.node_id, one);
        Ok(())
    }

    fn bind(&self, node_id: NodeId) -> Endpoint {
        let certs = self
            .enrolled()
            .get(&node_id)
            .map(|one| Arc::clone(&one.certs));
        let certs = certs.expect("nodes are enrolled before they start");
        let options = QuicOptions::new(address_of(node_id));
        let endpoint = QuicEndpoint::over(self.udp.ground(node_id), options, &certs)
            .expect("the socket has an address, and TLS takes certificates made here");
        let endpoint = Arc::new(endpoint);
        let mut enrolled = self.enrolled();
        let one = enrolled.get_mut(&node_id);
        let earlier = one.and_then(|one| one.endpoint.replace(Arc::clone(&endpoint)));
        drop(enrolled);
        drop(earlier);
        endpoint
    }
}

/// A key's length from a seed.
fn spread(seed: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key
}
