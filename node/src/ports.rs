//! The outside world as traits: each has one real adapter here, and fakes where tests and simulations live.
//!
//! Whatever may block, fail or differ between machines is behind one of these; nothing else of the node touches it.

pub mod peer_link;
