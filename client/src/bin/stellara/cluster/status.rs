//! `stellara cluster status`.

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{or_dash, print_record, word};

pub async fn run(global: &Global) -> Result<(), Failure> {
    let status = global.client()?.cluster_status().await?;
    let totals = status.totals.unwrap_or_default();
    let leader = if status.leader_id == 0 {
        "none known".to_owned()
    } else {
        format!("node {}", status.leader_id)
    };
    let writes = if status.read_only_reason.is_empty() {
        "taken".to_owned()
    } else {
        format!("refused: {}", status.read_only_reason)
    };
    let mut fields = vec![
        ("cluster", or_dash(&status.cluster_id)),
        (
            "answered by",
            format!("node {} in {}", status.node_id, or_dash(&status.region)),
        ),
        ("version", or_dash(&status.version)),
        ("leader", leader),
        ("term", status.term.to_string()),
        ("writes", writes),
        (
            "log",
            format!(
                "last {}, committed {}, applied {}",
                status.last_log_index, status.committed_index, status.applied_index
            ),
        ),
        (
            "digest",
            format!("{} at {}", or_dash(&status.digest), status.digest_index),
        ),
        (
            "payments",
            format!(
                "{} submitted, {} queued, {} batched, {} settled, {} failed, {} cancelled",
                totals.submitted,
                totals.queued,
                totals.batched,
                totals.settled,
                totals.failed,
                totals.cancelled
            ),
        ),
        (
            "batches",
            format!(
                "{} live, {} settled",
                totals.batches_live, totals.batches_settled
            ),
        ),
        (
            "fees charged",
            format!("{} stroops", totals.fee_charged_stroops),
        ),
    ];
    for member in &status.members {
        let role = word(member.role().as_str_name(), "MEMBER_ROLE_");
        let text = format!(
            "{} {} in {} at {}",
            member.node_id, role, member.region, member.public_address
        );
        fields.push(("member", text));
    }
    print_record(global.output, "ClusterStatus", &status, &fields)
}
