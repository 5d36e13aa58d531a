//! Raft over a link: pipelining and snapshots over a link with a script and a latency; a group over QUIC.

mod ballots;
mod disk;
mod group;
mod pauses;
mod pipelining;
mod snapshots;
mod store;
mod wire;
