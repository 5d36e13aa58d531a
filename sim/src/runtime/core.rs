//! The scheduler's state, and the one way to reach it from inside a run.
//!
//! Everything is on one thread. No part may be borrowed while foreign code
//! runs: polls, wakes, and drops of futures and wakers all come back in here.
//! Code of a dead node runs on at most to the end of its poll or its
//! destructors, and what it spawns is dropped.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::clock::{SimInstant, SimTime};
use super::moments::Moments;
use super::nodes::{NodeIndex, NodeTag, Nodes, Running};
use super::panics::{self, TaskPanic};
use super::rng::{RandomStream, name_hash};
use super::tasks::{Body, BoxedTask, Home, TaskId, TaskWaker, Tasks, Whose};
use super::timers::{Deadline, Timers};
use super::trace::{EventKind, Trace};
use super::{RunError, SimOptions};

/// Where code runs: a node, in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) node: NodeIndex,
    pub(super) incarnation: u32,
    pub(super) tag: NodeTag,
}

pub(super) enum Step {
    /// A task was polled, held or found gone.
    Ran,
    /// It is the turn of the future given to the runtime.
    Root,
    /// Nothing can run at this time.
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
}

/// Panics kept in full; more are only counted.
const PANICS_KEPT_MAX: usize = 100;

pub(super) struct Core {
    pub(super) home: Arc<Home>,
    pub(super) nodes: RefCell<Nodes>,
    pub(super) timers: RefCell<Timers>,
    pub(super) trace: RefCell<Trace>,
    pub(super) panics: RefCell<Vec<TaskPanic>>,
    pub(super) panics_total: Cell<u64>,
    pub(super) polls: Cell<u64>,
    pub(super) advances: Cell<u64>,
    pub(super) moments: Moments,
    tasks: RefCell<Tasks>,
    ready: RefCell<Vec<TaskId>>,
    schedule: RefCell<RandomStream>,
    now: Cell<SimTime>,
    place: Cell<Place>,
    paused_nodes: Cell<usize>,
    polls_at_this_time: Cell<u64>,
    phase: Cell<Phase>,
    options: SimOptions,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// The simulation that runs on this thread.
pub(super) fn with_core<R>(read: impl FnOnce(&Core) -> R) -> R {
    CURRENT.with(|current| {
        let current = current.borrow();
        read(
            current
                .as_ref()
                .expect("simulated time, tasks and randomness exist only inside a SimRuntime"),
        )
    })
}

/// As [`with_core`]; nothing if no simulation runs on this thread.
pub(super) fn try_with_core<R>(read: impl FnOnce(&Core) -> R) -> Option<R> {
    CURRENT
        .try_with(|current| current.try_borrow().ok()?.as_deref().map(read))
        .ok()
        .flatten()
}

/// Queues a task of the simulation at `home`; false if that is not the one running here.
pub(super) fn enqueue(home: &Arc<Home>, id: TaskId) -> bool {
    try_with_core(|core| {
        let here = Arc::ptr_eq(&core.home, home);
        if here {
            core.ready.borrow_mut().push(id);
        }
        here
    })
    .unwrap_or(false)
}

/// Makes a simulation the running one of this thread until dropped.
pub(super) struct Entered {
    earlier: Option<Rc<Core>>,
}

impl Entered {
    pub(super) fn new(core: &Rc<Core>) -> Self {
        core.place.set(core.place_of(NodeIndex::DRIVER));
        Entered {
            earlier: CURRENT.with(|current| current.replace(Some(Rc::clone(core)))),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // While the thread ends there is nothing to restore.
        CURRENT
            .try_with(|current| current.replace(self.earlier.take()))
            .ok();
    }
}

impl Core {
    pub(super) fn new(options: SimOptions) -> Self {
        let driver = Place {
            node: NodeIndex::DRIVER,
            incarnation: 0,
            tag: NodeTag::DRIVER,
        };
        Core {
            home: Home::new(),
            nodes: RefCell::new(Nodes::new(options.seed, options.wall_start)),
            timers: RefCell::default(),
            trace: RefCell::new(Trace::new(options.text)),
            panics: RefCell::default(),
            panics_total: Cell::new(0),
            polls: Cell::new(0),
            advances: Cell::new(0),
            moments: Moments::default(),
            tasks: RefCell::default(),
            ready: RefCell::default(),
            schedule: RefCell::new(RandomStream::derive(&[options.seed, name_hash("schedule")])),
            now: Cell::new(SimTime::ZERO),
            place: Cell::new(driver),
            paused_nodes: Cell::new(0),
            polls_at_this_time: Cell::new(0),
            phase: Cell::new(Phase::Open),
            options,
        }
    }

    pub(super) fn now(&self) -> SimTime {
        self.now.get()
    }

    pub(super) fn place(&self) -> Place {
        self.place.get()
    }

    pub(super) fn options(&self) -> &SimOptions {
        &self.options
    }

    pub(super) fn tasks_alive(&self) -> usize {
        self.tasks.borrow().alive()
    }

    pub(super) fn local_now(&self) -> SimInstant {
        self.nodes
            .borrow()
            .get(self.place.get().node)
            .clock
            .local(self.now.get())
    }

    pub(super) fn true_time(&self, deadline: Deadline) -> SimTime {
        match deadline {
            Deadline::True(at) => at,
            Deadline::Node(node, deadline) => {
                self.nodes.borrow().get(node).clock.true_time(deadline)
            }
        }
    }

    pub(super) fn with_node_rng<R>(&self, draw: impl FnOnce(&mut RandomStream) -> R) -> R {
        draw(&mut self.nodes.borrow_mut().get_mut(self.place.get().node).rng)
    }

    pub(super) fn event(&self, kind: EventKind, a: u64, b: u64, text: impl FnOnce() -> String) {
        // The text is made before the trace is borrowed: making it may come back here.
        let text = self.trace.borrow().keeps_events().then(text);
        self.trace
            .borrow_mut()
            .event(self.now.get(), kind, a, b, text);
    }

    pub(super) fn place_of(&self, node: NodeIndex) -> Place {
        let nodes = self.nodes.borrow();
        let record = nodes.get(node);
        Place {
            node,
            incarnation: record.incarnation,
            tag: record.tag,
        }
    }

    /// Whether code there has any effect still.
    pub(super) fn is_live(&self, place: Place) -> bool {
        self.phase.get() == Phase::Open
            && self.nodes.borrow().get(place.node).incarnation == place.incarnation
    }

    pub(super) fn spawn(&self, node: NodeIndex, task: BoxedTask) {
        if !self.is_live(self.place.get()) {
            drop(task);
            return;
        }
        let id = self
            .tasks
            .borrow_mut()
            .insert(self.place_of(node), task, &self.home);
        self.ready.borrow_mut().push(id);
    }

    /// Queues the future given to the runtime for its first poll.
    pub(super) fn open_root(&self) -> Arc<TaskWaker> {
        self.polls_at_this_time.set(0);
        let mut ready = self.ready.borrow_mut();
        ready.retain(|id| *id != TaskId::ROOT);
        ready.push(TaskId::ROOT);
        TaskWaker::queued(TaskId::ROOT, Arc::clone(&self.home))
    }

    pub(super) fn begin_root_poll(&self) {
        self.place.set(self.place_of(NodeIndex::DRIVER));
        self.count_poll(TaskId::ROOT, NodeTag::DRIVER);
        self.moments.note(NodeIndex::DRIVER);
    }

    /// Polls one of the runnable tasks, chosen at random.
    pub(super) fn step(&self) -> Step {
        let Some(id) = self.choose() else {
            return Step::Idle;
        };
        if id == TaskId::ROOT {
            return Step::Root;
        }
        if self.paused_nodes.get() > 0 && self.hold(id) {
            return Step::Ran;
        }
        let Some((place, mut body)) = self.tasks.borrow_mut().check_out(id) else {
            return Step::Ran;
        };
        self.count_poll(id, place.tag);
        self.moments.note(place.node);
        let earlier = self.place.replace(place);
        body.shared.begin_poll();
        // A task catches its own panics.
        let polled = body
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&body.waker));
        self.place.set(earlier);
        match polled {
            Poll::Ready(()) => {
                self.discard(place, body);
                self.tasks.borrow_mut().release(id);
            }
            Poll::Pending => {
                let killed = self.tasks.borrow_mut().check_in(id, body);
                if let Some(body) = killed {
                    self.discard(place, body);
                }
            }
        }
        Step::Ran
    }

    fn choose(&self) -> Option<TaskId> {
        let mut ready = self.ready.borrow_mut();
        match ready.len() {
            0 | 1 => ready.pop(),
            runnable => {
                let chosen = self.schedule.borrow_mut().below(runnable as u64);
                Some(ready.swap_remove(chosen as usize))
            }
        }
    }

    fn count_poll(&self, id: TaskId, tag: NodeTag) {
        self.polls.set(self.polls.get() + 1);
        self.polls_at_this_time
            .set(self.polls_at_this_time.get() + 1);
        self.trace
            .borrow_mut()
            .poll(self.now.get(), id.bits(), tag.0);
    }

    /// Sets a task of a paused node aside; false if its node runs.
    fn hold(&self, id: TaskId) -> bool {
        let Some(place) = self.tasks.borrow().place(id) else {
            return false;
        };
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.get_mut(place.node);
        match node.running {
            Running::Yes => false,
            Running::Paused => {
                node.held.push(id);
                true
            }
        }
    }

    /// Drops a future where it ran; a panic of a destructor is its task's panic.
    fn discard(&self, place: Place, body: Body) {
        let earlier = self.place.replace(place);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(body)));
        if let Err(payload) = dropped {
            self.record_panic(payload.as_ref());
        }
        self.place.set(earlier);
    }

    /// Keeps what a task panicked with, and returns the message.
    pub(super) fn record_panic(&self, payload: &(dyn Any + Send)) -> String {
        let panic = TaskPanic {
            node: self.place.get().tag,
            at: self.now.get(),
            message: panics::message(payload),
            location: panics::take_location(),
        };
        let message = panic.message.clone();
        self.event(PANIC, panic.node.0, 0, || message.clone());
        self.panics_total.set(self.panics_total.get() + 1);
        let mut panics = self.panics.borrow_mut();
        if panics.len() < PANICS_KEPT_MAX {
            panics.push(panic);
        }
        message
    }

    /// Moves time to the next timer and wakes all that is due.
    pub(super) fn advance(&self) -> Result<(), RunError> {
        let arrived = self.home.take_inbox();
        if !arrived.is_empty() {
            self.ready.borrow_mut().extend(arrived);
            return Ok(());
        }
        let next_at = self.timers.borrow().next_at();
        if next_at.is_none_or(|at| at > self.now.get()) {
            self.end_moment();
        }
        let Some(at) = next_at else {
            return Err(RunError::Deadlock {
                at: self.now.get(),
                waiting: self.tasks_alive(),
                paused: self.nodes.borrow().held(),
            });
        };
        if let Some(limit) = self.options.time_limit.filter(|limit| at > *limit) {
            self.now.set(self.now.get().max(limit));
            return Err(RunError::TimeLimit { limit });
        }
        // A clock whose drift changed may find a deadline already behind it.
        self.now.set(self.now.get().max(at));
        self.advances.set(self.advances.get() + 1);
        self.polls_at_this_time.set(0);
        loop {
            let due = self.timers.borrow_mut().pop_due(self.now.get());
            let Some(waker) = due else { return Ok(()) };
            waker.wake();
        }
    }

    /// Lets the watcher look, if there is one and anything ran since it last did.
    pub(super) fn end_moment(&self) {
        if self.moments.is_due() {
            self.moments.end(self);
            assert!(
                self.ready.borrow().is_empty(),
                "who looks at a moment wakes and spawns nothing"
            );
        }
    }

    /// Refuses to go on if tasks keep each other busy and time stands still.
    pub(super) fn check_progress(&self) -> Result<(), RunError> {
        if self.polls_at_this_time.get() > self.options.polls_per_instant_max {
            return Err(RunError::Livelock {
                at: self.now.get(),
                polls: self.polls_at_this_time.get(),
            });
        }
        Ok(())
    }

    pub(super) fn kill(&self, tag: NodeTag) -> usize {
        assert_ne!(
            tag,
            NodeTag::DRIVER,
            "the driver's node cannot be killed: the run's own future is there"
        );
        self.event(KILL, tag.0, 0, String::new);
        let index = {
            let mut nodes = self.nodes.borrow_mut();
            let index = nodes.index(tag);
            let node = nodes.get_mut(index);
            node.incarnation = node.incarnation.wrapping_add(1);
            node.held.clear();
            index
        };
        self.set_running(index, Running::Yes);
        let removed = self.tasks.borrow_mut().remove(Whose::Node(index));
        let count = removed.len();
        for (place, body) in removed {
            if let Some(body) = body {
                self.discard(place, body);
            }
        }
        // Its destructors cancelled most; one may have been kept alive elsewhere.
        let wakers = self.timers.borrow_mut().cancel_owned(index);
        drop(wakers);
        count
    }

    pub(super) fn pause(&self, tag: NodeTag) {
        self.event(PAUSE, tag.0, 0, String::new);
        let index = self.nodes.borrow_mut().index(tag);
        self.set_running(index, Running::Paused);
    }

    pub(super) fn resume(&self, tag: NodeTag) {
        self.event(RESUME, tag.0, 0, String::new);
        let index = self.nodes.borrow_mut().index(tag);
        self.set_running(index, Running::Yes);
        let held = std::mem::take(&mut self.nodes.borrow_mut().get_mut(index).held);
        self.ready.borrow_mut().extend(held);
    }

    fn set_running(&self, index: NodeIndex, running: Running) {
        let earlier =
            std::mem::replace(&mut self.nodes.borrow_mut().get_mut(index).running, running);
        let paused = self.paused_nodes.get();
        match (earlier, running) {
            (Running::Yes, Running::Paused) => self.paused_nodes.set(paused + 1),
            (Running::Paused, Running::Yes) => self.paused_nodes.set(paused - 1),
            (Running::Yes, Running::Yes) | (Running::Paused, Running::Paused) => {}
        }
    }

    /// Ends the simulation: drops all tasks, and all that their destructors spawn.
    pub(super) fn close(&self) {
        self.phase.set(Phase::Closing);
        let removed = self.tasks.borrow_mut().remove(Whose::Everyone);
        for (place, body) in removed {
            if let Some(body) = body {
                self.discard(place, body);
            }
        }
    }
}

const PANIC: EventKind = EventKind::new("panic");
const KILL: EventKind = EventKind::new("kill");
const PAUSE: EventKind = EventKind::new("pause");
const RESUME: EventKind = EventKind::new("resume");
