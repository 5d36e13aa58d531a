//! The scenarios that come with the simulator.

/// A scenario of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! entries {
    ($($name:literal)*) => {
        &[$(Entry {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".toml")),
        }),*]
    };
}

/// All of them, by name.
#[must_use]
pub const fn catalogue() -> &'static [Entry] {
    entries! {
        "bit-rot-in-the-log"
        "bursts"
        "calm"
        "chaos"
        "chaos-quic"
        "clock-jumps-and-drift"
        "corrupt-snapshot"
        "crash-between-apply-and-its-record"
        "crash-during-compaction"
        "disk-full"
        "failback"
        "failover-five"
        "failover-near"
        "failover-three"
        "fsync-stalls"
        "gray-disk"
        "idle-leader"
        "ledger-storm"
        "majority-lost"
        "membership-change"
        "misdirected-writes"
        "one-way-cut"
        "partial-cut"
        "paused-leader-reads"
        "pauses-choose-the-quorum"
        "power-loss-after-acks"
        "reads-race-the-election"
        "region-lost"
        "region-lost-quic"
        "retry-through-the-leaders-death"
        "rolling-restart"
        "second-failover"
        "single-voter"
        "slow-region"
        "snapshot-over-a-bad-link"
        "swizzle"
        "torn-log-tail"
        "two-regions-lost"
        "two-snapshots"
        "unknown-is-not-failed"
        "watch-through-partitions"
        "wiped-under-its-old-id"
    }
}
