//! Makes one connection: resolves, dials, checks who answers, says hello.
//!
//! The hello costs no round trip: calls follow it at once, and the answer is checked when it comes.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use openraft_rt::AsyncRuntime;
use prost::Message;
use quinn::Connection;
use stellara_proto::v1::peer as wire;

use super::frame::{self, Shape, connection_error};
use super::refusal::{Refusal, RefusedPeer, check_cluster, identity_of};
use super::tls::{Credentials, SERVER_NAME};
use super::{CODE_GOING, CODE_REFUSED, NO_HELLO, PROTOCOL_VERSION, Shared, config};
use crate::ports::peer_link::{LinkError, Peer, PeerIdentity, StreamClass};

/// A connection that has been checked, and its hello's answer to come.
pub(super) struct Dialled {
    pub(super) connection: Connection,
    hello: quinn::RecvStream,
    identity: PeerIdentity,
}

/// Connects to a peer.
pub(super) async fn dial<R: AsyncRuntime>(
    shared: &Shared<R>,
    credentials: &Credentials,
    peer: &Peer,
) -> Result<Dialled, LinkError> {
    let limit = shared.options.dial_limit;
    R::timeout(limit, try_dial(shared, credentials, peer))
        .await
        .unwrap_or_else(|_| {
            Err(unreachable(format!(
                "no answer from {} within {} ms",
                peer.info.peer_address,
                limit.as_millis()
            )))
        })
}

async fn try_dial<R: AsyncRuntime>(
    shared: &Shared<R>,
    credentials: &Credentials,
    peer: &Peer,
) -> Result<Dialled, LinkError> {
    let address = resolve(shared, &peer.info.peer_address).await?;
    let first_ids = Arc::clone(&shared.first_ids);
    let config = config::client(credentials, &shared.options, &peer.info.region, first_ids);
    let connecting = shared
        .endpoint
        .connect_with(config, address, SERVER_NAME)
        .map_err(|error| unreachable(error.to_string()))?;
    let connection = match connecting.await {
        Ok(connection) => connection,
        Err(error) => {
            return Err(match Refusal::of_handshake(&error) {
                Some(refusal) => refuse(shared, address, None, refusal),
                None => unreachable(format!("{address}: {error}")),
            });
        }
    };
    let identity = match expected(shared, &connection, peer) {
        Ok(identity) => identity,
        Err((identity, refusal)) => {
            connection.close(CODE_REFUSED, refusal.to_string().as_bytes());
            return Err(refuse(shared, address, identity, refusal));
        }
    };
    let hello = say_hello(shared, &connection).await?;
    Ok(Dialled {
        connection,
        hello,
        identity,
    })
}

type Unexpected = (Option<PeerIdentity>, Refusal);

fn expected<R: AsyncRuntime>(
    shared: &Shared<R>,
    connection: &Connection,
    peer: &Peer,
) -> Result<PeerIdentity, Unexpected> {
    let identity = identity_of(connection).map_err(|refusal| (None, refusal))?;
    let check = || {
        check_cluster(&identity, &shared.identity)?;
        if identity.node_id != peer.node_id {
            return Err(Refusal::WrongNode {
                found: identity.node_id,
                expected: peer.node_id,
            });
        }
        if identity.region != peer.info.region {
            return Err(Refusal::WrongRegion {
                found: identity.region.clone(),
                expected: peer.info.region.clone(),
            });
        }
        Ok(())
    };
    match check() {
        Ok(()) => Ok(identity),
        Err(refusal) => Err((Some(identity), refusal)),
    }
}

async fn resolve<R: AsyncRuntime>(
    shared: &Shared<R>,
    peer_address: &str,
) -> Result<SocketAddr, LinkError> {
    let own = shared
        .endpoint
        .local_addr()
        .map_err(|error| unreachable(error.to_string()))?;
    let found = look_up::<R>(peer_address)
        .await
        .map_err(|error| unreachable(format!("cannot resolve {peer_address}: {error}")))?;
    found
        .into_iter()
        .find(|address| address.is_ipv4() == own.is_ipv4())
        .ok_or_else(|| {
            unreachable(format!(
                "{peer_address} has no address of the same family as {own}"
            ))
        })
}

// An address in digits costs nothing; the system's resolver blocks.
async fn look_up<R: AsyncRuntime>(peer_address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = peer_address.parse() {
        return Ok(vec![address]);
    }
    let name = peer_address.to_owned();
    R::spawn_blocking(move || Ok(name.to_socket_addrs()?.collect())).await?
}

/// What a node says of itself first.
pub(super) fn own_hello<R: AsyncRuntime>(shared: &Shared<R>) -> wire::Hello {
    wire::Hello {
        protocol_version: PROTOCOL_VERSION,
        cluster_id: shared.identity.cluster_id.clone(),
        node_id: shared.identity.node_id,
        region: shared.identity.region.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// Checks what a peer says of itself against its certificate.
pub(super) fn check_hello(hello: &wire::Hello, certified: &PeerIdentity) -> Result<(), Refusal> {
    let wrong = |detail: String| Err(Refusal::WrongHello { detail });
    if hello.protocol_version != PROTOCOL_VERSION {
        return wrong(format!(
            "protocol version is {}, expected {PROTOCOL_VERSION}",
            hello.protocol_version
        ));
    }
    let said = PeerIdentity {
        node_id: hello.node_id,
        region: hello.region.clone(),
        cluster_id: hello.cluster_id.clone(),
    };
    if &said != certified {
        return wrong(format!("it says {said}, its certificate {certified}"));
    }
    Ok(())
}

async fn say_hello<R: AsyncRuntime>(
    shared: &Shared<R>,
    connection: &Connection,
) -> Result<quinn::RecvStream, LinkError> {
    let (mut tx, rx) = connection
        .open_bi()
        .await
        .map_err(|error| connection_error(&error))?;
    // Ahead of the calls that follow at once.
    tx.set_priority(StreamClass::Vote.priority() + 1).ok();
    frame::begin(&mut tx, Shape::Hello).await?;
    frame::write(&mut tx, own_hello(shared).encode_to_vec().into()).await?;
    tx.finish().ok();
    Ok(rx)
}

impl Dialled {
    /// Awaits the peer's hello and closes the connection when it is wrong, or does not come.
    pub(super) async fn watch_hello<R: AsyncRuntime>(mut self, shared: Arc<Shared<R>>) {
        let limit = shared.options.dial_limit;
        let address = self.connection.remote_address();
        let checked = match R::timeout(limit, frame::read(&mut self.hello, None)).await {
            Ok(Ok(Some(held))) => match wire::Hello::decode(held.frame) {
                Ok(hello) => check_hello(&hello, &self.identity),
                Err(error) => Err(Refusal::WrongHello {
                    detail: error.to_string(),
                }),
            },
            // The connection ended; its callers are told.
            Ok(Err(error)) => {
                if let LinkError::Refused { reason } = error {
                    let refusal = Refusal::ByPeer { detail: reason };
                    self.refuse(&shared, refusal);
                }
                return;
            }
            Ok(Ok(None)) => Err(Refusal::WrongHello {
                detail: "the peer said nothing".into(),
            }),
            // Who cannot be heard has refused nothing: the next call dials again.
            Err(_) => {
                let identity = &self.identity;
                let limit_ms = limit.as_millis();
                tracing::info!(%address, %identity, limit_ms, "peer unreachable: no hello came");
                self.connection.close(CODE_GOING, NO_HELLO);
                return;
            }
        };
        if let Err(refusal) = checked {
            self.connection
                .close(CODE_REFUSED, refusal.to_string().as_bytes());
            self.refuse(&shared, refusal);
        }
    }

    fn refuse<R: AsyncRuntime>(&self, shared: &Shared<R>, refusal: Refusal) {
        let address = self.connection.remote_address();
        refuse(shared, address, Some(self.identity.clone()), refusal);
    }
}

fn refuse<R: AsyncRuntime>(
    shared: &Shared<R>,
    address: SocketAddr,
    identity: Option<PeerIdentity>,
    reason: Refusal,
) -> LinkError {
    let error = LinkError::Refused {
        reason: reason.to_string(),
    };
    shared.refusals.add(RefusedPeer {
        address,
        identity,
        reason,
    });
    error
}

pub(super) fn unreachable(detail: String) -> LinkError {
    LinkError::Unreachable { detail }
}
