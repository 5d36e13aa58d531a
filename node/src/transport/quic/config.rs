//! quinn's settings: windows for the longest link, keep-alive, no migration, no early data; see `QuicOptions`.
//!
//! The key of stateless resets comes from the node's own key: after a restart, a peer that still talks to the old
//! process is told so at once, and dials again, instead of waiting for its idle timeout. All that is drawn comes from
//! one seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, ValidationTokenConfig, VarInt,
};
use ring::hmac;

use super::tls::Credentials;
use super::{QuicOptions, Seed, SegmentationOffload};
use crate::certs::NodeCerts;

const CONNECTION_ID_BYTES: usize = 8;
const FIRST_ID_BYTES: usize = 20;
const DATAGRAM_BUFFER_BYTES: usize = 64 * 1024;

/// Draws the id that the first packets of a connection go to.
pub(super) type FirstIds = Arc<dyn Fn() -> ConnectionId + Send + Sync>;

/// The endpoint's settings.
pub(super) fn endpoint(certs: &NodeCerts, seed: &Seed) -> EndpointConfig {
    let node_key = hmac::Key::new(hmac::HMAC_SHA256, certs.key.secret_der());
    let reset_key = hmac::sign(&node_key, b"stellara peer stateless reset");
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, reset_key.as_ref());
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    let seed_key = hmac::Key::new(hmac::HMAC_SHA256, &seed.0);
    let draws = hmac::sign(&seed_key, b"stellara peer draws");
    let draws = <[u8; 32]>::try_from(draws.as_ref());
    config.rng_seed(Some(draws.expect("SHA-256 makes 32 bytes")));
    let made = Arc::new(AtomicU64::new(0));
    config.cid_generator(move || {
        Box::new(Ids {
            key: seed_key.clone(),
            made: Arc::clone(&made),
        })
    });
    config
}

/// The connection ids that a connection's first packets go to: drawn from the seed as all else, of quinn's own length.
pub(super) fn first_ids(seed: &Seed) -> FirstIds {
    let seed_key = hmac::Key::new(hmac::HMAC_SHA256, &seed.0);
    let key = hmac::sign(&seed_key, b"stellara peer first ids");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    let made = AtomicU64::new(0);
    Arc::new(move || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        let id = hmac::sign(&key, &number.to_be_bytes());
        ConnectionId::new(&id.as_ref()[..FIRST_ID_BYTES])
    })
}

// quinn's own generator drops packets whose connection id it did not make, and after a restart it would not know its
// earlier ids: no reset would be sent.
struct Ids {
    key: hmac::Key,
    made: Arc<AtomicU64>,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let id = hmac::sign(&self.key, &number.to_be_bytes());
        ConnectionId::new(&id.as_ref()[..CONNECTION_ID_BYTES])
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The settings of connections that peers make.
pub(super) fn server(credentials: &Credentials, options: &QuicOptions) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(Arc::clone(&credentials.server) as _);
    let mut transport = transport(options, options.initial_round_trip);
    transport.max_concurrent_bidi_streams(VarInt::from_u32(options.streams_max));
    config.transport_config(Arc::new(transport));
    // A token of an earlier connection would save a round trip only to a peer that sends much before it is known, and
    // which tokens are taken is drawn outside the seed.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    config.validation_token_config(tokens);
    config.migration(false);
    config.max_incoming(options.connections_max);
    config
}

/// The settings of a connection that this node makes. The peer opens no streams on it: it dials for that.
pub(super) fn client(
    credentials: &Credentials,
    options: &QuicOptions,
    region: &str,
    first_ids: FirstIds,
) -> quinn::ClientConfig {
    let initial = options
        .initial_round_trips
        .get(region)
        .copied()
        .unwrap_or(options.initial_round_trip);
    let mut transport = transport(options, initial);
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    let mut config = quinn::ClientConfig::new(Arc::clone(&credentials.client) as _);
    config.transport_config(Arc::new(transport));
    config.initial_dst_cid_provider(first_ids);
    config
}

fn transport(options: &QuicOptions, initial_round_trip: Duration) -> TransportConfig {
    let window = window_bytes(options);
    let window_varint = VarInt::from_u64(window).unwrap_or(VarInt::MAX);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(options.idle).ok())
        .keep_alive_interval(Some(options.keep_alive))
        .initial_rtt(initial_round_trip)
        .stream_receive_window(window_varint)
        .receive_window(window_varint)
        .send_window(window)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BUFFER_BYTES)
        .congestion_controller_factory(Arc::new(CubicConfig::default()))
        .enable_segmentation_offload(options.segmentation_offload == SegmentationOffload::On);
    config
}

// At least a megabyte: a narrow link must not make a snapshot's chunk wait for window updates.
fn window_bytes(options: &QuicOptions) -> u64 {
    let round_trip_ms = u64::try_from(options.round_trip_max.as_millis()).unwrap_or(u64::MAX);
    let product = options.bandwidth_bytes_per_s.saturating_mul(round_trip_ms) / 1_000;
    product.saturating_mul(4).max(1024 * 1024)
}
