//! A node's peer service without its type: the network serves nodes of any kind.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stellara_node::ports::peer_link::{PeerIdentity, PeerService, ServiceError, StreamClass};

use super::pipe::{SimRx, SimTx};

/// [`PeerService`] with boxed futures.
pub(super) trait Served: Send + Sync {
    fn admit(&self, from: &PeerIdentity) -> Result<(), String>;

    fn call(
        self: Arc<Self>,
        from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>>;

    fn stream(
        self: Arc<Self>,
        from: PeerIdentity,
        class: StreamClass,
        tx: SimTx,
        rx: SimRx,
    ) -> BoxFuture<'static, ()>;

    fn datagram(&self, from: PeerIdentity, payload: Bytes);
}

impl<S: PeerService> Served for S {
    fn admit(&self, from: &PeerIdentity) -> Result<(), String> {
        PeerService::admit(self, from)
    }

    fn call(
        self: Arc<Self>,
        from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, ServiceError>> {
        Box::pin(async move { PeerService::call(&*self, from, class, request).await })
    }

    fn stream(
        self: Arc<Self>,
        from: PeerIdentity,
        class: StreamClass,
        tx: SimTx,
        rx: SimRx,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { PeerService::stream(&*self, from, class, tx, rx).await })
    }

    fn datagram(&self, from: PeerIdentity, payload: Bytes) {
        PeerService::datagram(self, from, payload);
    }
}
