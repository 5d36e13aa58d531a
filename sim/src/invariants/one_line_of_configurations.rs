//! The memberships that were committed are one line, the same on all nodes; each shares a whole set of voters with the
//! one before (joint consensus, Raft thesis section 4.3), and a leader has one at most that nobody knows to be
//! committed.

use std::collections::{BTreeMap, BTreeSet};

use stellara_node::gateway::Role;
use stellara_raft_store::engine::Space;
use stellara_raft_store::log::inspect;
use stellara_raft_store::types::{NodeId, term_of};

use super::{Breach, Invariant, Running, Seen, Sight};

type Sets = Vec<BTreeSet<NodeId>>;

/// A membership of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    term: u64,
    sets: Sets,
}

/// The memberships of a node's log, by index, as of when the one in force changed last.
#[derive(Debug, Default)]
struct Log {
    /// The run, and the entry whose membership is in force: as of when it was read.
    read_at: Option<(u64, Option<(u64, u64)>)>,
    written: BTreeMap<u64, Written>,
    /// Those up to here were compared.
    compared_to: Option<u64>,
}

#[derive(Debug, Default)]
pub struct OneLine {
    logs: BTreeMap<NodeId, Log>,
    /// The line: each with the node that was first seen to have it.
    line: BTreeMap<u64, (Written, NodeId)>,
    /// The last entry that any node was seen to know to be committed: a new leader learns late what its predecessor
    /// committed.
    committed: Option<u64>,
    compared: u64,
}

impl Log {
    /// Reads the memberships anew when the one in force is another.
    fn follow(&mut self, seen: &Seen, running: &Running) {
        let at = running.vitals.membership_at;
        let read_at = (running.run, at.map(|at| (at.term, at.index)));
        if self.read_at == Some(read_at) {
            return;
        }
        self.read_at = Some(read_at);
        self.compared_to = None;
        self.written.clear();
        seen.disk
            .stored_back(inspect::FOLDER, Space::Entries, |key, value| {
                // A record that does not hold is found by its checksum, and its node stops.
                if let Ok(Some((log_id, sets))) = inspect::entry_voters(key, value) {
                    let term = term_of(&log_id);
                    self.written.insert(log_id.index, Written { term, sets });
                }
                true
            });
        // It may come from a snapshot.
        if let Some(at) = at {
            let sets = running.voters.iter();
            let sets = sets.map(|set| set.iter().copied().collect()).collect();
            let term = at.term;
            self.written.insert(at.index, Written { term, sets });
        }
    }
}

/// Whether a majority of the one and a majority of the other always meet, by the rules of joint consensus.
fn share_a_set(one: &Sets, other: &Sets) -> bool {
    one.iter().any(|set| other.contains(set))
}

impl OneLine {
    fn commit(&mut self, node_id: NodeId, index: u64, written: &Written) -> Result<(), Breach> {
        self.compared += 1;
        if let Some((first, by)) = self.line.get(&index) {
            if first == written {
                return Ok(());
            }
            let detail = format!(
                "the membership of entry {index} is {written:?}, on node {by} it is {first:?}"
            );
            return Err(Breach::by(node_id, detail));
        }
        let before = self.line.range(..index).next_back();
        let after = self.line.range(index..).next();
        for (other_at, (other, by)) in before.into_iter().chain(after) {
            if !share_a_set(&other.sets, &written.sets) {
                let detail = format!(
                    "the membership of entry {index}, {:?}, shares no set of voters with that of entry {other_at} on node {by}, {:?}",
                    written.sets, other.sets
                );
                return Err(Breach::by(node_id, detail));
            }
        }
        self.line.insert(index, (written.clone(), node_id));
        Ok(())
    }
}

impl Invariant for OneLine {
    fn name(&self) -> &'static str {
        "one_line_of_configurations"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, seen, running) in sight.changed() {
            let log = self.logs.entry(node_id).or_default();
            log.follow(seen, running);
            let committed = running.vitals.committed.map(|at| at.index);
            self.committed = self.committed.max(committed);
            let known = self.committed;
            let under_way = log.written.keys().filter(|at| Some(**at) > known);
            let under_way: Vec<u64> = under_way.copied().collect();
            if running.vitals.role == Role::Leader && under_way.len() > 1 {
                let detail = format!(
                    "it leads, and the memberships of entries {under_way:?} are under way at one time"
                );
                return Err(Breach::by(node_id, detail));
            }
            let news = log
                .written
                .iter()
                .filter(|(at, _)| Some(**at) <= committed && Some(**at) > log.compared_to);
            let news: Vec<(u64, Written)> = news.map(|(at, one)| (*at, one.clone())).collect();
            log.compared_to = news.last().map(|(at, _)| *at).or(log.compared_to);
            for (index, written) in &news {
                self.commit(node_id, *index, written)?;
            }
        }
        Ok(())
    }

    /// Committed memberships that were put in line, on each node.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use stellara_node::node::LogPoint;

    use super::super::Ending;
    use super::super::stage::{Stage, check};
    use super::*;

    fn in_force(stage: &mut Stage, node_id: NodeId, index: u64, voters: &[&[NodeId]]) {
        let running = stage.running(node_id);
        running.vitals.membership_at = Some(LogPoint { term: 0, index });
        running.voters = voters.iter().map(|set| set.to_vec()).collect();
    }

    #[test]
    fn another_membership_in_one_place_is_found() {
        check::<OneLine>(Ending::Midway, "the membership of entry 0 is", |stage| {
            in_force(stage, 2, 0, &[&[1, 2]]);
        });
    }

    #[test]
    fn a_step_that_is_no_joint_one_is_found() {
        check::<OneLine>(Ending::Midway, "shares no set of voters", |stage| {
            in_force(stage, 1, 9, &[&[1, 2, 3, 4]]);
        });
    }

    #[test]
    fn two_changes_at_one_time_are_found() {
        check::<OneLine>(Ending::Midway, "under way at one time", |stage| {
            in_force(stage, 1, 9, &[&[1, 2, 3], &[1, 2]]);
            stage.running(1).vitals.committed = None;
        });
    }

    #[test]
    fn joint_steps_are_a_line() {
        let mut stage = Stage::of_run(5);
        let mut line = OneLine::default();
        let steps: [(u64, &[&[NodeId]]); 3] = [
            (5, &[&[1, 2, 3], &[1, 2]]),
            (7, &[&[1, 2]]),
            (9, &[&[1, 2], &[1, 2, 3]]),
        ];
        for (index, voters) in steps {
            for node_id in [1, 2, 3] {
                in_force(&mut stage, node_id, index, voters);
            }
            assert_eq!(stage.look(&mut line), Ok(()));
        }
        assert!(line.compared() >= 12, "{}", line.compared());
        in_force(&mut stage, 3, 11, &[&[2, 3]]);
        assert!(stage.look(&mut line).is_err());
    }
}
