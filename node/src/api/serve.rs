//! The public port: gRPC with health and reflection, and a word for whoever comes with a browser.
//!
//! Nothing a caller sends stops the listener. A stop ends the streams, waits for the calls that run, within a
//! bound, and then closes what is left.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openraft_rt::AsyncRuntime;
use stellara_proto::v1::batches_server::BatchesServer;
use stellara_proto::v1::cluster_server::ClusterServer;
use stellara_proto::v1::fees_server::FeesServer;
use stellara_proto::v1::payments_server::PaymentsServer;
use stellara_proto::v1::policies_server::PoliciesServer;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder as Reflection;

use super::batches::BatchesApi;
use super::cluster::ClusterApi;
use super::fees::FeesApi;
use super::incoming;
use super::payments::PaymentsApi;
use super::policy::PoliciesApi;
use super::readiness::{self, Settlement};
use super::too_large::{self, MESSAGE_BYTES_MAX};
use crate::gateway::Gateway;

/// HTTP/2's window of one stream, in bytes: a message of the largest size without waiting.
const STREAM_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;
/// HTTP/2's window of one connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1_024 * 1_024;
/// How often a silent connection is asked whether it lives.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How often the health service looks at the node.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

/// Bounds of the public port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// Connections at a time; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Calls at a time on one connection.
    pub calls_per_connection_max: u32,
    /// How long a stop waits for the calls that run, in milliseconds.
    pub drain_max_ms: u64,
    /// Whether the node is to settle, and so needs a treasury to be healthy.
    pub settlement: Settlement,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            calls_per_connection_max: 1_024,
            drain_max_ms: 10_000,
            settlement: Settlement::Configured,
        }
    }
}

/// Why the port is not served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The embedded contract cannot be reflected.
    #[error("the contract cannot be reflected: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server ended by itself.
    #[error("the server ended: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves the public port until `stop` resolves, then drains it.
///
/// # Errors
/// `ServeError`; nothing that callers send leads to one.
pub async fn serve<G: Gateway>(
    listener: TcpListener,
    gateway: G,
    options: ApiOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let ApiOptions {
        connections_max,
        calls_per_connection_max,
        drain_max_ms,
        settlement,
    } = options;
    let stopping = CancellationToken::new();
    let killed = CancellationToken::new();
    // However this ends, also when it is dropped, no connection and no stream outlives it.
    let _ends = (stopping.clone().drop_guard(), killed.clone().drop_guard());
    let Services { routes, health } = services(gateway.clone(), &stopping)?;
    let server = Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(calls_per_connection_max)
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            incoming::connections(listener, connections_max, killed),
            stopping.clone().cancelled_owned(),
        );
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        never = health.follow(&gateway, settlement) => match never {},
        () = stop => {}
    }
    health.set(ServingStatus::NotServing).await;
    stopping.cancel();
    match timeout(Duration::from_millis(drain_max_ms), server).await {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            tracing::warn!(
                drain_max_ms,
                "calls still run after the drain; closing them"
            );
            Ok(())
        }
    }
}

/// What the public port answers with, for whoever brings the calls.
pub struct Services {
    /// All services of the port, with the limits and names that do not depend on a connection.
    pub routes: Routes,
    /// What the health service among them tells.
    pub health: Health,
}

/// The services over a gateway; their streams end once `stopping` is cancelled.
///
/// # Errors
/// When the embedded contract cannot be reflected.
pub fn services<G: Gateway>(
    gateway: G,
    stopping: &CancellationToken,
) -> Result<Services, ServeError> {
    let (reporter, health) = health_reporter();
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(stellara_proto::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let payments = PaymentsApi::new(gateway.clone(), stopping.clone());
    let router =
        Routes::new(PaymentsServer::new(payments).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(
                BatchesServer::new(BatchesApi::new(gateway.clone()))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(
                ClusterServer::new(ClusterApi::new(gateway.clone()))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(
                PoliciesServer::new(PoliciesApi::new(gateway.clone()))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(
                FeesServer::new(FeesApi::new(gateway)).max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .into_axum_router()
            .route("/", axum::routing::get(what_this_is))
            .fallback(elsewhere)
            .layer(axum::middleware::map_response(too_large::name));
    Ok(Services {
        routes: Routes::from(router),
        health: Health { reporter },
    })
}

async fn what_this_is() -> &'static str {
    "Stellara. This port speaks gRPC: stellara.v1, with reflection and health.\n"
}

async fn elsewhere(headers: HeaderMap) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE);
    match content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        true => Status::unimplemented("there is no such method")
            .into_http::<axum::body::Body>()
            .into_response(),
        false => (
            StatusCode::NOT_FOUND,
            "nothing here: this port speaks gRPC, stellara.v1\n",
        )
            .into_response(),
    }
}

/// What the health service tells of the node.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Keeps it true; never ends.
    pub async fn follow<G: Gateway>(&self, gateway: &G, settlement: Settlement) -> Infallible {
        loop {
            let status = match readiness::check(gateway, settlement).await {
                Ok(()) => ServingStatus::Serving,
                Err(_) => ServingStatus::NotServing,
            };
            self.set(status).await;
            G::Runtime::sleep(HEALTH_EVERY).await;
        }
    }

    /// The empty name stands for the whole server.
    async fn set(&self, status: ServingStatus) {
        let services = [
            "",
            PaymentsServer::<()>::NAME,
            BatchesServer::<()>::NAME,
            ClusterServer::<()>::NAME,
            PoliciesServer::<()>::NAME,
            FeesServer::<()>::NAME,
        ];
        for service in services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
