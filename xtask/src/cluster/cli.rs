//! The product's own client, as a program: what a task sees is what a user sees.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::binaries::Binaries;
use super::error::ClusterError;
use crate::shell;

/// `stellara`.
pub struct Cli<'a> {
    binaries: &'a Binaries,
}

/// The cluster as a node sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Status {
    /// Who answered.
    pub node_id: u64,
    /// 0 when none is known.
    pub leader_id: u64,
    /// The state's digest at the index below.
    pub digest: String,
    /// The index of the digest.
    pub digest_index: u64,
    /// Counts since the cluster began.
    pub totals: Totals,
}

/// Counts since the cluster began.
#[derive(Debug, PartialEq, Eq)]
pub struct Totals {
    /// Payments accepted.
    pub submitted: u64,
    /// Payments paid.
    pub settled: u64,
    /// Payments that cannot be paid.
    pub failed: u64,
    /// Payments withdrawn.
    pub cancelled: u64,
    /// Batches paid.
    pub batches_settled: u64,
}

impl<'a> Cli<'a> {
    /// The client that was built.
    pub fn new(binaries: &'a Binaries) -> Self {
        Self { binaries }
    }

    /// The cluster as one of these nodes sees it.
    ///
    /// # Errors
    /// When none answers in time, or not as agreed.
    pub fn status(&self, endpoints: &[String]) -> Result<Status, ClusterError> {
        let mut command = self.command(endpoints, "2s");
        command.args(["cluster", "status"]);
        let text = shell::output(&mut command)?;
        read_status(&text).map_err(|why| ClusterError::Answer {
            from: shell::line(&command),
            why,
        })
    }

    /// The command that submits a file through these nodes; prints counts as JSON.
    pub fn submit_file(&self, endpoints: &[String], file: &Path) -> Command {
        let mut command = self.command(endpoints, "30s");
        command.args(["payment", "submit", "--file"]).arg(file);
        command
    }

    /// A command that asks these nodes, prints JSON and waits for an answer no longer than `timeout`.
    pub fn command(&self, endpoints: &[String], timeout: &str) -> Command {
        let mut command = self.binaries.cli();
        command.args(["--output", "json", "--timeout", timeout]);
        for endpoint in endpoints {
            command.args(["--endpoint", endpoint]);
        }
        command
    }
}

fn read_status(text: &str) -> Result<Status, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let totals = &json["totals"];
    Ok(Status {
        node_id: number(&json, "nodeId")?,
        leader_id: number(&json, "leaderId")?,
        digest: json["digest"]
            .as_str()
            .ok_or("digest must be text")?
            .to_owned(),
        digest_index: number(&json, "digestIndex")?,
        totals: Totals {
            submitted: number(totals, "submitted")?,
            settled: number(totals, "settled")?,
            failed: number(totals, "failed")?,
            cancelled: number(totals, "cancelled")?,
            batches_settled: number(totals, "batchesSettled")?,
        },
    })
}

/// A 64-bit number: protobuf's JSON writes it as text.
pub fn number(json: &Value, key: &str) -> Result<u64, String> {
    let value = &json[key];
    let read = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    read.ok_or_else(|| format!("{key} must be a whole number, found {value}"))
}

#[cfg(test)]
mod tests {
    use super::read_status;

    #[test]
    fn a_status_is_read_as_protobuf_writes_it() {
        let text = r#"{"nodeId":"2","leaderId":"1","digest":"ab","digestIndex":"7","totals":{"submitted":"3",
            "settled":"2","failed":"1","cancelled":"0","batchesSettled":"1"}}"#;
        let status = read_status(text).unwrap();
        assert_eq!(
            (status.node_id, status.leader_id, status.digest_index),
            (2, 1, 7)
        );
        assert_eq!(
            (status.totals.settled, status.totals.batches_settled),
            (2, 1)
        );
        let error = read_status(r#"{"nodeId":"2"}"#).unwrap_err();
        assert_eq!(error, "leaderId must be a whole number, found null");
    }
}
