//! What became of the sample. Invariant: lost and paid twice are counted from the ledger's
//! journal against what the sample must lead to, never from what the nodes say of themselves.

use serde_json::{Value, json};

use super::failover::Failover;
use super::sample::Sample;
use crate::cluster::accounts::Accounts;
use crate::cluster::cli::{self, Cli};
use crate::cluster::fleet::Fleet;
use crate::cluster::layout::REGIONS;
use crate::cluster::{ClusterError, ledger};

/// How long the nodes may take to stand at one index.
const LEVEL_MS_MAX: u64 = 30_000;
/// What one payment costs in a fee-bumped transaction of its own, at the base fee: two operations.
const BUMPED_SINGLE_STROOPS: u64 = 200;

/// The end of the story.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Acknowledged to a client.
    pub payments_submitted: u64,
    /// Paid, as the cluster says.
    pub payments_settled: u64,
    /// Cannot be paid, as the cluster says.
    pub payments_failed: u64,
    /// How many of the sample cannot be paid.
    pub payments_failed_expected: u64,
    /// Should be paid and are not on the ledger.
    pub payments_lost: u64,
    /// On the ledger more often than meant.
    pub payments_paid_twice: u64,
    /// On the ledger and never meant, as a payment that must fail.
    pub payments_paid_in_error: u64,
    /// Batches that settled.
    pub batches: u64,
    /// Our transactions on the ledger, failed ones too.
    pub ledger_transactions: u64,
    /// What they cost.
    pub fee_stroops: u64,
    /// What the same payments cost one by one.
    pub fee_stroops_bumped_singles: u64,
    /// The node that led and was killed.
    pub leader_killed: u64,
    /// From the kill to the next acknowledged write.
    pub failover_ms: u64,
    /// All nodes hold the same state at the same index.
    pub digests_equal: bool,
    /// From the first process to the verdict.
    pub elapsed_ms: u64,
}

impl Summary {
    /// Asks the ledger and every node.
    ///
    /// # Errors
    /// When one does not answer as agreed, or the nodes do not come level.
    pub fn gather(
        fleet: &mut Fleet,
        cli: &Cli<'_>,
        sample: &Sample,
        accounts: &Accounts,
        failover: &Failover,
    ) -> Result<Self, ClusterError> {
        let digests_equal = digests_equal(fleet, cli)?;
        let totals = cli.status(&super::layout::endpoints())?.totals;
        let request = json!({ "intents": sample.intents(), "treasuries": accounts.treasuries() });
        let report = ledger::check(&request)?;
        let journal = ledger::journal()?;
        let mut summary = Self {
            payments_submitted: failover.acknowledged,
            payments_settled: totals.settled,
            payments_failed: totals.failed,
            payments_failed_expected: sample.failing() as u64,
            batches: totals.batches_settled,
            fee_stroops_bumped_singles: failover.acknowledged * BUMPED_SINGLE_STROOPS,
            leader_killed: failover.killed,
            failover_ms: failover.gap_ms,
            digests_equal,
            ..Self::default()
        };
        let told = |why| ClusterError::Answer {
            from: "the ledger".to_owned(),
            why,
        };
        summary.take_report(&report).map_err(told)?;
        summary.take_journal(&journal, accounts).map_err(told)?;
        Ok(summary)
    }

    fn take_report(&mut self, report: &Value) -> Result<(), String> {
        let sum = |list: &str, more: &str, less: &str| -> Result<u64, String> {
            let entries = report[list]
                .as_array()
                .ok_or(format!("{list} must be a list"))?;
            entries.iter().try_fold(0, |sum, entry| {
                let difference = cli::number(entry, more)?.checked_sub(cli::number(entry, less)?);
                let difference = difference.ok_or(format!("{list}: {less} exceeds {more}"))?;
                Ok(sum + difference)
            })
        };
        self.payments_lost = sum("missing", "expected", "paid")?;
        self.payments_paid_twice = sum("excess", "paid", "expected")?;
        self.payments_paid_in_error = sum("unexpected", "paid", "expected")?;
        Ok(())
    }

    fn take_journal(&mut self, journal: &[Value], accounts: &Accounts) -> Result<(), String> {
        for entry in journal {
            let payer = entry["fee_source"]
                .as_str()
                .ok_or("fee_source must be text")?;
            if accounts.pays_fees(payer) {
                self.ledger_transactions += 1;
                self.fee_stroops += cli::number(entry, "fee_charged_stroops")?;
            }
        }
        Ok(())
    }

    /// Prints it on stdout, for programs or for people.
    pub fn print(&self, is_json: bool) {
        let json = self.json();
        if is_json {
            println!("{json}");
            return;
        }
        for (name, value) in json.as_object().into_iter().flatten() {
            println!("{name:<28}{value}");
        }
    }

    fn json(&self) -> Value {
        json!({
            "payments_submitted": self.payments_submitted,
            "payments_settled": self.payments_settled,
            "payments_failed": self.payments_failed,
            "payments_failed_expected": self.payments_failed_expected,
            "payments_lost": self.payments_lost,
            "payments_paid_twice": self.payments_paid_twice,
            "payments_paid_in_error": self.payments_paid_in_error,
            "batches": self.batches,
            "ledger_transactions": self.ledger_transactions,
            "fee_stroops": self.fee_stroops,
            "fee_stroops_bumped_singles": self.fee_stroops_bumped_singles,
            "leader_killed": self.leader_killed,
            "failover_ms": self.failover_ms,
            "digests_equal": self.digests_equal,
            "elapsed_ms": self.elapsed_ms,
        })
    }

    /// Holds the summary against the promises.
    ///
    /// # Errors
    /// `Broken` with every promise that does not hold.
    pub fn check(&self) -> Result<(), ClusterError> {
        let zero = |count: u64, what: &str| (count > 0).then(|| format!("{count} payments {what}"));
        let finals = self.payments_settled + self.payments_failed;
        let broken: Vec<String> = [
            zero(self.payments_lost, "are lost"),
            zero(self.payments_paid_twice, "are paid twice"),
            zero(self.payments_paid_in_error, "are paid in error"),
            (finals != self.payments_submitted).then(|| {
                format!(
                    "{} payments were accepted and {finals} ended",
                    self.payments_submitted
                )
            }),
            (self.payments_failed != self.payments_failed_expected).then(|| {
                let (failed, expected) = (self.payments_failed, self.payments_failed_expected);
                format!("{failed} payments failed and {expected} cannot be paid")
            }),
            (!self.digests_equal).then(|| "the nodes hold different states".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(ClusterError::Broken(broken))
    }
}

/// Waits until all nodes stand at one index, and compares their states there.
fn digests_equal(fleet: &mut Fleet, cli: &Cli<'_>) -> Result<bool, ClusterError> {
    fleet.until("all nodes stand at one index", LEVEL_MS_MAX, || {
        let mut states = Vec::new();
        for region in &REGIONS {
            let status = cli.status(&[region.public_url()]).ok()?;
            // A client may ask another node when this one is slow to answer.
            if status.node_id != region.node_id {
                return None;
            }
            states.push((status.digest_index, status.digest));
        }
        let is_level = states.windows(2).all(|pair| pair[0].0 == pair[1].0);
        is_level.then(|| states.windows(2).all(|pair| pair[0].1 == pair[1].1))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Accounts, Summary};

    fn good() -> Summary {
        Summary {
            payments_submitted: 10,
            payments_settled: 9,
            payments_failed: 1,
            payments_failed_expected: 1,
            digests_equal: true,
            ..Summary::default()
        }
    }

    fn check(change: impl FnOnce(&mut Summary), expected: &str) {
        let mut summary = good();
        change(&mut summary);
        let error = summary.check().unwrap_err().to_string();
        assert_eq!(error, format!("does not hold:\n  {expected}"));
    }

    #[test]
    fn a_broken_promise_is_named() {
        good().check().unwrap();
        check(|it| it.payments_lost = 1, "1 payments are lost");
        check(|it| it.payments_paid_twice = 2, "2 payments are paid twice");
        check(
            |it| it.payments_paid_in_error = 1,
            "1 payments are paid in error",
        );
        check(
            |it| it.payments_settled = 8,
            "10 payments were accepted and 9 ended",
        );
        check(
            |it| it.digests_equal = false,
            "the nodes hold different states",
        );
        check(
            |it| it.payments_failed_expected = 2,
            "1 payments failed and 2 cannot be paid",
        );
    }

    #[test]
    fn the_ledgers_report_is_counted() {
        let mut summary = good();
        let report = json!({
            "missing": [{ "expected": 3, "paid": 1 }, { "expected": 1, "paid": 0 }],
            "excess": [{ "expected": 1, "paid": 2 }],
            "unexpected": [{ "expected": 0, "paid": 4 }],
        });
        summary.take_report(&report).unwrap();
        let counts = (
            summary.payments_lost,
            summary.payments_paid_twice,
            summary.payments_paid_in_error,
        );
        assert_eq!(counts, (3, 1, 4));
        summary.take_report(&json!({})).unwrap_err();
    }

    #[test]
    fn only_our_transactions_are_counted() {
        let text = r#"{"treasuries":[],"channels":[],"fee_accounts":["GF"]}"#;
        let accounts = Accounts::read(text).unwrap();
        let journal = [
            json!({ "fee_source": "GF", "fee_charged_stroops": 300 }),
            json!({ "fee_source": "GX", "fee_charged_stroops": 500 }),
        ];
        let mut summary = good();
        summary.take_journal(&journal, &accounts).unwrap();
        assert_eq!((summary.ledger_transactions, summary.fee_stroops), (1, 300));
    }
}
