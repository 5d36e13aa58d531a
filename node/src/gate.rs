//! Whether the node takes writes: open, draining before a stop, or read-only because its disk is nearly full.

use std::sync::{Arc, Mutex};

use crate::ingress::Origin;

/// Why writes are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Closed {
    /// The node stops: callers go elsewhere, the executor finishes what it began.
    Draining,
    /// The disk has no room: nobody writes.
    ReadOnly(String),
}

/// Shared by everything that must know. Clones are one gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    closed: Arc<Mutex<Option<Closed>>>,
}

impl Gate {
    /// Refuses new callers from now on; what was admitted is still answered.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn drain(&self) {
        *self.closed.lock().expect("no holder panics") = Some(Closed::Draining);
    }

    /// Refuses all writes until [`Gate::writable`].
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn read_only(&self, reason: String) {
        let mut closed = self.closed.lock().expect("no holder panics");
        if *closed != Some(Closed::Draining) {
            *closed = Some(Closed::ReadOnly(reason));
        }
    }

    /// Takes writes again after [`Gate::read_only`].
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn writable(&self) {
        let mut closed = self.closed.lock().expect("no holder panics");
        if matches!(*closed, Some(Closed::ReadOnly(_))) {
            *closed = None;
        }
    }

    /// Why commands of `origin` are refused; `None` when they are not.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    #[must_use]
    pub fn closed_for(&self, origin: Origin) -> Option<String> {
        match &*self.closed.lock().expect("no holder panics") {
            None => None,
            Some(Closed::Draining) => match origin {
                Origin::Caller => Some("the node is stopping".to_owned()),
                Origin::LeaderOnly => None,
            },
            Some(Closed::ReadOnly(reason)) => Some(reason.clone()),
        }
    }

    /// Why callers' writes are refused; `None` when they are not.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.closed_for(Origin::Caller)
    }
}
