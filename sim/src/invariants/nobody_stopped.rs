//! No node stops by itself, unless something was done to it that explains it.

use std::collections::BTreeSet;

use super::{Breach, Invariant, Sight};

#[derive(Debug, Default)]
pub struct NobodyStopped {
    runs: BTreeSet<u64>,
}

impl Invariant for NobodyStopped {
    fn name(&self) -> &'static str {
        "nobody_stopped"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            self.runs.insert(running.run);
            if let Some(why) = &running.ended
                && sight.explained.why(node_id).is_none()
            {
                return Err(Breach::by(node_id, format!("its Raft ended: {why}")));
            }
        }
        Ok(())
    }

    /// Runs of nodes.
    fn compared(&self) -> u64 {
        self.runs.len() as u64
    }
}
