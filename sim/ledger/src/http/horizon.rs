//! Horizon's subset: submission, transactions, accounts, fee statistics, ledgers, the root and
//! the faucet. Handlers parse, ask the network, and hand the shape to `shapes`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stellar_xdr::{AccountId, Limits, WriteXdr};

use crate::envelope::TxHash;
use crate::network::SubmitAnswer;
use crate::setup::SetupError;

use super::problem::Problem;
use super::{LedgerServer, act_out, shapes};

/// Most records on a page, as in Horizon.
const PAGE_LEN_MAX: usize = 200;

type Shared = State<Arc<LedgerServer>>;
type Fields = BTreeMap<String, String>;

pub(super) fn hal(status: StatusCode, body: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/hal+json; charset=utf-8")];
    (status, content_type, body.to_string()).into_response()
}

/// Lets the fault plan hit a query before it is answered.
pub(super) async fn query_faults(State(server): Shared, request: Request, next: Next) -> Response {
    let fault = server.with(|network, _| network.query_fault());
    match act_out(fault).await {
        Some(failure) => failure,
        None => next.run(request).await,
    }
}

pub(super) async fn submit(
    State(server): Shared,
    form: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(fields) = form.map_err(|e| Problem::bad_body(e.status(), e.body_text()))?;
    let text = fields
        .get("tx")
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Problem::bad_field("tx", "the base64 of an envelope is expected"))?;
    let envelope_xdr = BASE64
        .decode(text)
        .map_err(|error| Problem::malformed(text, error.to_string()))?;
    let outcome = server.with(|network, now_ms| network.submit(now_ms, &envelope_xdr));
    if let Some(failure) = act_out(outcome.fault).await {
        return Ok(failure);
    }
    let answer = outcome
        .shown
        .expect("a fault that hides the answer has answered already");
    answered(text, answer)
}

fn answered(envelope_base64: &str, answer: SubmitAnswer) -> Result<Response, Problem> {
    let body =
        |status: &str, hash: TxHash| json!({ "tx_status": status, "hash": hash.to_string() });
    Ok(match answer {
        SubmitAnswer::Pending { hash } => hal(StatusCode::CREATED, &body("PENDING", hash)),
        SubmitAnswer::Duplicate { hash } => hal(StatusCode::CONFLICT, &body("DUPLICATE", hash)),
        SubmitAnswer::TryAgainLater { hash } => hal(
            StatusCode::SERVICE_UNAVAILABLE,
            &body("TRY_AGAIN_LATER", hash),
        ),
        SubmitAnswer::Error { hash, result } => {
            let mut body = body("ERROR", hash);
            let result_xdr = result
                .to_xdr_base64(Limits::none())
                .expect("a result has a bounded size");
            body["error_result_xdr"] = json!(result_xdr);
            hal(StatusCode::BAD_REQUEST, &body)
        }
        SubmitAnswer::Malformed { reason } => {
            return Err(Problem::malformed(envelope_base64, reason));
        }
    })
}

pub(super) async fn transaction(
    State(server): Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(text) = path.map_err(|e| Problem::bad_field("hash", e.body_text()))?;
    let hash: TxHash = text
        .parse()
        .map_err(|_| Problem::bad_field("hash", "64 hexadecimal digits are expected"))?;
    let body = server.with(|network, _| {
        let record = network.transaction(&hash)?;
        Some(shapes::transaction(record, hash))
    });
    body.map(|body| hal(StatusCode::OK, &body))
        .ok_or_else(|| Problem::not_found(format!("no transaction {hash} is known")))
}

pub(super) async fn account(
    State(server): Shared,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(text) = path.map_err(|e| Problem::bad_field("account_id", e.body_text()))?;
    let id = address("account_id", &text)?;
    let body = server.with(|network, _| {
        let account = network.account(&id)?;
        Some(shapes::account(network, &id, account))
    });
    body.map(|body| hal(StatusCode::OK, &body))
        .ok_or_else(|| Problem::not_found(format!("no account {text} is known")))
}

pub(super) async fn fee_stats(State(server): Shared) -> Response {
    let body = server.with(|network, _| shapes::fee_stats(&network.fee_stats()));
    hal(StatusCode::OK, &body)
}

pub(super) async fn ledgers(
    State(server): Shared,
    query: Result<Query<Fields>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|e| Problem::bad_field("query", e.body_text()))?;
    let limit = match query.get("limit") {
        None => 10,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_LEN_MAX).contains(limit))
            .ok_or_else(|| Problem::bad_field("limit", "1 to 200 is expected"))?,
    };
    let cursor = match query.get("cursor").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            text.parse::<u64>()
                .map_err(|_| Problem::bad_field("cursor", "a paging_token is expected"))?,
        ),
    };
    let descending = match query.get("order").map(String::as_str) {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Problem::bad_field("order", "asc or desc is expected")),
    };
    let body = server.with(|network, _| {
        let newest_first = network.ledgers().map(|l| shapes::ledger(network, l));
        let beyond = |record: &shapes::Paged| match (cursor, descending) {
            (None, _) => true,
            (Some(cursor), true) => record.token < cursor,
            (Some(cursor), false) => record.token > cursor,
        };
        let records: Vec<Value> = if descending {
            let page = newest_first.filter(beyond).take(limit);
            page.map(|record| record.body).collect()
        } else {
            let page = newest_first.rev().filter(beyond).take(limit);
            page.map(|record| record.body).collect()
        };
        json!({ "_embedded": { "records": records } })
    });
    Ok(hal(StatusCode::OK, &body))
}

pub(super) async fn root(State(server): Shared) -> Response {
    let body = server.with(|network, _| shapes::root(network));
    hal(StatusCode::OK, &body)
}

pub(super) async fn friendbot(
    State(server): Shared,
    query: Result<Query<Fields>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|e| Problem::bad_field("query", e.body_text()))?;
    let text = query
        .get("addr")
        .ok_or_else(|| Problem::bad_field("addr", "an account address (G...) is expected"))?;
    let id = address("addr", text)?;
    let funded = server.with(|network, _| match network.fund(&id) {
        Ok(account) => Ok(account.clone()),
        Err(error) => Err(error),
    });
    match funded {
        Ok(account) => {
            let body = json!({
                "successful": true,
                "id": text,
                "balance": shapes::amount(account.balance_stroops),
                "sequence": account.sequence.to_string(),
            });
            Ok(hal(StatusCode::OK, &body))
        }
        Err(error @ SetupError::Exists(_)) => Err(Problem::already_exists(error.to_string())),
        Err(error) => Err(Problem::bad_field("addr", error.to_string())),
    }
}

fn address(field: &str, text: &str) -> Result<AccountId, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_field(field, "an account address (G...) is expected"))
}
