//! Serves the connections that peers make: checks who they are, then their calls, streams and datagrams.
//!
//! Bounded: connections, streams of a connection, bytes of unanswered requests by class. Whatever arrives that is
//! no handshake of a peer ends in quinn or in one log line.

use std::sync::Arc;

use openraft_rt::AsyncRuntime;
use prost::Message;
use quinn::{Connection, Incoming, RecvStream, SendStream};
use stellara_proto::v1::peer as wire;
use tokio::sync::Semaphore;

use super::dial::{check_hello, own_hello};
use super::frame::{self, Budget, Shape, connection_error};
use super::link::{QuicRx, QuicTx};
use super::refusal::{Refusal, RefusedPeer, check_cluster, identity_of};
use super::tasks::Tasks;
use super::{CODE_GOING, CODE_REFUSED, NO_HELLO, Shared};
use crate::ports::peer_link::{LinkError, PeerIdentity, PeerService, StreamClass};

/// Accepts connections until the endpoint is closed, then ends theirs.
pub(super) async fn accept<R: AsyncRuntime, S: PeerService>(
    shared: Arc<Shared<R>>,
    service: Arc<S>,
) {
    let budgets = Arc::new(Budgets::new(shared.options.in_flight_bytes_max));
    let connections = Tasks::<R>::new();
    while let Some(incoming) = shared.endpoint.accept().await {
        let connections_max = shared.options.connections_max;
        if connections.len() >= connections_max {
            shared.refusals.add(RefusedPeer {
                address: incoming.remote_address(),
                identity: None,
                reason: Refusal::TooManyConnections { connections_max },
            });
            incoming.refuse();
            continue;
        }
        let server = Server {
            shared: Arc::clone(&shared),
            service: Arc::clone(&service),
            budgets: Arc::clone(&budgets),
        };
        connections.spawn(server.connection(incoming));
    }
    connections.all_ended().await;
}

/// The bytes of unanswered requests, by class: a class that is full does not hold another up.
struct Budgets([Budget; StreamClass::ALL.len()]);

impl Budgets {
    fn new(bytes_max: u32) -> Self {
        // A budget below one frame could never be met.
        let frame_max = u32::try_from(crate::ports::peer_link::FRAME_BYTES_MAX)
            .expect("the limit fits into four bytes");
        let permits = usize::try_from(bytes_max.max(frame_max)).unwrap_or(Semaphore::MAX_PERMITS);
        Self(std::array::from_fn(|_| Arc::new(Semaphore::new(permits))))
    }

    fn of(&self, class: StreamClass) -> &Budget {
        &self.0[usize::from(class.code()) - 1]
    }
}

/// Why a connection is not served.
enum Ungreeted {
    /// The peer is refused.
    Refused(Refusal),
    /// The peer is not heard any more, which is no refusal.
    Gone { detail: String },
}

struct Server<R: AsyncRuntime, S> {
    shared: Arc<Shared<R>>,
    service: Arc<S>,
    budgets: Arc<Budgets>,
}

impl<R: AsyncRuntime, S> Clone for Server<R, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            service: Arc::clone(&self.service),
            budgets: Arc::clone(&self.budgets),
        }
    }
}

impl<R: AsyncRuntime, S: PeerService> Server<R, S> {
    async fn connection(self, incoming: Incoming) {
        let address = incoming.remote_address();
        let refuse = |identity, reason| {
            self.shared.refusals.add(RefusedPeer {
                address,
                identity,
                reason,
            });
        };
        let handshake = async { incoming.accept()?.await };
        let connection = match R::timeout(self.shared.options.dial_limit, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                match Refusal::of_handshake(&error) {
                    Some(reason) => refuse(None, reason),
                    None => tracing::debug!(%address, %error, "handshake given up"),
                }
                return;
            }
            Err(_) => {
                tracing::debug!(%address, "handshake given up");
                return;
            }
        };
        let refused = |identity, reason: Refusal| {
            connection.close(CODE_REFUSED, reason.to_string().as_bytes());
            refuse(identity, reason);
        };
        let from = match identity_of(&connection) {
            Ok(from) => from,
            Err(reason) => return refused(None, reason),
        };
        if let Err(reason) = self.admit(&from) {
            return refused(Some(from), reason);
        }
        match self.greet(&connection, &from).await {
            Ok(()) => {}
            Err(Ungreeted::Refused(reason)) => return refused(Some(from), reason),
            Err(Ungreeted::Gone { detail }) => {
                tracing::info!(%from, %address, detail, "peer unreachable: no hello came");
                connection.close(CODE_GOING, NO_HELLO);
                return;
            }
        }
        tracing::debug!(%from, %address, "peer connected");
        self.streams(&connection, &from).await;
    }

    fn admit(&self, from: &PeerIdentity) -> Result<(), Refusal> {
        check_cluster(from, &self.shared.identity)?;
        self.service
            .admit(from)
            .map_err(|detail| Refusal::NotAdmitted { detail })
    }

    async fn greet(&self, connection: &Connection, from: &PeerIdentity) -> Result<(), Ungreeted> {
        // On a connection that has ended nothing was said wrong, but it may have ended with a refusal.
        let failed = |error: LinkError| {
            let wrong = Refusal::WrongHello {
                detail: error.to_string(),
            };
            let Some(ended) = connection.close_reason() else {
                return Ungreeted::Refused(wrong);
            };
            Refusal::of_handshake(&ended).map_or_else(
                || Ungreeted::Gone {
                    detail: ended.to_string(),
                },
                Ungreeted::Refused,
            )
        };
        let exchange = async {
            let accepted = connection.accept_bi().await;
            let (mut tx, mut rx) = accepted.map_err(|error| failed(connection_error(&error)))?;
            let hello = read_hello(&mut rx).await.map_err(failed)?;
            check_hello(&hello, from).map_err(Ungreeted::Refused)?;
            let answer = own_hello(&self.shared).encode_to_vec();
            frame::write(&mut tx, answer.into()).await.map_err(failed)?;
            tx.finish().ok();
            Ok(())
        };
        let limit = self.shared.options.dial_limit;
        R::timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(Ungreeted::Gone {
                detail: format!("nothing within {} ms", limit.as_millis()),
            })
        })
    }

    async fn streams(&self, connection: &Connection, from: &PeerIdentity) {
        let streams = Tasks::<R>::new();
        let ended = loop {
            tokio::select! {
                biased;
                datagram = connection.read_datagram() => match datagram {
                    Ok(payload) => self.service.datagram(from.clone(), payload),
                    Err(error) => break error,
                },
                stream = connection.accept_bi() => match stream {
                    Ok((tx, rx)) => {
                        streams.spawn(self.clone().stream(from.clone(), tx, rx));
                    }
                    Err(error) => break error,
                },
            }
        };
        tracing::debug!(%from, %ended, "peer disconnected");
        // Nobody is left to answer.
        streams.end().await;
    }

    async fn stream(self, from: PeerIdentity, tx: SendStream, mut rx: RecvStream) {
        let limit = self.shared.options.request_limit;
        match R::timeout(limit, frame::begun(&mut rx)).await {
            Ok(Ok(Some(Shape::Call(class)))) => {
                if let Err(error) = self.answer(&from, class, tx, rx).await {
                    tracing::debug!(%from, ?class, %error, "call not answered");
                }
            }
            Ok(Ok(Some(Shape::Stream(class)))) => {
                tx.set_priority(class.priority()).ok();
                let budget = Arc::clone(self.budgets.of(class));
                let rx = QuicRx::new(rx, Some(budget));
                self.service.stream(from, class, QuicTx(tx), rx).await;
            }
            Ok(Ok(Some(Shape::Hello) | None)) => {
                tracing::warn!(%from, "stream refused: it is of no known class");
            }
            Ok(Err(_)) | Err(_) => tracing::debug!(%from, "stream ended before its class"),
        }
    }

    async fn answer(
        &self,
        from: &PeerIdentity,
        class: StreamClass,
        mut tx: SendStream,
        mut rx: RecvStream,
    ) -> Result<(), LinkError> {
        tx.set_priority(class.priority()).ok();
        let limit = self.shared.options.request_limit;
        let budget = self.budgets.of(class);
        let request = R::timeout(limit, frame::read(&mut rx, Some(budget)))
            .await
            .unwrap_or(Err(LinkError::TimedOut { limit }));
        let held = match request {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(()),
            Err(error) => {
                frame::write_answer(&mut tx, Err(error.to_string())).await?;
                return Err(error);
            }
        };
        let answer = self
            .service
            .call(from.clone(), class, held.frame.clone())
            .await;
        frame::write_answer(&mut tx, answer.map_err(|error| error.to_string())).await
    }
}

async fn read_hello(rx: &mut RecvStream) -> Result<wire::Hello, LinkError> {
    let wrong = |detail: &str| frame::closed(detail);
    if frame::begun(rx).await? != Some(Shape::Hello) {
        return Err(wrong("the first stream is no hello"));
    }
    let held = frame::read(rx, None).await?;
    let held = held.ok_or_else(|| wrong("the hello is missing"))?;
    wire::Hello::decode(held.frame).map_err(|error| frame::closed(error.to_string()))
}
