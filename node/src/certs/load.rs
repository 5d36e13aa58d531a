//! Loads a node's certificates and checks all that its peers will check.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ED25519};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use stellara_machine::units::UnixMs;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{ASN1Time, FromDer};

use super::create::read;
use super::identity::identity_of_certificate;
use super::{CertError, CertPaths, NodeCerts, shown};
use crate::ports::peer_link::PeerIdentity;

/// Reads the three files and checks that they make the node `expected` at the time `now`.
///
/// # Errors
/// Every [`CertError`] but `Exists`, `BadIdentity` and `Generate`, naming the file.
pub fn load(
    paths: &CertPaths,
    expected: &PeerIdentity,
    now: UnixMs,
) -> Result<NodeCerts, CertError> {
    let chain = certificates(&paths.certificate)?;
    let leaf = chain.first().ok_or_else(|| CertError::Malformed {
        path: shown(&paths.certificate),
        expected: "certificate",
        detail: "no certificate in it".into(),
    })?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| CertError::Malformed {
        path: shown(&paths.certificate),
        expected: "certificate",
        detail: error.to_string(),
    })?;

    let key = matching_key(paths, &parsed)?;
    let identity = identity_of_certificate(leaf).map_err(|detail| CertError::NoIdentity {
        path: shown(&paths.certificate),
        detail,
    })?;
    if &identity != expected {
        return Err(CertError::WrongIdentity {
            path: shown(&paths.certificate),
            found: Box::new(identity),
            expected: Box::new(expected.clone()),
        });
    }
    let expires_at = in_date(paths, &parsed, now)?;
    let authorities = signing_authorities(paths, leaf, &chain[1..], now)?;
    Ok(NodeCerts {
        identity,
        key,
        authorities,
        expires_at,
        chain,
    })
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let pem = read(path)?;
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| CertError::Malformed {
            path: shown(path),
            expected: "certificate",
            detail: error.to_string(),
        })
}

fn matching_key(
    paths: &CertPaths,
    certificate: &X509Certificate<'_>,
) -> Result<PrivateKeyDer<'static>, CertError> {
    let malformed = |detail: String| CertError::Malformed {
        path: shown(&paths.key),
        expected: "Ed25519 private key",
        detail,
    };
    let pem = read(&paths.key)?;
    let pair = KeyPair::from_pem(&pem).map_err(|error| malformed(error.to_string()))?;
    if !pair.is_compatible(&PKCS_ED25519) {
        return Err(malformed("it is of another algorithm".into()));
    }
    if pair.public_key_raw() != &*certificate.public_key().subject_public_key.data {
        return Err(CertError::KeyMismatch {
            key: shown(&paths.key),
            certificate: shown(&paths.certificate),
        });
    }
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| malformed(error.to_string()))
}

fn in_date(
    paths: &CertPaths,
    certificate: &X509Certificate<'_>,
    now: UnixMs,
) -> Result<UnixMs, CertError> {
    let validity = certificate.validity();
    let now_s = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
    if now_s < validity.not_before.timestamp() || now_s > validity.not_after.timestamp() {
        return Err(CertError::NotInDate {
            path: shown(&paths.certificate),
            from: validity.not_before.to_string(),
            until: validity.not_after.to_string(),
            now: ASN1Time::from_timestamp(now_s)
                .map_or_else(|_| format!("{now_s} s after 1970"), |time| time.to_string()),
        });
    }
    let expires_s = u64::try_from(validity.not_after.timestamp()).unwrap_or(0);
    Ok(UnixMs(expires_s.saturating_mul(1_000)))
}

fn signing_authorities(
    paths: &CertPaths,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixMs,
) -> Result<Arc<RootCertStore>, CertError> {
    let malformed = |detail: String| CertError::Malformed {
        path: shown(&paths.authority),
        expected: "authority certificate",
        detail,
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&paths.authority)? {
        roots
            .add(authority)
            .map_err(|error| malformed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(malformed("no certificate in it".into()));
    }
    let not_signed = |error: rustls::Error| CertError::NotSigned {
        certificate: shown(&paths.certificate),
        authority: shown(&paths.authority),
        detail: error.to_string(),
    };
    let parsed = ParsedCertificate::try_from(leaf).map_err(not_signed)?;
    verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &roots,
        intermediates,
        UnixTime::since_unix_epoch(Duration::from_millis(now.0)),
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .all,
    )
    .map_err(not_signed)?;
    Ok(Arc::new(roots))
}
