//! `stellara cluster add-voter` and `remove-voter`.

use stellara_client::api::VotersChanged;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::print_record;

pub async fn add(global: &Global, node_id: u64) -> Result<(), Failure> {
    let changed = global.client()?.add_voter(node_id).await?;
    print(global, &changed)
}

pub async fn remove(global: &Global, node_id: u64) -> Result<(), Failure> {
    let changed = global.client()?.remove_voter(node_id).await?;
    print(global, &changed)
}

fn print(global: &Global, changed: &VotersChanged) -> Result<(), Failure> {
    let fields = [
        (
            "changed",
            if changed.changed { "yes" } else { "no" }.to_owned(),
        ),
        ("voters", listed(&changed.voter_ids)),
        ("learners", listed(&changed.learner_ids)),
        ("membership at", changed.membership_index.to_string()),
    ];
    print_record(global.output, "VotersChanged", changed, &fields)
}

fn listed(node_ids: &[u64]) -> String {
    if node_ids.is_empty() {
        return "-".to_owned();
    }
    let node_ids: Vec<String> = node_ids.iter().map(u64::to_string).collect();
    node_ids.join(", ")
}
