//! Panics of tasks: what is kept of them for the report.
//!
//! The location is only known to the panic hook, so the first runtime of a
//! process adds one that notes it for this thread and then calls the earlier
//! hook: what is printed stays as it was.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic;
use std::sync::Once;

use super::clock::SimTime;
use super::nodes::NodeTag;

/// A panic of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPanic {
    /// The node of the task.
    pub node: NodeTag,
    /// When, in true time.
    pub at: SimTime,
    /// What it panicked with.
    pub message: String,
    /// `file:line:column`, if known.
    pub location: Option<String>,
}

impl fmt::Display for TaskPanic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "node {} panicked at {}: {}",
            self.node.0, self.at, self.message
        )?;
        match &self.location {
            Some(location) => write!(out, " ({location})"),
            None => Ok(()),
        }
    }
}

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

pub(super) fn install_hook() {
    HOOK.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = info.location().map(ToString::to_string);
            // A thread that is ending has no place for the note, and needs none.
            LOCATION.try_with(|kept| kept.replace(location)).ok();
            earlier(info);
        }));
    });
}

pub(super) fn take_location() -> Option<String> {
    LOCATION.try_with(RefCell::take).ok().flatten()
}

pub(super) fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return (*text).to_owned();
    }
    match payload.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "a value that is not text".to_owned(),
    }
}
