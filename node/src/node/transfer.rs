//! Hands leadership over, and waits until it has moved.

use std::time::Duration;

use openraft_rt::AsyncRuntime;
use openraft_rt::watch::WatchReceiver as _;
use stellara_raft_store::types::NodeId;

use super::{Node, Ports};
use crate::gateway::{Gateway as _, Suffrage};

impl<P: Ports> Node<P> {
    /// Hands leadership to `to`, or to the voter whose log is furthest, and waits until another node leads.
    ///
    /// # Errors
    /// In words: this node does not lead, nobody can take over, or nobody did within `limit`.
    pub async fn transfer_leadership(
        &self,
        to: Option<NodeId>,
        limit: Duration,
    ) -> Result<(), String> {
        let status = self.status();
        if !self.inner.raft.is_leader() {
            return Err(format!("node {} does not lead", status.node_id));
        }
        let others = status
            .members
            .iter()
            .filter(|member| member.suffrage == Suffrage::Voter)
            .filter(|member| member.node_id != status.node_id)
            .filter(|member| to.is_none_or(|to| to == member.node_id));
        let target = others
            .max_by_key(|member| member.matched_index)
            .ok_or_else(|| match to {
                Some(to) => format!("node {to} is not another voter"),
                None => "there is no other voter".to_owned(),
            })?
            .node_id;
        let mut metrics = self.inner.raft.server_metrics();
        self.inner
            .raft
            .trigger()
            .transfer_leader(target)
            .await
            .map_err(|error| error.to_string())?;
        let own = status.node_id;
        let moved = async {
            loop {
                let leader = metrics.borrow_and_update().current_leader;
                if leader.is_some_and(|leader| leader != own) {
                    return;
                }
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        P::Runtime::timeout(limit, moved)
            .await
            .map_err(|_| format!("node {target} did not take over within {limit:?}"))
    }
}
