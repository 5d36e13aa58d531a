//! The cluster: its status and its members.

use stellara_proto::v1::{ClusterStatus, GetClusterStatusRequest, ListMembersRequest, Member};

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
}
