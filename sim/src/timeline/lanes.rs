//! What each node was, when: its turns folded into spans without a gap.

use stellara_node::gateway::Role;
use stellara_raft_store::types::NodeId;

use super::picture::{ChangeAt, Life, Turn};
use crate::runtime::SimTime;

/// What a node looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There is no process.
    Down,
    /// The process reads what its disk holds.
    Starting,
    /// The process is not scheduled.
    Paused,
    /// It has a role, in a term.
    Member(Role, u64),
}

/// A node looks the same from here to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: SimTime,
    pub(super) to: SimTime,
    pub(super) look: Look,
}

impl Look {
    /// The name of its class in styles.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Paused => "paused",
            Self::Member(Role::Leader, _) => "leader",
            Self::Member(Role::Follower, _) => "follower",
            Self::Member(Role::Candidate, _) => "candidate",
            Self::Member(Role::Learner, _) => "learner",
        }
    }

    /// In words, and in as few letters as can be.
    pub(super) fn words(self) -> (String, String) {
        match self {
            Self::Member(_, term) => (format!("{} · term {term}", self.class()), term.to_string()),
            Self::Down | Self::Starting | Self::Paused => (self.class().into(), String::new()),
        }
    }
}

/// What a node was from the start of the run to its end.
pub(super) fn stretches(changes: &[ChangeAt], node_id: NodeId, end: SimTime) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut member = Look::Down;
    let mut look = Look::Down;
    let mut since = SimTime::ZERO;
    let own = changes.iter().filter(|change| change.node_id == node_id);
    for change in own {
        let next = match change.turn {
            Turn::Life(Life::Started) => Look::Starting,
            Turn::Life(Life::Ended) => Look::Down,
            Turn::Life(Life::Paused) => Look::Paused,
            Turn::Life(Life::Resumed) => member,
            Turn::Life(Life::Stopping | Life::Wiped) => continue,
            Turn::Role { role, term } => Look::Member(role, term),
        };
        if next != Look::Paused {
            member = next;
        }
        if next != look {
            push(&mut all, since, change.at, look);
            (look, since) = (next, change.at);
        }
    }
    push(&mut all, since, end, look);
    all
}

fn push(all: &mut Vec<Stretch>, from: SimTime, to: SimTime, look: Look) {
    if from < to {
        all.push(Stretch { from, to, look });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(turns: &[(u64, Turn)], expected: &[(u64, Look)]) {
        let at = |(ms, turn): &(u64, Turn)| ChangeAt {
            at: SimTime::from_ms(*ms),
            node_id: 1,
            turn: *turn,
        };
        let changes: Vec<ChangeAt> = turns.iter().map(at).collect();
        let found = stretches(&changes, 1, SimTime::from_ms(1_000));
        let ends: Vec<_> = found.iter().map(|one| (one.to.as_ms(), one.look)).collect();
        assert_eq!(ends, expected);
        let whole = found.windows(2).all(|pair| pair[0].to == pair[1].from);
        assert!(whole, "{found:?}");
        assert!(stretches(&changes, 2, SimTime::from_ms(9)).len() == 1);
    }

    #[test]
    fn a_pause_hides_the_role_and_a_crash_ends_it() {
        let role = |role, term| Turn::Role { role, term };
        let leads = Look::Member(Role::Leader, 3);
        check(
            &[
                (10, Turn::Life(Life::Started)),
                (20, role(Role::Leader, 3)),
                (30, Turn::Life(Life::Paused)),
                (40, Turn::Life(Life::Resumed)),
                (50, Turn::Life(Life::Ended)),
                (50, Turn::Life(Life::Wiped)),
            ],
            &[
                (10, Look::Down),
                (20, Look::Starting),
                (30, leads),
                (40, Look::Paused),
                (50, leads),
                (1_000, Look::Down),
            ],
        );
    }
}
