//! What a node with a blank log does, decided from what its peers tell of themselves.
//!
//! A blank log is a new node's, or one's that lost its disk and so forgot what it voted and acknowledged. Only the
//! peers can tell which; what none of them can rule out is taken as a loss
//! (docs/decisions/0007-rebuilding-a-voter.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stellara_proto::v1::peer;
use stellara_proto::v1::peer::standing_response::State;
use stellara_raft_store::log::Past;
use stellara_raft_store::types::{NodeId, Vote, vote};

/// How far a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It remembers nothing either.
    Blank,
    /// It takes part in making a cluster that has had no leader yet.
    Founding,
    /// It belongs to a cluster that has been led.
    Formed,
}

/// What a peer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) stage: Stage,
    /// The highest vote on its disk.
    pub(super) vote: Option<Vote>,
}

/// What all peers told in one round; `None` for one that did not answer.
pub(super) type Answers = BTreeMap<NodeId, Option<Told>>;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Make the cluster: all members are new, and this one is to begin.
    Found,
    /// Take part in a cluster that is being made; never again vote in or below the term of `floor`, but for it.
    Join {
        /// The highest vote of the others.
        floor: Option<Vote>,
    },
    /// There is a cluster: ask its leader to be taken back.
    Return {
        /// Who leads it, as the others tell.
        leader: NodeId,
    },
    /// Ask again later.
    Wait(Why),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no sign of a cluster, but not all members have answered: a silent one may hold its data.
    Silent(BTreeSet<NodeId>),
    /// All members are new: the first of them makes the cluster.
    Founder(NodeId),
    /// Two candidates ask for votes in one term; which of them this node may have voted for is not known.
    Contested {
        /// The term.
        term: u64,
    },
    /// There is a cluster, and none of those that answered knows who leads it.
    Leaderless(BTreeSet<NodeId>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(nodes) => write!(
                f,
                "no peer knows of a cluster, but {} did not answer and may hold its data: a new cluster is made once \
                 every configured member has answered; start those that are missing, with their data if they had any",
                listed(nodes)
            ),
            Self::Founder(node) => write!(f, "all members are new: node {node} makes the cluster"),
            Self::Contested { term } => write!(
                f,
                "two nodes ask for votes in term {term} and this node may have voted in it: waiting for one of them \
                 to win"
            ),
            Self::Leaderless(nodes) if nodes.is_empty() => f.write_str(
                "there is a cluster, but the peers that answered know no leader yet: this node lost its log and does \
                 not vote before a leader has taken it back",
            ),
            Self::Leaderless(nodes) => write!(
                f,
                "there is a cluster, but no leader, and {} did not answer: this node lost its log and cannot help to \
                 elect one; bring a missing node back with its data",
                listed(nodes)
            ),
        }
    }
}

fn listed(nodes: &BTreeSet<NodeId>) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("node {node}")).collect();
    names.join(", ")
}

/// What the node `own` does, its log being blank, after all other members were asked.
pub(super) fn decide(own: NodeId, answers: &Answers) -> Verdict {
    let silent: BTreeSet<NodeId> = answers
        .iter()
        .filter(|(_, told)| told.is_none())
        .map(|(node, _)| *node)
        .collect();
    let told: Vec<&Told> = answers.values().flatten().collect();
    if told.iter().any(|told| told.stage == Stage::Formed) {
        let votes = told.iter().filter_map(|told| told.vote);
        let latest = votes.max_by_key(|vote| (vote.leader_id.term, vote.committed));
        // Of an earlier leader nothing is known but that others have asked for votes since: it cannot commit.
        let leader = latest
            .filter(|vote| vote.committed)
            .map(|vote| vote.leader_id.voted_for)
            .filter(|leader| matches!(answers.get(leader), Some(Some(_))));
        return match leader {
            Some(leader) => Verdict::Return { leader },
            None => Verdict::Wait(Why::Leaderless(silent)),
        };
    }
    if !silent.is_empty() {
        return Verdict::Wait(Why::Silent(silent));
    }
    if told.iter().all(|told| told.stage == Stage::Blank) {
        let first = answers.keys().copied().chain([own]).min().unwrap_or(own);
        return match first == own {
            true => Verdict::Found,
            false => Verdict::Wait(Why::Founder(first)),
        };
    }
    let term = told
        .iter()
        .filter_map(|told| told.vote)
        .map(|vote| vote.leader_id.term);
    let Some(term) = term.max() else {
        return Verdict::Join { floor: None };
    };
    let candidates: BTreeSet<NodeId> = told
        .iter()
        .filter_map(|told| told.vote)
        .filter(|vote| vote.leader_id.term == term)
        .map(|vote| vote.leader_id.voted_for)
        .collect();
    match candidates.first() {
        Some(candidate) if candidates.len() == 1 && *candidate != own => Verdict::Join {
            floor: Some(vote(term, *candidate, false)),
        },
        Some(_) | None => Verdict::Wait(Why::Contested { term }),
    }
}

/// What a node tells of itself, from its log.
pub(super) fn told_of(past: Past) -> Told {
    match past {
        Past::Blank => Told {
            stage: Stage::Blank,
            vote: None,
        },
        Past::Kept {
            vote,
            last_index,
            rebuilt_at,
        } => {
            // The first entry is the membership, the second a leader's own: before it nothing was acknowledged.
            let led = vote.is_some_and(|vote| vote.committed)
                || last_index.is_some_and(|index| index > 0)
                || rebuilt_at.is_some();
            Told {
                stage: if led { Stage::Formed } else { Stage::Founding },
                vote,
            }
        }
    }
}

impl From<Told> for peer::StandingResponse {
    fn from(told: Told) -> Self {
        let state = match told.stage {
            Stage::Blank => State::Blank,
            Stage::Founding => State::Founding,
            Stage::Formed => State::Formed,
        };
        Self {
            state: state.into(),
            vote: told.vote.map(|vote| peer::Vote {
                term: vote.leader_id.term,
                voted_for: vote.leader_id.voted_for,
                committed: vote.committed,
            }),
            readmitted_at: None,
            error: None,
        }
    }
}

/// What a peer's answer tells; `None` when it tells nothing that this node understands.
pub(super) fn told_by(answer: &peer::StandingResponse) -> Option<Told> {
    let stage = match answer.state() {
        State::Blank => Stage::Blank,
        State::Founding => Stage::Founding,
        State::Formed => Stage::Formed,
        State::Unspecified => return None,
    };
    let vote = answer
        .vote
        .as_ref()
        .map(|told| vote(told.term, told.voted_for, told.committed));
    Some(Told { stage, vote })
}

#[cfg(test)]
mod tests;
