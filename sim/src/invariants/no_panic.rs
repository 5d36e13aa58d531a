//! No task panics.

use super::{Breach, Invariant, Sight};

#[derive(Debug, Default)]
pub struct NoPanic {
    looks: u64,
}

impl Invariant for NoPanic {
    fn name(&self) -> &'static str {
        "no_panic"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        self.looks += 1;
        match sight.panics.first() {
            None => Ok(()),
            Some(panic) => Err(Breach::by(panic.node.0, panic.to_string())),
        }
    }

    /// Moments.
    fn compared(&self) -> u64 {
        self.looks
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;
    use crate::runtime::{NodeTag, TaskPanic};

    #[test]
    fn a_panic_is_found() {
        check::<NoPanic>(Ending::Midway, "node 2 panicked", |stage| {
            stage.panics.push(TaskPanic {
                node: NodeTag(2),
                at: stage.at,
                message: "it broke".to_owned(),
                location: None,
            });
        });
    }
}
