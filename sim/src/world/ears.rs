//! What nodes hear of each other, noted from outside: the oracle of the bound of stale reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use stellara_node::ports::peer_link::{
    FrameRx, FrameTx, PeerIdentity, PeerService, ServiceError, StreamClass,
};
use stellara_raft_store::types::NodeId;

use crate::runtime::{SimTime, now};

/// When each node last took a datagram, as heartbeats are. Clones are the same ears.
#[derive(Clone, Debug, Default)]
pub struct Ears {
    heard: Arc<Mutex<BTreeMap<NodeId, SimTime>>>,
}

impl Ears {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, SimTime>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a node last heard any other, if it ever did.
    #[must_use]
    pub fn heard_at(&self, node_id: NodeId) -> Option<SimTime> {
        self.lock().get(&node_id).copied()
    }

    /// Notes that a node hears another at `at`.
    pub fn hear(&self, node_id: NodeId, at: SimTime) {
        self.lock().insert(node_id, at);
    }

    /// The service of a node, whose datagrams are noted.
    pub(super) fn listening<S>(&self, node_id: NodeId, service: Arc<S>) -> Arc<Listening<S>> {
        Arc::new(Listening {
            ears: self.clone(),
            node_id,
            service,
        })
    }
}

/// A peer service whose datagrams are noted; everything is passed on as it is.
pub(super) struct Listening<S> {
    ears: Ears,
    node_id: NodeId,
    service: Arc<S>,
}

impl<S: PeerService> PeerService for Listening<S> {
    fn admit(&self, from: &PeerIdentity) -> Result<(), String> {
        self.service.admit(from)
    }

    async fn call(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        self.service.call(from, class, request).await
    }

    async fn stream<Tx: FrameTx, Rx: FrameRx>(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        tx: Tx,
        rx: Rx,
    ) {
        self.service.stream(from, class, tx, rx).await;
    }

    fn datagram(&self, from: PeerIdentity, payload: Bytes) {
        self.ears.hear(self.node_id, now());
        self.service.datagram(from, payload);
    }
}
