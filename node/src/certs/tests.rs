//! Certificates made here load here; each wrong one is refused with its reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

const NOW: UnixMs = UnixMs(1_800_000_000_000);
const DAY_MS: u64 = 86_400_000;

fn node(node_id: u64) -> PeerIdentity {
    PeerIdentity {
        node_id,
        region: "eu-west-1".into(),
        cluster_id: "prod".into(),
    }
}

fn folder_with_authority() -> TempDir {
    let folder = TempDir::new().unwrap();
    create_authority(folder.path(), "prod", Lifetime::default(), NOW).unwrap();
    folder
}

/// Makes node 1's certificate, lets `spoil` change the files, loads it at `now` and expects words of the error.
fn check_refused(spoil: impl Fn(&TempDir, &mut CertPaths), now: UnixMs, words: &str) {
    let folder = folder_with_authority();
    let mut paths = create_node(folder.path(), &node(1), Lifetime::default(), NOW).unwrap();
    load(&paths, &node(1), NOW).unwrap();
    spoil(&folder, &mut paths);
    let error = load(&paths, &node(1), now).unwrap_err().to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}

#[test]
fn what_is_made_loads_and_keys_are_private() {
    let folder = folder_with_authority();
    let paths = create_node(folder.path(), &node(7), Lifetime::default(), NOW).unwrap();
    let certs = load(&paths, &node(7), NOW).unwrap();
    assert_eq!(certs.identity, node(7));
    assert_eq!(certs.expires_at, UnixMs(NOW.0 + 365 * DAY_MS));
    for (file, mode) in [("ca.key", 0o600), ("node-7.key", 0o600), ("ca.pem", 0o644)] {
        let found = fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    assert!(!format!("{certs:?}").contains("PRIVATE"));
}

#[test]
fn nothing_is_overwritten() {
    let folder = folder_with_authority();
    let again = create_authority(folder.path(), "prod", Lifetime::default(), NOW);
    assert!(matches!(again, Err(CertError::Exists { .. })));
    create_node(folder.path(), &node(1), Lifetime::default(), NOW).unwrap();
    let again = create_node(folder.path(), &node(1), Lifetime::default(), NOW);
    assert!(matches!(again, Err(CertError::Exists { .. })));
}

#[test]
fn an_expired_certificate_is_refused() {
    check_refused(|_, _| (), NOW.plus(366 * DAY_MS), "is valid from");
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    check_refused(|_, _| (), UnixMs(NOW.0 - DAY_MS), "is valid from");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let spoil = |folder: &TempDir, paths: &mut CertPaths| {
        paths.key = create_node(folder.path(), &node(2), Lifetime::default(), NOW)
            .unwrap()
            .key;
    };
    check_refused(spoil, NOW, "does not belong to the certificate");
}

#[test]
fn another_nodes_certificate_is_refused() {
    let spoil = |folder: &TempDir, paths: &mut CertPaths| {
        *paths = create_node(folder.path(), &node(2), Lifetime::default(), NOW).unwrap();
    };
    check_refused(
        spoil,
        NOW,
        "is of node 2 of region eu-west-1 in cluster prod, expected node 1",
    );
}

#[test]
fn another_authority_is_refused() {
    let spoil = |_: &TempDir, paths: &mut CertPaths| {
        let other = folder_with_authority();
        fs::copy(other.path().join(AUTHORITY_FILE), &paths.authority).unwrap();
    };
    check_refused(spoil, NOW, "is not signed by the authority");
}

#[test]
fn a_certificate_without_identity_is_refused() {
    let spoil = |_: &TempDir, paths: &mut CertPaths| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        fs::write(&paths.certificate, certificate.pem()).unwrap();
        fs::write(&paths.key, key.serialize_pem()).unwrap();
    };
    check_refused(spoil, NOW, "names no node: no stellara:// URI");
}

#[test]
fn files_that_are_missing_or_garbage_are_named() {
    check_refused(
        |_, paths| fs::remove_file(&paths.key).unwrap(),
        NOW,
        "cannot read",
    );
    check_refused(
        |_, paths| fs::write(&paths.certificate, "nothing").unwrap(),
        NOW,
        "holds no usable certificate",
    );
    check_refused(
        |_, paths| fs::write(&paths.authority, "nothing").unwrap(),
        NOW,
        "holds no usable authority certificate",
    );
}

#[test]
fn an_identity_has_one_uri() {
    assert_eq!(
        identity_to_uri(&node(3)).unwrap(),
        "stellara://prod/eu-west-1/3"
    );
    assert_eq!(
        identity_from_uri("stellara://prod/eu-west-1/3"),
        Ok(node(3))
    );
    for bad in [
        "stellara://prod/eu-west-1/03",
        "stellara://prod/eu-west-1/+3",
        "stellara://prod/eu-west-1",
        "stellara://prod/eu-west-1/3/4",
        "stellara://Prod/eu-west-1/3",
        "stellara:///eu-west-1/3",
        "https://prod/eu-west-1/3",
    ] {
        assert!(identity_from_uri(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_seed_gives_the_same_certificates_again_and_another_seed_others() {
    let make =
        |seed: u8, node_id| seeded(&[seed; 32], &node(node_id), Lifetime::default(), NOW).unwrap();
    let (first, again, other) = (make(1, 7), make(1, 7), make(2, 7));
    assert_eq!(first.chain, again.chain);
    assert_eq!(first.key.secret_der(), again.key.secret_der());
    assert_ne!(first.chain, other.chain);
    assert_ne!(first.key.secret_der(), make(1, 8).key.secret_der());
    assert_eq!(identity_of_certificate(&first.chain[0]), Ok(node(7)));
    assert_eq!(first.expires_at, UnixMs(NOW.0 + 365 * DAY_MS));
    let trusts = |trusting: &NodeCerts, certs: &NodeCerts| {
        let leaf = rustls::server::ParsedCertificate::try_from(&certs.chain[0]).unwrap();
        let now =
            rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_millis(NOW.0));
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &trusting.authorities,
            &[],
            now,
            rustls::crypto::ring::default_provider()
                .signature_verification_algorithms
                .all,
        )
        .is_ok()
    };
    assert!(trusts(&first, &make(1, 8)), "one seed is one authority");
    assert!(!trusts(&first, &other), "another seed is another authority");
}
