//! What engines do when the disk has no room.
//!
//! A refused commit must not be followed by one that was issued before its caller
//! could know: a log would get a gap. So commits issued while a refusal is still
//! unknown to its caller are refused too; batches that only remove always pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Batch, Write};

/// The refusals of one engine.
#[derive(Debug, Default)]
pub struct Refusals {
    happened: AtomicU64,
    undelivered: AtomicU64,
}

/// What was known when a batch was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    happened: u64,
    behind_refusal: bool,
}

/// A refusal its caller has not seen yet; dropped when the caller sees it.
#[derive(Debug)]
pub struct Undelivered(Arc<Refusals>);

impl Refusals {
    /// Takes a ticket for a batch that is issued now.
    #[must_use]
    pub fn issue(&self) -> Ticket {
        Ticket {
            happened: self.happened.load(Ordering::SeqCst),
            behind_refusal: self.undelivered.load(Ordering::SeqCst) > 0,
        }
    }

    /// Whether no refusal stands between the ticket's batch and those before it.
    #[must_use]
    pub fn admits(&self, ticket: Ticket) -> bool {
        !ticket.behind_refusal && ticket.happened == self.happened.load(Ordering::SeqCst)
    }

    /// Records a refusal; hold what is returned until the caller sees the error.
    #[must_use]
    pub fn refuse(self: &Arc<Self>) -> Undelivered {
        // Undelivered first: a ticket taken between the two is refused by either count.
        self.undelivered.fetch_add(1, Ordering::SeqCst);
        self.happened.fetch_add(1, Ordering::SeqCst);
        Undelivered(Arc::clone(self))
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        self.0.undelivered.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes of the keys and values the batch puts; 0 when it only removes rows.
#[must_use]
pub fn put_bytes(batch: &Batch) -> u64 {
    batch.writes.iter().map(write_bytes).sum()
}

fn write_bytes(write: &Write) -> u64 {
    match write {
        Write::Put(_, key, value) => (key.len() + value.len()) as u64,
        Write::Delete(..) | Write::DeleteRange(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_issued_before_a_refusal_is_seen_are_refused() {
        let refusals = Arc::new(Refusals::default());
        let queued = refusals.issue();
        assert!(refusals.admits(queued));

        let refusal = refusals.refuse();
        let unaware = refusals.issue();
        assert!(!refusals.admits(queued), "queued before the refusal");
        drop(refusal);
        assert!(!refusals.admits(unaware), "issued before it was seen");
        assert!(refusals.admits(refusals.issue()), "issued after");
    }
}
