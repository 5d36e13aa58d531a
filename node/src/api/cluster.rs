//! The Cluster service: status and members, answered without a leader from what the node knows, and changes of who
//! votes, which the leader makes.

use stellara_machine::state::State;
use stellara_proto::v1;
use stellara_proto::v1::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::errors::ApiError;
use super::{meter, parse};
use crate::gateway::members::{Effect, MemberChange};
use crate::gateway::{ClusterView, Freshness, Gateway, MemberView, Role, Suffrage};

/// The service over a gateway.
#[derive(Clone)]
pub struct ClusterApi<G> {
    gateway: G,
}

impl<G: Gateway> ClusterApi<G> {
    /// The service.
    pub fn new(gateway: G) -> Self {
        Self { gateway }
    }

    async fn status(&self) -> Result<v1::ClusterStatus, ApiError> {
        let anything = Freshness::Stale {
            staleness_max_ms: 0,
        };
        let view = self.gateway.read(anything).await?;
        let cluster = self.gateway.status();
        let totals = view.state(totals);
        let digest = view.digest_at(view.applied_index());
        let members = members(&cluster);
        Ok(v1::ClusterStatus {
            cluster_id: cluster.cluster_id,
            node_id: cluster.node_id,
            region: cluster.region,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            term: cluster.term,
            leader_id: cluster.leader_id.unwrap_or_default(),
            last_log_index: cluster.last_log_index,
            committed_index: cluster.committed_index,
            applied_index: cluster.applied_index,
            digest: digest.map_or_else(String::new, |(_, digest)| hex::encode(digest.0)),
            digest_index: digest.map_or(0, |(index, _)| index.0),
            members,
            totals: Some(totals),
            read_only_reason: cluster.read_only_reason.unwrap_or_default(),
        })
    }
}

/// The counts of a state.
pub(crate) fn totals(state: &State) -> v1::Totals {
    let totals = state.totals();
    v1::Totals {
        submitted: totals.submitted,
        queued: state.queued(),
        batched: state.batched(),
        settled: totals.settled,
        failed: totals.failed,
        cancelled: totals.cancelled,
        batches_live: u64::try_from(state.batches().len()).unwrap_or(u64::MAX),
        batches_settled: totals.batches_settled,
        fee_charged_stroops: u64::try_from(totals.fee_charged_stroops.max(0)).unwrap_or(u64::MAX),
    }
}

/// The members as a node sees them.
pub(crate) fn members(cluster: &ClusterView) -> Vec<v1::Member> {
    let members = cluster.members.iter();
    members.map(|member| of(cluster, member)).collect()
}

fn of(cluster: &ClusterView, member: &MemberView) -> v1::Member {
    let (voter, follows) = match member.suffrage {
        Suffrage::Voter => (true, v1::MemberRole::Follower),
        Suffrage::Learner => (false, v1::MemberRole::Learner),
    };
    let role = if member.node_id == cluster.node_id {
        match cluster.role {
            Role::Leader => v1::MemberRole::Leader,
            Role::Follower => v1::MemberRole::Follower,
            Role::Candidate => v1::MemberRole::Candidate,
            Role::Learner => v1::MemberRole::Learner,
        }
    } else if cluster.leader_id == Some(member.node_id) {
        v1::MemberRole::Leader
    } else {
        follows
    };
    v1::Member {
        node_id: member.node_id,
        region: member.info.region.clone(),
        peer_address: member.info.peer_address.clone(),
        public_address: member.info.public_address.clone(),
        role: role.into(),
        voter,
        matched_index: member.matched_index.unwrap_or_default(),
    }
}

impl<G: Gateway> ClusterApi<G> {
    async fn change(&self, change: MemberChange) -> Result<v1::VotersChanged, ApiError> {
        tracing::info!(?change, "operator asks for a change of the membership");
        let membership = self.gateway.change_members(change).await?;
        Ok(v1::VotersChanged {
            changed: membership.effect == Effect::Changed,
            membership_index: membership.at_index,
            voter_ids: membership.voters,
            learner_ids: membership.learners,
        })
    }
}

#[tonic::async_trait]
impl<G: Gateway> Cluster for ClusterApi<G> {
    async fn get_cluster_status(
        &self,
        _request: Request<v1::GetClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatus>, Status> {
        meter::call::<G::Runtime, _>("GetClusterStatus", self.status()).await
    }

    async fn list_members(
        &self,
        _request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        let members = members(&self.gateway.status());
        let answer = async { Ok(v1::ListMembersResponse { members }) };
        meter::call::<G::Runtime, _>("ListMembers", answer).await
    }

    async fn add_voter(
        &self,
        request: Request<v1::AddVoterRequest>,
    ) -> Result<Response<v1::VotersChanged>, Status> {
        let answer = async {
            let node_id = parse::node_id("node_id", request.into_inner().node_id)?;
            self.change(MemberChange::AddVoter(node_id)).await
        };
        meter::call::<G::Runtime, _>("AddVoter", answer).await
    }

    async fn remove_voter(
        &self,
        request: Request<v1::RemoveVoterRequest>,
    ) -> Result<Response<v1::VotersChanged>, Status> {
        let answer = async {
            let node_id = parse::node_id("node_id", request.into_inner().node_id)?;
            self.change(MemberChange::RemoveVoter(node_id)).await
        };
        meter::call::<G::Runtime, _>("RemoveVoter", answer).await
    }
}
