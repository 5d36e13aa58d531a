//! The state of the node as Prometheus text, taken at each scrape.
//!
//! Text and not a registry: nothing has to be kept current between scrapes.

use std::fmt::Write as _;

use stellara_proto::v1::Totals;

use crate::gateway::{ClusterView, Role};

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// The lines of the state.
#[must_use]
pub fn render(cluster: &ClusterView, totals: &Totals) -> String {
    let mut text = String::with_capacity(4_096);
    state(&mut text, cluster);
    counts(&mut text, totals);
    members(&mut text, cluster);
    text
}

fn state(text: &mut String, cluster: &ClusterView) {
    let role = match cluster.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    };
    head(text, "raft_role", GAUGE, "what the node does, by the label");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "stellara_raft_role{{role=\"{role}\"}} 1");
    let mut gauge = |name, help, value| line(text, name, GAUGE, help, value);
    gauge("raft_term", "Raft's term", cluster.term);
    let leader_id = cluster.leader_id.unwrap_or_default();
    gauge(
        "raft_leader_id",
        "who leads, 0 when no leader is known",
        leader_id,
    );
    let last = cluster.last_log_index;
    gauge(
        "raft_last_log_index",
        "the last entry of the node's log",
        last,
    );
    let committed = cluster.committed_index;
    gauge(
        "raft_committed_index",
        "the last entry that it knows to be committed",
        committed,
    );
    let applied = cluster.applied_index;
    gauge(
        "raft_applied_index",
        "the last entry that it applied",
        applied,
    );
    let read_only = u64::from(cluster.read_only_reason.is_some());
    gauge("read_only", "1 while the node takes no writes", read_only);
}

fn counts(text: &mut String, totals: &Totals) {
    let mut gauge = |name, help, value| line(text, name, GAUGE, help, value);
    let on_its_way = "payments in a batch on its way to the ledger";
    gauge(
        "payments_queued",
        "payments that wait for a batch",
        totals.queued,
    );
    gauge("payments_batched", on_its_way, totals.batched);
    gauge(
        "batches_live",
        "batches on their way to the ledger",
        totals.batches_live,
    );
    let mut counter = |name, help, value| line(text, name, COUNTER, help, value);
    let accepted = "payments accepted since the cluster began";
    counter("payments_submitted_total", accepted, totals.submitted);
    counter("payments_settled_total", "payments paid", totals.settled);
    counter(
        "payments_failed_total",
        "payments that cannot be paid",
        totals.failed,
    );
    counter(
        "payments_cancelled_total",
        "payments withdrawn",
        totals.cancelled,
    );
    counter(
        "batches_settled_total",
        "batches applied by the ledger",
        totals.batches_settled,
    );
    let fees = "what the fee accounts paid, in stroops";
    counter(
        "fee_charged_stroops_total",
        fees,
        totals.fee_charged_stroops,
    );
}

fn members(text: &mut String, cluster: &ClusterView) {
    let help = "how far the leader knows a member's log to match; only the leader tells";
    head(text, "member_matched_index", GAUGE, help);
    for member in &cluster.members {
        if let Some(index) = member.matched_index {
            let id = member.node_id;
            let _ = writeln!(
                text,
                "stellara_member_matched_index{{node_id=\"{id}\"}} {index}"
            );
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(
        text,
        "# HELP stellara_{name} {help}\n# TYPE stellara_{name} {kind}\n"
    );
}

fn line(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(text, name, kind, help);
    let _ = writeln!(text, "stellara_{name} {value}");
}

#[cfg(test)]
mod reference;
