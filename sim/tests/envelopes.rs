//! `stellara-sim envelopes` as a process: what it prints, and the words for what it does not take.

use std::process::{Command, Output};

use serde_json::Value;

fn envelopes(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stellara-sim"))
        .arg("envelopes")
        .args(args)
        .output()
        .expect("the binary is built beside this test")
}

/// It ends with a failure that says this, and prints no line.
fn check(args: &[&str], expected: &str) {
    let output = envelopes(args);
    let words = String::from_utf8(output.stderr).expect("words are text");
    assert!(!output.status.success(), "{args:?}");
    assert!(
        words.contains(expected),
        "{words:?} does not say {expected:?}"
    );
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn as_many_lines_as_asked_for_each_an_object() {
    let output = envelopes(&["--seed", "7", "--count", "20", "--output", "jsonl"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line["inner_xdr"].is_string()));
    let again = envelopes(&["--seed", "7", "--count", "20"]);
    assert_eq!(
        again.stdout,
        text.as_bytes(),
        "lines of JSON are the default"
    );
}

#[test]
fn numbers_out_of_range_are_told_by_name() {
    for (seed, count, expected) in [
        ("1", "0", "count is 0, expected a whole number from 1 to"),
        ("1", "-3", "count is -3, expected"),
        ("1", "10000001", "count is 10000001, expected"),
        ("1", "many", "count is many, expected"),
        ("-1", "1", "seed is -1, expected a whole number from 0 to"),
        ("18446744073709551616", "1", "seed is 18446744073709551616"),
        ("1.5", "1", "seed is 1.5, expected"),
    ] {
        check(&["--seed", seed, "--count", count], expected);
    }
    check(&["--count", "1"], "--seed");
    check(
        &["--seed", "1", "--count", "1", "--output", "csv"],
        "--output",
    );
}
