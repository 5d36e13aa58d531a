//! The policy: read and replace.

use stellara_proto::v1::{GetPolicyRequest, Policy, SetPolicyRequest};

use crate::client::{Call, Client};
use crate::error::ClientError;

impl Client {
    /// The policy in force.
    ///
    /// # Errors
    /// What keeps the cluster from answering.
    pub async fn get_policy(&self, request: &GetPolicyRequest) -> Result<Policy, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(*request);
            let mut policies = attempt.policies();
            async move { policies.get_policy(request).await }
        })
        .await
    }

    /// Replaces the policy, if it is still the version that was read. The version makes a second attempt harmless: it
    /// is answered with `VersionConflict` when the first one came through.
    ///
    /// # Errors
    /// `InvalidField`, `VersionConflict`, or what keeps the cluster from answering.
    pub async fn set_policy(&self, request: &SetPolicyRequest) -> Result<Policy, ClientError> {
        let call = Call::Write {
            idempotency_key: "",
        };
        self.call(call, |attempt| {
            let request = attempt.request(request.clone());
            let mut policies = attempt.policies();
            async move { policies.set_policy(request).await }
        })
        .await
    }
}
