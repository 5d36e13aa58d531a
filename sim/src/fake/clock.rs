//! The time of day of the node whose code is running.

use stellara_machine::units::UnixMs;
use stellara_node::ports::Clock;

use crate::runtime::wall_clock;

/// The running node's wall clock, which a scenario may drift or make jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> UnixMs {
        UnixMs(wall_clock().0)
    }
}
