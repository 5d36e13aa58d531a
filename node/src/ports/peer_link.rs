//! How nodes reach each other: calls, streams of frames and datagrams, by class.
//!
//! A frame is one protobuf message of at most [`FRAME_BYTES_MAX`]. A stream keeps its frames in order; classes do not
//! wait for each other; snapshots travel on a connection of their own. QUIC implements the link in production, the
//! simulator's network implements it in simulations.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use stellara_raft_store::types::{NodeId, NodeInfo};
use thiserror::Error;

/// The most bytes one frame may hold; a longer one is refused by both ends.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most bytes of a datagram's payload: what fits into QUIC's smallest packet (1,200 bytes) with its overhead.
pub const DATAGRAM_BYTES_MAX: usize = 1_024;

/// What a call or stream is for; earlier classes go first when bandwidth is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamClass {
    /// Elections and handing leadership over.
    Vote,
    /// Log replication.
    Append,
    /// A follower asks from which index on it may read.
    ReadIndex,
    /// A follower passes its callers' commands on.
    Forward,
    /// Snapshots, on a connection of their own.
    Snapshot,
}

impl StreamClass {
    /// All classes, most urgent first.
    pub const ALL: [Self; 5] = [
        Self::Vote,
        Self::Append,
        Self::ReadIndex,
        Self::Forward,
        Self::Snapshot,
    ];

    /// The class's number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::Append => 2,
            Self::ReadIndex => 3,
            Self::Forward => 4,
            Self::Snapshot => 5,
        }
    }

    /// The class of a number on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Vote),
            2 => Some(Self::Append),
            3 => Some(Self::ReadIndex),
            4 => Some(Self::Forward),
            5 => Some(Self::Snapshot),
            _ => None,
        }
    }

    /// Its priority within a connection: higher goes first.
    #[must_use]
    pub const fn priority(self) -> i32 {
        match self {
            Self::Vote => 50,
            Self::Append => 40,
            Self::ReadIndex => 30,
            Self::Forward => 20,
            Self::Snapshot => 10,
        }
    }
}

/// A node to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number in the group; a node that answers with another is refused.
    pub node_id: NodeId,
    /// Where it is.
    pub info: NodeInfo,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.node_id, self.info)
    }
}

/// Who a node is, as its certificate proves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// Its number in the group.
    pub node_id: NodeId,
    /// Its region, as `eu-west-1`.
    pub region: String,
    /// The cluster it belongs to.
    pub cluster_id: String,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node {} of region {} in cluster {}",
            self.node_id, self.region, self.cluster_id
        )
    }
}

/// Why a peer did not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LinkError {
    /// It cannot be reached now: wait before trying again.
    #[error("peer is unreachable: {detail}")]
    Unreachable {
        /// What was tried.
        detail: String,
    },
    /// It, or this node, refuses: trying again at once gives the same answer.
    #[error("refused: {reason}")]
    Refused {
        /// Which rule.
        reason: String,
    },
    /// It did not answer in time; what it did is not known.
    #[error("no answer within {} ms", limit.as_millis())]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// The connection or stream ended before the answer; what it did is not known.
    #[error("the link closed: {detail}")]
    Closed {
        /// How it ended.
        detail: String,
    },
    /// A frame is longer than allowed; nothing was sent, or the rest was not read.
    #[error("a frame of {bytes} bytes is longer than {bytes_max}")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
}

/// Why a node does not answer a peer's call; told to the peer as [`LinkError::Refused`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ServiceError {
    /// The request is not what its class expects.
    #[error("malformed request: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// The request speaks for another node, or of a class that takes no calls.
    #[error("not permitted: {detail}")]
    NotPermitted {
        /// Which rule.
        detail: String,
    },
    /// The node stops or its Raft has stopped.
    #[error("unavailable: {detail}")]
    Unavailable {
        /// Why.
        detail: String,
    },
}

/// The sending half of a stream. Dropped without `finish`, the peer sees the stream end or break.
pub trait FrameTx: Send + 'static {
    /// Sends a frame; waits while the peer takes no more.
    ///
    /// # Errors
    /// `TooLarge` before anything is sent, `Closed` when the peer or the connection is gone.
    fn send(&mut self, frame: Bytes) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Says that no frame follows.
    ///
    /// # Errors
    /// `Closed` when the peer or the connection is gone.
    fn finish(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send;
}

/// The receiving half of a stream.
pub trait FrameRx: Send + 'static {
    /// The next frame; `None` after the sender's `finish`.
    ///
    /// Dropping the future may lose a frame: drop the stream with it.
    ///
    /// # Errors
    /// `TooLarge` when the peer announces too long a frame, `Closed` when the stream breaks.
    fn recv(&mut self) -> impl Future<Output = Result<Option<Bytes>, LinkError>> + Send;
}

/// The way to other nodes. Cheap to clone.
pub trait PeerLink: Clone + Send + Sync + 'static {
    /// The sending half of its streams.
    type Tx: FrameTx;
    /// The receiving half of its streams.
    type Rx: FrameRx;

    /// Sends a request and awaits the one answer, for at most `limit`.
    ///
    /// # Errors
    /// Every [`LinkError`]; after `TimedOut` and `Closed` the request may have been served.
    fn call(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<Bytes, LinkError>> + Send;

    /// Opens a stream; connects first when there is no connection. The caller bounds the wait.
    ///
    /// # Errors
    /// `Unreachable`, `Refused` or `Closed`.
    fn open(
        &self,
        peer: &Peer,
        class: StreamClass,
    ) -> impl Future<Output = Result<(Self::Tx, Self::Rx), LinkError>> + Send;

    /// Sends a datagram that may get lost. Without a connection it is not sent, but one is being made.
    ///
    /// # Errors
    /// `Unreachable` without a connection, `TooLarge` above [`DATAGRAM_BYTES_MAX`].
    fn datagram(&self, peer: &Peer, payload: Bytes) -> Result<(), LinkError>;

    /// The connection's smoothed round trip to a node; `None` without a connection.
    fn round_trip(&self, node_id: NodeId) -> Option<Duration>;
}

/// What serves the peers' calls, streams and datagrams on this node.
pub trait PeerService: Send + Sync + 'static {
    /// Whether a peer, whose certificate and cluster hold, may connect.
    ///
    /// # Errors
    /// Why not, in words for the log of both nodes.
    fn admit(&self, from: &PeerIdentity) -> Result<(), String>;

    /// Answers a call.
    fn call(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        request: Bytes,
    ) -> impl Future<Output = Result<Bytes, ServiceError>> + Send;

    /// Serves a stream until it ends.
    fn stream<Tx: FrameTx, Rx: FrameRx>(
        &self,
        from: PeerIdentity,
        class: StreamClass,
        tx: Tx,
        rx: Rx,
    ) -> impl Future<Output = ()> + Send;

    /// Takes a datagram; must not wait.
    fn datagram(&self, from: PeerIdentity, payload: Bytes);
}
