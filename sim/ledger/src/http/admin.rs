//! Control for tests and demos: faults, foreign traffic, accounts, the journal, the checker, and
//! closing a ledger at once. Not part of Horizon, so it lives under `/_stellara`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::checker::{self, CheckReport, Intent};
use crate::faults::FaultPlan;
use crate::foreign::ForeignTraffic;
use crate::setup::Setup;

use super::LedgerServer;
use super::problem::Problem;
use super::shapes;

/// Most journal lines in one answer.
const JOURNAL_LINES_MAX: usize = 100_000;

type Shared = State<Arc<LedgerServer>>;
type Body = Result<Bytes, BytesRejection>;

/// What `POST /_stellara/check` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    intents: Vec<Intent>,
    #[serde(default)]
    treasuries: Option<BTreeSet<String>>,
}

fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = body.map_err(|e| Problem::bad_body(e.status(), e.body_text()))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // Text that is no JSON has no field, only a position, which the message tells.
        let nowhere = path == "." || path == "?" || !error.inner().is_data();
        let field = if nowhere { "body".to_owned() } else { path };
        Problem::bad_field(field, error.inner().to_string())
    })?;
    json.end()
        .map_err(|error| Problem::bad_field("body", error.to_string()))?;
    Ok(value)
}

/// An error of the core opens with the field that it is about.
fn refused(error: &dyn std::error::Error) -> Problem {
    let text = error.to_string();
    let field = text.split([' ', ':']).next().unwrap_or("body").to_owned();
    Problem::bad_field(field, text)
}

pub(super) async fn faults(State(server): Shared) -> Json<FaultPlan> {
    Json(server.with(|network, _| network.faults().clone()))
}

pub(super) async fn set_faults(
    State(server): Shared,
    body: Body,
) -> Result<Json<FaultPlan>, Problem> {
    let plan: FaultPlan = read(body)?;
    server
        .with(|network, _| network.set_faults(plan.clone()))
        .map_err(|error| refused(&error))?;
    Ok(Json(plan))
}

pub(super) async fn foreign(State(server): Shared) -> Json<ForeignTraffic> {
    Json(server.with(|network, _| network.config().foreign.clone()))
}

pub(super) async fn set_foreign(
    State(server): Shared,
    body: Body,
) -> Result<Json<ForeignTraffic>, Problem> {
    let traffic: ForeignTraffic = read(body)?;
    server
        .with(|network, _| network.set_foreign(traffic.clone()))
        .map_err(|error| refused(&error))?;
    Ok(Json(traffic))
}

pub(super) async fn accounts(State(server): Shared, body: Body) -> Result<Json<Value>, Problem> {
    let setup: Setup = read(body)?;
    let count = server
        .with(|network, _| network.set_up(&setup))
        .map_err(|error| refused(&error))?;
    Ok(Json(json!({ "accounts": count })))
}

pub(super) async fn check(State(server): Shared, body: Body) -> Result<Json<CheckReport>, Problem> {
    let request: CheckRequest = read(body)?;
    let report = server.with(|network, _| {
        let treasuries = request.treasuries.as_ref();
        checker::check(&request.intents, network.journal(), treasuries)
    });
    Ok(Json(report))
}

pub(super) async fn close(State(server): Shared) -> Json<Value> {
    let body = server.with(|network, now_ms| {
        network.close_now(now_ms);
        shapes::ledger(network, network.latest()).body
    });
    Json(body)
}

/// `from` is the first place (0 by default), `limit` the most lines; the header `stellara-next`
/// is the place to go on from.
pub(super) async fn journal(
    State(server): Shared,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|e| Problem::bad_field("query", e.body_text()))?;
    let number = |name: &str, default: usize| match query.get(name) {
        None => Ok(default),
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Problem::bad_field(name, "a whole number is expected")),
    };
    let from = number("from", 0)?;
    let limit = number("limit", JOURNAL_LINES_MAX)?.min(JOURNAL_LINES_MAX);
    let (lines, next) = server.journal_lines(from, limit);
    let content_type = (
        header::CONTENT_TYPE.as_str(),
        "application/x-ndjson".to_owned(),
    );
    let headers = [content_type, ("stellara-next", next.to_string())];
    Ok((StatusCode::OK, headers, lines).into_response())
}
