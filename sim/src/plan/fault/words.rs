//! A fault in a few words, as a label in a picture.

use super::{DiskCall, Fault, Rot};

impl Fault {
    /// What it is, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Crash { .. } => "power lost".into(),
            Self::CrashAll { .. } => "power lost everywhere".into(),
            Self::Wipe { .. } => "disk lost".into(),
            Self::Pause { .. } => "paused".into(),
            Self::Isolate { .. } => "region cut off".into(),
            Self::Deaf { .. } => "hears nothing".into(),
            Self::Mute { .. } => "cannot send".into(),
            Self::Cut { .. } => "link cut".into(),
            Self::Partition { .. } => "partition".into(),
            Self::Loss { loss_ppm } => format!("loss {}", percent(*loss_ppm)),
            Self::Bursts { bad_ppm, .. } => format!("loss in bursts of {}", percent(*bad_ppm)),
            Self::Duplicate { duplicate_ppm } => {
                format!("{} arrive twice", percent(*duplicate_ppm))
            }
            Self::Detour { add_permille, .. } => format!("detour +{} %", add_permille / 10),
            Self::BrownOut { add_permille, .. } => format!("brown-out +{} %", add_permille / 10),
            Self::Clog { .. } => "one way clogged".into(),
            Self::ClockJump { by_ms, .. } => format!("clock jumps {by_ms} ms"),
            Self::ClockDrift { ppm, .. } => format!("clock drifts {ppm} ppm"),
            Self::DiskStall { .. } => "disk stalls".into(),
            Self::DiskSlow { sync_ms, .. } => format!("syncs take {sync_ms} ms"),
            Self::DiskError { on, .. } => match on {
                DiskCall::Write => "write fails".into(),
                DiskCall::Sync => "sync fails".into(),
            },
            Self::DiskFull { .. } => "disk full".into(),
            Self::BitRot { of, .. } => match of {
                Rot::Log => "log entry rots".into(),
                Rot::Vote => "vote rots".into(),
                Rot::State => "state rots".into(),
                Rot::Snapshot => "snapshot rots".into(),
            },
            Self::TornWrite { .. } => "torn write".into(),
            Self::Misdirected { .. } => "misdirected write".into(),
            Self::Transfer { .. } => "leadership handed over".into(),
            Self::RemoveVoter { .. } => "taken out of the cluster".into(),
            Self::TakeSnapshot { .. } => "snapshot taken".into(),
            Self::Restart { .. } => "restarted".into(),
            Self::LedgerDown {} => "ledger down".into(),
            Self::LedgerLoses { .. } => "ledger loses answers".into(),
            Self::LedgerLag { ingest_lag_ms } => format!("ledger lags {ingest_lag_ms} ms"),
            Self::LedgerSurge { .. } => "ledger surge".into(),
            Self::LedgerClock { by_ms } => format!("ledger clock {by_ms} ms"),
        }
    }
}

fn percent(ppm: u32) -> String {
    format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10)
}
