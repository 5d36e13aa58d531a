//! Why a peer is refused, the last refusals, and their log: one line a peer and reason in ten seconds.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use openraft_rt::Instant;
use quinn::{Connection, ConnectionError};
use rustls::pki_types::CertificateDer;
use stellara_raft_store::types::NodeId;
use thiserror::Error;

use crate::certs::{IdentityError, identity_of_certificate};
use crate::ports::peer_link::PeerIdentity;

const RECENT_MAX: usize = 32;
const LOGGED_MAX: usize = 256;
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Why a peer is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Its certificate does not come from this cluster's authority.
    #[error("wrong authority: {detail}")]
    WrongAuthority {
        /// TLS' words.
        detail: String,
    },
    /// Its certificate is out of date, or not in date yet.
    #[error("certificate not in date: {detail}")]
    NotInDate {
        /// TLS' words.
        detail: String,
    },
    /// The handshake fails for another reason: no certificate, other algorithms, another protocol.
    #[error("handshake failed: {detail}")]
    Handshake {
        /// TLS' words.
        detail: String,
    },
    /// Its certificate names no node.
    #[error("certificate names no node: {0}")]
    NoIdentity(IdentityError),
    /// It belongs to another cluster.
    #[error("wrong cluster id: it is {found}, expected {expected}")]
    WrongCluster {
        /// Its cluster.
        found: String,
        /// This one.
        expected: String,
    },
    /// Another node answers at the dialled address.
    #[error("wrong node id: it is {found}, expected {expected}")]
    WrongNode {
        /// Its number.
        found: NodeId,
        /// The dialled one.
        expected: NodeId,
    },
    /// The node is of another region than the membership says.
    #[error("wrong region: it is {found}, expected {expected}")]
    WrongRegion {
        /// Its region.
        found: String,
        /// The membership's.
        expected: String,
    },
    /// It speaks another version of the peer protocol, or says other things than its certificate.
    #[error("wrong hello: {detail}")]
    WrongHello {
        /// What it says, what was expected.
        detail: String,
    },
    /// The service does not admit it.
    #[error("not admitted: {detail}")]
    NotAdmitted {
        /// The service's words.
        detail: String,
    },
    /// As many connections as may be served are open.
    #[error("too many connections: {connections_max} are open")]
    TooManyConnections {
        /// The limit.
        connections_max: usize,
    },
    /// The peer refuses this node.
    #[error("refused by the peer: {detail}")]
    ByPeer {
        /// Its words.
        detail: String,
    },
}

impl Refusal {
    // The reason's kind, for the log's rate limit.
    const fn kind(&self) -> u8 {
        match self {
            Self::WrongAuthority { .. } => 0,
            Self::NotInDate { .. } => 1,
            Self::Handshake { .. } => 2,
            Self::NoIdentity(_) => 3,
            Self::WrongCluster { .. } => 4,
            Self::WrongNode { .. } => 5,
            Self::WrongRegion { .. } => 6,
            Self::WrongHello { .. } => 7,
            Self::NotAdmitted { .. } => 8,
            Self::TooManyConnections { .. } => 9,
            Self::ByPeer { .. } => 10,
        }
    }

    /// The refusal in a failed handshake; `None` when the peer was not there, which is no refusal.
    pub(super) fn of_handshake(error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::TransportError(error) => {
                is_tls_alert(error.code).then(|| Self::of_tls(error.reason.clone()))
            }
            ConnectionError::ConnectionClosed(close) => {
                let refused = is_tls_alert(close.error_code)
                    || close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED;
                refused.then(|| Self::ByPeer {
                    detail: close.to_string(),
                })
            }
            ConnectionError::ApplicationClosed(close) => (close.error_code == super::CODE_REFUSED)
                .then(|| Self::ByPeer {
                    detail: String::from_utf8_lossy(&close.reason).into_owned(),
                }),
            ConnectionError::VersionMismatch => Some(Self::Handshake {
                detail: "no QUIC version in common".into(),
            }),
            ConnectionError::Reset
            | ConnectionError::TimedOut
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => None,
        }
    }

    // rustls' error reaches quinn's callers as its text.
    fn of_tls(detail: String) -> Self {
        if detail.contains("UnknownIssuer") || detail.contains("BadSignature") {
            return Self::WrongAuthority { detail };
        }
        let in_date = !(detail.contains("expired") || detail.contains("not valid yet"));
        if in_date {
            Self::Handshake { detail }
        } else {
            Self::NotInDate { detail }
        }
    }
}

// QUIC carries TLS alerts as 0x100 plus the alert (RFC 9001, section 4.8).
fn is_tls_alert(code: quinn::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

/// Who the peer's certificate says it is; the authority has been checked by the handshake.
pub(super) fn identity_of(connection: &Connection) -> Result<PeerIdentity, Refusal> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let leaf = chain
        .as_ref()
        .and_then(|chain| chain.first())
        .ok_or(Refusal::NoIdentity(IdentityError::Absent))?;
    identity_of_certificate(leaf).map_err(Refusal::NoIdentity)
}

/// Checks that a peer is of this node's cluster.
pub(super) fn check_cluster(found: &PeerIdentity, own: &PeerIdentity) -> Result<(), Refusal> {
    if found.cluster_id == own.cluster_id {
        return Ok(());
    }
    Err(Refusal::WrongCluster {
        found: found.cluster_id.clone(),
        expected: own.cluster_id.clone(),
    })
}

/// A peer that was refused, or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPeer {
    /// Its address.
    pub address: SocketAddr,
    /// Who its certificate says it is, when one was proven.
    pub identity: Option<PeerIdentity>,
    /// Why.
    pub reason: Refusal,
}

struct Book<I> {
    recent: VecDeque<RefusedPeer>,
    // When a peer and reason was last logged, and how many lines were kept back since.
    logged: BTreeMap<(IpAddr, u8), (I, u64)>,
}

/// The last refusals.
pub(super) struct Refusals<I>(Mutex<Book<I>>);

impl<I: Instant> Refusals<I> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Book {
            recent: VecDeque::new(),
            logged: BTreeMap::new(),
        }))
    }

    pub(super) fn recent(&self) -> Vec<RefusedPeer> {
        let book = self.0.lock().expect("no holder panics");
        book.recent.iter().cloned().collect()
    }

    /// Keeps a refusal and logs it, unless the same was logged a moment ago.
    pub(super) fn add(&self, refused: RefusedPeer) {
        let mut book = self.0.lock().expect("no holder panics");
        if let Some(kept_back) = book.may_log(&refused) {
            let identity = refused.identity.as_ref().map(ToString::to_string);
            tracing::warn!(
                address = %refused.address,
                identity,
                reason = %refused.reason,
                kept_back,
                "peer refused"
            );
        }
        if book.recent.len() >= RECENT_MAX {
            book.recent.pop_front();
        }
        book.recent.push_back(refused);
    }
}

impl<I: Instant> Book<I> {
    fn may_log(&mut self, refused: &RefusedPeer) -> Option<u64> {
        let now = I::now();
        let key = (refused.address.ip(), refused.reason.kind());
        if let Some((at, kept_back)) = self.logged.get_mut(&key) {
            if now - *at < LOG_EVERY {
                *kept_back += 1;
                return None;
            }
            *at = now;
            return Some(std::mem::take(kept_back));
        }
        if self.logged.len() >= LOGGED_MAX {
            self.logged.retain(|_, (at, _)| now - *at < LOG_EVERY);
        }
        // Refusals from more addresses than that at once are an attack: they are kept, not logged.
        if self.logged.len() >= LOGGED_MAX {
            return None;
        }
        self.logged.insert(key, (now, 0));
        Some(0)
    }
}
