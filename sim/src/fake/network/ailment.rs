//! What can be wrong with the network for a while. Each trouble is held until it is released: two that overlap on one
//! path are both in force, and the end of one does not end the other.

use stellara_raft_store::types::NodeId;

/// Loss in bursts (Gilbert-Elliott): a path is good or bad, each for a drawn time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// Packets lost while a path is bad, in parts per million.
    pub bad_ppm: u32,
    /// The mean time for which it is bad, in milliseconds.
    pub bad_ms: u64,
    /// The mean time for which it is good, in milliseconds.
    pub good_ms: u64,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// What is sent one way is lost.
    Cut {
        /// From here.
        from: NodeId,
        /// To there.
        to: NodeId,
    },
    /// What is sent one way is held; all of it arrives at the end.
    Clog {
        /// From here.
        from: NodeId,
        /// To there.
        to: NodeId,
    },
    /// One way is slower, and perhaps narrower.
    Slow {
        /// From here.
        from: NodeId,
        /// To there.
        to: NodeId,
        /// How much longer packets take, in thousandths of the path's own time.
        add_permille: u32,
        /// What passes, in bytes a second; as before when `None`.
        bytes_per_s: Option<u64>,
    },
    /// Packets are lost at random on all paths.
    Loss {
        /// How many more, in parts per million.
        loss_ppm: u32,
    },
    /// Loss comes in bursts on all paths, on each in its own time.
    Bursts(Bursts),
    /// Datagrams arrive twice on all paths. A stream drops what comes twice.
    Duplicate {
        /// How many, in parts per million.
        duplicate_ppm: u32,
    },
}

/// One trouble that is in force until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hold(pub(super) u64);

impl Hold {
    /// The cuts made and healed by name.
    pub(super) const BY_NAME: Self = Self(0);
}
