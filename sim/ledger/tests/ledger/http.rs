//! Horizon's shapes and errors, byte for byte where they are fixed, and faults on a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stellara_ledger::http::{LedgerServer, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::support::{
    CHANNEL, FEE, NOBODY, RECIPIENT, START_MS, TREASURY, Tx, World, address, usdc_name,
};

/// A served network whose time the test moves.
struct Served {
    server: Arc<LedgerServer>,
    now_ms: Arc<AtomicU64>,
}

impl Served {
    fn new() -> Self {
        let now_ms = Arc::new(AtomicU64::new(START_MS));
        let read = now_ms.clone();
        let clock = Arc::new(move || read.load(Ordering::SeqCst));
        let server = LedgerServer::new(World::new().net, clock);
        Self { server, now_ms }
    }

    fn close(&self) {
        self.now_ms.fetch_add(5_000, Ordering::SeqCst);
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let kind = if path.starts_with("/_stellara") {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .expect("a valid request");
        let routed = router(self.server.clone()).oneshot(request).await;
        let response = routed.expect("routes do not fail");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let text = String::from_utf8(bytes.expect("a whole body").to_vec());
        (status, text.expect("text"))
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.call(method, path, body).await;
        let value = serde_json::from_str(&text).expect("a JSON body");
        (status.as_u16(), value)
    }

    async fn submit(&self, envelope: &[u8]) -> (u16, Value) {
        self.json("POST", "/transactions_async", &form(envelope))
            .await
    }
}

fn form(envelope: &[u8]) -> String {
    let text = BASE64.encode(envelope);
    let escaped = text
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("tx={escaped}")
}

fn tx() -> Tx {
    Tx::new(CHANNEL).pay(RECIPIENT, 15_000_000)
}

#[tokio::test]
async fn submissions_answer_with_the_four_statuses() {
    let served = Served::new();
    let (status, body) = served.submit(&tx().bumped(200)).await;
    let hash = body["hash"].as_str().expect("a hash").to_owned();
    assert_eq!((status, hash.len()), (201, 64));
    assert_eq!(body, json!({ "tx_status": "PENDING", "hash": hash }));
    let (status, body) = served.submit(&tx().bumped(200)).await;
    assert_eq!(status, 409);
    assert_eq!(body, json!({ "tx_status": "DUPLICATE", "hash": hash }));
    served.close();
    let (status, body) = served.submit(&tx().bumped(200)).await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        json!({ "tx_status": "TRY_AGAIN_LATER", "hash": hash })
    );
    let plain = Tx::plain().pay(RECIPIENT, 1).sequence(7).envelope();
    let (status, body) = served.submit(&plain).await;
    assert_eq!((status, &body["tx_status"]), (400, &json!("ERROR")));
    // 100 stroops, tx_bad_seq.
    assert_eq!(body["error_result_xdr"], "AAAAAAAAAGT////7AAAAAA==");
}

#[tokio::test]
async fn bad_input_is_a_problem_that_names_the_field() {
    let served = Served::new();
    let table = [
        ("POST", "/transactions_async", "", 400, "tx"),
        ("POST", "/transactions_async", "tx=%21%21", 400, "tx"),
        ("POST", "/transactions_async", "tx=AAAA", 400, "tx"),
        ("GET", "/transactions/abc", "", 400, "hash"),
        ("GET", "/accounts/GABC", "", 400, "account_id"),
        ("GET", "/ledgers?limit=0", "", 400, "limit"),
        ("GET", "/ledgers?order=up", "", 400, "order"),
        ("GET", "/ledgers?cursor=x", "", 400, "cursor"),
        ("GET", "/friendbot", "", 400, "addr"),
        ("GET", "/friendbot?addr=G", "", 400, "addr"),
        ("GET", "/_stellara/journal?from=x", "", 400, "from"),
        ("POST", "/_stellara/faults", "{", 400, "body"),
        (
            "POST",
            "/_stellara/faults",
            r#"{"rules":[{"kind":"x"}]}"#,
            400,
            "rules[0].kind",
        ),
        (
            "POST",
            "/_stellara/faults",
            r#"{"rules":[{"kind":"slow","status":7}]}"#,
            400,
            "rules[0].status",
        ),
        ("POST", "/_stellara/foreign", r#"{"bids":[]}"#, 400, "bids"),
        (
            "POST",
            "/_stellara/accounts",
            r#"{"accounts":[{"id":"G"}]}"#,
            400,
            "accounts[0].id",
        ),
        (
            "POST",
            "/_stellara/accounts",
            r#"{"accounts":[{"id":"G","balance_stroops":"1.5"}]}"#,
            400,
            "accounts[0].balance_stroops",
        ),
        (
            "POST",
            "/_stellara/check",
            r#"{"intents":[],"other":1}"#,
            400,
            "other",
        ),
    ];
    for (method, path, body, status, field) in table {
        let (got, problem) = served.json(method, path, body).await;
        let named = &problem["extras"]["invalid_field"];
        assert_eq!(
            (got, named),
            (status, &json!(field)),
            "{method} {path} {body}"
        );
    }
    let (status, problem) = served.json("GET", "/nothing", "").await;
    assert_eq!(
        (status, &problem["title"]),
        (404, &json!("Resource Missing"))
    );
    let (status, _) = served.json("POST", "/fee_stats", "").await;
    assert_eq!(status, 405);
    let long = format!("tx={}", "A".repeat(300_000));
    let (status, _) = served.json("POST", "/transactions_async", &long).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_transaction_is_found_by_both_hashes() {
    let served = Served::new();
    let mut tx = tx().time(0, START_MS / 1_000 + 60).ledgers(0, 9);
    tx.memo = stellar_xdr::Memo::Text(b"hi".to_vec().try_into().expect("short"));
    let envelope = tx.bumped(300);
    let (_, answer) = served.submit(&envelope).await;
    let outer = answer["hash"].as_str().expect("a hash");
    let inner = tx.inner_hash().to_string();
    let path = format!("/transactions/{inner}");
    let (status, problem) = served.json("GET", &path, "").await;
    assert_eq!(status, 404);
    assert_eq!(
        problem["type"],
        "https://stellar.org/horizon-errors/not_found"
    );
    served.close();
    let (status, mut body) = served.json("GET", &path, "").await;
    assert_eq!(status, 200);
    let signatures = |value: &Value| value.as_array().map(Vec::len);
    assert_eq!(signatures(&body["signatures"].take()), Some(2));
    let inner_signatures = body["inner_transaction"]["signatures"].take();
    assert_eq!(signatures(&inner_signatures), Some(2));
    let outer_signatures = body["fee_bump_transaction"]["signatures"].take();
    assert_eq!(signatures(&outer_signatures), Some(1));
    let result_xdr = body["result_xdr"].take();
    assert_eq!(
        body,
        json!({
            "id": inner,
            "hash": inner,
            "paging_token": "12884905984",
            "successful": true,
            "ledger": 3,
            "created_at": "2023-11-14T22:13:25Z",
            "source_account": address(CHANNEL),
            "source_account_sequence": "101",
            "fee_account": address(FEE),
            "fee_charged": "200",
            "max_fee": "300",
            "operation_count": 1,
            "envelope_xdr": BASE64.encode(&envelope),
            "result_xdr": null,
            "memo": "hi",
            "memo_bytes": "aGk=",
            "memo_type": "text",
            "signatures": null,
            "valid_after": "1970-01-01T00:00:00Z",
            "valid_before": "2023-11-14T22:14:20Z",
            "preconditions": {
                "timebounds": { "min_time": "0", "max_time": "1700000060" },
                "ledgerbounds": { "min_ledger": 0, "max_ledger": 9 },
            },
            "fee_bump_transaction": { "hash": outer, "signatures": null },
            "inner_transaction": { "hash": inner, "signatures": null, "max_fee": "0" },
        })
    );
    let by_outer = format!("/transactions/{outer}");
    let (_, outer_body) = served.json("GET", &by_outer, "").await;
    assert_eq!(outer_body["hash"], outer);
    assert_eq!(outer_body["result_xdr"], result_xdr);
    assert_eq!(outer_body["signatures"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn accounts_have_horizons_shape() {
    let served = Served::new();
    let id = address(NOBODY);
    let setup = json!({ "accounts": [{
        "id": id,
        "balance_stroops": "25000000",
        "sequence": 7,
        "trust_lines": [{ "asset": usdc_name(), "balance_stroops": 5, "limit_stroops": 10_000_000, "authorized": false }],
        "data": { "config.memo_required": "MQ==" },
    }]});
    let made = served
        .json("POST", "/_stellara/accounts", &setup.to_string())
        .await;
    assert_eq!(made, (200, json!({ "accounts": 1 })));
    let (status, body) = served.json("GET", &format!("/accounts/{id}"), "").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({
            "id": id,
            "account_id": id,
            "paging_token": id,
            "sequence": "7",
            "sequence_ledger": 0,
            "sequence_time": "0",
            "subentry_count": 2,
            "last_modified_ledger": 2,
            "last_modified_time": "2023-11-14T22:13:20Z",
            "thresholds": { "low_threshold": 0, "med_threshold": 0, "high_threshold": 0 },
            "flags": {
                "auth_required": false,
                "auth_revocable": false,
                "auth_immutable": false,
                "auth_clawback_enabled": false,
            },
            "balances": [
                {
                    "balance": "0.0000005",
                    "limit": "1.0000000",
                    "buying_liabilities": "0.0000000",
                    "selling_liabilities": "0.0000000",
                    "last_modified_ledger": 2,
                    "is_authorized": false,
                    "is_authorized_to_maintain_liabilities": false,
                    "asset_type": "credit_alphanum4",
                    "asset_code": "USDC",
                    "asset_issuer": address(crate::support::ISSUER),
                },
                {
                    "balance": "2.5000000",
                    "buying_liabilities": "0.0000000",
                    "selling_liabilities": "0.0000000",
                    "asset_type": "native",
                },
            ],
            "signers": [{ "weight": 1, "key": id, "type": "ed25519_public_key" }],
            "data": { "config.memo_required": "MQ==" },
            "num_sponsoring": 0,
            "num_sponsored": 0,
        })
    );
}

#[tokio::test]
async fn friendbot_funds_once() {
    let served = Served::new();
    let path = format!("/friendbot?addr={}", address(NOBODY));
    let (status, body) = served.json("GET", &path, "").await;
    assert_eq!(status, 200);
    assert_eq!(body["balance"], "10000.0000000");
    let (status, body) = served.json("GET", &path, "").await;
    assert_eq!(status, 400);
    assert_eq!(
        body["extras"]["result_codes"]["operations"],
        json!(["op_already_exists"])
    );
}

#[tokio::test]
async fn the_root_ledgers_and_fees_have_horizons_shapes() {
    let served = Served::new();
    served.submit(&tx().bumped(600)).await;
    served.close();
    let (_, root) = served.json("GET", "/", "").await;
    assert_eq!(
        root["network_passphrase"],
        "Test SDF Network ; September 2015"
    );
    assert_eq!(root["history_latest_ledger"], 3);
    assert_eq!(root["core_latest_ledger"], 3);
    let (_, page) = served.json("GET", "/ledgers?order=desc&limit=1", "").await;
    let mut ledger = page["_embedded"]["records"][0].clone();
    let hash = ledger["hash"].take();
    assert_eq!(hash.as_str().map(str::len), Some(64));
    assert_eq!(ledger["id"].take(), hash);
    assert_eq!(ledger["prev_hash"].take().as_str().map(str::len), Some(64));
    assert_eq!(
        ledger,
        json!({
            "id": null,
            "hash": null,
            "prev_hash": null,
            "paging_token": "12884901888",
            "sequence": 3,
            "successful_transaction_count": 1,
            "failed_transaction_count": 0,
            "operation_count": 2,
            "tx_set_operation_count": 2,
            "closed_at": "2023-11-14T22:13:25Z",
            "fee_pool": "0.0000200",
            "base_fee_in_stroops": 100,
            "base_reserve_in_stroops": 5_000_000,
            "max_tx_set_size": 1_000,
            "protocol_version": 23,
        })
    );
    let (_, after) = served
        .json("GET", "/ledgers?cursor=8589934592&order=asc", "")
        .await;
    assert_eq!(after["_embedded"]["records"][0]["sequence"], 3);
    let (_, fees) = served.json("GET", "/fee_stats", "").await;
    let all = |value: &str| {
        json!({
            "max": value, "min": value, "mode": value, "p10": value, "p20": value, "p30": value,
            "p40": value, "p50": value, "p60": value, "p70": value, "p80": value, "p90": value,
            "p95": value, "p99": value,
        })
    };
    assert_eq!(
        fees,
        json!({
            "last_ledger": "3",
            "last_ledger_base_fee": "100",
            "ledger_capacity_usage": "0.00",
            "fee_charged": all("100"),
            "max_fee": all("300"),
        })
    );
}

#[tokio::test]
async fn the_control_routes_close_check_and_tell() {
    let served = Served::new();
    served.submit(&tx().bumped(200)).await;
    let (status, ledger) = served.json("POST", "/_stellara/close", "").await;
    assert_eq!((status, &ledger["sequence"]), (200, &json!(3)));
    let (_, lines) = served.call("GET", "/_stellara/journal", "").await;
    assert_eq!(lines.lines().count(), 1);
    let (_, rest) = served.call("GET", "/_stellara/journal?from=1", "").await;
    assert_eq!(rest, "");
    let request = json!({
        "intents": [{
            "reference": "a", "destination": address(RECIPIENT), "asset": "native",
            "amount_stroops": 15_000_000,
        }],
        "treasuries": [address(TREASURY)],
    });
    let (_, report) = served
        .json("POST", "/_stellara/check", &request.to_string())
        .await;
    assert_eq!(
        report,
        json!({
            "intents": 1, "payments": 1, "paid_0": 0, "paid_1": 1, "paid_2_or_more": 0,
            "missing": [], "excess": [], "unexpected": [],
        })
    );
    let traffic = json!({ "ops_per_ledger": 10 }).to_string();
    let (_, echo) = served.json("POST", "/_stellara/foreign", &traffic).await;
    let (_, told) = served.json("GET", "/_stellara/foreign", "").await;
    assert_eq!(echo, told);
    assert_eq!(told["ops_per_ledger"], 10);
}

/// Sends a submission over a socket and reads until the server ends the connection.
async fn raw(address: std::net::SocketAddr, envelope: &[u8]) -> String {
    let body = form(envelope);
    let request = format!(
        "POST /transactions_async HTTP/1.1\r\nhost: ledger\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A reset is an error here and no byte of an answer: both count as silence.
    let _read = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn faults_are_acted_out_on_the_socket() {
    let served = Served::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router(served.server.clone()), async {
        drop(stopped.await);
    }));
    let plan = json!({ "rules": [
        { "kind": "reset_after", "count": 1 },
        { "kind": "error_before", "count": 1, "status": 502 },
        { "kind": "timeout_before", "count": 1, "delay_ms": 1 },
        { "kind": "slow", "count": 1, "delay_ms": 1 },
        { "kind": "error_before", "on": "query", "count": 1, "status": 429 },
    ]});
    let (status, left) = served
        .json("POST", "/_stellara/faults", &plan.to_string())
        .await;
    assert_eq!(
        (status, &left["rules"][0]["rate_ppm"]),
        (200, &json!(1_000_000))
    );
    let envelope = tx().bumped(200);
    assert_eq!(raw(address, &envelope).await, "");
    let starts = |text: &str, status: &str| text.starts_with(&format!("HTTP/1.1 {status}"));
    assert!(starts(&raw(address, &envelope).await, "502"));
    assert!(starts(&raw(address, &envelope).await, "504"));
    // The broken connection came after acceptance.
    assert!(starts(&raw(address, &envelope).await, "409"));
    let (status, _) = served.json("GET", "/fee_stats", "").await;
    assert_eq!(status, 429);
    let (_, left) = served.json("GET", "/_stellara/faults", "").await;
    assert_eq!(left["rules"][4]["count"], 0);
    drop(stop);
    let ended = serving.await.expect("it did not panic");
    ended.expect("it ended cleanly");
    assert!(TcpStream::connect(address).await.is_err());
}
