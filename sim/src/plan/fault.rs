//! What can go wrong, in words that a scenario file, a plan and a report share.
//!
//! A fault begins at a moment and, if it lasts, ends by itself after a time or when the troubled part of the run
//! ends. `world/inflict.rs` acts each of them out.

use serde::{Deserialize, Serialize};

use super::target::Target;

mod targets;
mod words;

/// What a loss of power does with writes that were not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsynced {
    /// All are lost.
    Lost,
    /// A drawn prefix survives.
    #[default]
    Drawn,
    /// All survive: the process dies, the machine does not.
    Kept,
}

/// Which call of a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskCall {
    /// The next write.
    Write,
    /// The next fsync.
    Sync,
}

/// Which record rots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rot {
    /// A log entry.
    Log,
    /// The vote.
    Vote,
    /// A row of the state.
    State,
    /// A file of the newest snapshot.
    Snapshot,
}

/// What befalls the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A machine loses power; it starts again when the fault ends.
    Crash {
        /// Which.
        node: Target,
        /// What becomes of unsynced writes.
        #[serde(default)]
        unsynced: Unsynced,
    },
    /// All machines lose power at one moment; they start again when the fault ends.
    CrashAll {
        /// What becomes of unsynced writes.
        #[serde(default)]
        unsynced: Unsynced,
    },
    /// A machine loses power and its disk; it starts with an empty one when the fault ends.
    Wipe {
        /// Which.
        node: Target,
    },
    /// A process is not scheduled, as by SIGSTOP or a paused virtual machine.
    Pause {
        /// Which.
        node: Target,
    },
    /// A node is cut off from all others; it still reaches the ledger and its clients.
    Isolate {
        /// Which.
        node: Target,
    },
    /// A node sends and hears nothing from the other nodes.
    Deaf {
        /// Which.
        node: Target,
    },
    /// A node hears and can send nothing to the other nodes.
    Mute {
        /// Which.
        node: Target,
    },
    /// Two nodes are cut off from each other.
    Cut {
        /// One.
        a: Target,
        /// The other.
        b: Target,
    },
    /// The nodes listed are cut off from all that are not.
    Partition {
        /// One side.
        side: Vec<Target>,
    },
    /// Packets are lost at random on all paths.
    Loss {
        /// How many, in parts per million.
        loss_ppm: u32,
    },
    /// Loss comes in bursts on all paths (Gilbert-Elliott).
    Bursts {
        /// Lost while a burst lasts, in parts per million.
        bad_ppm: u32,
        /// The mean length of a burst.
        bad_ms: u64,
        /// The mean time between bursts.
        good_ms: u64,
    },
    /// Packets arrive twice.
    Duplicate {
        /// How many, in parts per million.
        duplicate_ppm: u32,
    },
    /// All paths of a node take longer, as when a route changes.
    Detour {
        /// Which.
        node: Target,
        /// How much longer, in thousandths of the path's own time.
        add_permille: u32,
    },
    /// All paths of a node are slow and narrow.
    BrownOut {
        /// Which.
        node: Target,
        /// How much longer packets take, in thousandths of the path's own time.
        add_permille: u32,
        /// What passes each way, in bytes a second.
        bytes_per_s: u64,
    },
    /// Nothing passes one way between two nodes until the fault ends; then all of it arrives.
    Clog {
        /// From here.
        from: Target,
        /// To there.
        to: Target,
    },
    /// The time of day of a node jumps.
    ClockJump {
        /// Which.
        node: Target,
        /// By how much, forward or back.
        by_ms: i64,
    },
    /// Both clocks of a node run fast or slow.
    ClockDrift {
        /// Which.
        node: Target,
        /// By how much, in parts per million.
        ppm: i32,
    },
    /// Syncs of a disk do not end until the fault does.
    DiskStall {
        /// Whose.
        node: Target,
    },
    /// Syncs of a disk take this long.
    DiskSlow {
        /// Whose.
        node: Target,
        /// How long.
        sync_ms: u64,
    },
    /// A call of a disk fails with an I/O error, once.
    DiskError {
        /// Whose.
        node: Target,
        /// Which call.
        on: DiskCall,
    },
    /// A disk takes no more bytes.
    DiskFull {
        /// Whose.
        node: Target,
    },
    /// A bit of a stored record turns over.
    BitRot {
        /// On whose disk.
        node: Target,
        /// Of which record.
        of: Rot,
    },
    /// A machine loses power while it writes its log: the last record written is torn. It starts again when the fault
    /// ends.
    TornWrite {
        /// Which.
        node: Target,
    },
    /// The next record of the log lands in the place of another.
    Misdirected {
        /// On whose disk.
        node: Target,
    },
    /// An operator hands leadership over.
    Transfer {
        /// To whom.
        to: Target,
    },
    /// An operator takes a voter out of the cluster, and adds it again when the fault ends.
    RemoveVoter {
        /// Which.
        node: Target,
    },
    /// An operator has a snapshot written.
    TakeSnapshot {
        /// By whom.
        node: Target,
    },
    /// A process is stopped in order, and started again when the fault ends.
    Restart {
        /// Which.
        node: Target,
    },
    /// The ledger's service answers nobody.
    LedgerDown {},
    /// Some submissions to the ledger are lost, some accepted without an answer, some answered with a lie; some
    /// queries fail.
    LedgerLoses {
        /// Submissions hit, in parts per million, each kind alike.
        submit_ppm: u32,
        /// Queries hit, in parts per million.
        query_ppm: u32,
    },
    /// What is on the ledger is seen later.
    LedgerLag {
        /// How much later.
        ingest_lag_ms: u64,
    },
    /// Others bid for all the room of each ledger.
    LedgerSurge {
        /// Operations that others offer each ledger.
        ops_per_ledger: u32,
        /// What they bid for one, in stroops.
        bid_stroops: i64,
    },
    /// The ledger's close times are ahead of true time, or behind it.
    LedgerClock {
        /// By how much; at most a minute.
        by_ms: i64,
    },
}
