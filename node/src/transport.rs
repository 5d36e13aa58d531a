//! How nodes talk: the peer link over QUIC, Raft's messages over any link, and the failure detector.
//!
//! Only `quic` sees quinn, rustls and tokio; the rest is generic over the runtime, so the simulator runs it as it is.

pub mod client;
pub mod detector;
pub mod quic;
pub mod raft;
