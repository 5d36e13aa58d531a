//! Certificates made from a seed, for simulations: the same seed gives the same keys and the same bytes.
//!
//! Whoever knows the seed knows the keys: no process that serves money may use them, and the binary does not.

use std::sync::Arc;

use rcgen::{Issuer, KeyPair, PKCS_ED25519};
use ring::hmac;
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use stellara_machine::units::UnixMs;

use super::create::{authority_params, generate, node_params};
use super::{CertError, Lifetime, NodeCerts};
use crate::ports::peer_link::PeerIdentity;

/// PKCS#8 of an Ed25519 private key up to the key's 32 bytes (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The certificates of a node whose authority is the one of `seed`, as [`super::create_node`] makes them, valid from
/// about `now`.
///
/// # Errors
/// `BadIdentity` or `Generate`.
pub fn seeded(
    seed: &[u8; 32],
    identity: &PeerIdentity,
    lifetime: Lifetime,
    now: UnixMs,
) -> Result<NodeCerts, CertError> {
    let (_, authority_key) = key(seed, "authority")?;
    let authority_params = authority_params(&identity.cluster_id, lifetime, now);
    let authority = authority_params
        .self_signed(&authority_key)
        .map_err(generate)?;
    let (der, node_key) = key(seed, &format!("node {}", identity.node_id))?;
    let issuer = Issuer::new(authority_params, authority_key);
    let certificate = node_params(identity, lifetime, now)?
        .signed_by(&node_key, &issuer)
        .map_err(generate)?;
    let mut authorities = RootCertStore::empty();
    let added = authorities.add(authority.der().clone());
    added.map_err(|error| CertError::Generate {
        detail: error.to_string(),
    })?;
    // Certificates carry whole seconds.
    let expires_ms = now.0 + u64::from(lifetime.node_days) * 86_400_000;
    Ok(NodeCerts {
        identity: identity.clone(),
        chain: vec![certificate.der().clone()],
        key: der.into(),
        authorities: Arc::new(authorities),
        expires_at: UnixMs(expires_ms / 1_000 * 1_000),
    })
}

fn key(seed: &[u8; 32], whose: &str) -> Result<(PrivatePkcs8KeyDer<'static>, KeyPair), CertError> {
    let drawn = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, seed),
        format!("stellara key of {whose}").as_bytes(),
    );
    let der = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX, drawn.as_ref()].concat());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(generate)?;
    Ok((der, pair))
}
