//! The ledger of a cluster under test: `stellara-sim ledger` as a process of its own, with its
//! control routes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::de::DeserializeOwned;
use stellara_ledger::{CheckReport, FaultPlan, Intent, JournalEntry};

use crate::accounts::{Accounts, Meant};
use crate::binaries;
use crate::http::{self, Answer};
use crate::process::Process;
use crate::wait::until;

/// Time between two ledgers: short, so that tests are.
pub const CLOSE_MS: u32 = 300;
/// How long it may take to answer.
const READY_MS_MAX: u64 = 20_000;

/// A running ledger.
#[derive(Debug)]
pub struct Ledger {
    process: Process,
    address: String,
}

impl Ledger {
    /// Starts it at this address with these accounts.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub async fn start(dir: &Path, ip: IpAddr, accounts: &Accounts) -> Self {
        let file = dir.join("ledger-accounts.json");
        let setup = serde_json::to_vec(&accounts.ledger_setup()).expect("a set-up is plain data");
        std::fs::write(&file, setup).expect("the cluster's folder can be written");
        let mut command = binaries::sim();
        // Port 0: the ledger says itself which one it got.
        let listen = SocketAddr::new(ip, 0).to_string();
        command.args(["ledger", "--seed", "1", "--listen", &listen]);
        command.args(["--close-ms", &CLOSE_MS.to_string(), "--accounts"]);
        command.arg(&file);
        let mut process = Process::start("ledger", &mut command, &dir.join("ledger.log"));
        let address = until("the ledger listens", READY_MS_MAX, || {
            assert!(process.ended().is_none(), "ledger: {}", process.log_tail());
            let log = process.log();
            async move { listening_at(&log) }
        })
        .await;
        Self { process, address }
    }

    /// The base of its URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it printed last.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Puts these faults in force in place of all others.
    ///
    /// # Panics
    /// When the ledger refuses them.
    pub async fn set_faults(&self, plan: &FaultPlan) {
        let json = serde_json::to_string(plan).expect("a plan is plain data");
        let _: FaultPlan = self.post("/_stellara/faults", &json).await;
    }

    /// The faults still in force, with what is left of their counts.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn faults(&self) -> FaultPlan {
        let answer = http::get(&self.address, "/_stellara/faults").await;
        read("faults", &well("faults", answer).body)
    }

    /// Every applied transaction, in order.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn journal(&self) -> Vec<JournalEntry> {
        let answer = http::get(&self.address, "/_stellara/journal").await;
        let body = well("journal", answer).body;
        body.lines().map(|line| read("journal", line)).collect()
    }

    /// How often each of these was paid from these accounts, and what else was.
    ///
    /// # Panics
    /// When the ledger does not answer.
    pub async fn check(&self, meant: &[Meant], accounts: &Accounts) -> CheckReport {
        let intents: Vec<Intent> = meant.iter().map(Meant::intent).collect();
        let treasuries: BTreeSet<_> = accounts.treasuries().iter().collect();
        let json = serde_json::json!({ "intents": intents, "treasuries": treasuries });
        self.post("/_stellara/check", &json.to_string()).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, json: &str) -> T {
        let answer = http::post(&self.address, path, json).await;
        read(path, &well(path, answer).body)
    }
}

/// Reads the line `ledger listening on http://...`.
fn listening_at(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    // Only a whole line holds the whole address.
    let (address, _) = rest.split_once('\n')?;
    Some(address.trim().to_owned())
}

fn well(what: &str, answer: std::io::Result<Answer>) -> Answer {
    let answer = answer.unwrap_or_else(|error| panic!("ledger, {what}: {error}"));
    assert_eq!(answer.status, 200, "ledger, {what}: {}", answer.body);
    answer
}

fn read<T: DeserializeOwned>(what: &str, json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("ledger, {what}: {error}: {json}"))
}

#[cfg(test)]
mod tests {
    use super::listening_at;

    #[test]
    fn the_address_is_read_from_a_whole_line() {
        assert_eq!(
            listening_at("ledger listening on http://127.0.0.1:80"),
            None
        );
        let line = "x\nledger listening on http://127.0.0.1:8000\n";
        assert_eq!(listening_at(line).as_deref(), Some("127.0.0.1:8000"));
    }
}
