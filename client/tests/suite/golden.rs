//! The help of every command, as golden files. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;
use std::process::Command;

/// Compares the help of a command with its golden file.
fn check(words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_stellara"))
        .args(words)
        .arg("--help")
        .env_remove("STELLARA_ENDPOINTS")
        .env_remove("STELLARA_API_KEY")
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let name = match words {
        [] => "help.txt".to_owned(),
        words => format!("help-{}.txt", words.join("-")),
    };
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", &name]
        .iter()
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &help).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        help, golden,
        "{name} differs: UPDATE_GOLDEN=1 writes it anew"
    );
}

#[test]
fn the_help_of_every_command_is_known() {
    for words in [
        "",
        "payment",
        "payment submit",
        "payment get",
        "payment list",
        "payment cancel",
        "payment watch",
        "batch",
        "batch get",
        "batch list",
        "batching",
        "batching policy",
        "batching policy get",
        "batching policy set",
        "deadletter",
        "deadletter list",
        "deadletter retry",
        "fee",
        "fee current",
        "fee quote",
        "fee history",
        "fee savings",
        "cluster",
        "cluster status",
        "cluster members",
        "cluster add-voter",
        "cluster remove-voter",
        "bench",
        "bench submit",
        "bench read",
        "completions",
    ] {
        check(&words.split_whitespace().collect::<Vec<_>>());
    }
}
