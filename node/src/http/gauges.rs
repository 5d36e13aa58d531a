//! The state of the node as Prometheus text, taken at each scrape.
//!
//! Text and not a registry: nothing has to be kept current between scrapes.

use std::fmt::Write as _;

use stellara_proto::v1::Totals;

use crate::gateway::{ClusterView, Role};

/// The lines of the state.
#[must_use]
pub fn render(cluster: &ClusterView, totals: &Totals) -> String {
    let mut text = String::with_capacity(4_096);
    let role = match cluster.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    };
    let _ = write!(
        text,
        "# TYPE stellara_raft_role gauge\nstellara_raft_role{{role=\"{role}\"}} 1\n"
    );
    let gauges = [
        ("raft_term", cluster.term),
        ("raft_leader_id", cluster.leader_id.unwrap_or_default()),
        ("raft_last_log_index", cluster.last_log_index),
        ("raft_committed_index", cluster.committed_index),
        ("raft_applied_index", cluster.applied_index),
        ("read_only", u64::from(cluster.read_only_reason.is_some())),
        ("payments_queued", totals.queued),
        ("payments_batched", totals.batched),
        ("batches_live", totals.batches_live),
    ];
    for (name, value) in gauges {
        line(&mut text, name, "gauge", value);
    }
    let counters = [
        ("payments_submitted_total", totals.submitted),
        ("payments_settled_total", totals.settled),
        ("payments_failed_total", totals.failed),
        ("payments_cancelled_total", totals.cancelled),
        ("batches_settled_total", totals.batches_settled),
        ("fee_charged_stroops_total", totals.fee_charged_stroops),
    ];
    for (name, value) in counters {
        line(&mut text, name, "counter", value);
    }
    text.push_str("# TYPE stellara_member_matched_index gauge\n");
    for member in &cluster.members {
        if let Some(index) = member.matched_index {
            let id = member.node_id;
            let _ = writeln!(
                text,
                "stellara_member_matched_index{{node_id=\"{id}\"}} {index}"
            );
        }
    }
    text
}

fn line(text: &mut String, name: &str, kind: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# TYPE stellara_{name} {kind}\nstellara_{name} {value}\n"
    );
}
