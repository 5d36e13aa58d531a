//! How long clients waited when a leader was lost, and how often leaders were elected.

use std::collections::BTreeMap;

use stellara_raft_store::types::NodeId;

use crate::history::{Answer, History};
use crate::plan::fault::Fault;
use crate::runtime::{SimTime, now};
use crate::world::{Inflicted, World};

/// A leader was lost.
#[derive(Clone, Copy, Debug)]
struct Loss {
    at: SimTime,
    leader: NodeId,
    term: u64,
    regained: Option<SimTime>,
}

/// Losses of leaders, and elections.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    /// The first leader seen of each term, and when.
    leaders: BTreeMap<u64, (NodeId, SimTime)>,
    losses: Vec<Loss>,
    answers_seen: usize,
}

/// Whether a fault takes its leader's leadership away, if it lasts.
const fn ends_leadership(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Crash { .. }
            | Fault::Wipe { .. }
            | Fault::Pause { .. }
            | Fault::Isolate { .. }
            | Fault::Deaf { .. }
            | Fault::Mute { .. }
            | Fault::Partition { .. }
            | Fault::TornWrite { .. }
            | Fault::Restart { .. }
    )
}

impl Gaps {
    /// A fault began.
    pub(super) fn inflicted(&mut self, fault: &Fault, inflicted: &Inflicted) {
        let Some(leader) = inflicted.leader.filter(|_| inflicted.hit_leader()) else {
            return;
        };
        if ends_leadership(fault) {
            let term = self.leaders.last_key_value().map_or(0, |(term, _)| *term);
            self.losses.push(Loss {
                at: now(),
                leader,
                term,
                regained: None,
            });
        }
    }

    /// Looks for new leaders, and for acknowledgements under them.
    pub(super) fn look(&mut self, world: &World, history: &History) {
        for (node_id, term) in world.leaders_by_term() {
            self.leaders.entry(term).or_insert((node_id, now()));
        }
        let acknowledged: Vec<SimTime> = history.with(|calls| {
            let new = calls.answered_after(self.answers_seen);
            let accepted = new.filter(|(_, _, answer)| matches!(answer, Answer::Accepted { .. }));
            accepted.map(|(_, stamp, _)| stamp.at).collect()
        });
        self.answers_seen = history.with(crate::history::Calls::answered_len);
        for loss in &mut self.losses {
            if loss.regained.is_some() {
                continue;
            }
            let later = self.leaders.range(loss.term + 1..);
            let mut others = later.filter(|(_, (leader, _))| *leader != loss.leader);
            // Leaders are looked for now and then: this one may have led since the last look.
            let Some((_, (_, seen_at))) = others.next() else {
                continue;
            };
            let under_it = acknowledged
                .iter()
                .find(|at| **at + super::STEP >= *seen_at && **at > loss.at);
            loss.regained = under_it.copied();
        }
    }

    /// For each leader lost whose loss was felt, how long until the next acknowledgement, in milliseconds.
    pub(super) fn failovers_ms(&self) -> Vec<u64> {
        let felt = self.losses.iter().filter_map(|loss| {
            let span = loss.regained? - loss.at;
            u64::try_from(span.as_millis()).ok()
        });
        felt.collect()
    }

    /// Leaders lost to faults.
    pub(super) fn losses(&self) -> u64 {
        u64::try_from(self.losses.len()).unwrap_or(u64::MAX)
    }

    /// Leaders seen, one a term.
    pub(super) fn elections(&self) -> u64 {
        u64::try_from(self.leaders.len()).unwrap_or(u64::MAX)
    }
}
