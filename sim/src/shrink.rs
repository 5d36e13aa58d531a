//! From a plan that fails to a small one that fails in the same way: delta debugging over what was decided.
//!
//! Faults, operations, spans, nodes and noise are taken away as long as the same invariant still breaks (Zeller and
//! Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002). Taking something away also changes the order
//! in which tasks run, so a candidate is tried under a few seeds before it is given up.

use crate::plan::Plan;
use crate::plan::target::Target;

mod reduce;
#[cfg(test)]
mod tests;

/// What remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest plan found that fails in the same way.
    pub plan: Plan,
    /// Runs it took.
    pub runs: u32,
}

impl Shrunk {
    /// Faults and operations that remain.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.plan.faults.len() + self.plan.operations.len()
    }
}

/// Seeds under which a candidate is tried beside its own.
const SEEDS: u64 = 2;

struct Shrinking<'a> {
    best: Plan,
    runs: u32,
    fails: &'a mut dyn FnMut(&Plan) -> Option<u64>,
    patient: &'a dyn Fn() -> bool,
}

/// Shrinks `plan`, of which `fails` tells at which moment (in milliseconds after the cluster is ready) it fails in the
/// way that is looked for, or that it does not; it ends early when `patient` says no.
pub fn shrink(
    plan: Plan,
    fails: &mut dyn FnMut(&Plan) -> Option<u64>,
    patient: &dyn Fn() -> bool,
) -> Shrunk {
    let mut shrinking = Shrinking {
        best: plan,
        runs: 0,
        fails,
        patient,
    };
    loop {
        let before = shrinking.best.clone();
        shrinking.end_earlier();
        shrinking.fewer_faults();
        shrinking.fewer_operations();
        shrinking.fewer_nodes();
        shrinking.shorter_faults();
        shrinking.less_noise();
        if shrinking.best == before || !(shrinking.patient)() {
            break;
        }
    }
    Shrunk {
        plan: shrinking.best,
        runs: shrinking.runs,
    }
}

impl Shrinking<'_> {
    /// Takes the candidate if it fails in the same way.
    fn try_plan(&mut self, candidate: Plan) -> bool {
        self.try_under(candidate, SEEDS)
    }

    fn try_under(&mut self, mut candidate: Plan, seeds: u64) -> bool {
        let seed = candidate.seed;
        for more in 0..=seeds {
            if !(self.patient)() {
                return false;
            }
            candidate.seed = seed.wrapping_add(more);
            self.runs += 1;
            if (self.fails)(&candidate).is_some() {
                self.best = candidate;
                return true;
            }
        }
        false
    }

    /// Nothing begins after the failure.
    fn end_earlier(&mut self) {
        self.runs += 1;
        let Some(at_ms) = (self.fails)(&self.best) else {
            return;
        };
        let ends_ms = at_ms.saturating_add(100).min(self.best.for_ms);
        let mut candidate = self.best.clone();
        candidate.for_ms = ends_ms.max(100);
        candidate.faults.retain(|fault| fault.at_ms <= ends_ms);
        candidate
            .operations
            .retain(|operation| operation.at_ms <= ends_ms);
        if candidate != self.best {
            self.try_plan(candidate);
        }
    }

    fn fewer_faults(&mut self) {
        let mut at = reduce::Cuts::of(self.best.faults.len());
        while let Some(cut) = at.next_cut(self.best.faults.len()) {
            let mut candidate = self.best.clone();
            candidate.faults.drain(cut.clone());
            let taken = self.try_plan(candidate);
            at.tell(taken);
        }
    }

    fn fewer_operations(&mut self) {
        let mut at = reduce::Cuts::of(self.best.operations.len());
        while let Some(cut) = at.next_cut(self.best.operations.len()) {
            let mut candidate = self.best.clone();
            candidate.operations.drain(cut.clone());
            let taken = self.try_plan(candidate);
            at.tell(taken);
        }
    }

    /// The last node goes, where no fault names it.
    fn fewer_nodes(&mut self) {
        while self.best.topology.regions.len() > 1 {
            let mut candidate = self.best.clone();
            let nodes = candidate.topology.regions.len();
            let Some(region) = candidate.topology.regions.pop() else {
                return;
            };
            let named = candidate.faults.iter().any(|at| {
                at.fault.targets().iter().any(|target| match target {
                    Target::Node(node_id) => usize::try_from(*node_id) == Ok(nodes),
                    Target::Region(named) => *named == region,
                    Target::Follower(nth) => usize::from(*nth) + 1 >= nodes,
                    Target::Leader | Target::OldLeader | Target::Any => false,
                })
            });
            if named || !self.try_plan(candidate) {
                return;
            }
        }
    }

    fn shorter_faults(&mut self) {
        for nth in 0..self.best.faults.len() {
            loop {
                let mut candidate = self.best.clone();
                let span = candidate.faults[nth]
                    .for_ms
                    .unwrap_or(candidate.for_ms.saturating_sub(candidate.faults[nth].at_ms));
                if span <= 50 {
                    break;
                }
                candidate.faults[nth].for_ms = Some(span / 2);
                if !self.try_under(candidate, 0) {
                    break;
                }
            }
        }
    }

    fn less_noise(&mut self) {
        let quiet: [fn(&mut Plan); 5] = [
            |plan| plan.topology.network.loss_ppm = 0,
            |plan| plan.topology.network.jitter_permille = 0,
            |plan| plan.topology.network.route_change_s = 0,
            |plan| plan.topology.disk.sync_us = [1_000, 1_000],
            |plan| plan.topology.ledger.way_ms = [50, 50],
        ];
        for still in quiet {
            let mut candidate = self.best.clone();
            still(&mut candidate);
            if candidate != self.best {
                self.try_under(candidate, 0);
            }
        }
    }
}
