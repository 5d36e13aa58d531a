//! What a node does for its peers: proposes their callers' commands, and tells from where they may read and whether
//! there is a cluster, and changes who votes.

use std::sync::{Arc, Weak};

use stellara_proto::v1::peer;
use stellara_proto::v1::peer::error::Kind;
use stellara_raft_store::engine::EngineError;

use super::{Inner, Node, Ports};
use crate::gateway::Failure;
use crate::ingress::Origin;
use crate::ports::peer_link::PeerIdentity;
use crate::transport::raft::ClusterService;

/// The peers' door. It does not keep the node alive.
pub struct PeerDoor<P: Ports> {
    inner: Weak<Inner<P>>,
}

impl<P: Ports> PeerDoor<P> {
    pub(super) fn new(node: &Node<P>) -> Self {
        Self {
            inner: Arc::downgrade(&node.inner),
        }
    }
}

pub(super) fn error(kind: Kind, message: &str) -> peer::Error {
    peer::Error {
        kind: kind.into(),
        message: message.to_owned(),
        leader_id: 0,
    }
}

pub(super) fn error_of(failure: &Failure) -> peer::Error {
    let kind = match failure {
        Failure::NoLeader { .. } => Kind::NotLeader,
        Failure::Overloaded { .. } => Kind::Overloaded,
        Failure::Unavailable { .. } => Kind::Unavailable,
        Failure::Unknown | Failure::Rejected(_) => Kind::Unknown,
    };
    error(kind, &failure.to_string())
}

impl<P: Ports> ClusterService for PeerDoor<P> {
    async fn read_index(&self, _from: &PeerIdentity) -> peer::ReadIndexResponse {
        let Some(inner) = self.inner.upgrade() else {
            return peer::ReadIndexResponse {
                index: 0,
                error: Some(error(Kind::Unavailable, "the node stops")),
            };
        };
        match inner.reads.read_index().await {
            Ok(index) => peer::ReadIndexResponse {
                index: index.0,
                error: None,
            },
            Err(failure) => peer::ReadIndexResponse {
                index: 0,
                error: Some(error_of(&failure)),
            },
        }
    }

    async fn disk_failed(&self, error: &EngineError) {
        if let Some(inner) = self.inner.upgrade() {
            inner.end_broken(error).await;
        }
    }

    async fn standing(
        &self,
        from: &PeerIdentity,
        request: peer::StandingRequest,
    ) -> peer::StandingResponse {
        match self.inner.upgrade() {
            Some(inner) => inner.tell_standing(from.node_id, request).await,
            None => peer::StandingResponse {
                error: Some(error(Kind::Unavailable, "the node stops")),
                ..peer::StandingResponse::default()
            },
        }
    }

    async fn change_members(
        &self,
        from: &PeerIdentity,
        request: peer::MemberChangeRequest,
    ) -> peer::MemberChangeResponse {
        tracing::info!(
            from = from.node_id,
            ?request,
            "asked to change the membership"
        );
        match self.inner.upgrade() {
            Some(inner) => Node { inner }.change_for_peer(request).await,
            None => peer::MemberChangeResponse {
                error: Some(error(Kind::Unavailable, "the node stops")),
                ..peer::MemberChangeResponse::default()
            },
        }
    }

    async fn forward(
        &self,
        _from: &PeerIdentity,
        request: peer::ForwardRequest,
    ) -> peer::ForwardResponse {
        let refused = |error| peer::ForwardResponse {
            answers: Vec::new(),
            error: Some(error),
            index: 0,
        };
        let Some(inner) = self.inner.upgrade() else {
            return refused(error(Kind::Unavailable, "the node stops"));
        };
        let commands = request
            .commands
            .iter()
            .map(|bytes| bytes.to_vec())
            .collect();
        let answers = inner
            .ingress
            .propose_encoded(commands, Origin::LeaderOnly)
            .await;
        // A failure befalls the whole call: the commands went the same way.
        let failed = answers.iter().find_map(|answer| match answer {
            Ok(_) | Err(Failure::Rejected(_)) => None,
            Err(failure) => Some(error_of(failure)),
        });
        if let Some(error) = failed {
            return refused(error);
        }
        let answers = answers
            .into_iter()
            .map(|answer| {
                let answer = match answer {
                    Ok(reply) => peer::command_answer::Answer::Reply(
                        stellara_raft_store::codec::reply_to_proto(&reply),
                    ),
                    Err(Failure::Rejected(rejected)) => {
                        peer::command_answer::Answer::Rejection(rejected.wire().into_owned())
                    }
                    Err(_) => return peer::CommandAnswer { answer: None },
                };
                peer::CommandAnswer {
                    answer: Some(answer),
                }
            })
            .collect();
        peer::ForwardResponse {
            answers,
            error: None,
            index: inner.reads.view().applied_index().0,
        }
    }
}
