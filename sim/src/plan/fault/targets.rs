//! Whom a fault names.

use super::{Fault, Target};

impl Fault {
    /// Whom it names, in the order of its fields.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let mut own = self.clone();
        own.targets_mut()
            .into_iter()
            .map(|target| target.clone())
            .collect()
    }

    /// Whom it names, to be changed.
    pub fn targets_mut(&mut self) -> Vec<&mut Target> {
        match self {
            Self::Crash { node, .. }
            | Self::Wipe { node }
            | Self::Pause { node }
            | Self::Isolate { node }
            | Self::Deaf { node }
            | Self::Mute { node }
            | Self::Detour { node, .. }
            | Self::BrownOut { node, .. }
            | Self::ClockJump { node, .. }
            | Self::ClockDrift { node, .. }
            | Self::DiskStall { node }
            | Self::DiskSlow { node, .. }
            | Self::DiskError { node, .. }
            | Self::DiskFull { node }
            | Self::BitRot { node, .. }
            | Self::TornWrite { node }
            | Self::Misdirected { node }
            | Self::RemoveVoter { node }
            | Self::TakeSnapshot { node }
            | Self::Restart { node } => vec![node],
            Self::Transfer { to } => vec![to],
            Self::Cut { a, b } => vec![a, b],
            Self::Clog { from, to } => vec![from, to],
            Self::Partition { side } => side.iter_mut().collect(),
            Self::CrashAll { .. }
            | Self::Loss { .. }
            | Self::Bursts { .. }
            | Self::Duplicate { .. }
            | Self::LedgerDown {}
            | Self::LedgerLoses { .. }
            | Self::LedgerLag { .. }
            | Self::LedgerSurge { .. }
            | Self::LedgerClock { .. } => Vec::new(),
        }
    }
}
