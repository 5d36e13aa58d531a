//! One look at everything in each moment of virtual time, after all that could run in it and before time moves on.
//!
//! Who looks changes nothing: no spawn, no wake, no draw. So a run with a watcher is the same history as one without.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::clock::SimTime;
use super::core::{Core, with_core};
use super::nodes::{NodeIndex, NodeTag};
use super::panics::TaskPanic;

/// Nodes told apart by a bit; those after them share the last one.
const BITS: u32 = u64::BITS;

/// A moment that is over.
pub struct Moment<'a> {
    /// True time.
    pub at: SimTime,
    /// The nodes, and the other parts of the world, of which a task was polled.
    pub polled: &'a [NodeTag],
    /// Panics of tasks since the run began.
    pub panics_total: u64,
    core: &'a Core,
}

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Moment")
            .field("at", &self.at)
            .field("polled", &self.polled)
            .field("panics_total", &self.panics_total)
            .finish_non_exhaustive()
    }
}

impl Moment<'_> {
    /// The panics after the first `seen`, as far as they are kept.
    #[must_use]
    pub fn panics_after(&self, seen: u64) -> Vec<TaskPanic> {
        let panics = self.core.panics.borrow();
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        panics.get(seen..).unwrap_or_default().to_vec()
    }
}

type Look = Box<dyn FnMut(&Moment<'_>)>;

/// Who is looked at, and who looks.
#[derive(Default)]
pub(super) struct Moments {
    polled: Cell<u64>,
    watched: Cell<bool>,
    look: RefCell<Option<Look>>,
    tags: RefCell<Vec<NodeTag>>,
}

impl Moments {
    /// A task of a node is polled.
    pub(super) fn note(&self, node: NodeIndex) {
        let bit = node.0.min(BITS - 1);
        self.polled.set(self.polled.get() | (1 << bit));
    }

    pub(super) fn is_due(&self) -> bool {
        self.watched.get() && self.polled.get() != 0
    }

    pub(super) fn end(&self, core: &Core) {
        let polled = self.polled.take();
        let mut tags = self.tags.take();
        tags.clear();
        {
            let nodes = core.nodes.borrow();
            let count = nodes.len();
            let named = (0..count).filter(|node| polled & (1 << (*node).min(BITS - 1)) != 0);
            tags.extend(named.map(|node| nodes.get(NodeIndex(node)).tag));
        }
        let look = self.look.take();
        if let Some(mut look) = look {
            look(&Moment {
                at: core.now(),
                polled: &tags,
                panics_total: core.panics_total.get(),
                core,
            });
            let mut kept = self.look.borrow_mut();
            if kept.is_none() && self.watched.get() {
                *kept = Some(look);
            }
        }
        self.tags.replace(tags);
    }

    fn set(&self, look: Option<Look>) -> Option<Look> {
        self.watched.set(look.is_some());
        self.look.replace(look)
    }
}

/// Has `look` called once for every moment of virtual time in which anything ran, from now on and just before time
/// moves on; it takes the place of an earlier one. It must change nothing: see [`Moment`].
///
/// # Panics
///
/// Outside a simulation. The run panics if `look` wakes or spawns a task.
pub fn on_moment(look: impl FnMut(&Moment<'_>) + 'static) {
    let earlier = with_core(|core| core.moments.set(Some(Box::new(look))));
    drop(earlier);
}

/// Nobody looks any more.
///
/// # Panics
///
/// Outside a simulation.
pub fn no_moments() {
    let earlier = with_core(|core| core.moments.set(None));
    drop(earlier);
}
