//! The cluster: its status, its members, and changes of who votes.

use stellara_proto::v1::{
    AddVoterRequest, ClusterStatus, GetClusterStatusRequest, ListMembersRequest, Member,
    RemoveVoterRequest, VotersChanged,
};

use crate::client::{Call, Client};
use crate::error::ClientError;

impl Client {
    /// The cluster as the node that answers sees it.
    ///
    /// # Errors
    /// What keeps every node from answering.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(GetClusterStatusRequest {});
            let mut cluster = attempt.cluster();
            async move { cluster.get_cluster_status(request).await }
        })
        .await
    }

    /// The members and their addresses.
    ///
    /// # Errors
    /// What keeps every node from answering.
    pub async fn list_members(&self) -> Result<Vec<Member>, ClientError> {
        let answer = self
            .call(Call::Read, |attempt| {
                let request = attempt.request(ListMembersRequest {});
                let mut cluster = attempt.cluster();
                async move { cluster.list_members(request).await }
            })
            .await?;
        Ok(answer.members)
    }

    /// Makes a configured node a voter. A change names what is wanted: it may be asked for again, and every attempt waits
    /// for the one that is under way.
    ///
    /// # Errors
    /// The leader's refusal; `Unknown` when the deadline passed and the change may go on.
    pub async fn add_voter(&self, node_id: u64) -> Result<VotersChanged, ClientError> {
        self.call(CHANGE, |attempt| {
            let request = attempt.request(AddVoterRequest { node_id });
            let mut cluster = attempt.cluster();
            async move { cluster.add_voter(request).await }
        })
        .await
    }

    /// Takes a node's vote, and takes it out of the cluster; a leader hands leadership over first.
    ///
    /// # Errors
    /// As [`Client::add_voter`].
    pub async fn remove_voter(&self, node_id: u64) -> Result<VotersChanged, ClientError> {
        self.call(CHANGE, |attempt| {
            let request = attempt.request(RemoveVoterRequest { node_id });
            let mut cluster = attempt.cluster();
            async move { cluster.remove_voter(request).await }
        })
        .await
    }
}

/// What was asked for is its own key.
const CHANGE: Call<'static> = Call::Write {
    idempotency_key: "",
};
