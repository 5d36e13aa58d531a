//! The program, run against the scripted cluster.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use stellara_client::api::{ErrorCode, ErrorDetail, PaymentEvent, PaymentMoved, payment_event};
use tempfile::TempDir;

use crate::fake::{Cluster, Script, detail};

const TO: &str = "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";

/// How a command ended.
struct Ran {
    exit_code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}, stderr {:?}", self.stdout, self.stderr))
    }

    /// Succeeded without a word on stderr.
    fn ok(self) -> Self {
        assert_eq!((self.exit_code, self.stderr.as_str()), (0, ""));
        self
    }
}

/// Runs a command line, split at spaces, on a cluster.
fn check(cluster: &Cluster, line: &str) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_stellara"))
        .args(line.split_whitespace())
        .env("STELLARA_ENDPOINTS", cluster.urls().join(","))
        .env_remove("STELLARA_API_KEY")
        .output()
        .unwrap();
    Ran {
        exit_code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn submit(more: &str) -> String {
    format!("payment submit --destination {TO} --asset native --amount 12.5 {more}")
}

#[test]
fn a_payment_is_submitted_once_per_key() {
    let cluster = Cluster::start(1);
    let line = submit("--idempotency-key k-1 --priority high --memo-id 7 --output json");
    let first = check(&cluster, &line).ok().json();
    assert_eq!(first["paymentId"], "pay_0000000000000001");
    assert_eq!(first["repeated"], false);
    assert_eq!(first["idempotencyKey"], "k-1");
    assert_eq!(check(&cluster, &line).ok().json()["repeated"], true);
    let table = check(&cluster, &submit("")).ok().stdout;
    assert!(
        table.contains("payment   pay_0000000000000002\n"),
        "{table}"
    );
    assert!(table.contains("key       auto-"), "{table}");
    let stored = cluster.store.lock().unwrap().payments["k-1"].clone();
    assert_eq!(stored.priority, 3);
    assert!(stored.memo.is_some());
}

#[test]
fn failures_are_one_line_and_an_exit_code() {
    let cluster = Cluster::start(1);
    let fails = |line: &str, exit_code: i32, words: &str| {
        let ran = check(&cluster, line);
        assert_eq!(ran.exit_code, exit_code, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{line}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{line}");
    };
    let bad_amount = submit("").replace("12.5", "1.23456789");
    fails(
        &bad_amount,
        1,
        "amount is \"1.23456789\", expected a decimal",
    );
    fails("payment get pay_00000000000000ff", 1, "check the id");
    fails(
        "payment get x --endpoint nonsense",
        2,
        "http://127.0.0.1:7420",
    );
    fails("payment submit --file /no/such.csv", 2, "cannot be opened");
    fails("payment submit --file rows.txt", 2, "--format csv");
    check(&cluster, &submit("--idempotency-key k-1")).ok();
    let other_body = submit("--idempotency-key k-1").replace("12.5", "13");
    fails(&other_body, 1, "already made pay_0000000000000001");

    let hang = [
        Script::ServeAndHang,
        Script::Hang,
        Script::Hang,
        Script::Hang,
    ];
    cluster.nodes[0].script(hang);
    let line = submit("--idempotency-key k-2 --timeout 300ms");
    fails(&line, 4, "--idempotency-key k-2");
}

#[test]
fn an_unreachable_cluster_is_told_within_the_timeout() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].kill();
    for line in [
        "cluster status --timeout 200ms",
        "bench submit --seconds 1 --timeout 200ms",
        "payment watch --timeout 200ms",
        &submit("--timeout 200ms"),
    ] {
        let ran = check(&cluster, line);
        assert_eq!(ran.exit_code, 3, "{line}");
        assert!(ran.stderr.contains("refused"), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("--endpoint"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn payments_are_read_listed_withdrawn() {
    let cluster = Cluster::start(1);
    for n in 0..3 {
        check(&cluster, &submit(&format!("--idempotency-key k-{n}"))).ok();
    }
    let id = "pay_0000000000000002";
    let withdrawn = check(&cluster, &format!("payment cancel {id} --output json"));
    assert_eq!(withdrawn.ok().json()["stage"], "PAYMENT_STAGE_CANCELLED");
    let read = check(&cluster, &format!("payment get {id}")).ok().stdout;
    assert!(read.contains("stage        cancelled\n"), "{read}");

    let page = check(&cluster, "payment list --limit 2 --output json").ok();
    assert_eq!(page.json()["payments"].as_array().unwrap().len(), 2);
    assert_eq!(page.json()["nextCursor"], "2");
    let rest = check(&cluster, "payment list --cursor 2 --output json").ok();
    assert_eq!(rest.json()["payments"].as_array().unwrap().len(), 1);
    let all = check(&cluster, "payment list --all --output json").ok();
    assert_eq!(all.json()["payments"].as_array().unwrap().len(), 3);
    let none = check(&cluster, "payment list --stage failed --output json").ok();
    assert_eq!(none.json()["payments"].as_array().unwrap().len(), 0);
    let table = check(&cluster, "payment list --all --stage queued")
        .ok()
        .stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert_eq!(lines[0].find("STAGE"), lines[1].find("queued"), "{table}");
}

#[test]
fn batches_and_the_cluster_are_shown() {
    let cluster = Cluster::start(2);
    let batch = check(&cluster, "batch get bat_0000000000000001 --output json").ok();
    assert_eq!(batch.json()["feeChargedStroops"], "200");
    let table = check(&cluster, "batch list").ok().stdout;
    assert!(table.contains("bat_0000000000000001  settled"), "{table}");
    let status = check(&cluster, "cluster status").ok().stdout;
    assert!(status.contains("leader        node 1\n"), "{status}");
    let members = check(&cluster, "cluster members --output json").ok();
    assert_eq!(members.json()["members"].as_array().unwrap().len(), 2);
    let table = check(&cluster, "cluster members").ok().stdout;
    assert!(table.contains("region-2  follower  yes"), "{table}");
}

#[test]
fn voters_are_added_and_removed() {
    let cluster = Cluster::start(2);
    let added = check(&cluster, "cluster add-voter 3 --output json").ok();
    assert_eq!(added.json()["voterIds"], serde_json::json!(["1", "2", "3"]));
    let table = check(&cluster, "cluster add-voter 3").ok().stdout;
    assert!(table.contains("voters         1, 2, 3\n"), "{table}");
    let refused = check(&cluster, "cluster remove-voter 1");
    assert_eq!(refused.exit_code, 1);
    assert!(refused.stderr.contains("last voter"), "{}", refused.stderr);
}

#[test]
fn a_watch_prints_a_line_an_event() {
    let cluster = Cluster::start(1);
    cluster.store.lock().unwrap().events = (1..=5_u64)
        .map(|n| PaymentEvent {
            cursor: n.to_string(),
            at_ms: n * 1_000,
            event: Some(payment_event::Event::Payment(PaymentMoved {
                payment_id: "pay_0000000000000001".into(),
                stage: 1,
                ..PaymentMoved::default()
            })),
        })
        .collect();
    cluster.nodes[0].script([Script::CutAfter(1), Script::CutAfter(1)]);
    let ran = check(&cluster, "payment watch --cursor 1 --limit 4 --output json").ok();
    let cursors: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["cursor"].clone())
        .collect();
    assert_eq!(cursors, ["2", "3", "4", "5"]);
    let table = check(&cluster, "payment watch --cursor 4 --limit 1")
        .ok()
        .stdout;
    assert!(table.contains("pay_0000000000000001  queued"), "{table}");
}

/// A file of payments with the rows given, and a place for a report.
fn file(name: &str, text: &str) -> (TempDir, String, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text.replace("TO", TO)).unwrap();
    let report = dir.path().join("report.jsonl");
    let line = format!(
        "payment submit --file {} --report {} --output json",
        path.display(),
        report.display()
    );
    (dir, line, report)
}

fn counts(ran: &Ran) -> [u64; 5] {
    let json = ran.json();
    ["accepted", "repeated", "refused", "invalid", "unanswered"]
        .map(|name| json[name].as_u64().unwrap())
}

#[test]
fn a_file_is_submitted_once_however_often_it_is_run() {
    let cluster = Cluster::start(2);
    let mut text = "destination,asset,amount,reference\n".to_owned();
    for n in 0..3_000 {
        // Every third row is equal to others: each of them is a payment of its own.
        text.push_str(&format!("TO,native,{},\n", if n % 3 == 0 { 1 } else { n }));
    }
    let (_dir, line, report) = file("rows.csv", &text);
    cluster.nodes[0].script([Script::CutAfter(2)]);
    let first = check(&cluster, &line).ok();
    let [accepted, repeated, ..] = counts(&first);
    assert_eq!(accepted + repeated, 3_000);
    assert_eq!(cluster.accepted(), 3_000);
    assert_eq!(counts(&check(&cluster, &line).ok()), [0, 3_000, 0, 0, 0]);
    let report = std::fs::read_to_string(report).unwrap();
    assert_eq!(report.lines().count(), 3_000);
    let last: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(last["line"], 3_001);
    assert_eq!(last["repeated"], true);
}

#[test]
fn wrong_rows_are_told_by_line_and_the_others_are_sent() {
    let cluster = Cluster::start(1);
    let refused = ErrorDetail {
        value: "GX".into(),
        ..detail(ErrorCode::TreasuryUnknown)
    };
    let refusals = [refused].into();
    let mut store = cluster.store.lock().unwrap();
    store.refusals.insert("bad".into(), refusals);
    drop(store);
    let rows = r#"{"destination":"TO","asset":"native","amount":"1"}
{"destination":"TO","asset":"native","amount":"x"}
{"destination":"TO","asset":"native","amount":"1","reference":"bad"}
{"destination":"TO","asset":"native","amount":"2"}
"#;
    let (_dir, line, report) = file("rows.jsonl", rows);

    let checked = check(&cluster, &format!("{line} --check"));
    assert_eq!(checked.exit_code, 1);
    assert!(checked.stderr.contains("line 2: amount is \"x\""));
    assert!(checked.stderr.contains("nothing was sent"));
    assert_eq!(cluster.accepted(), 0);

    let ran = check(&cluster, &line);
    assert_eq!(ran.exit_code, 1);
    assert_eq!(counts(&ran), [2, 0, 1, 1, 0]);
    assert!(ran.stderr.contains("line 2: amount is \"x\""));
    assert!(ran.stderr.contains("line 3: treasury GX is not registered"));
    let report = std::fs::read_to_string(report).unwrap();
    let codes: Vec<_> = report
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|row| row["error"]["code"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(codes.len(), 2);
    assert!(codes.contains(&"INVALID_FIELD".into()));
    assert!(codes.contains(&"TREASURY_UNKNOWN".into()));
}

#[test]
fn a_dry_run_sends_nothing() {
    let cluster = Cluster::start(1);
    let rows = "destination,asset,amount\nTO,native,1\nTO,native,1\n";
    let (_dir, line, _report) = file("rows.csv", rows);
    let ran = check(&cluster, &format!("{line} --dry-run")).ok();
    assert_eq!(ran.json()["valid"], 2);
    assert_eq!(cluster.accepted(), 0);
}

#[test]
fn a_file_stops_when_the_cluster_is_gone() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].kill();
    let rows = "destination,asset,amount\nTO,native,1\nTO,native,2\n";
    let (_dir, line, _report) = file("rows.csv", rows);
    let ran = check(&cluster, &format!("{line} --timeout 200ms"));
    assert_eq!(ran.exit_code, 3, "{}", ran.stderr);
    assert_eq!(counts(&ran), [0, 0, 0, 0, 2]);
    assert!(ran.stderr.contains("run the same file again"));
}

#[test]
fn measurements_count_what_was_done() {
    let cluster = Cluster::start(1);
    for mode in ["unary", "stream", "batch --batch 4"] {
        let before = cluster.accepted() as u64;
        let line = format!(
            "bench submit --clients 8 --seconds 0.3 --warmup 50ms --bytes 32 --output json --mode {mode}"
        );
        let result = check(&cluster, &line).ok().json();
        let ops = result["ops"].as_u64().unwrap();
        assert!(ops > 0, "{mode}: {result}");
        assert!(cluster.accepted() as u64 - before >= ops, "{mode}");
        assert_eq!(result["errors"], 0, "{mode}: {result}");
        assert!(result["p50_ms"].as_f64() <= result["p99_ms"].as_f64());
        assert!(result["ops_per_s"].as_f64() > Some(0.0));
    }
    let line = "bench read --clients 4 --seconds 0.3 --consistency stale --output json";
    let result = check(&cluster, line).ok().json();
    assert!(result["ops"].as_u64() > Some(0));
    let refused = vec![Script::Refuse(detail(ErrorCode::InvalidField)); 1_000_000];
    cluster.nodes[0].script(refused);
    let failed = check(
        &cluster,
        "bench submit --clients 1 --seconds 0.2 --output json",
    );
    assert_eq!(failed.exit_code, 1);
    assert_eq!(failed.json()["ops"], 0);
    assert!(failed.json()["errors"].as_u64() > Some(0));
}

#[test]
fn completions_are_printed_for_every_shell() {
    let cluster = Cluster::start(1);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = check(&cluster, &format!("completions {shell}")).ok().stdout;
        assert!(script.contains("stellara"), "{shell}");
    }
}
