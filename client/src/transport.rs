//! Connections: a few HTTP/2 lines per endpoint, made when first needed.
//!
//! Windows are fixed and large: the adaptive window measures the path with pings and holds a
//! bulk stream back while it does. Keep-alive notices a dead peer within seven seconds.

use std::time::Duration;

use tonic::transport::Endpoint;

use crate::error::ClientError;
use crate::surroundings::{Surroundings, Wire};

const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests that wait for a connection; thousands of tasks may share one.
const REQUESTS_WAITING_MAX: usize = 8_192;

/// The largest answer that is read: a page of 500 or 1,000 results fit with room to spare.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The lines to one endpoint, taken in turn.
#[derive(Debug)]
pub(crate) struct Pool {
    lines: Vec<Wire>,
    next: usize,
}

impl Pool {
    /// Lazy lines; nothing is connected yet.
    pub fn new(
        surroundings: &dyn Surroundings,
        address: &str,
        connections: usize,
        connect_within: Duration,
    ) -> Result<Self, ClientError> {
        let lines = (0..connections).map(|_| surroundings.line(address, connect_within).map(Wire));
        Ok(Self {
            lines: lines.collect::<Result<_, _>>()?,
            next: 0,
        })
    }

    /// The next line in turn.
    pub fn line(&mut self) -> Wire {
        self.next = (self.next + 1) % self.lines.len();
        self.lines[self.next].clone()
    }
}

/// Whether an address can be used.
pub(crate) fn check_address(address: &str) -> Result<(), ClientError> {
    parsed(address).map(|_| ())
}

/// How a connection over TCP is made and kept.
pub(crate) fn endpoint(address: &str, connect_within: Duration) -> Result<Endpoint, ClientError> {
    Ok(parsed(address)?
        .connect_timeout(connect_within)
        .tcp_nodelay(true)
        .http2_adaptive_window(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .buffer_size(REQUESTS_WAITING_MAX))
}

fn parsed(address: &str) -> Result<Endpoint, ClientError> {
    let unusable = |expected: &str| ClientError::InvalidEndpoint {
        endpoint: address.to_owned(),
        expected: expected.to_owned(),
    };
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|_| unusable("a URL, as http://127.0.0.1:7420"))?;
    match (endpoint.uri().scheme_str(), endpoint.uri().host()) {
        (Some("http"), Some(_)) => Ok(endpoint),
        (Some("https"), Some(_)) => secured(endpoint),
        (Some(_) | None, Some(_) | None) => Err(unusable("a URL, as http://127.0.0.1:7420")),
    }
}

#[cfg(feature = "tls")]
fn secured(endpoint: Endpoint) -> Result<Endpoint, ClientError> {
    let address = endpoint.uri().to_string();
    endpoint
        .tls_config(tonic::transport::ClientTlsConfig::new().with_enabled_roots())
        .map_err(|error| ClientError::InvalidEndpoint {
            endpoint: address,
            expected: format!("a host that TLS can name ({error})"),
        })
}

#[cfg(not(feature = "tls"))]
fn secured(endpoint: Endpoint) -> Result<Endpoint, ClientError> {
    Err(ClientError::InvalidEndpoint {
        endpoint: endpoint.uri().to_string(),
        expected: "http://, or a build with the feature `tls`".into(),
    })
}
