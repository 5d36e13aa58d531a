//! The network between nodes in virtual time, as QUIC would carry it: calls, ordered streams, datagrams.
//!
//! A packet takes its turn, and its path's latency and jitter. A lost datagram is gone; a lost packet of a stream costs
//! a probe's wait. A cut or a clog stalls streams and breaks the connection after the idle time.

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
use crate::timeline::picture::{Leg, MessageKind};
use crate::timeline::recorder::{self, Note};

mod ailment;
mod options;
mod path;
mod pipe;
mod service;
mod state;

pub use ailment::{Ailment, Bursts, Hold};
pub use options::{Latencies, NetworkOptions, RouteChanges};
pub(super) use path::Gate;
use path::Rank;
pub use pipe::{SimRx, SimTx};
use state::{SharedState, Standing, Way};

const DATAGRAM: EventKind = EventKind::new("datagram");

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
        self.state.cut(Way { from, to }, Hold::BY_NAME);
    }

    /// Nothing passes between two nodes any more.
    pub fn cut(&self, a: NodeId, b: NodeId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Everything passes again from one node to another.
    pub fn heal_one_way(&self, from: NodeId, to: NodeId) {
        self.state.free(Way { from, to }, Hold::BY_NAME);
    }

    /// Everything passes again between two nodes.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.heal_one_way(a, b);
        self.heal_one_way(b, a);
    }

    /// Something is wrong with the network from now on, until it is released.
    #[must_use]
    pub fn hold(&self, ailment: Ailment) -> Hold {
        self.state.hold(ailment)
    }

    /// What is held is over. Nothing happens when it was already.
    pub fn release(&self, hold: Hold) {
        self.state.release(hold);
    }

    /// The process of a node is not scheduled: nobody connects with it, and its connections end after the idle time.
    pub fn freeze(&self, node_id: NodeId) {
        self.state.freeze(node_id);
    }

    /// The process of a node is scheduled again, or gone.
    pub fn thaw(&self, node_id: NodeId) {
        self.state.thaw(node_id);
    }

    /// When a packet of UDP sent now arrives, and when again if it comes twice; no time when it is lost. A narrow path
    /// keeps no packet waiting for longer than `queue_max`.
    pub(super) fn packet(
        &self,
        (from, to): (NodeId, NodeId),
        bytes: usize,
        queue_max: Duration,
    ) -> [Option<Duration>; 2] {
        self.state.packet(Way { from, to }, bytes, queue_max)
    }

    /// What becomes of a packet of UDP that is at its end now.
    pub(super) fn packet_gate(&self, from: NodeId, to: NodeId) -> Gate {
        self.state.packet_gate(Way { from, to })
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
        let until = now() + self.state.dial;
        loop {
            match self.state.standing(way) {
                Standing::Connected => return Ok(()),
                Standing::Reachable => {
                    sleep(self.state.handshake(way)).await;
                    // The world may have changed during the handshake.
                    match self.state.standing(way) {
                        Standing::Connected => return Ok(()),
                        Standing::Reachable => return self.admitted(way),
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

    async fn open_both(
        &self,
        to: NodeId,
        class: StreamClass,
    ) -> Result<(Ends, Ends, PeerIdentity), LinkError> {
        self.connect(to).await?;
        let closed = || LinkError::Closed {
            detail: "the connection ended".to_owned(),
        };
        let way = self.way(to);
        let identity = self.state.identity(self.node_id).ok_or_else(closed)?;
        let (there, back) = self.state.open(way, Rank::of(class)).ok_or_else(closed)?;
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
        let ((mut tx, mut rx), theirs, identity) = self.open_both(to, class).await?;
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
        let (ours, (tx, rx), identity) = self.open_both(to, class).await?;
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
            Standing::Reachable | Standing::Unreachable => {
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
        let spans = self.state.datagram(way, payload.len());
        let due = spans[0].or(spans[1]).map(|span| now() + span);
        let kind = (MessageKind::Heartbeat, Leg::There);
        let note = recorder::sent((way.from, way.to), kind, payload.len(), due);
        for span in spans.into_iter().flatten() {
            self.deliver(way, now() + span, (payload.clone(), note));
        }
        Ok(())
    }

    fn round_trip(&self, node_id: NodeId) -> Option<Duration> {
        let way = self.way(node_id);
        match self.state.standing(way) {
            Standing::Connected => Some(self.state.round_trip(way)),
            Standing::Reachable | Standing::Unreachable => None,
        }
    }
}

impl SimLink {
    fn deliver(&self, way: Way, at: crate::runtime::SimTime, (payload, note): (Bytes, Note)) {
        let state = Arc::clone(&self.state);
        // On the receiver's node: a crash loses what its sockets hold.
        drop(spawn_on(NodeTag(way.to), async move {
            crate::runtime::sleep_until(at).await;
            loop {
                match state.gate(way) {
                    Gate::Open => break,
                    Gate::Lost => return,
                    Gate::Held(released) => released.notified().await,
                }
            }
            let served = state.service(way.to).zip(state.identity(way.from));
            if let Some((service, identity)) = served {
                recorder::heard(note);
                event_bytes(DATAGRAM, way.code(), &payload);
                service.datagram(identity, payload);
            }
        }));
    }
}
