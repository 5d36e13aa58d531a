//! The deterministic simulator of a Stellara cluster.
//!
//! One seed is one history: the same seed gives the same events, in the same
//! order, on every machine. Nothing here reads a real clock, a real random
//! source or a real network.

pub mod advise;
pub mod envelopes;
pub mod fake;
pub mod history;
pub mod invariants;
pub mod linearizability;
pub mod plan;
pub mod record;
pub mod regions;
pub mod run;
pub mod runtime;
pub mod scenario;
pub mod shrink;
pub mod swarm;
pub mod timeline;
pub mod world;
