//! The outside world as traits: each has one real adapter here, and fakes where tests and simulations live.
//!
//! Whatever may block, fail or differ between machines is behind one of these; nothing else of the node touches it.

pub mod clock;
pub mod ledger;
pub mod peer_link;
pub mod signer;

pub use clock::{Clock, SystemClock};
pub use ledger::{Ledger, LedgerError};
pub use peer_link::PeerLink;
pub use signer::{SignError, Signer};
