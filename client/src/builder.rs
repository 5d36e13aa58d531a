//! How a client is set up; every setting has a default and is checked in `build`.

use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};

use crate::client::Client;
use crate::error::ClientError;
use crate::retry::RetryPolicy;
use crate::surroundings::{Surroundings, Tokio};
use crate::transport::check_address;

/// Whether the client asks the cluster for its other members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// It does, and remembers them.
    #[default]
    On,
    /// It keeps to the endpoints given, as behind a load balancer.
    Off,
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub endpoints: Vec<String>,
    pub home_region: Option<String>,
    pub discovery: Discovery,
    pub retry: RetryPolicy,
    pub connections_per_endpoint: usize,
    pub authorization: Option<MetadataValue<Ascii>>,
    pub surroundings: Arc<dyn Surroundings>,
}

/// Sets up a [`Client`].
#[derive(Debug, Clone, Default)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    home_region: Option<String>,
    discovery: Discovery,
    retry: RetryPolicy,
    connections_per_endpoint: Option<usize>,
    api_key: Option<String>,
    surroundings: Option<Arc<dyn Surroundings>>,
}

impl ClientBuilder {
    /// The nodes to begin with, as `http://host:port`, in the order of preference.
    #[must_use]
    pub fn endpoints<A: Into<String>>(mut self, endpoints: impl IntoIterator<Item = A>) -> Self {
        self.endpoints.extend(endpoints.into_iter().map(Into::into));
        self
    }

    /// The region whose nodes are preferred, as `eu-west-1`.
    #[must_use]
    pub fn home_region(mut self, region: impl Into<String>) -> Self {
        self.home_region = Some(region.into());
        self
    }

    /// Whether to ask the cluster for its other members; on when not said.
    #[must_use]
    pub const fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// All attempts of one call together; 10 s when not said.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.retry.deadline = deadline;
        self
    }

    /// One attempt; 2 s when not said.
    #[must_use]
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.retry.attempt_timeout = timeout;
        self
    }

    /// The bounds of the first and of the longest wait between rounds of attempts; 50 ms and
    /// 2 s when not said.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.retry.backoff_base = base;
        self.retry.backoff_max = max;
        self
    }

    /// Connections to each node, used in turn; 1 when not said, which thousands of tasks can
    /// share.
    #[must_use]
    pub const fn connections_per_endpoint(mut self, connections: usize) -> Self {
        self.connections_per_endpoint = Some(connections);
        self
    }

    /// The API key, sent as a bearer token.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Where time, tasks, randomness and connections come from: tokio, the process and TCP when
    /// not said.
    #[must_use]
    pub fn surroundings(mut self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.surroundings = Some(surroundings);
        self
    }

    /// The client. It connects when it is first used.
    ///
    /// # Errors
    /// `InvalidEndpoint` for an address that is no URL, or when there is none; `InvalidField`
    /// for a setting out of its bounds.
    pub fn build(self) -> Result<Client, ClientError> {
        if self.endpoints.is_empty() {
            return Err(ClientError::InvalidEndpoint {
                endpoint: String::new(),
                expected: "at least one endpoint".into(),
            });
        }
        for endpoint in &self.endpoints {
            check_address(endpoint)?;
        }
        let retry = self.retry;
        for (field, value) in [
            ("deadline", retry.deadline),
            ("attempt_timeout", retry.attempt_timeout),
            ("backoff_base", retry.backoff_base),
        ] {
            if value.is_zero() {
                return Err(invalid(field, "0", "a time above zero"));
            }
        }
        let connections = self.connections_per_endpoint.unwrap_or(1);
        if !(1..=64).contains(&connections) {
            let value = connections.to_string();
            return Err(invalid("connections_per_endpoint", &value, "1 to 64"));
        }
        let authorization = self.api_key.map(|key| {
            let mut value = MetadataValue::try_from(format!("Bearer {key}"))
                .map_err(|_| invalid("api_key", "(hidden)", "printable ASCII"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Client::new(Config {
            endpoints: self.endpoints,
            home_region: self.home_region,
            discovery: self.discovery,
            retry,
            connections_per_endpoint: connections,
            authorization: authorization.transpose()?,
            surroundings: self
                .surroundings
                .unwrap_or_else(|| Arc::new(Tokio::default())),
        }))
    }
}

fn invalid(field: &str, value: &str, expected: &str) -> ClientError {
    ClientError::InvalidField {
        field: field.into(),
        value: value.into(),
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(builder: ClientBuilder) -> &'static str {
        builder.build().err().map_or("ok", |error| error.code())
    }

    fn one() -> ClientBuilder {
        ClientBuilder::default().endpoints(["http://127.0.0.1:7420"])
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(check(one()), "ok");
        assert_eq!(check(ClientBuilder::default()), "INVALID_ENDPOINT");
        assert_eq!(check(one().endpoints(["127.0.0.1"])), "INVALID_ENDPOINT");
        assert_eq!(check(one().endpoints(["ftp://a:1"])), "INVALID_ENDPOINT");
        assert_eq!(check(one().deadline(Duration::ZERO)), "INVALID_FIELD");
        assert_eq!(check(one().connections_per_endpoint(0)), "INVALID_FIELD");
        assert_eq!(check(one().api_key("line\nbreak")), "INVALID_FIELD");
    }
}
