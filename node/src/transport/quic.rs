//! The peer link over QUIC: one UDP endpoint a node, mutual TLS 1.3, streams by class, datagrams.
//!
//! Each node dials its peers for what it has to say and serves what they dial; snapshots have a connection of their
//! own. Tasks and time come from the node's runtime, packets and randomness from a [`Ground`]: in production a UDP
//! socket and the system's randomness.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft_rt::AsyncRuntime;
use quinn::{AsyncUdpSocket, Endpoint, Runtime as _, TokioRuntime, VarInt};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use stellara_machine::units::UnixMs;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::certs::{CertError, CertPaths, NodeCerts, load};
use crate::ports::peer_link::{PeerIdentity, PeerService};

mod config;
mod dial;
mod frame;
mod link;
mod refusal;
mod serve;
mod tasks;
mod tls;

pub use link::{QuicLink, QuicRx, QuicTx};
pub use refusal::{Refusal, RefusedPeer};

/// The version of the peer protocol; a peer of another is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Closes a connection whose peer is refused; the reason is the text beside it.
const CODE_REFUSED: VarInt = VarInt::from_u32(1);
/// Closes connections when the node stops, or replaces them.
const CODE_GOING: VarInt = VarInt::from_u32(2);
/// The reason beside `CODE_GOING` when a peer's hello did not come in time.
const NO_HELLO: &[u8] = b"no hello came in time";

/// Whether the kernel splits one large buffer into packets (UDP GSO). Some virtual network cards corrupt it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationOffload {
    /// Used where the kernel offers it.
    On,
    /// Never used.
    Off,
}

/// How the endpoint behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicOptions {
    /// The UDP address to listen on and to dial from.
    pub listen: SocketAddr,
    /// A connection ends when nothing arrived for this long.
    pub idle: Duration,
    /// A silent connection is probed this often.
    pub keep_alive: Duration,
    /// The round trip assumed before one is measured, by the peer's region.
    pub initial_round_trips: BTreeMap<String, Duration>,
    /// The same for regions not named.
    pub initial_round_trip: Duration,
    /// The fastest link to fill, in bytes a second.
    pub bandwidth_bytes_per_s: u64,
    /// The longest round trip at which to fill it. Windows are four times the product.
    pub round_trip_max: Duration,
    /// Streams that one peer may have open at once on a connection.
    pub streams_max: u32,
    /// Connections served at once, at most.
    pub connections_max: usize,
    /// Bytes of unanswered requests held at once, at most, for each class.
    pub in_flight_bytes_max: u32,
    /// How long a request may take to arrive once its stream is open.
    pub request_limit: Duration,
    /// How long a connection may take to be made.
    pub dial_limit: Duration,
    /// The wait before an unreachable node is dialled again; it doubles each time.
    pub redial_min: Duration,
    /// The longest such wait.
    pub redial_max: Duration,
    /// A connection whose calls time out and from which nothing arrived for this long is made anew.
    pub silence_max: Duration,
    /// UDP GSO.
    pub segmentation_offload: SegmentationOffload,
}

impl QuicOptions {
    /// The defaults, listening on `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            idle: Duration::from_secs(8),
            keep_alive: Duration::from_secs(1),
            initial_round_trips: BTreeMap::new(),
            initial_round_trip: Duration::from_millis(100),
            bandwidth_bytes_per_s: 25_000_000,
            round_trip_max: Duration::from_millis(250),
            streams_max: 256,
            connections_max: 64,
            in_flight_bytes_max: 32 * 1024 * 1024,
            request_limit: Duration::from_secs(10),
            dial_limit: Duration::from_secs(3),
            redial_min: Duration::from_millis(25),
            redial_max: Duration::from_millis(500),
            silence_max: Duration::from_millis(2_500),
            segmentation_offload: SegmentationOffload::On,
        }
    }
}

/// Why an endpoint does not start or does not take new certificates.
#[derive(Debug, Error)]
pub enum QuicError {
    /// The certificates are not usable; the old ones stay in use.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// TLS does not take the certificates.
    #[error("tls does not take the certificates: {detail}")]
    Tls {
        /// Its words.
        detail: String,
    },
    /// There are no files to read again: the endpoint was given its certificates.
    #[error("the certificates did not come from files: give new ones instead")]
    NoFiles,
    /// The UDP socket cannot be had.
    #[error("cannot listen on udp {listen}: {error}")]
    Socket {
        /// The address.
        listen: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
}

/// Decides an endpoint's connection ids and all that quinn draws. Whoever knows it can confuse the endpoint's
/// connections, but not read them.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    // The system's random numbers do not fail once they have been seeded.
    fn drawn() -> io::Result<Self> {
        let mut seed = [0; 32];
        match SystemRandom::new().fill(&mut seed) {
            Ok(()) => Ok(Self(seed)),
            Err(_) => Err(io::Error::other("the system gives no random numbers")),
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

/// What an endpoint stands on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Carries its packets.
    pub socket: Arc<dyn AsyncUdpSocket>,
    /// Runs quinn's own tasks and timers; of the same time as the node's runtime.
    pub runtime: Arc<dyn quinn::Runtime>,
    /// Decides what is drawn. TLS draws its keys from the system all the same: packets' bytes differ from run to run,
    /// their sizes and times do not.
    pub seed: Seed,
    /// The time of day to which peers' certificates are held.
    pub wall: Arc<dyn TimeProvider>,
}

/// What all parts of an endpoint share.
struct Shared<R: AsyncRuntime> {
    endpoint: Endpoint,
    options: QuicOptions,
    identity: PeerIdentity,
    first_ids: config::FirstIds,
    wall: Arc<dyn TimeProvider>,
    credentials: Mutex<Arc<tls::Credentials>>,
    refusals: refusal::Refusals<R::Instant>,
}

impl<R: AsyncRuntime> Shared<R> {
    fn credentials(&self) -> Arc<tls::Credentials> {
        Arc::clone(&self.credentials.lock().expect("no holder panics"))
    }
}

/// The task that answers peers, and how to end it.
struct Serving<R: AsyncRuntime> {
    task: R::JoinHandle<()>,
    stop: CancellationToken,
}

/// A node's QUIC endpoint.
pub struct QuicEndpoint<R: AsyncRuntime> {
    shared: Arc<Shared<R>>,
    link: QuicLink<R>,
    paths: Option<CertPaths>,
    serving: Mutex<Option<Serving<R>>>,
}

impl<R: AsyncRuntime> QuicEndpoint<R> {
    /// Binds the UDP socket and loads the certificates of `identity`, valid at `now`. Needs a tokio runtime, on which
    /// `R` stands too. Peers are dialled from now on; theirs are answered from [`QuicEndpoint::serve`] on.
    ///
    /// # Errors
    /// Every [`QuicError`].
    pub fn bind(
        options: QuicOptions,
        paths: CertPaths,
        identity: PeerIdentity,
        now: UnixMs,
    ) -> Result<Self, QuicError> {
        let certs = load(&paths, &identity, now)?;
        let socket = |error| QuicError::Socket {
            listen: options.listen,
            error,
        };
        let udp = UdpSocket::bind(options.listen).map_err(socket)?;
        let ground = Ground {
            socket: TokioRuntime.wrap_udp_socket(udp).map_err(socket)?,
            runtime: Arc::new(TokioRuntime),
            seed: Seed::drawn().map_err(socket)?,
            wall: Arc::new(DefaultTimeProvider),
        };
        let endpoint = Self::over(ground, options, &certs)?;
        Ok(Self {
            paths: Some(paths),
            ..endpoint
        })
    }

    /// The same over any ground, with certificates at hand; `options.listen` is not used. To be called where quinn's
    /// runtime may spawn.
    ///
    /// # Errors
    /// `Tls`, or `Socket` when the socket has no address.
    pub fn over(
        ground: Ground,
        options: QuicOptions,
        certs: &NodeCerts,
    ) -> Result<Self, QuicError> {
        let credentials = tls::Credentials::new(certs, &ground.wall, 0)?;
        let config = config::endpoint(certs, &ground.seed);
        let first_ids = config::first_ids(&ground.seed);
        let endpoint =
            Endpoint::new_with_abstract_socket(config, None, ground.socket, ground.runtime);
        let endpoint = endpoint.map_err(|error| QuicError::Socket {
            listen: options.listen,
            error,
        })?;
        let shared = Arc::new(Shared {
            endpoint,
            options,
            identity: certs.identity.clone(),
            first_ids,
            wall: ground.wall,
            credentials: Mutex::new(Arc::new(credentials)),
            refusals: refusal::Refusals::new(),
        });
        Ok(Self {
            link: QuicLink::new(Arc::clone(&shared)),
            shared,
            paths: None,
            serving: Mutex::new(None),
        })
    }

    /// The way to other nodes.
    #[must_use]
    pub fn link(&self) -> QuicLink<R> {
        self.link.clone()
    }

    /// Answers peers with `service` until [`QuicEndpoint::close`]; a later call replaces the service and ends the
    /// connections of the earlier one.
    ///
    /// # Panics
    /// Outside the runtime.
    pub fn serve<S: PeerService>(&self, service: Arc<S>) {
        let config = config::server(&self.shared.credentials(), &self.shared.options);
        self.shared.endpoint.set_server_config(Some(config));
        let accepting = serve::accept(Arc::clone(&self.shared), service);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = R::spawn(async move {
            stopped.run_until_cancelled_owned(accepting).await;
        });
        let mut serving = self.serving.lock().expect("no holder panics");
        if let Some(earlier) = serving.replace(Serving { task, stop }) {
            earlier.stop.cancel();
        }
    }

    /// Reads the certificates again, as [`QuicEndpoint::renew`] does with certificates at hand.
    ///
    /// # Errors
    /// `Certs` or `Tls`; then the old certificates stay in use. `NoFiles` for an endpoint that was given its
    /// certificates.
    pub fn reload(&self, now: UnixMs) -> Result<UnixMs, QuicError> {
        let paths = self.paths.as_ref().ok_or(QuicError::NoFiles)?;
        self.renew(&load(paths, &self.shared.identity, now)?)
    }

    /// Takes other certificates of this node, and tells when they expire. New connections use them; what is under way on old ones is not disturbed, and
    /// this node's calls move to new connections with the next call.
    ///
    /// # Errors
    /// `Tls`; then the old certificates stay in use.
    ///
    /// # Panics
    /// Never: no holder of the locks panics.
    pub fn renew(&self, certs: &NodeCerts) -> Result<UnixMs, QuicError> {
        let serving = self.serving.lock().expect("no holder panics");
        let mut current = self.shared.credentials.lock().expect("no holder panics");
        let fresh = tls::Credentials::new(certs, &self.shared.wall, current.generation + 1)?;
        if serving.is_some() {
            let config = config::server(&fresh, &self.shared.options);
            self.shared.endpoint.set_server_config(Some(config));
        }
        *current = Arc::new(fresh);
        Ok(certs.expires_at)
    }

    /// The UDP address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.endpoint.local_addr()
    }

    /// The last peers refused, by this node or by them, newest last; at most 32.
    #[must_use]
    pub fn refusals(&self) -> Vec<RefusedPeer> {
        self.shared.refusals.recent()
    }

    /// Closes all connections, tells the peers, and ends the tasks.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub async fn close(&self) {
        self.shared.endpoint.close(CODE_GOING, b"the node stops");
        let serving = self.serving.lock().expect("no holder panics").take();
        if let Some(serving) = serving {
            // It ends because its endpoint is closed; it was never cancelled, so only a panic could be lost here,
            // and the runtime has reported that.
            serving.task.await.ok();
        }
        // The peers' acknowledgements are awaited for a moment: a peer that is gone does not send any.
        R::timeout(Duration::from_millis(500), self.shared.endpoint.wait_idle())
            .await
            .ok();
    }
}

#[cfg(test)]
mod tests;
