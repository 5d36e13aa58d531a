//! Changes of the membership on the wire between nodes.

use stellara_proto::v1::peer;
use stellara_proto::v1::peer::error::Kind as ErrorKind;
use stellara_proto::v1::peer::member_change_request::Kind;
use stellara_proto::v1::peer::member_refusal::Kind as RefusalKind;

use super::Answer;
use crate::gateway::Failure;
use crate::gateway::members::{Effect, MemberChange, MemberError, MemberRefusal, Membership};

pub(super) fn change_to_wire(change: MemberChange) -> peer::MemberChangeRequest {
    let (kind, node_id) = match change {
        MemberChange::AddVoter(node_id) => (Kind::AddVoter, node_id),
        MemberChange::RemoveVoter(node_id) => (Kind::RemoveVoter, node_id),
    };
    peer::MemberChangeRequest {
        kind: kind.into(),
        node_id,
    }
}

pub(super) fn change_from_wire(request: &peer::MemberChangeRequest) -> Option<MemberChange> {
    match request.kind() {
        Kind::AddVoter => Some(MemberChange::AddVoter(request.node_id)),
        Kind::RemoveVoter => Some(MemberChange::RemoveVoter(request.node_id)),
        Kind::Unspecified => None,
    }
}

fn refusal_to_wire(refusal: MemberRefusal) -> peer::MemberRefusal {
    let of = |kind: RefusalKind, node_id| peer::MemberRefusal {
        kind: kind.into(),
        node_id,
        ..peer::MemberRefusal::default()
    };
    match refusal {
        MemberRefusal::NodeUnknown { node_id } => of(RefusalKind::NodeUnknown, node_id),
        MemberRefusal::NodeSilent { node_id } => of(RefusalKind::NodeSilent, node_id),
        MemberRefusal::LastVoter { node_id } => of(RefusalKind::LastVoter, node_id),
        MemberRefusal::NoMajority {
            count,
            of_voters,
            needed,
        } => peer::MemberRefusal {
            count,
            needed,
            of_voters,
            ..of(RefusalKind::NoMajority, 0)
        },
        MemberRefusal::UnderWay => of(RefusalKind::UnderWay, 0),
        MemberRefusal::Behind {
            node_id,
            matched,
            needed,
        } => peer::MemberRefusal {
            count: matched,
            needed,
            ..of(RefusalKind::Behind, node_id)
        },
    }
}

/// `None` for a reason that this release does not know.
fn refusal_from_wire(refusal: &peer::MemberRefusal) -> Option<MemberRefusal> {
    let peer::MemberRefusal {
        node_id,
        count,
        needed,
        of_voters,
        ..
    } = *refusal;
    Some(match refusal.kind() {
        RefusalKind::NodeUnknown => MemberRefusal::NodeUnknown { node_id },
        RefusalKind::NodeSilent => MemberRefusal::NodeSilent { node_id },
        RefusalKind::LastVoter => MemberRefusal::LastVoter { node_id },
        RefusalKind::NoMajority => MemberRefusal::NoMajority {
            count,
            of_voters,
            needed,
        },
        RefusalKind::UnderWay => MemberRefusal::UnderWay,
        RefusalKind::Behind => MemberRefusal::Behind {
            node_id,
            matched: count,
            needed,
        },
        RefusalKind::Unspecified => return None,
    })
}

pub(super) fn answer_to_wire(
    answer: Answer,
    error_of: impl Fn(&Failure) -> peer::Error,
) -> peer::MemberChangeResponse {
    match answer {
        Ok(membership) => peer::MemberChangeResponse {
            changed: membership.effect == Effect::Changed,
            membership_index: membership.at_index,
            voter_ids: membership.voters,
            learner_ids: membership.learners,
            ..peer::MemberChangeResponse::default()
        },
        Err(MemberError::Refused(refusal)) => peer::MemberChangeResponse {
            refusal: Some(refusal_to_wire(refusal)),
            ..peer::MemberChangeResponse::default()
        },
        Err(MemberError::Failed(failure)) => peer::MemberChangeResponse {
            error: Some(error_of(&failure)),
            ..peer::MemberChangeResponse::default()
        },
    }
}

pub(super) fn answer_from_wire(answer: peer::MemberChangeResponse) -> Answer {
    if let Some(error) = answer.error {
        return Err(match error.kind() {
            ErrorKind::NotLeader => Failure::NoLeader { hint: None },
            ErrorKind::Overloaded => Failure::Overloaded {
                retry_after_ms: 100,
            },
            ErrorKind::Unavailable => Failure::Unavailable {
                reason: error.message,
            },
            ErrorKind::Unknown | ErrorKind::Unspecified => Failure::Unknown,
        }
        .into());
    }
    if let Some(refusal) = &answer.refusal {
        let reason = || "the leader refuses for a reason that this release does not know";
        return Err(match refusal_from_wire(refusal) {
            Some(refusal) => refusal.into(),
            None => Failure::Unavailable {
                reason: reason().to_owned(),
            }
            .into(),
        });
    }
    let effect = match answer.changed {
        true => Effect::Changed,
        false => Effect::AlreadySo,
    };
    Ok(Membership {
        effect,
        at_index: answer.membership_index,
        voters: answer.voter_ids,
        learners: answer.learner_ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leader_answers_is_what_the_asker_tells() {
        let refusals = [
            MemberRefusal::NodeUnknown { node_id: 7 },
            MemberRefusal::NodeSilent { node_id: 7 },
            MemberRefusal::LastVoter { node_id: 7 },
            MemberRefusal::NoMajority {
                count: 1,
                of_voters: 3,
                needed: 2,
            },
            MemberRefusal::UnderWay,
            MemberRefusal::Behind {
                node_id: 7,
                matched: 40,
                needed: 50,
            },
        ];
        let membership = Membership {
            effect: Effect::Changed,
            at_index: 12,
            voters: vec![1, 2],
            learners: vec![3],
        };
        let mut answers: Vec<Answer> = vec![Ok(membership)];
        answers.extend(refusals.map(|refusal| Err(refusal.into())));
        for answer in answers {
            let no_failure = |_: &Failure| peer::Error::default();
            let wire = answer_to_wire(answer.clone(), no_failure);
            assert_eq!(answer_from_wire(wire), answer);
        }
        for change in [MemberChange::AddVoter(3), MemberChange::RemoveVoter(4)] {
            assert_eq!(change_from_wire(&change_to_wire(change)), Some(change));
        }
    }
}
