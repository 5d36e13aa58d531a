//! The outside world as traits: each has one real adapter here, and fakes where tests and simulations live.
//!
//! Whatever may block, fail or differ between machines is behind one of these; nothing else of the node touches it.

use std::io;

pub mod clock;
pub mod ledger;
pub mod peer_link;
pub mod signer;
mod web;

pub use clock::{Clock, SystemClock};
pub use ledger::{Ledger, LedgerError};
pub use peer_link::PeerLink;
pub use signer::{SignError, Signer};

/// Runs what may wait for the disk on the threads that tokio keeps for that.
///
/// # Errors
/// `Interrupted` when the runtime stops; any other when `work` panicked.
pub async fn on_kept_threads<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| match error.is_cancelled() {
        true => io::ErrorKind::Interrupted.into(),
        false => io::Error::other(error),
    })
}
