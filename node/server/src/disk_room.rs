//! Watches the data folder's disk: nearly full makes the node read-only and moves leadership, before a write fails.

use std::path::Path;
use std::time::Duration;

use stellara_node::gateway::Gateway;
use stellara_node::node::{Node, Ports};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const TRANSFER_WITHIN: Duration = Duration::from_secs(3);

/// Bytes that this process may still write to the folder's disk.
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Watches until the node stops.
pub async fn watch<P: Ports>(node: Node<P>, folder: &Path, reserve_bytes: u64) {
    let mut short = false;
    loop {
        let free = free_bytes(folder);
        let now_short = free.is_some_and(|free| free < reserve_bytes);
        if now_short {
            node.gate().read_only(format!(
                "the disk of {} has {} bytes free, fewer than the reserve of {reserve_bytes}",
                folder.display(),
                free.unwrap_or(0),
            ));
            if !short {
                tracing::error!(
                    folder = %folder.display(),
                    free_bytes = free,
                    reserve_bytes,
                    "disk nearly full: read-only"
                );
            }
            if node.status().leader_id == Some(node.status().node_id)
                && let Err(reason) = node.transfer_leadership(None, TRANSFER_WITHIN).await
            {
                tracing::warn!(%reason, "leadership not moved off the full disk");
            }
        } else if short {
            node.gate().writable();
            tracing::info!(free_bytes = free, "disk has room again: taking writes");
        }
        short = now_short;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
