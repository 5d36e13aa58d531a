//! TLS for peers: 1.3 only, both sides prove a certificate of the cluster's authority, Ed25519 signatures only.
//!
//! The handshake checks authority and dates. Who the peer is (node, region, cluster) is checked right after it, on
//! both sides, so that a refusal can say in words what is wrong. No resumption: every connection proves anew.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible, RootCertStore,
    ServerConfig, SignatureScheme,
};

use super::QuicError;
use crate::certs::NodeCerts;

const ALPN: &[u8] = b"stellara-peer";

/// The name that diallers ask for; certificates are not checked against it but against the peer's identity.
pub(super) const SERVER_NAME: &str = "stellara-peer";

/// What new connections use.
pub(super) struct Credentials {
    pub(super) server: Arc<QuicServerConfig>,
    pub(super) client: Arc<QuicClientConfig>,
    /// Counts reloads: connections of an earlier generation are not used for new calls.
    pub(super) generation: u64,
}

impl Credentials {
    /// Peers' certificates are held to the dates that `time` tells.
    pub(super) fn new(
        certs: &NodeCerts,
        time: &Arc<dyn TimeProvider>,
        generation: u64,
    ) -> Result<Self, QuicError> {
        Ok(Self {
            server: Arc::new(server(certs, time).map_err(|detail| QuicError::Tls { detail })?),
            client: Arc::new(client(certs, time).map_err(|detail| QuicError::Tls { detail })?),
            generation,
        })
    }
}

fn server(certs: &NodeCerts, time: &Arc<dyn TimeProvider>) -> Result<QuicServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain_verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::clone(&certs.authorities),
        Arc::clone(&provider),
    )
    .build()
    .map_err(|error| error.to_string())?;
    let verifier = ClientVerifier {
        chain_verifier,
        provider: Arc::clone(&provider),
    };
    let mut config = ServerConfig::builder_with_details(provider, Arc::clone(time))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(certs.chain.clone(), certs.key.clone_key())
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    QuicServerConfig::try_from(config).map_err(|error| error.to_string())
}

fn client(certs: &NodeCerts, time: &Arc<dyn TimeProvider>) -> Result<QuicClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = ServerVerifier {
        authorities: Arc::clone(&certs.authorities),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_details(provider, Arc::clone(time))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(certs.chain.clone(), certs.key.clone_key())
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map_err(|error| error.to_string())
}

/// Accepts servers of the authorities, whatever their names.
#[derive(Debug)]
struct ServerVerifier {
    authorities: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.authorities,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_ed25519(&self.provider, message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Accepts clients of the authorities.
#[derive(Debug)]
struct ClientVerifier {
    chain_verifier: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain_verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.chain_verifier
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_ed25519(&self.provider, message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

fn verify_ed25519(
    provider: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    if signature.scheme != SignatureScheme::ED25519 {
        return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    verify_tls13_signature(
        message,
        cert,
        signature,
        &provider.signature_verification_algorithms,
    )
}
