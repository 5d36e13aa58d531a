//! The node's ports, acted out in virtual time: network, public port, ledger, clock and disk delays.
//!
//! Each obeys the port's contract and nothing more; what goes wrong is decided by the scenario or by a seeded
//! stream.

use crate::runtime::NodeTag;

pub mod api;
pub mod clock;
pub mod disk;
pub mod ledger;
pub mod link;
pub mod network;
pub mod udp;

/// The network between the nodes: it has tasks of its own, which no crash of a node ends.
pub const NETWORK_TAG: NodeTag = NodeTag(u64::MAX);

/// The ledger, whose clock is true.
pub const LEDGER_TAG: NodeTag = NodeTag(u64::MAX - 1);

/// The network between callers and nodes.
pub const PUBLIC_TAG: NodeTag = NodeTag(u64::MAX - 2);
