//! The Policies service: get, set.

use stellara_machine::command::{Command, LanePolicy, Policy, SetPolicy};
use stellara_machine::fees::charge::{BelowCost, DiscountTier};
use stellara_proto::v1;
use stellara_proto::v1::policies_server::Policies;
use tonic::{Request, Response, Status};

use super::errors::ApiError;
use super::{format, meter, parse};
use crate::gateway::{Failure, Freshness, Gateway};

/// The service over a gateway.
#[derive(Clone)]
pub struct PoliciesApi<G> {
    gateway: G,
}

impl<G: Gateway> PoliciesApi<G> {
    /// The service.
    pub fn new(gateway: G) -> Self {
        Self { gateway }
    }

    async fn get(&self, request: v1::GetPolicyRequest) -> Result<v1::Policy, ApiError> {
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        self.read(freshness).await
    }

    async fn read(&self, freshness: Freshness) -> Result<v1::Policy, ApiError> {
        let view = self.gateway.read(freshness).await?;
        Ok(view.state(|state| told(state.policy())))
    }

    async fn set(&self, request: v1::SetPolicyRequest) -> Result<v1::Policy, ApiError> {
        let command = Command::SetPolicy(SetPolicy {
            version_seen: request.version_seen,
            policy: parse::policy(request.policy)?,
        });
        for result in self.gateway.propose(vec![command]).await {
            result?;
        }
        // It is in force: a read that fails must not say that nothing was proposed.
        let read = self.read(Freshness::Linearizable).await;
        read.map_err(|_| ApiError::from(Failure::Unknown))
    }
}

/// The policy as callers see it.
fn told(policy: &Policy) -> v1::Policy {
    let lane = |lane: &LanePolicy| {
        Some(v1::LanePolicy {
            deadline_ms: lane.deadline_ms,
            fee_cap_stroops: lane.fee_cap.0,
        })
    };
    let tier = |tier: &DiscountTier| v1::DiscountTier {
        from_payments: u32::from(tier.from_payments),
        discount_permille: u32::from(tier.discount_permille),
    };
    v1::Policy {
        version: policy.version,
        batch_size_max: u32::from(policy.batch_size_max),
        batch_size_min: u32::from(policy.batch_size_min),
        batch_timeout_ms: policy.batch_timeout_ms,
        immediate_from: format::priority(policy.immediate_from).into(),
        retries_max: u32::from(policy.retries_max),
        backoff_base_ms: policy.backoff_base_ms,
        backoff_max_ms: policy.backoff_max_ms,
        fee_base_stroops: policy.fee_base.0,
        fee_cap_stroops: policy.fee_cap.0,
        low: lane(&policy.low),
        medium: lane(&policy.medium),
        high: lane(&policy.high),
        critical: lane(&policy.critical),
        defer_up_to: policy
            .defer_up_to
            .map_or(v1::Priority::Unspecified, format::priority)
            .into(),
        surge_size_max: u32::from(policy.surge_size_max),
        discounts: policy.discounts.iter().map(tier).collect(),
        below_cost_allowed: match policy.below_cost {
            BelowCost::Raised => false,
            BelowCost::Allowed => true,
        },
    }
}

#[tonic::async_trait]
impl<G: Gateway> Policies for PoliciesApi<G> {
    async fn get_policy(
        &self,
        request: Request<v1::GetPolicyRequest>,
    ) -> Result<Response<v1::Policy>, Status> {
        meter::call::<G::Runtime, _>("GetPolicy", self.get(request.into_inner())).await
    }

    async fn set_policy(
        &self,
        request: Request<v1::SetPolicyRequest>,
    ) -> Result<Response<v1::Policy>, Status> {
        meter::call::<G::Runtime, _>("SetPolicy", self.set(request.into_inner())).await
    }
}
