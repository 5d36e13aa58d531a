//! From answers to what a blank node does.

use stellara_raft_store::types::vote;

use super::*;

fn blank() -> Option<Told> {
    Some(Told {
        stage: Stage::Blank,
        vote: None,
    })
}

fn founding(term: u64, voted_for: NodeId) -> Option<Told> {
    Some(Told {
        stage: Stage::Founding,
        vote: (term > 0).then(|| vote(term, voted_for, false)),
    })
}

fn follows(term: u64, leader: NodeId) -> Option<Told> {
    Some(Told {
        stage: Stage::Formed,
        vote: Some(vote(term, leader, true)),
    })
}

fn asks(term: u64, candidate: NodeId) -> Option<Told> {
    Some(Told {
        stage: Stage::Formed,
        vote: Some(vote(term, candidate, false)),
    })
}

fn check<const N: usize>(own: NodeId, answers: [(NodeId, Option<Told>); N], expected: &Verdict) {
    let answers: Answers = answers.into_iter().collect();
    assert_eq!(&decide(own, &answers), expected, "node {own}, {answers:?}");
    // Whatever is waited for can be told.
    if let Verdict::Wait(why) = expected {
        assert!(!why.to_string().is_empty());
    }
}

fn silent<const N: usize>(nodes: [NodeId; N]) -> Verdict {
    Verdict::Wait(Why::Silent(nodes.into()))
}

fn leaderless<const N: usize>(nodes: [NodeId; N]) -> Verdict {
    Verdict::Wait(Why::Leaderless(nodes.into()))
}

#[test]
fn a_new_cluster_is_made_by_its_first_member_once_all_are_blank() {
    check(1, [], &Verdict::Found);
    check(1, [(2, blank()), (3, blank())], &Verdict::Found);
    let first = Verdict::Wait(Why::Founder(1));
    check(2, [(1, blank()), (3, blank())], &first);
    check(3, [(1, blank()), (2, blank())], &first);
}

#[test]
fn a_silent_member_may_hold_the_data() {
    check(1, [(2, None), (3, None)], &silent([2, 3]));
    check(1, [(2, blank()), (3, None)], &silent([3]));
    check(2, [(1, founding(1, 1)), (3, None)], &silent([3]));
    let five = [(2, blank()), (3, blank()), (4, blank()), (5, None)];
    check(1, five, &silent([5]));
}

#[test]
fn a_cluster_being_made_is_joined_below_its_candidate() {
    let join = |floor| Verdict::Join { floor };
    check(2, [(1, founding(0, 0)), (3, blank())], &join(None));
    let first = join(Some(vote(1, 1, false)));
    check(2, [(1, founding(1, 1)), (3, blank())], &first);
    check(2, [(1, founding(1, 1)), (3, founding(1, 1))], &first);
    // The candidate of term 1 has moved on.
    let fourth = join(Some(vote(4, 1, false)));
    check(2, [(1, founding(4, 1)), (3, founding(1, 1))], &fourth);
}

#[test]
fn a_term_with_two_candidates_is_left_to_them() {
    let contested = Verdict::Wait(Why::Contested { term: 3 });
    check(2, [(1, founding(3, 1)), (3, founding(3, 3))], &contested);
    // A peer remembers that this very node stood for election.
    check(2, [(1, founding(3, 2)), (3, blank())], &contested);
}

#[test]
fn who_forgot_asks_the_leader() {
    let back = |leader| Verdict::Return { leader };
    check(2, [(1, follows(5, 1)), (3, follows(5, 1))], &back(1));
    // One that knows of a cluster is enough.
    check(2, [(1, follows(5, 1)), (3, None)], &back(1));
    check(2, [(1, follows(5, 1)), (3, blank())], &back(1));
    // The later leader is asked.
    check(2, [(1, follows(5, 1)), (3, follows(6, 3))], &back(3));
}

#[test]
fn without_a_leader_who_forgot_waits() {
    // The leader is gone.
    check(2, [(1, None), (3, follows(5, 1))], &leaderless([1]));
    // Somebody asks for votes: the leader of term 5 may lead no more.
    check(2, [(1, follows(5, 1)), (3, asks(6, 3))], &leaderless([]));
    // The leader was this node itself, before it lost its log.
    check(2, [(1, follows(5, 2)), (3, follows(5, 2))], &leaderless([]));
    let five = [(1, asks(6, 1)), (3, asks(6, 1)), (4, None), (5, None)];
    check(2, five, &leaderless([4, 5]));
}

#[test]
fn a_log_tells_how_far_its_node_is() {
    let kept = |vote, last_index, rebuilt_at| Past::Kept {
        vote,
        last_index,
        rebuilt_at,
    };
    let candidate = Some(vote(1, 1, false));
    let leader = Some(vote(1, 1, true));
    for (past, stage, vote) in [
        (Past::Blank, Stage::Blank, None),
        (kept(None, Some(0), None), Stage::Founding, None),
        (kept(candidate, None, None), Stage::Founding, candidate),
        (kept(candidate, Some(0), None), Stage::Founding, candidate),
        (kept(candidate, Some(1), None), Stage::Formed, candidate),
        (kept(leader, Some(0), None), Stage::Formed, leader),
        (kept(leader, None, Some(9)), Stage::Formed, leader),
    ] {
        let told = told_of(past);
        assert_eq!(told, Told { stage, vote }, "{past:?}");
        assert_eq!(told_by(&told.into()), Some(told), "over the wire");
    }
    assert_eq!(told_by(&peer::StandingResponse::default()), None);
}
