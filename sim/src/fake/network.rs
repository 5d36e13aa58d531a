//! The network between nodes in virtual time, as QUIC would carry it: calls, ordered streams, datagrams.
//!
//! A packet takes its path's latency and jitter. A lost datagram is gone; a lost packet of a stream costs a probe's
//! wait. A cut stalls streams and breaks the connection after the idle time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft_rt::AsyncRuntime;
use stellara_node::ports::peer_link::{
    DATAGRAM_BYTES_MAX, FrameRx, FrameTx, LinkError, Peer, PeerIdentity, PeerLink, PeerService,
    StreamClass,
};
use stellara_raft_store::types::NodeId;

use crate::runtime::{
    EventKind, NodeTag, SimRuntime, event_bytes, is_killed, now, sleep, spawn_on,
};

mod pipe;
mod service;
mod state;

pub use pipe::{SimRx, SimTx};
use state::{SharedState, Standing, Way};

const DATAGRAM: EventKind = EventKind::new("datagram");

/// How long a packet takes from node to node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    ways: BTreeMap<(NodeId, NodeId), Duration>,
}

impl Latencies {
    /// The same time in both directions.
    #[must_use]
    pub fn both_ways(pairs: &[(NodeId, NodeId, Duration)]) -> Self {
        let there = pairs.iter().map(|(a, b, span)| ((*a, *b), *span));
        let back = pairs.iter().map(|(a, b, span)| ((*b, *a), *span));
        Self {
            ways: there.chain(back).collect(),
        }
    }

    /// From one node to another; no time where none is given.
    #[must_use]
    pub fn one_way(&self, from: NodeId, to: NodeId) -> Duration {
        self.ways.get(&(from, to)).copied().unwrap_or_default()
    }
}

/// How the network behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The least time of a packet.
    pub latency: Latencies,
    /// The most that is added to it, in thousandths of it.
    pub jitter_permille: u32,
    /// Packets lost at random, in parts per million.
    pub loss_ppm: u32,
    /// A connection on which one side hears nothing for this long ends.
    pub idle: Duration,
    /// How long a connection is tried before the peer is called unreachable.
    pub dial: Duration,
}

/// The network as the scenario sees it. Clones are the same network.
#[derive(Clone, Debug)]
pub struct SimNetwork {
    state: Arc<SharedState>,
}

impl SimNetwork {
    /// A whole network. Must be made inside a run.
    #[must_use]
    pub fn new(options: NetworkOptions) -> Self {
        Self {
            state: Arc::new(SharedState::new(options)),
        }
    }

    /// The link of one node.
    #[must_use]
    pub fn link(&self, node_id: NodeId) -> SimLink {
        SimLink {
            node_id,
            state: Arc::clone(&self.state),
        }
    }

    /// A node answers its peers from now on; connections of an earlier life of it end.
    pub fn serve<S: PeerService>(&self, identity: PeerIdentity, service: Arc<S>) {
        self.state.serve(identity, service);
    }

    /// A node answers no more and tells nobody.
    pub fn silence(&self, node_id: NodeId) {
        self.state.silence(node_id);
    }

    /// Nothing passes from one node to another any more.
    pub fn cut_one_way(&self, from: NodeId, to: NodeId) {
        self.state.cut(Way { from, to });
    }

    /// Nothing passes between two nodes any more.
    pub fn cut(&self, a: NodeId, b: NodeId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Everything passes again from one node to another.
    pub fn heal_one_way(&self, from: NodeId, to: NodeId) {
        self.state.heal(Way { from, to });
    }

    /// Everything passes again between two nodes.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.heal_one_way(a, b);
        self.heal_one_way(b, a);
    }

    /// How long a packet takes; `None` when it is lost on the way or the way is cut.
    pub(super) fn packet_span(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        self.state.datagram_span(Way { from, to })
    }

    /// Whether a packet that is at its end now gets out there.
    pub(super) fn lets_out(&self, from: NodeId, to: NodeId) -> bool {
        self.state.cut_since(Way { from, to }).is_none()
    }

    /// How many packets are lost at random from now on, in parts per million.
    pub fn set_loss_ppm(&self, loss_ppm: u32) {
        self.state.set_loss_ppm(loss_ppm);
    }
}

/// One node's way to the others.
#[derive(Clone, Debug)]
pub struct SimLink {
    node_id: NodeId,
    state: Arc<SharedState>,
}

/// Waits between looks at a peer that cannot be reached.
const DIAL_EVERY: Duration = Duration::from_millis(100);

impl SimLink {
    const fn way(&self, to: NodeId) -> Way {
        Way {
            from: self.node_id,
            to,
        }
    }

    async fn connect(&self, to: NodeId) -> Result<(), LinkError> {
        let way = self.way(to);
        let until = now() + self.state.options.dial;
        loop {
            match self.state.standing(way) {
                Standing::Connected => return Ok(()),
                Standing::Reachable { round_trip } => {
                    sleep(round_trip).await;
                    // The world may have changed during the handshake.
                    match self.state.standing(way) {
                        Standing::Connected => return Ok(()),
                        Standing::Reachable { .. } => return self.admitted(way),
                        Standing::Unreachable => {}
                    }
                }
                Standing::Unreachable => sleep(DIAL_EVERY).await,
            }
            if now() >= until {
                return Err(LinkError::Unreachable {
                    detail: format!("no handshake with node {to}"),
                });
            }
        }
    }

    fn admitted(&self, way: Way) -> Result<(), LinkError> {
        let refused = |reason: String| LinkError::Refused { reason };
        let service = self.state.service(way.to);
        let identity = self.state.identity(way.from);
        let (service, identity) = service
            .zip(identity)
            .ok_or_else(|| refused("this node serves nobody yet".to_owned()))?;
        service.admit(&identity).map_err(refused)?;
        self.state.connect(way);
        Ok(())
    }

    async fn open_both(&self, to: NodeId) -> Result<(Ends, Ends, PeerIdentity), LinkError> {
        self.connect(to).await?;
        let closed = || LinkError::Closed {
            detail: "the connection ended".to_owned(),
        };
        let way = self.way(to);
        let identity = self.state.identity(self.node_id).ok_or_else(closed)?;
        let (there, back) = self.state.open(way).ok_or_else(closed)?;
        let ends = |out: &Arc<pipe::Pipe>, into: &Arc<pipe::Pipe>| {
            (
                SimTx::new(Arc::clone(out), Arc::clone(&self.state)),
                SimRx::new(Arc::clone(into), Arc::clone(&self.state)),
            )
        };
        Ok((ends(&there, &back), ends(&back, &there), identity))
    }

    async fn ask(
        &self,
        to: NodeId,
        class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, LinkError> {
        let ((mut tx, mut rx), theirs, identity) = self.open_both(to).await?;
        let state = Arc::clone(&self.state);
        drop(spawn_on(
            NodeTag(to),
            answer(state, to, class, identity, theirs),
        ));
        tx.send(request).await?;
        tx.finish().await?;
        rx.recv().await?.ok_or_else(|| LinkError::Closed {
            detail: "the peer did not answer".to_owned(),
        })
    }
}

type Ends = (SimTx, SimRx);

/// Answers one call, on the node that is asked.
async fn answer(
    state: Arc<SharedState>,
    own: NodeId,
    class: StreamClass,
    from: PeerIdentity,
    (mut tx, mut rx): Ends,
) {
    let Ok(Some(request)) = rx.recv().await else {
        return;
    };
    let Some(service) = state.service(own) else {
        return;
    };
    match service.call(from, class, request).await {
        Ok(bytes) => {
            // Whoever asked may be gone by now.
            tx.send(bytes).await.ok();
        }
        Err(error) => tx.refuse(error.to_string()),
    }
    tx.finish().await.ok();
}

impl PeerLink for SimLink {
    type Tx = SimTx;
    type Rx = SimRx;

    async fn call(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        SimRuntime::timeout(limit, self.ask(peer.node_id, class, request))
            .await
            .unwrap_or(Err(LinkError::TimedOut { limit }))
    }

    async fn open(&self, peer: &Peer, class: StreamClass) -> Result<Ends, LinkError> {
        let to = peer.node_id;
        let (ours, (tx, rx), identity) = self.open_both(to).await?;
        let state = Arc::clone(&self.state);
        drop(spawn_on(NodeTag(to), async move {
            if let Some(service) = state.service(to) {
                service.stream(identity, class, tx, rx).await;
            }
        }));
        Ok(ours)
    }

    fn datagram(&self, peer: &Peer, payload: Bytes) -> Result<(), LinkError> {
        if payload.len() > DATAGRAM_BYTES_MAX {
            return Err(LinkError::TooLarge {
                bytes: payload.len(),
                bytes_max: DATAGRAM_BYTES_MAX,
            });
        }
        if is_killed() {
            return Ok(());
        }
        let way = self.way(peer.node_id);
        match self.state.standing(way) {
            Standing::Connected => {}
            Standing::Reachable { .. } | Standing::Unreachable => {
                let link = self.clone();
                let to = peer.node_id;
                drop(SimRuntime::spawn(
                    async move { link.connect(to).await.ok() },
                ));
                return Err(LinkError::Unreachable {
                    detail: format!("no connection with node {}", peer.node_id),
                });
            }
        }
        if let Some(span) = self.state.datagram_span(way) {
            self.deliver(way, now() + span, payload);
        }
        Ok(())
    }

    fn round_trip(&self, node_id: NodeId) -> Option<Duration> {
        let way = self.way(node_id);
        match self.state.standing(way) {
            Standing::Connected => Some(self.state.round_trip(way)),
            Standing::Reachable { .. } | Standing::Unreachable => None,
        }
    }
}

impl SimLink {
    fn deliver(&self, way: Way, at: crate::runtime::SimTime, payload: Bytes) {
        let state = Arc::clone(&self.state);
        // On the receiver's node: a crash loses what its sockets hold.
        drop(spawn_on(NodeTag(way.to), async move {
            crate::runtime::sleep_until(at).await;
            let connected = matches!(state.standing(way), Standing::Connected);
            if !connected || state.cut_since(way).is_some() {
                return;
            }
            let served = state.service(way.to).zip(state.identity(way.from));
            if let Some((service, identity)) = served {
                event_bytes(DATAGRAM, way.code(), &payload);
                service.datagram(identity, payload);
            }
        }));
    }
}
