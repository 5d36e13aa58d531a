//! Overload answers, and nothing grows without bound: callers admitted, queues, batches, and entries that a leader has
//! written and not applied (DESIGN, promise 4).

use stellara_machine::limits::{GROUPS_MAX, LIVE_BATCHES_MAX, QUEUED_PAYMENTS_MAX};
use stellara_node::gateway::Role;

use super::{Breach, Invariant, Sight};

/// Entries that a leader may have written and not applied: what its two doors have under way, as often as a new leader
/// may inherit it from those before it, and Raft's own.
const UNAPPLIED_MAX: u64 = 256;

#[derive(Debug, Default)]
pub struct Bounded {
    looks: u64,
}

impl Invariant for Bounded {
    fn name(&self) -> &'static str {
        "bounded"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            self.looks += 1;
            let of = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
            let (queued, batches, groups) = running.view.state(|state| {
                let lens = (state.batches().len(), state.groups().len());
                (state.queued(), of(lens.0), of(lens.1))
            });
            let vitals = &running.vitals;
            let last = vitals.last_log.map_or(0, |last| last.index);
            let applied = vitals.applied.map_or(0, |applied| applied.index);
            let unapplied = match vitals.role {
                Role::Leader => last.saturating_sub(applied),
                Role::Follower | Role::Candidate | Role::Learner => 0,
            };
            let bounds = [
                (
                    "callers",
                    of(running.admitted),
                    of(sight.facts.limits.commands_max),
                ),
                ("queued payments", queued, of(QUEUED_PAYMENTS_MAX)),
                ("batches", batches, of(LIVE_BATCHES_MAX)),
                ("groups", groups, of(GROUPS_MAX)),
                ("entries not applied", unapplied, UNAPPLIED_MAX),
            ];
            for (what, is, most) in bounds {
                if is > most {
                    return Err(Breach::by(node_id, format!("{is} {what}, at most {most}")));
                }
            }
        }
        Ok(())
    }

    /// Looks.
    fn compared(&self) -> u64 {
        self.looks
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;

    #[test]
    fn what_grows_past_its_bound_is_found() {
        check::<Bounded>(Ending::Midway, "65537 callers, at most 65536", |stage| {
            stage.running(2).admitted = 65_537;
        });
        check::<Bounded>(Ending::Midway, "257 entries not applied", |stage| {
            let vitals = &mut stage.running(1).vitals;
            let applied = vitals.applied.unwrap().index;
            vitals.last_log.as_mut().unwrap().index = applied + 257;
        });
    }
}
