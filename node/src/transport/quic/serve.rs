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
use super::frame::{self, Budget, Shape};
use super::link::{QuicRx, QuicTx};
use super::refusal::{Refusal, RefusedPeer, check_cluster, identity_of};
use super::tasks::Tasks;
use super::{CODE_REFUSED, Shared};
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
        if let Err(reason) = self.greet(&connection, &from).await {
            return refused(Some(from), reason);
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

    async fn greet(&self, connection: &Connection, from: &PeerIdentity) -> Result<(), Refusal> {
        let wrong = |detail: String| Refusal::WrongHello { detail };
        let exchange = async {
            let (mut tx, mut rx) = connection
                .accept_bi()
                .await
                .map_err(|error| wrong(error.to_string()))?;
            let hello = read_hello(&mut rx)
                .await
                .map_err(|error| wrong(error.to_string()))?;
            check_hello(&hello, from)?;
            let answer = own_hello(&self.shared).encode_to_vec();
            frame::write(&mut tx, answer.into())
                .await
                .map_err(|error| wrong(error.to_string()))?;
            tx.finish().ok();
            Ok(())
        };
        R::timeout(self.shared.options.dial_limit, exchange)
            .await
            .unwrap_or_else(|_| Err(wrong("no hello came".into())))
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
