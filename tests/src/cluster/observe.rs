//! What a cluster says of itself, node by node, and what its ledger says of it.

use std::cell::Cell;

use stellara_client::api::ClusterStatus;
use stellara_client::{Client, Discovery};

use super::Cluster;
use crate::accounts::Meant;
use crate::wait::until;

/// How long a cluster may take to elect, to come level, or to settle what it accepted.
const LEADER_MS_MAX: u64 = 30_000;
const LEVEL_MS_MAX: u64 = 60_000;
const SETTLED_MS_MAX: u64 = 120_000;
/// Looks in a row that must find the same before a cluster counts as still.
const STILL_LOOKS: u32 = 25;

/// What held in the end.
#[derive(Debug)]
pub struct ClusterCheck {
    /// Index of the log at which every node had the same digest.
    pub index: u64,
    /// Payments that the ledger shows, each once.
    pub paid: u64,
}

impl Cluster {
    /// A client of this node alone.
    ///
    /// # Panics
    /// Never: the endpoint is well formed.
    pub fn client_of(&self, node: usize) -> Client {
        let builder = Client::builder()
            .endpoints([self.addresses(node).public_url()])
            .discovery(Discovery::Off);
        builder.build().expect("the endpoint is well formed")
    }

    /// The cluster as this node sees it; `None` when it does not answer.
    pub async fn status(&self, node: usize) -> Option<ClusterStatus> {
        self.client_of(node).cluster_status().await.ok()
    }

    /// Waits until a node that runs says who leads; answers the leader, from 0.
    ///
    /// # Panics
    /// When nobody leads in time.
    pub async fn leader(&self) -> usize {
        until("somebody leads", LEADER_MS_MAX, || async {
            for node in self.running() {
                // Only the leader's own word counts: others may not have heard of its end.
                let status = self.status(node).await;
                let leads = status.is_some_and(|status| status.leader_id == status.node_id);
                if leads {
                    return Some(node);
                }
            }
            None
        })
        .await
    }

    /// A node that runs and does not lead.
    ///
    /// # Panics
    /// When nobody leads in time.
    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        let mut others = self.running().filter(|node| *node != leader);
        others.next().expect("two nodes run")
    }

    /// Waits until every node that runs has applied the same index with the same digest.
    ///
    /// # Panics
    /// When two digests differ at one index, or the nodes do not come level in time.
    pub async fn await_level(&self) -> u64 {
        until("the nodes are level", LEVEL_MS_MAX, || async {
            let mut seen: Vec<ClusterStatus> = Vec::new();
            for node in self.running() {
                seen.push(self.status(node).await?);
            }
            let first = seen.first()?;
            let level = seen.iter().all(|s| s.digest_index == first.digest_index);
            if !level {
                return None;
            }
            for status in &seen {
                let (index, node) = (status.digest_index, status.node_id);
                assert_eq!(status.digest, first.digest, "node {node} at index {index}");
            }
            Some(first.digest_index)
        })
        .await
    }

    /// Waits until the nodes are level and nothing moves any more; answers what they agree on.
    ///
    /// # Panics
    /// As [`Cluster::await_level`], and when the cluster never comes to rest.
    pub async fn await_still(&self) -> ClusterStatus {
        let seen = Cell::new((0, 0));
        until("nothing moves any more", LEVEL_MS_MAX, || async {
            let index = self.await_level().await;
            let (last, looks) = seen.get();
            let looks = if index == last { looks + 1 } else { 0 };
            seen.set((index, looks));
            if looks < STILL_LOOKS {
                return None;
            }
            self.status(self.running().next()?).await
        })
        .await
    }

    /// Waits until everything accepted has settled, then holds the ledger and the nodes to the
    /// promises: each of these was paid once, nothing else was, and every digest is the same.
    ///
    /// # Panics
    /// When a promise is broken, or it takes too long.
    pub async fn check(&self, meant: &[Meant]) -> ClusterCheck {
        let client = self.client();
        let meant = [meant, std::slice::from_ref(&self.first)].concat();
        let least = u64::try_from(meant.len()).expect("a test submits few payments");
        until("everything has settled", SETTLED_MS_MAX, || async {
            let totals = client.cluster_status().await.ok()?.totals?;
            let done = totals.settled >= least && totals.queued + totals.batched == 0;
            done.then_some(())
        })
        .await;
        let report = self.ledger().check(&meant, self.accounts()).await;
        assert!(report.is_exactly_once(), "{report:#?}");
        let index = self.await_level().await;
        ClusterCheck {
            index,
            paid: report.paid_1,
        }
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(node, process)| process.as_ref().map(|_| node))
    }
}
