//! The link: a connection a peer and lane, made when first needed, kept, made again with back-off when it is lost.
//!
//! Dialling goes on when its caller gives up: a call's limit may be shorter than a handshake over an ocean.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openraft_rt::watch::{Watch, WatchReceiver as _, WatchSender as _};
use openraft_rt::{AsyncRuntime, Instant as _};
use quinn::{Connection, RecvStream, SendDatagramError, SendStream};
use stellara_raft_store::types::NodeId;

use super::dial::{dial, unreachable};
use super::frame::{self, Budget, Shape, closed, connection_error};
use super::{CODE_GOING, Shared};
use crate::ports::peer_link::{
    DATAGRAM_BYTES_MAX, FRAME_BYTES_MAX, FrameRx, FrameTx, LinkError, Peer, PeerLink, StreamClass,
};

/// Peers and lanes remembered, at most.
const SLOTS_MAX: usize = 128;

/// The connections to a peer: snapshots never share a congestion window with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Main,
    Snapshot,
}

impl Lane {
    const fn of(class: StreamClass) -> Self {
        match class {
            StreamClass::Vote
            | StreamClass::Append
            | StreamClass::ReadIndex
            | StreamClass::Forward => Self::Main,
            StreamClass::Snapshot => Self::Snapshot,
        }
    }
}

type Key = (NodeId, Lane);
type Outcome = Result<Connection, LinkError>;
type Waiting<R> = <<R as AsyncRuntime>::Watch as Watch>::Receiver<Option<Outcome>>;

enum Slot<R: AsyncRuntime> {
    /// Not connected: not before `retry_at`.
    Down {
        retry_at: R::Instant,
        failures: u32,
        error: LinkError,
    },
    /// A task is at it.
    Dialling {
        address: String,
        number: u64,
        failures: u32,
        outcome: Waiting<R>,
    },
    /// Connected.
    Up(Live<R::Instant>),
}

struct Live<I> {
    connection: Connection,
    address: String,
    generation: u64,
    since: I,
    failures: u32,
    // Packets received by then: a growing number is a sign of life.
    heard: (u64, I),
}

enum Ticket<R: AsyncRuntime> {
    Ready(Connection),
    Wait(Waiting<R>),
    Failed(LinkError),
}

struct Slots<R: AsyncRuntime> {
    slots: BTreeMap<Key, Slot<R>>,
    dials: u64,
}

/// The way to other nodes over QUIC.
pub struct QuicLink<R: AsyncRuntime> {
    shared: Arc<Shared<R>>,
    slots: Arc<Mutex<Slots<R>>>,
}

impl<R: AsyncRuntime> Clone for QuicLink<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            slots: Arc::clone(&self.slots),
        }
    }
}

impl<R: AsyncRuntime> fmt::Debug for QuicLink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicLink of {}", self.shared.identity)
    }
}

impl<R: AsyncRuntime> QuicLink<R> {
    pub(super) fn new(shared: Arc<Shared<R>>) -> Self {
        let slots = Slots {
            slots: BTreeMap::new(),
            dials: 0,
        };
        Self {
            shared,
            slots: Arc::new(Mutex::new(slots)),
        }
    }

    async fn connection(&self, peer: &Peer, lane: Lane) -> Outcome {
        let mut outcome = match self.ticket(peer, lane) {
            Ticket::Ready(connection) => return Ok(connection),
            Ticket::Failed(error) => return Err(error),
            Ticket::Wait(outcome) => outcome,
        };
        match outcome.wait_until(Option::is_some).await {
            Ok(outcome) => outcome.expect("waited for it"),
            Err(_) => Err(unreachable("the node stops".into())),
        }
    }

    fn ticket(&self, peer: &Peer, lane: Lane) -> Ticket<R> {
        let key = (peer.node_id, lane);
        let mut slots = self.slots.lock().expect("no holder panics");
        let failures = match slots.slots.get(&key) {
            None => 0,
            Some(Slot::Down {
                retry_at,
                failures,
                error,
            }) => {
                if R::Instant::now() < *retry_at {
                    return Ticket::Failed(error.clone());
                }
                *failures
            }
            Some(Slot::Dialling {
                address, outcome, ..
            }) if *address == peer.info.peer_address => return Ticket::Wait(outcome.clone()),
            Some(Slot::Dialling { .. }) => 0,
            Some(Slot::Up(live)) => match self.usable(live, peer) {
                Ok(true) => return Ticket::Ready(live.connection.clone()),
                Ok(false) => 0,
                Err((error, failures)) => {
                    let down = self.down(error.clone(), failures);
                    slots.slots.insert(key, down);
                    return Ticket::Failed(error);
                }
            },
        };
        slots.make_room(key);
        Ticket::Wait(self.start_dial(&mut slots, key, peer, failures))
    }

    // Usable, replaceable at once, or lost so soon that dialling waits: a peer that refuses after the handshake would
    // otherwise be dialled by every call.
    fn usable(&self, live: &Live<R::Instant>, peer: &Peer) -> Result<bool, (LinkError, u32)> {
        let Some(lost) = live.connection.close_reason() else {
            let current = self.shared.credentials().generation;
            return Ok(live.address == peer.info.peer_address && live.generation == current);
        };
        if live.since.elapsed() < self.shared.options.silence_max {
            let error = connection_error(&lost);
            if let LinkError::Refused { .. } = error {
                return Err((error, live.failures + 1));
            }
        }
        Ok(false)
    }

    fn down(&self, error: LinkError, failures: u32) -> Slot<R> {
        let options = &self.shared.options;
        let doubled = options.redial_min * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        Slot::Down {
            retry_at: R::Instant::now() + doubled.min(options.redial_max),
            failures,
            error,
        }
    }

    fn start_dial(&self, slots: &mut Slots<R>, key: Key, peer: &Peer, failures: u32) -> Waiting<R> {
        slots.dials += 1;
        let number = slots.dials;
        let (tx, outcome) = R::Watch::channel(None);
        slots.slots.insert(
            key,
            Slot::Dialling {
                address: peer.info.peer_address.clone(),
                number,
                failures,
                outcome: outcome.clone(),
            },
        );
        let (link, peer) = (self.clone(), peer.clone());
        // Ends by itself: dialling and the hello have a limit.
        drop(R::spawn(async move {
            let credentials = link.shared.credentials();
            let dialled = dial(&link.shared, &credentials, &peer).await;
            let result = dialled.as_ref().map(|dialled| dialled.connection.clone());
            let result = result.map_err(Clone::clone);
            link.settle(key, number, credentials.generation, &result);
            // Whoever waited may have given up.
            tx.send(Some(result)).ok();
            drop(tx);
            if let Ok(dialled) = dialled {
                dialled.watch_hello(Arc::clone(&link.shared)).await;
            }
        }));
        outcome
    }

    fn settle(&self, key: Key, dial: u64, generation: u64, result: &Outcome) {
        let mut slots = self.slots.lock().expect("no holder panics");
        let Some(Slot::Dialling {
            address,
            number,
            failures,
            ..
        }) = slots.slots.get(&key)
        else {
            return;
        };
        // The peer has moved meanwhile: the dial to its new address counts.
        if *number != dial {
            return;
        }
        let now = R::Instant::now();
        let slot = match result {
            Ok(connection) => Slot::Up(Live {
                connection: connection.clone(),
                address: address.clone(),
                generation,
                since: now,
                failures: *failures,
                heard: (connection.stats().udp_rx.datagrams, now),
            }),
            Err(error) => self.down(error.clone(), failures + 1),
        };
        slots.slots.insert(key, slot);
    }

    // A partition that healed leaves QUIC waiting for its next probe, seconds away: a fresh connection is faster. So a
    // connection from which nothing came for long, while calls on it time out, is given up before its idle timeout.
    fn timed_out(&self, key: Key) {
        let mut slots = self.slots.lock().expect("no holder panics");
        let Some(Slot::Up(live)) = slots.slots.get_mut(&key) else {
            return;
        };
        let received = live.connection.stats().udp_rx.datagrams;
        if received != live.heard.0 {
            live.heard = (received, R::Instant::now());
            return;
        }
        if live.heard.1.elapsed() > self.shared.options.silence_max {
            live.connection.close(CODE_GOING, b"nothing was heard");
        }
    }

    fn live(&self, key: Key) -> Option<Connection> {
        let slots = self.slots.lock().expect("no holder panics");
        match slots.slots.get(&key) {
            Some(Slot::Up(live)) => Some(live.connection.clone()),
            Some(Slot::Down { .. } | Slot::Dialling { .. }) | None => None,
        }
    }

    async fn exchange(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
    ) -> Result<Bytes, LinkError> {
        let (mut tx, mut rx) = self.open_stream(peer, class, Shape::Call(class)).await?;
        // A service that refuses early stops reading: its answer counts, not the broken write.
        let sent = async {
            frame::write(&mut tx, request).await?;
            tx.finish().map_err(|_| closed("the stream was reset"))
        };
        let sent = sent.await;
        let answer = frame::read_answer(&mut rx).await;
        if let Err(LinkError::Closed { .. }) = answer {
            sent?;
        }
        answer
    }

    async fn open_stream(
        &self,
        peer: &Peer,
        class: StreamClass,
        shape: Shape,
    ) -> Result<(SendStream, RecvStream), LinkError> {
        let connection = self.connection(peer, Lane::of(class)).await?;
        let (mut tx, rx) = connection
            .open_bi()
            .await
            .map_err(|error| connection_error(&error))?;
        tx.set_priority(class.priority())
            .map_err(|_| closed("the stream was reset"))?;
        frame::begin(&mut tx, shape).await?;
        Ok((tx, rx))
    }
}

impl<R: AsyncRuntime> Slots<R> {
    fn make_room(&mut self, key: Key) {
        if self.slots.len() < SLOTS_MAX || self.slots.contains_key(&key) {
            return;
        }
        // Members are few; what fills the slots are addresses long gone.
        self.slots.retain(|_, slot| match slot {
            Slot::Up(live) => live.connection.close_reason().is_none(),
            Slot::Dialling { .. } => true,
            Slot::Down { .. } => false,
        });
    }
}

impl<R: AsyncRuntime> PeerLink for QuicLink<R> {
    type Tx = QuicTx;
    type Rx = QuicRx;

    async fn call(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        if request.len() > FRAME_BYTES_MAX {
            return Err(LinkError::TooLarge {
                bytes: request.len(),
                bytes_max: FRAME_BYTES_MAX,
            });
        }
        match R::timeout(limit, self.exchange(peer, class, request)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.timed_out((peer.node_id, Lane::of(class)));
                Err(LinkError::TimedOut { limit })
            }
        }
    }

    async fn open(&self, peer: &Peer, class: StreamClass) -> Result<(QuicTx, QuicRx), LinkError> {
        let (tx, rx) = self.open_stream(peer, class, Shape::Stream(class)).await?;
        Ok((QuicTx(tx), QuicRx::new(rx, None)))
    }

    fn datagram(&self, peer: &Peer, payload: Bytes) -> Result<(), LinkError> {
        if payload.len() > DATAGRAM_BYTES_MAX {
            return Err(LinkError::TooLarge {
                bytes: payload.len(),
                bytes_max: DATAGRAM_BYTES_MAX,
            });
        }
        let connection = match self.ticket(peer, Lane::Main) {
            Ticket::Ready(connection) => connection,
            Ticket::Failed(error) => return Err(error),
            Ticket::Wait(_) => return Err(unreachable("a connection is being made".into())),
        };
        connection
            .send_datagram(payload)
            .map_err(|error| match error {
                SendDatagramError::ConnectionLost(error) => connection_error(&error),
                SendDatagramError::TooLarge
                | SendDatagramError::UnsupportedByPeer
                | SendDatagramError::Disabled => unreachable(error.to_string()),
            })
    }

    fn round_trip(&self, node_id: NodeId) -> Option<Duration> {
        self.live((node_id, Lane::Main))
            .map(|connection| connection.rtt())
    }
}

/// The sending half of a QUIC stream.
#[derive(Debug)]
pub struct QuicTx(pub(super) SendStream);

impl FrameTx for QuicTx {
    async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        frame::write(&mut self.0, frame).await
    }

    async fn finish(&mut self) -> Result<(), LinkError> {
        self.0.finish().map_err(|_| closed("the stream was reset"))
    }
}

/// The receiving half of a QUIC stream.
pub struct QuicRx {
    stream: RecvStream,
    budget: Option<Budget>,
}

impl QuicRx {
    pub(super) const fn new(stream: RecvStream, budget: Option<Budget>) -> Self {
        Self { stream, budget }
    }
}

impl FrameRx for QuicRx {
    async fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        let held = frame::read(&mut self.stream, self.budget.as_ref()).await?;
        Ok(held.map(|held| held.frame))
    }
}
