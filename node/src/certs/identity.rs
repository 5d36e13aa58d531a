//! A node's identity as a URI, and in a certificate.
//!
//! Parsing is strict: one URI, plain names, a number without signs or leading zeros, so one identity has one form.

use rustls::pki_types::CertificateDer;
use stellara_raft_store::types::NodeId;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::IdentityError;
use crate::ports::peer_link::PeerIdentity;

const SCHEME: &str = "stellara://";

/// `stellara://<cluster>/<region>/<node id>`.
///
/// # Errors
/// `BadName` when the cluster or region has no plain name.
pub fn identity_to_uri(identity: &PeerIdentity) -> Result<String, IdentityError> {
    let cluster = plain("cluster", &identity.cluster_id)?;
    let region = plain("region", &identity.region)?;
    Ok(format!("{SCHEME}{cluster}/{region}/{}", identity.node_id))
}

/// The identity that a URI names.
///
/// # Errors
/// `BadUri` or `BadName`.
pub fn identity_from_uri(uri: &str) -> Result<PeerIdentity, IdentityError> {
    let bad = || IdentityError::BadUri { uri: uri.into() };
    let parts: Vec<&str> = uri
        .strip_prefix(SCHEME)
        .ok_or_else(bad)?
        .split('/')
        .collect();
    let [cluster, region, node] = parts[..] else {
        return Err(bad());
    };
    let node_id: NodeId = node.parse().map_err(|_| bad())?;
    if node_id.to_string() != node {
        return Err(bad());
    }
    Ok(PeerIdentity {
        node_id,
        region: plain("region", region)?.into(),
        cluster_id: plain("cluster", cluster)?.into(),
    })
}

/// The identity in a certificate's subject alternative names.
///
/// # Errors
/// Every [`IdentityError`].
pub fn identity_of_certificate(
    certificate: &CertificateDer<'_>,
) -> Result<PeerIdentity, IdentityError> {
    let unparsable = |detail: String| IdentityError::Unparsable { detail };
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| unparsable(error.to_string()))?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| unparsable(error.to_string()))?;
    let mut uris = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| {
            if let GeneralName::URI(uri) = name {
                uri.starts_with(SCHEME).then_some(*uri)
            } else {
                None
            }
        });
    let uri = uris.next().ok_or(IdentityError::Absent)?;
    if uris.next().is_some() {
        return Err(IdentityError::Ambiguous);
    }
    identity_from_uri(uri)
}

fn plain<'a>(field: &'static str, value: &'a str) -> Result<&'a str, IdentityError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=63).contains(&value.len()) && value.chars().all(is_plain) {
        Ok(value)
    } else {
        Err(IdentityError::BadName {
            field,
            value: value.into(),
        })
    }
}
