//! No node stops by itself, unless something was done to it that explains it.

use std::collections::BTreeSet;

use super::{Breach, Invariant, Sight};

/// What Raft says of itself once it was asked to end: then the node did not end by itself.
const ASKED: &str = "raft stopped";

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
                && why != ASKED
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

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::{Stage, check};
    use super::*;

    #[test]
    fn a_node_that_stops_without_a_reason_is_found() {
        check::<NobodyStopped>(Ending::Midway, "its Raft ended: the disk", |stage| {
            stage.running(2).ended = Some("the disk".to_owned());
        });
    }

    #[test]
    fn a_node_that_was_stopped_is_none() {
        let mut stage = Stage::of_run(5);
        stage.running(2).ended = Some("the disk".to_owned());
        stage.explained.explain(2, "its next write fails");
        let mut invariant = NobodyStopped::default();
        assert_eq!(stage.look(&mut invariant), Ok(()));
        stage.explained.forget(2);
        assert!(stage.look(&mut invariant).is_err());
        stage.running(2).ended = Some(ASKED.to_owned());
        assert_eq!(stage.look(&mut invariant), Ok(()));
    }
}
