//! The same through `stellara`: one line on stderr that names the field, and the exit code.

use std::process::Command;

use stellara_client::api::SubmitPaymentRequest;
use stellara_tests::binaries;
use stellara_tests::process::run;

use super::*;

/// One argument changed in a good payment, and what is told of it.
struct Row {
    name: &'static str,
    value: String,
    exit: i32,
    /// All of these are in the error.
    words: &'static [&'static str],
}

fn row(name: &'static str, value: impl Into<String>, words: &'static [&'static str]) -> Row {
    Row {
        name,
        value: value.into(),
        exit: 1,
        words,
    }
}

/// What never leaves for a node, or is refused by the node before its machine is asked.
fn at_the_door() -> Vec<Row> {
    let misused = |name, value: &str, words| Row {
        exit: 2,
        ..row(name, value, words)
    };
    vec![
        row("destination", MISTYPED, &["destination is", "checksum"]),
        row("destination", "", &["destination is", "G... or M..."]),
        row("amount", "1.12345678", &["amount is", "at most 7 decimals"]),
        row("amount", "0", &["amount is", "above 0"]),
        row("amount", "-5", &["amount is", "above 0"]),
        row("amount", "1000000000.0000001", &["amount is", "1000000000"]),
        row("amount", "99999999999999999999", &["amount is"]),
        row("amount", "1e3", &["amount is", "a decimal number"]),
        row("asset", "XLM", &["asset is", "CODE:ISSUER"]),
        row("asset", format!("USDC:{MISTYPED}"), &["asset is"]),
        row("memo-text", "m".repeat(29), &["memo_text", "28 bytes"]),
        row("memo-hash", "abc", &["memo_hash", "64 hexadecimal digits"]),
        row("treasury", MISTYPED, &["treasury is", "checksum"]),
        row("reference", "r".repeat(1_025), &["reference", "1024 bytes"]),
        row("idempotency-key", "k".repeat(129), &["128 bytes"]),
        // Only the node knows that a key is text; the command line lets this one through.
        row("idempotency-key", "a\tb", &["idempotency_key", "control"]),
        misused("priority", "urgent", &["--priority", "possible values"]),
        misused("memo-id", "-1", &["--memo-id", "invalid"]),
        misused("colour", "red", &["--colour", "unexpected argument"]),
    ]
}

/// `stellara payment submit` of this payment with these arguments over it, asking one node.
fn submit(cluster: &Cluster, node: usize, good: &SubmitPaymentRequest, over: &[&Row]) -> Command {
    let mut arguments = vec![
        ("destination", good.destination.clone()),
        ("asset", good.asset.clone()),
        ("amount", good.amount.clone()),
        ("priority", "high".to_owned()),
        ("idempotency-key", good.idempotency_key.clone()),
    ];
    for row in over {
        arguments.retain(|(name, _)| *name != row.name);
        arguments.push((row.name, row.value.clone()));
    }
    let mut command = stellara(cluster, node);
    command.args(["payment", "submit"]);
    for (name, value) in arguments {
        // With "=", so that a value may begin with "-".
        command.arg(format!("--{name}={value}"));
    }
    command
}

fn stellara(cluster: &Cluster, node: usize) -> Command {
    let mut command = binaries::cli();
    command.args(["--endpoint", &cluster.addresses(node).public_url()]);
    command
}

async fn check(command: &mut Command, expected: &Row) {
    let ended = run(command).await;
    let (name, value) = (expected.name, &expected.value);
    let told = format!("{name}={value}: {}", ended.output);
    assert_eq!(ended.status.code(), Some(expected.exit), "{told}");
    assert!(ended.output.starts_with("error: "), "{told}");
    assert!(!ended.output.contains("panicked"), "{told}");
    for words in expected.words {
        assert!(ended.output.contains(words), "{words:?} is not in {told}");
    }
}

/// The bad rows of the table in one file, and not one good one.
async fn check_file(cluster: &Cluster, good: &SubmitPaymentRequest) {
    let head = "idempotency_key,destination,asset,amount,memo_text\n";
    let (to, what) = (&good.destination, &good.asset);
    let long = "m".repeat(29);
    let rows = [
        format!("f-1,{MISTYPED},{what},1,"),
        format!("f-2,{to},{what},1.12345678,"),
        format!("f-3,{to},{what},0,"),
        format!("f-4,{to},{what},-1,"),
        format!("f-5,{to},{what},1000000001,"),
        format!("f-6,{to},XLM,1,"),
        format!("f-7,{to},{what},1,{long}"),
        "f-8,not,even,the,right,number,of,columns".to_owned(),
    ];
    let file = cluster.dir().join("bad.csv");
    let written = std::fs::write(&file, head.to_owned() + &rows.join("\n"));
    written.expect("the cluster's folder can be written");
    let mut command = stellara(cluster, 0);
    command.args(["payment", "submit", "--output", "json", "--file"]);
    let ended = run(command.arg(&file)).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    for (line, field) in (2..).zip([
        "destination",
        "amount",
        "amount",
        "amount",
        "amount",
        "asset",
        "memo_text",
    ]) {
        let told = ended.output.lines();
        let mut told = told.filter(|told| told.contains(&format!("line {line}:")));
        let named = told.any(|told| told.contains(field));
        assert!(named, "line {line}, {field}: {}", ended.output);
    }
    assert!(ended.output.contains("\"accepted\": 0"), "{}", ended.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_through_the_command_line_is_refused_and_not_stored() {
    let (mut cluster, before) = idle_cluster().await;
    bounded(TEST_MS_MAX, async {
        let good = Meant::next();
        for (number, row) in at_the_door().iter().enumerate() {
            let mut command = submit(&cluster, number % 3, &good.request(), &[row]);
            check(&mut command, row).await;
        }
        check_file(&cluster, &good.request()).await;
        assert_untouched(&cluster, &before).await;

        // The machine's own refusals, told by the leader and by those that pass on.
        for node in 0..3 {
            let other_body = row("amount", "77", &["already made pay_", "another body"]);
            let mut command = submit(&cluster, node, &cluster.first().request(), &[&other_body]);
            check(&mut command, &other_body).await;
            let stranger = row("treasury", STRANGER, &[STRANGER, "not registered"]);
            let mut command = submit(&cluster, node, &good.request(), &[&stranger]);
            check(&mut command, &stranger).await;
        }
        assert_nothing_counted(&cluster, &before).await;

        let ended = run(&mut submit(&cluster, 0, &good.request(), &[])).await;
        assert!(ended.status.success(), "{}", ended.output);
        assert_at_work(&mut cluster, &[good]).await;
    })
    .await;
}
