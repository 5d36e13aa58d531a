//! The nodes' certificates: who a node is, signed by the cluster's authority; Ed25519 throughout.
//!
//! The identity is a URI in the subject alternative name: `stellara://<cluster>/<region>/<node id>`. What is loaded
//! has been checked (key matches, identity as expected, in date, signed by the authority), so that a wrong file stops
//! the node at its start, with words, and not its peers' handshakes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stellara_machine::units::UnixMs;
use thiserror::Error;

use crate::ports::peer_link::PeerIdentity;

pub mod create;
pub mod identity;
mod load;
mod seeded;

pub use create::{Lifetime, create_authority, create_node};
pub use identity::{identity_from_uri, identity_of_certificate, identity_to_uri};
pub use load::load;
pub use seeded::seeded;

/// The authority's certificate, in the folder of certificates.
pub const AUTHORITY_FILE: &str = "ca.pem";
/// The authority's key; only the machine that makes certificates needs it.
pub const AUTHORITY_KEY_FILE: &str = "ca.key";

/// Where a node finds its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertPaths {
    /// The authorities to trust, PEM: more than one while an authority is replaced.
    pub authority: PathBuf,
    /// The node's certificate (and intermediates), PEM.
    pub certificate: PathBuf,
    /// The node's key, PEM (PKCS#8).
    pub key: PathBuf,
}

impl CertPaths {
    /// The usual names in a folder: `ca.pem`, `node-N.pem`, `node-N.key`.
    #[must_use]
    pub fn in_folder(folder: &Path, node_id: u64) -> Self {
        Self {
            authority: folder.join(AUTHORITY_FILE),
            certificate: folder.join(format!("node-{node_id}.pem")),
            key: folder.join(format!("node-{node_id}.key")),
        }
    }
}

/// A node's certificates, loaded and checked.
#[derive(Debug)]
pub struct NodeCerts {
    /// Who the certificate says the node is.
    pub identity: PeerIdentity,
    /// The certificate and intermediates, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key. `Debug` does not print it.
    pub key: PrivateKeyDer<'static>,
    /// The authorities that peers' certificates must come from.
    pub authorities: Arc<RootCertStore>,
    /// When the certificate expires; renew before.
    pub expires_at: UnixMs,
}

/// Why certificates cannot be made or used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CertError {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {detail}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// A file to make exists: it is never overwritten.
    #[error("{path} exists; remove it first if it is to be made again")]
    Exists {
        /// The file.
        path: String,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {expected}: {detail}")]
    Malformed {
        /// The file.
        path: String,
        /// What it should hold.
        expected: &'static str,
        /// The parser's words.
        detail: String,
    },
    /// The certificate is out of date, or not in date yet.
    #[error("the certificate in {path} is valid from {from} to {until}, and now it is {now}")]
    NotInDate {
        /// The file.
        path: String,
        /// RFC 2822 date.
        from: String,
        /// RFC 2822 date.
        until: String,
        /// RFC 2822 date.
        now: String,
    },
    /// The key belongs to another certificate.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// The key's file.
        key: String,
        /// The certificate's file.
        certificate: String,
    },
    /// The certificate says that it is of another node.
    #[error("the certificate in {path} is of {found}, expected {expected}")]
    WrongIdentity {
        /// The file.
        path: String,
        /// Who it is of.
        found: Box<PeerIdentity>,
        /// Who this node is.
        expected: Box<PeerIdentity>,
    },
    /// The certificate says nobody's identity, or a malformed one.
    #[error("{path} names no node: {detail}")]
    NoIdentity {
        /// The file.
        path: String,
        /// What is wrong.
        detail: IdentityError,
    },
    /// The certificate does not come from the authority.
    #[error(
        "the certificate in {certificate} is not signed by the authority in {authority}: {detail}"
    )]
    NotSigned {
        /// The certificate's file.
        certificate: String,
        /// The authority's file.
        authority: String,
        /// The verifier's words.
        detail: String,
    },
    /// An identity cannot be put into a certificate.
    #[error("{0}")]
    BadIdentity(IdentityError),
    /// The generator refused.
    #[error("cannot make a certificate: {detail}")]
    Generate {
        /// Its words.
        detail: String,
    },
}

/// Why a certificate or URI names no node.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// No `stellara://` URI among the subject alternative names.
    #[error("no stellara:// URI among its subject alternative names")]
    Absent,
    /// More than one: which one counts would be a guess.
    #[error("more than one stellara:// URI among its subject alternative names")]
    Ambiguous,
    /// The URI is not of the form.
    #[error("{uri:?} is not stellara://<cluster>/<region>/<node id>")]
    BadUri {
        /// What it is.
        uri: String,
    },
    /// A name is not one.
    #[error("{field} is {value:?}, expected 1 to 63 lower-case letters, digits and '-'")]
    BadName {
        /// `cluster` or `region`.
        field: &'static str,
        /// What it is.
        value: String,
    },
    /// The certificate does not parse.
    #[error("the certificate does not parse: {detail}")]
    Unparsable {
        /// The parser's words.
        detail: String,
    },
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
