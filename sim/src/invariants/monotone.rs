//! Nothing that a node promised goes back: term and vote for one life of its disk, commit and applied index for one
//! run; over a restart the applied index not behind its snapshot (etcd #13766, #17780).

use std::collections::BTreeMap;

use stellara_node::node::{LogPoint, Vitals};
use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Running, Sight};

#[derive(Clone, Copy, Debug)]
struct Last {
    life: u64,
    run: u64,
    vitals: Vitals,
    /// The highest vote of this disk: its term, and for whom.
    vote: Option<(u64, NodeId)>,
    /// What a restart must have applied.
    floor: u64,
}

#[derive(Debug, Default)]
pub struct Monotone {
    last: BTreeMap<NodeId, Last>,
    compared: u64,
}

fn index(point: Option<LogPoint>) -> u64 {
    point.map_or(0, |point| point.index)
}

fn back(node_id: NodeId, what: &str, from: u64, to: u64) -> Result<(), Breach> {
    if to >= from {
        return Ok(());
    }
    let detail = format!("its {what} goes back from {from} to {to}");
    Err(Breach::by(node_id, detail))
}

/// Term 0 is what a node tells before it has read or written anything.
fn vote(vitals: &Vitals) -> Option<(u64, NodeId)> {
    (vitals.term > 0).then_some((vitals.term, vitals.voted_for))
}

fn check(node_id: NodeId, last: &Last, running: &Running) -> Result<(), Breach> {
    let now = &running.vitals;
    if let (Some((term, voted_for)), Some(vote)) = (last.vote, vote(now)) {
        back(node_id, "term", term, vote.0)?;
        // Who stood and lost follows the term's leader: that vote a majority gave, it is not one of its own.
        if vote.0 == term && vote.1 != voted_for && !now.vote_committed {
            let detail = format!(
                "in term {term} it voted for node {voted_for}, and then for node {}",
                vote.1
            );
            return Err(Breach::by(node_id, detail));
        }
    }
    if last.run == running.run {
        let (was, is) = (index(last.vitals.committed), index(now.committed));
        back(node_id, "commit index", was, is)?;
        let (was, is) = (index(last.vitals.applied), index(now.applied));
        return back(node_id, "applied index", was, is);
    }
    let applied = running.view.applied_index().0;
    back(node_id, "applied index over a restart", last.floor, applied)
}

impl Invariant for Monotone {
    fn name(&self) -> &'static str {
        "monotone"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, seen, running) in sight.changed() {
            let vitals = running.vitals;
            let last = self.last.get(&node_id).copied();
            let last = last.filter(|last| last.life == seen.life);
            if let Some(last) = &last
                && sight.explained.why(node_id).is_none()
            {
                self.compared += 1;
                check(node_id, last, running)?;
            }
            let behind = index(vitals.snapshot).max(index(vitals.purged));
            self.last.insert(
                node_id,
                Last {
                    life: seen.life,
                    run: running.run,
                    vitals,
                    vote: vote(&vitals).or(last.and_then(|last| last.vote)),
                    floor: last.map_or(0, |last| last.floor).max(behind),
                },
            );
        }
        Ok(())
    }

    /// Looks that had an earlier one to compare with.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, check_next};
    use super::*;

    #[test]
    fn what_goes_back_is_found() {
        check_next::<Monotone>("term goes back", |stage| stage.running(2).vitals.term -= 1);
        check_next::<Monotone>("it voted for node 1, and then for node 3", |stage| {
            stage.running(2).vitals.voted_for = 3;
            stage.running(2).vitals.vote_committed = false;
        });
        let back = |point: &mut Option<LogPoint>| point.as_mut().unwrap().index -= 1;
        check_next::<Monotone>("commit index goes back", |stage| {
            back(&mut stage.running(2).vitals.committed);
        });
        check_next::<Monotone>("applied index goes back", |stage| {
            back(&mut stage.running(2).vitals.applied);
        });
    }

    #[test]
    fn a_restart_behind_the_snapshot_is_found() {
        let mut stage = Stage::of_run(5);
        let mut invariant = Monotone::default();
        stage.running(2).vitals.snapshot = Some(LogPoint {
            term: 1,
            index: 1_000_000,
        });
        assert_eq!(stage.look(&mut invariant), Ok(()));
        stage.running(2).run += 10;
        let breach = stage.look(&mut invariant).unwrap_err();
        assert!(breach.detail.contains("over a restart"), "{breach:?}");
        // A new disk has promised nothing.
        stage.node(2).life += 1;
        assert_eq!(stage.look(&mut invariant), Ok(()));
    }
}
