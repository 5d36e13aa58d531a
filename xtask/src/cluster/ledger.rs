//! The ledger of a cluster: `stellara-sim ledger`.

use serde_json::Value;

use super::binaries::Binaries;
use super::error::ClusterError;
use super::fleet::Fleet;
use super::http;
use super::layout::{LEDGER, Layout};

/// How long it may take to answer.
const READY_MS_MAX: u64 = 30_000;

/// Starts it with these accounts, a ledger every `close_ms`, and waits until it answers.
///
/// # Errors
/// When it ends or does not answer in time.
pub fn start(
    fleet: &mut Fleet,
    binaries: &Binaries,
    layout: &Layout,
    accounts: &Value,
    close_ms: i64,
) -> Result<(), ClusterError> {
    let accounts = layout.write("ledger-accounts.json", &accounts.to_string())?;
    let mut command = binaries.sim();
    command.args(["ledger", "--listen", LEDGER, "--seed", "1", "--close-ms"]);
    command.arg(close_ms.to_string());
    command.arg("--accounts").arg(accounts);
    command.arg("--journal").arg(layout.file("journal.jsonl"));
    fleet.start("ledger", &mut command, &layout.log("ledger"))?;
    fleet.until("the ledger answers", READY_MS_MAX, || {
        http::get(LEDGER, "/")
            .ok()
            .filter(|answer| answer.status == 200)
    })?;
    Ok(())
}

/// Every applied transaction, in order.
///
/// # Errors
/// When the ledger does not answer as agreed.
pub fn journal() -> Result<Vec<Value>, ClusterError> {
    let answer = http::get(LEDGER, "/_stellara/journal").map_err(wrong)?;
    let lines = answer.body.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("journal: {error}")))
}

/// The checker's report: which intents were paid, how often, and what else was.
///
/// # Errors
/// When the ledger does not answer as agreed.
pub fn check(request: &Value) -> Result<Value, ClusterError> {
    let answer = http::post(LEDGER, "/_stellara/check", &request.to_string()).map_err(wrong)?;
    if answer.status != 200 {
        return Err(wrong(format!(
            "check: status {}: {}",
            answer.status, answer.body
        )));
    }
    serde_json::from_str(&answer.body).map_err(|error| wrong(format!("check: {error}")))
}

fn wrong(why: String) -> ClusterError {
    ClusterError::Answer {
        from: "the ledger".to_owned(),
        why,
    }
}
