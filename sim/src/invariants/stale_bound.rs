//! A stale read within a bound is refused once the node was out of touch for longer: no beat reached it, and it is no
//! leader whose majority may still answer it.

use std::collections::BTreeMap;
use std::time::Duration;

use stellara_node::gateway::Role;
use stellara_raft_store::types::NodeId;

use super::{Breach, Invariant, Sight};
use crate::history::{Answer, Asked, Call, Stamp};
use crate::plan::operation::Fresh;
use crate::runtime::SimTime;

/// How much a bound may be passed: a node measures by its own clock, which may run slow.
const SLACK_PERCENT: u64 = 10;
const SLACK: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
pub struct StaleBound {
    seen: usize,
    /// When a leader of a term was first seen.
    elected: BTreeMap<u64, SimTime>,
    /// When a node was last seen leading, and in which term.
    led: BTreeMap<NodeId, (SimTime, u64)>,
    compared: u64,
}

impl StaleBound {
    fn check(
        &mut self,
        sight: &Sight<'_>,
        call: &Call,
        stamp: Stamp,
        max_ms: u64,
    ) -> Result<(), Breach> {
        let node_id = call.node_id;
        let allowed = Duration::from_millis(max_ms + max_ms * SLACK_PERCENT / 100) + SLACK;
        let since = |at: SimTime| stamp.at - at;
        self.compared += 1;
        let heard = sight.ears.heard_at(node_id);
        if heard.is_some_and(|at| since(at) <= allowed) {
            return Ok(());
        }
        let led = self.led.get(&node_id);
        if let Some((_, term)) = led.filter(|(at, _)| since(*at) <= allowed) {
            // Its majority answers a leader until it has elected another; and a majority of one is itself.
            let next = self.elected.range(term + 1..).next();
            if next.is_none_or(|(_, at)| since(*at) <= allowed) {
                return Ok(());
            }
        }
        let silent_ms = heard.map(|at| since(at).as_millis());
        let detail = format!(
            "it answered a read within {max_ms} ms, and last heard another node {silent_ms:?} ms ago"
        );
        Err(Breach::by(node_id, detail))
    }
}

impl Invariant for StaleBound {
    fn name(&self) -> &'static str {
        "stale_bound"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let vitals = &running.vitals;
            if vitals.role == Role::Leader {
                self.led.insert(node_id, (sight.at, vitals.term));
                self.elected.entry(vitals.term).or_insert(sight.at);
            }
        }
        for (call, stamp, answer) in sight.calls.answered_after(self.seen) {
            if let Asked::Read {
                fresh: Fresh::Stale { max_ms },
                ..
            } = call.asked
                && max_ms > 0
                && matches!(answer, Answer::Seen(_))
                // Which node answered the SDK is not known.
                && !call.by_sdk()
            {
                // Who led when last seen, and still runs so, leads now.
                let running = sight.nodes.get(&call.node_id);
                let running = running.and_then(|seen| seen.running.as_ref());
                if let Some(running) = running.filter(|it| it.vitals.role == Role::Leader) {
                    let now = (stamp.at, running.vitals.term);
                    self.led.insert(call.node_id, now);
                }
                self.check(sight, call, stamp, max_ms)?;
            }
        }
        self.seen = sight.calls.answered_len();
        Ok(())
    }

    /// Stale reads with a bound that were answered.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::{Stage, check};
    use super::*;
    use crate::history::Seen;
    use stellara_machine::ids::Index;

    fn read(stage: &mut Stage, node_id: NodeId, max_ms: u64) {
        let (_, payment) = stage.first();
        let fresh = Fresh::Stale { max_ms };
        let seen = Seen {
            applied: Some(Index(1)),
            payment: None,
        };
        stage.call(
            node_id,
            Asked::Read { payment, fresh },
            Answer::Seen(Box::new(seen)),
        );
    }

    fn heard_ms_ago(stage: &Stage, node_id: NodeId, ms: u64) {
        let at = SimTime::from_ms(stage.at.as_ms() - ms);
        stage.ears.hear(node_id, at);
    }

    #[test]
    fn an_answer_of_a_node_that_heard_nobody_is_found() {
        check::<StaleBound>(Ending::Midway, "last heard another node", |stage| {
            heard_ms_ago(stage, 2, 1_200);
            read(stage, 2, 1_000);
        });
        check::<StaleBound>(Ending::Midway, "last heard another node", |stage| {
            read(stage, 3, 1_000);
        });
    }

    #[test]
    fn a_bound_that_is_kept_is_no_breach() {
        let mut stage = Stage::of_run(5);
        heard_ms_ago(&stage, 2, 900);
        read(&mut stage, 2, 1_000);
        // Anything goes, and a leader has its majority's answers.
        read(&mut stage, 3, 0);
        read(&mut stage, 1, 1_000);
        let mut invariant = StaleBound::default();
        assert_eq!(stage.look(&mut invariant), Ok(()));
        assert_eq!(invariant.compared(), 2);
    }

    #[test]
    fn a_leader_that_was_replaced_long_ago_is_found() {
        let mut stage = Stage::of_run(5);
        let mut invariant = StaleBound::default();
        let next = stage.running(2);
        next.vitals.role = Role::Leader;
        next.vitals.term += 1;
        stage.look(&mut invariant).unwrap();
        stage.at = stage.at + Duration::from_secs(2);
        read(&mut stage, 1, 1_000);
        let breach = stage.look(&mut invariant).unwrap_err();
        assert_eq!(breach.node_id, Some(1));
    }
}
