//! The ops port: liveness, readiness, metrics, status, and what an operator asks of a node.
//!
//! It has no keys of its own: the configuration binds it to loopback unless told otherwise.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use serde_json::{Value, json};
use stellara_raft_store::types::NodeId;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::gauges;
use crate::api::cluster::totals;
use crate::api::meter;
use crate::api::readiness::{self, NotReady, Settlement};
use crate::gateway::{ClusterView, Freshness, Gateway, Joining, Role, Suffrage};
use crate::ports::signer;

#[cfg(test)]
mod tests;

/// How long a stop waits for the requests that run.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bounds of the histograms' buckets, in seconds: from one disk's sync to an election.
const BUCKETS_S: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];

/// What an operator can ask of a node.
pub trait Admin: Clone + Send + Sync + 'static {
    /// Hands leadership over, to whoever is fit when `to` is not given.
    ///
    /// Errors say why not, in words for the operator.
    fn transfer(&self, to: Option<NodeId>) -> impl Future<Output = Result<(), String>> + Send;

    /// Takes a snapshot.
    ///
    /// Errors say why not, in words for the operator.
    fn snapshot(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// What the ops port shows and asks.
#[derive(Clone)]
pub struct Ops<G, A> {
    /// The node's way to the cluster.
    pub gateway: G,
    /// Its other controls.
    pub admin: A,
    /// Where counters and histograms are kept.
    pub metrics: PrometheusHandle,
    /// Whether it is to settle.
    pub settlement: Settlement,
    /// Cancelled once the node begins to stop: it is not ready any more.
    pub draining: CancellationToken,
}

/// Makes the process keep its metrics, and gives the handle to render them.
///
/// # Errors
/// `FailedToSetGlobalRecorder` when it already does.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = recorder()?.install_recorder()?;
    meter::describe();
    signer::meter::describe();
    Ok(handle)
}

/// How metrics are kept.
pub(super) fn recorder() -> Result<PrometheusBuilder, BuildError> {
    let times = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(times, &BUCKETS_S)
}

/// Serves the ops port until `stop` resolves.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve<G: Gateway, A: Admin>(
    listener: TcpListener,
    ops: Ops<G, A>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let stopping = CancellationToken::new();
    let _ends = stopping.clone().drop_guard();
    let signal = stopping.clone().cancelled_owned();
    let server = axum::serve(listener, router(ops)).with_graceful_shutdown(signal);
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended,
        () = stop => stopping.cancel(),
    }
    // A probe that hangs does not hold the node up.
    timeout(DRAIN_MAX, server).await.unwrap_or(Ok(()))
}

/// The routes, to be served on the ops port.
pub fn router<G: Gateway, A: Admin>(ops: Ops<G, A>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz::<G, A>))
        .route("/metrics", get(metrics::<G, A>))
        .route("/status", get(status::<G, A>))
        .route("/admin/transfer", post(transfer::<G, A>))
        .route("/admin/snapshot", post(snapshot::<G, A>))
        .with_state(ops)
}

async fn readyz<G: Gateway, A: Admin>(State(ops): State<Ops<G, A>>) -> Response {
    let ready = match ops.draining.is_cancelled() {
        true => Err(NotReady::Draining),
        false => readiness::check(&ops.gateway, ops.settlement).await,
    };
    match ready {
        Ok(()) => Json(json!({ "ready": true })).into_response(),
        Err(why) => {
            let body = json!({ "ready": false, "reason": why.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn metrics<G: Gateway, A: Admin>(State(ops): State<Ops<G, A>>) -> Response {
    let anything = Freshness::Stale {
        staleness_max_ms: 0,
    };
    ops.metrics.run_upkeep();
    let mut text = ops.metrics.render();
    // A node that cannot read its state still tells what it counted.
    if let Ok(view) = ops.gateway.read(anything).await {
        let totals = view.state(totals);
        text.push_str(&gauges::render(&ops.gateway.status(), &totals));
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, text).into_response()
}

async fn status<G: Gateway, A: Admin>(State(ops): State<Ops<G, A>>) -> Json<Value> {
    Json(cluster_json(&ops.gateway.status()))
}

fn cluster_json(cluster: &ClusterView) -> Value {
    let members = cluster.members.iter().map(|member| {
        json!({
            "node_id": member.node_id,
            "region": member.info.region,
            "peer_address": member.info.peer_address,
            "public_address": member.info.public_address,
            "voter": match member.suffrage {
                Suffrage::Voter => true,
                Suffrage::Learner => false,
            },
            "matched_index": member.matched_index,
        })
    });
    json!({
        "cluster_id": cluster.cluster_id,
        "node_id": cluster.node_id,
        "region": cluster.region,
        "version": env!("CARGO_PKG_VERSION"),
        "role": match cluster.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Learner => "learner",
        },
        "term": cluster.term,
        "leader_id": cluster.leader_id,
        "last_log_index": cluster.last_log_index,
        "committed_index": cluster.committed_index,
        "applied_index": cluster.applied_index,
        "members": members.collect::<Vec<_>>(),
        "joining": cluster.joining.map(|joining| match joining {
            Joining::Asking => json!({ "asking": true }),
            Joining::Rebuilding { until } => json!({ "rebuilding_until": until }),
        }),
        "read_only_reason": cluster.read_only_reason,
    })
}

/// To whom leadership goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferQuery {
    to: Option<NodeId>,
}

async fn transfer<G: Gateway, A: Admin>(
    State(ops): State<Ops<G, A>>,
    Query(TransferQuery { to }): Query<TransferQuery>,
) -> Response {
    tracing::info!(?to, "operator asks for a transfer of leadership");
    done(ops.admin.transfer(to).await)
}

async fn snapshot<G: Gateway, A: Admin>(State(ops): State<Ops<G, A>>) -> Response {
    tracing::info!("operator asks for a snapshot");
    done(ops.admin.snapshot().await)
}

fn done(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => Json(json!({ "done": true })).into_response(),
        Err(reason) => {
            let body = json!({ "done": false, "reason": reason });
            (StatusCode::CONFLICT, Json(body)).into_response()
        }
    }
}
