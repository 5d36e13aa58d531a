//! Makes an authority and node certificates, for development and for clusters without an authority of their own.
//!
//! Files are never overwritten; keys are readable by their owner only. What the certificates say is decided here for
//! those made from a seed too.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};
use stellara_machine::units::UnixMs;

use super::identity::identity_to_uri;
use super::{AUTHORITY_FILE, AUTHORITY_KEY_FILE, CertError, CertPaths, shown};
use crate::ports::peer_link::PeerIdentity;

/// Clocks differ: a certificate is valid from a little before it was made.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long certificates are valid, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The authority's.
    pub authority_days: u32,
    /// A node's.
    pub node_days: u32,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            authority_days: 3_650,
            node_days: 365,
        }
    }
}

/// Makes `ca.pem` and `ca.key` (mode 0600) in `folder`, which is created when it does not exist.
///
/// # Errors
/// `Exists` when there is one already, `File` or `Generate`.
pub fn create_authority(
    folder: &Path,
    cluster_id: &str,
    lifetime: Lifetime,
    now: UnixMs,
) -> Result<(), CertError> {
    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(generate)?;
    let params = authority_params(cluster_id, lifetime, now);
    let certificate = params.self_signed(&key).map_err(generate)?;
    create_folder(folder)?;
    write_new(
        &folder.join(AUTHORITY_KEY_FILE),
        &key.serialize_pem(),
        Secrecy::Secret,
    )?;
    write_new(
        &folder.join(AUTHORITY_FILE),
        &certificate.pem(),
        Secrecy::Public,
    )
}

/// Makes `node-N.pem` and `node-N.key` (mode 0600) in `folder`, signed by the authority that is there.
///
/// # Errors
/// `File` or `Malformed` for the authority's files, `Exists`, `BadIdentity` or `Generate`.
pub fn create_node(
    folder: &Path,
    identity: &PeerIdentity,
    lifetime: Lifetime,
    now: UnixMs,
) -> Result<CertPaths, CertError> {
    let paths = CertPaths::in_folder(folder, identity.node_id);
    let authority_pem = read(&paths.authority)?;
    let authority_key_path = folder.join(AUTHORITY_KEY_FILE);
    let authority_key =
        KeyPair::from_pem(&read(&authority_key_path)?).map_err(|error| CertError::Malformed {
            path: shown(&authority_key_path),
            expected: "private key",
            detail: error.to_string(),
        })?;
    let issuer = Issuer::from_ca_cert_pem(&authority_pem, authority_key).map_err(|error| {
        CertError::Malformed {
            path: shown(&paths.authority),
            expected: "authority certificate",
            detail: error.to_string(),
        }
    })?;

    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(generate)?;
    let params = node_params(identity, lifetime, now)?;
    let certificate = params.signed_by(&key, &issuer).map_err(generate)?;
    write_new(&paths.key, &key.serialize_pem(), Secrecy::Secret)?;
    write_new(&paths.certificate, &certificate.pem(), Secrecy::Public)?;
    Ok(paths)
}

/// What an authority's certificate says.
pub(super) fn authority_params(
    cluster_id: &str,
    lifetime: Lifetime,
    now: UnixMs,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = format!("Stellara authority of {cluster_id}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_dates(&mut params, lifetime.authority_days, now);
    params
}

/// What a node's certificate says.
pub(super) fn node_params(
    identity: &PeerIdentity,
    lifetime: Lifetime,
    now: UnixMs,
) -> Result<CertificateParams, CertError> {
    let uri = identity_to_uri(identity).map_err(CertError::BadIdentity)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Stellara node {}", identity.node_id),
    );
    let uri = Ia5String::try_from(uri).map_err(generate)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Every node both dials and is dialled.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    set_dates(&mut params, lifetime.node_days, now);
    Ok(params)
}

fn set_dates(params: &mut CertificateParams, days: u32, now: UnixMs) {
    let now = UNIX_EPOCH + Duration::from_millis(now.0);
    params.not_before = now.checked_sub(CLOCK_SKEW).unwrap_or(UNIX_EPOCH).into();
    params.not_after = (now + DAY * days).into();
}

pub(super) fn generate(error: rcgen::Error) -> CertError {
    CertError::Generate {
        detail: error.to_string(),
    }
}

#[derive(Clone, Copy)]
enum Secrecy {
    Secret,
    Public,
}

fn create_folder(folder: &Path) -> Result<(), CertError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| CertError::File {
            action: "write",
            path: shown(folder),
            detail: error.to_string(),
        })
}

fn write_new(path: &Path, contents: &str, secrecy: Secrecy) -> Result<(), CertError> {
    let mode = match secrecy {
        Secrecy::Secret => 0o600,
        Secrecy::Public => 0o644,
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(contents.as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| {
            let path = shown(path);
            if error.kind() == ErrorKind::AlreadyExists {
                return CertError::Exists { path };
            }
            CertError::File {
                action: "write",
                path,
                detail: error.to_string(),
            }
        })
}

pub(super) fn read(path: &Path) -> Result<String, CertError> {
    std::fs::read_to_string(path).map_err(|error| CertError::File {
        action: "read",
        path: shown(path),
        detail: error.to_string(),
    })
}
