//! The adapter against scripted HTTP servers on loopback: what each answer, and each way to fail, is taken for.

use std::net::SocketAddr;
use std::sync::Arc;

use stellar_xdr::{Limits, TransactionResult as ResultXdr, TransactionResultExt, WriteXdr};
use stellara_machine::units::Stroops;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::ports::ledger::{TransactionCode, TransactionResult};

/// What a server does with a request whose first line begins so.
#[derive(Clone, Debug)]
struct Rule {
    request: &'static str,
    /// Status line end, extra headers and body; `None` closes the connection without an answer.
    answer: Option<(&'static str, &'static str, String)>,
}

fn rule(request: &'static str, status: &'static str, body: impl Into<String>) -> Rule {
    Rule {
        request,
        answer: Some((status, "", body.into())),
    }
}

/// A web server that knows some requests; stops when dropped.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(rules: Vec<Rule>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let rules = Arc::new(rules);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&rules)));
        }
    });
    Server { address, task }
}

async fn answer(mut stream: TcpStream, rules: Arc<Vec<Rule>>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let head = loop {
        let len = stream.read(&mut chunk).await.unwrap_or(0);
        request.extend_from_slice(&chunk[..len]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if len == 0 || is_whole(&text) {
            break text;
        }
    };
    let rule = rules.iter().find(|rule| head.starts_with(rule.request));
    let (status, headers, body) = match rule {
        Some(Rule { answer: None, .. }) => return,
        Some(Rule {
            answer: Some((status, headers, body)),
            ..
        }) => (*status, *headers, body.as_str()),
        None => ("404 Not Found", "", "{}"),
    };
    let len = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {len}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    drop(stream.write_all(text.as_bytes()).await);
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let len = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    body.len() >= len.unwrap_or(0)
}

fn horizon(servers: &[&Server]) -> Horizon {
    let endpoints = servers
        .iter()
        .map(|server| format!("http://{}", server.address))
        .collect();
    of(endpoints)
}

fn of(endpoints: Vec<String>) -> Horizon {
    Horizon::new(&HorizonSettings {
        endpoints,
        connect_timeout_ms: 2_000,
        request_timeout_ms: 5_000,
        latest_reuse_ms: 0,
    })
    .unwrap()
}

const SUBMIT: &str = "POST /transactions_async ";

async fn check_submit(status: &'static str, body: impl Into<String>) -> SubmitAnswer {
    let server = serve(vec![rule(SUBMIT, status, body)]).await;
    horizon(&[&server]).submit(b"envelope").await
}

fn status_body(status: &str) -> String {
    let hash = "ab".repeat(32);
    format!(r#"{{"tx_status":"{status}","hash":"{hash}"}}"#)
}

#[tokio::test]
async fn horizons_answers_are_taken_for_what_they_say() {
    let hash = Hash([0xab; 32]);
    let answer = check_submit("201 Created", status_body("PENDING")).await;
    assert_eq!(answer, SubmitAnswer::Pending { hash });
    let answer = check_submit("409 Conflict", status_body("DUPLICATE")).await;
    assert_eq!(answer, SubmitAnswer::Duplicate { hash });
    let answer = check_submit("503 Busy", status_body("TRY_AGAIN_LATER")).await;
    assert_eq!(answer, SubmitAnswer::TryAgainLater);
    let result = ResultXdr {
        fee_charged: 2_100,
        result: stellar_xdr::TransactionResultResult::TxInsufficientFee,
        ext: TransactionResultExt::V0,
    };
    let xdr = result.to_xdr_base64(Limits::none()).unwrap();
    for field in ["error_result_xdr", "errorResultXdr"] {
        let body = format!(r#"{{"tx_status":"ERROR","hash":"","{field}":"{xdr}"}}"#);
        let answer = check_submit("400 Bad Request", body).await;
        let code = TransactionCode::InsufficientFee;
        let expected = TransactionResult::refusal(code, Stroops(2_100));
        assert_eq!(answer, SubmitAnswer::Refused(expected));
    }
}

#[tokio::test]
async fn only_what_surely_reached_no_queue_is_not_sent() {
    for status in [
        "400 Bad Request",
        "404 Not Found",
        "413 Too Large",
        "302 Found",
    ] {
        let answer = check_submit(status, r#"{"title":"no"}"#).await;
        assert!(matches!(answer, SubmitAnswer::NotSent { .. }), "{status}");
    }
    for status in [
        "500 Error",
        "502 Bad",
        "503 Busy",
        "504 Timeout",
        "408 Timeout",
        "200 OK",
    ] {
        let answer = check_submit(status, "<html>").await;
        assert!(matches!(answer, SubmitAnswer::Unknown { .. }), "{status}");
    }
    let closes = Rule {
        request: SUBMIT,
        answer: None,
    };
    let server = serve(vec![closes]).await;
    let answer = horizon(&[&server]).submit(b"envelope").await;
    assert!(matches!(answer, SubmitAnswer::Unknown { .. }), "{answer:?}");
    let long = check_submit("201 Created", "x".repeat(5 * 1024 * 1024)).await;
    assert!(matches!(long, SubmitAnswer::Unknown { why } if why.contains("longer than")));
}

#[tokio::test]
async fn a_refused_connection_and_a_rate_limit_move_on_to_the_next_endpoint() {
    let gone = serve(Vec::new()).await.address;
    let limited = serve(vec![Rule {
        request: SUBMIT,
        answer: Some(("429 Slow", "retry-after: 7\r\n", String::new())),
    }])
    .await;
    let open = serve(vec![rule(SUBMIT, "201 Created", status_body("PENDING"))]).await;
    let all = [gone, limited.address, open.address].map(|address| format!("http://{address}"));
    let answer = of(all.to_vec()).submit(b"envelope").await;
    assert!(matches!(answer, SubmitAnswer::Pending { .. }), "{answer:?}");
    let answer = of(all[..2].to_vec()).submit(b"envelope").await;
    assert!(
        matches!(
            &answer,
            SubmitAnswer::NotSent {
                retry_after_ms: Some(7_000),
                ..
            }
        ),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_unknown_answer_does_not_move_on_within_the_call() {
    let broken = serve(vec![rule(SUBMIT, "502 Bad", "")]).await;
    let open = serve(vec![rule(SUBMIT, "201 Created", status_body("PENDING"))]).await;
    let horizon = horizon(&[&broken, &open]);
    let first = horizon.submit(b"envelope").await;
    assert!(matches!(first, SubmitAnswer::Unknown { .. }));
    let second = horizon.submit(b"envelope").await;
    assert!(matches!(second, SubmitAnswer::Pending { .. }));
}

const LEDGERS: &str =
    r#"{"_embedded":{"records":[{"sequence":120,"closed_at":"2024-02-29T12:00:00Z"}]}}"#;

#[tokio::test]
async fn an_absence_tells_how_far_the_endpoint_had_ingested() {
    let ledgers = || rule("GET /ledgers?order=desc&limit=1 ", "200 OK", LEDGERS);
    let server = serve(vec![ledgers()]).await;
    let hash = Hash([0xab; 32]);
    let expected = Ingested {
        ledger: stellara_machine::units::LedgerSeq(120),
        closed_at_s: 1_709_208_000,
    };
    let found = horizon(&[&server]).transaction(hash).await.unwrap();
    assert_eq!(found, TransactionLookup::NotFound(expected));
    // A server behind the same address that lags says so, and proves nothing by time.
    let lagging = Rule {
        request: "GET /transactions/",
        answer: Some(("404 Not Found", "latest-ledger: 118\r\n", String::new())),
    };
    let server = serve(vec![ledgers(), lagging]).await;
    let expected = Ingested {
        ledger: stellara_machine::units::LedgerSeq(118),
        closed_at_s: 0,
    };
    let found = horizon(&[&server]).transaction(hash).await.unwrap();
    assert_eq!(found, TransactionLookup::NotFound(expected));
    // Without a reading there is no absence.
    let blind = serve(vec![rule("GET /ledgers", "500 Error", "")]).await;
    let error = horizon(&[&blind]).transaction(hash).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn an_account_that_is_not_there_is_no_error() {
    let server = serve(Vec::new()).await;
    let account = horizon(&[&server]).account(AccountId([1; 32])).await;
    assert_eq!(account, Ok(None));
}

#[test]
fn settings_are_checked() {
    let check = |endpoints: &[&str]| {
        let endpoints = endpoints.iter().map(|text| (*text).to_owned()).collect();
        let settings = HorizonSettings {
            endpoints,
            ..HorizonSettings::default()
        };
        Horizon::new(&settings)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(&["https://horizon.stellar.org"]), Ok(()));
    assert_eq!(
        check(&[]).unwrap_err(),
        "ledger has 0 endpoints, expected 1 to 16"
    );
    assert!(
        check(&["ftp://somewhere"])
            .unwrap_err()
            .contains("its scheme is ftp")
    );
    assert!(check(&["somewhere"]).is_err());
}
