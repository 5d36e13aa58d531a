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
