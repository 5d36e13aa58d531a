//! A link in memory: every frame takes a latency, the far side of each stream is a script.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stellara_raft_store::types::{NodeId, NodeInfo};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::ports::peer_link::{FrameRx, FrameTx, LinkError, Peer, PeerLink, StreamClass};

type Script = dyn Fn(WireTx, WireRx) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The link.
#[derive(Clone)]
pub(super) struct Wire {
    latency: Duration,
    far: Arc<Script>,
}

impl Wire {
    /// Streams over it are served by `far`; a frame takes `latency` each way.
    pub(super) fn new<F>(
        latency: Duration,
        far: impl Fn(WireTx, WireRx) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            latency,
            far: Arc::new(move |tx, rx| Box::pin(far(tx, rx))),
        }
    }
}

fn one_way(latency: Duration) -> (WireTx, WireRx) {
    // As much as a window of QUIC would hold.
    let (tx, rx) = mpsc::channel(1_000);
    let sending = WireTx {
        latency,
        tx: Some(tx),
    };
    (sending, WireRx(rx))
}

impl PeerLink for Wire {
    type Tx = WireTx;
    type Rx = WireRx;

    async fn call(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        let call = async {
            let (mut tx, mut rx) = self.open(peer, class).await?;
            tx.send(request).await?;
            tx.finish().await?;
            rx.recv().await?.ok_or_else(gone)
        };
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or(Err(LinkError::TimedOut { limit }))
    }

    async fn open(&self, _: &Peer, _: StreamClass) -> Result<(WireTx, WireRx), LinkError> {
        let (near_tx, far_rx) = one_way(self.latency);
        let (far_tx, near_rx) = one_way(self.latency);
        tokio::spawn((self.far)(far_tx, far_rx));
        Ok((near_tx, near_rx))
    }

    fn datagram(&self, _: &Peer, _: Bytes) -> Result<(), LinkError> {
        Err(gone())
    }

    fn round_trip(&self, _: NodeId) -> Option<Duration> {
        Some(self.latency * 2)
    }
}

fn gone() -> LinkError {
    LinkError::Closed {
        detail: "the other side is gone".into(),
    }
}

/// The sending half.
pub(super) struct WireTx {
    latency: Duration,
    tx: Option<mpsc::Sender<(Instant, Bytes)>>,
}

impl FrameTx for WireTx {
    async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        let arrives_at = Instant::now() + self.latency;
        let tx = self.tx.as_ref().ok_or_else(gone)?;
        tx.send((arrives_at, frame)).await.map_err(|_| gone())
    }

    async fn finish(&mut self) -> Result<(), LinkError> {
        self.tx = None;
        Ok(())
    }
}

/// The receiving half.
pub(super) struct WireRx(mpsc::Receiver<(Instant, Bytes)>);

impl FrameRx for WireRx {
    async fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        let Some((arrives_at, frame)) = self.0.recv().await else {
            return Ok(None);
        };
        sleep_until(arrives_at).await;
        Ok(Some(frame))
    }
}

/// Some node.
pub(super) fn somebody() -> Peer {
    Peer {
        node_id: 2,
        info: NodeInfo::default(),
    }
}
