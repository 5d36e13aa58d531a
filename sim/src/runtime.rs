//! A deterministic runtime: one thread, virtual time, seeded scheduling.
//!
//! It implements openraft's `AsyncRuntime`, through which the real node takes
//! tasks, time, randomness and channels. The next runnable task is chosen by
//! the seed; time moves only when nothing can run, to the next timer. A task
//! belongs to the node of its spawner, so a node can crash, pause and drift.

mod clock;
mod control;
mod core;
mod moments;
mod nodes;
mod panics;
mod rng;
mod sleep;
mod sync;
mod tasks;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod watch;

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, OptionalSend};

pub use self::clock::{DriftOutOfRange, DriftPpm, SimInstant, SimTime, UnixMs};
pub use self::control::{
    current_node, event, event_bytes, is_killed, jump_wall_clock_ms, kill_node, monotonic_of, now,
    pause_node, resume_node, set_drift, set_wall_offset_ms, sleep, sleep_until, spawn_on, stream,
    wall_clock, wall_clock_of, yield_now,
};
use self::core::{Core, Entered, Step, with_core};
pub use self::moments::{Moment, no_moments, on_moment};
pub use self::nodes::NodeTag;
pub use self::panics::TaskPanic;
pub use self::rng::{NodeRng, RandomStream};
pub use self::sleep::{Elapsed, Sleep, Timeout};
pub use self::sync::{
    MpscReceiver, MpscSender, MpscWeakSender, OneshotSender, SimMpsc, SimMutex, SimOneshot,
};
pub use self::tasks::{JoinError, JoinHandle};
pub use self::trace::{EventKind, TraceHash, TraceText};
pub use self::watch::{SimWatch, WatchReceiver, WatchRef, WatchSender};

/// What a run is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// The events kept as text.
    pub text: TraceText,
    /// What every wall clock shows at the start.
    pub wall_start: UnixMs,
    /// The run ends with an error before any later time.
    pub time_limit: Option<SimTime>,
    /// Polls without any progress of time, after which the run ends with an error.
    pub polls_per_instant_max: u64,
}

impl Default for SimOptions {
    /// Seed 0, no text, 2026-01-01T00:00:00Z, no time limit, ten million polls.
    fn default() -> Self {
        SimOptions {
            seed: 0,
            text: TraceText::Off,
            wall_start: UnixMs(1_767_225_600_000),
            time_limit: None,
            polls_per_instant_max: 10_000_000,
        }
    }
}

/// Why a run ended before its future did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Nothing can run and no timer is pending: everything waits for something else.
    #[error(
        "deadlock at {at}: nothing runnable and no timer, {waiting} tasks wait, {paused} are runnable on paused nodes"
    )]
    Deadlock {
        /// When, in true time.
        at: SimTime,
        /// Tasks that are alive.
        waiting: usize,
        /// Of these, runnable but for the pause of their node.
        paused: usize,
    },
    /// Tasks wake each other without end, and time stands still.
    #[error("livelock at {at}: {polls} polls without any progress of time")]
    Livelock {
        /// When, in true time.
        at: SimTime,
        /// Polls at that time.
        polls: u64,
    },
    /// The time limit of [`SimOptions`] was reached.
    #[error("time limit of {limit} reached")]
    TimeLimit {
        /// The limit, in true time.
        limit: SimTime,
    },
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The seed.
    pub seed: u64,
    /// True time reached.
    pub at: SimTime,
    /// Equal for equal histories.
    pub trace_hash: TraceHash,
    /// Events in the trace, polls included.
    pub events: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Steps of time.
    pub advances: u64,
    /// Tasks alive.
    pub tasks_alive: usize,
    /// Timers pending.
    pub timers_pending: usize,
    /// Wakes from other OS threads: each is a violation of determinism.
    pub foreign_wakes: u64,
    /// Panics of tasks in their order, the first hundred.
    pub panics: Vec<TaskPanic>,
    /// Panics of tasks, all.
    pub panics_total: u64,
}

impl RunReport {
    /// Whether no task panicked and no other thread interfered.
    pub fn is_clean(&self) -> bool {
        self.panics_total == 0 && self.foreign_wakes == 0
    }
}

/// A simulation: make one per seed, and drive it.
pub struct SimRuntime {
    core: Rc<Core>,
}

impl SimRuntime {
    /// A simulation with the default options and this seed.
    pub fn with_seed(seed: u64) -> Self {
        SimRuntime::with_options(SimOptions {
            seed,
            ..SimOptions::default()
        })
    }

    /// A simulation.
    pub fn with_options(options: SimOptions) -> Self {
        panics::install_hook();
        SimRuntime {
            core: Rc::new(Core::new(options)),
        }
    }

    /// Runs until `future` is ready; it runs as [`NodeTag::DRIVER`]. Tasks stay
    /// and go on when driven again. A panic of `future` itself is passed on.
    ///
    /// # Errors
    ///
    /// If everything waits, if time stands still, or at the time limit.
    pub fn drive<F: Future>(&mut self, future: F) -> Result<F::Output, RunError> {
        let _entered = Entered::new(&self.core);
        let shared = self.core.open_root();
        let waker = Waker::from(Arc::clone(&shared));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            match self.core.step() {
                Step::Ran => self.core.check_progress()?,
                Step::Root => {
                    self.core.begin_root_poll();
                    shared.begin_poll();
                    if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
                        return Ok(value);
                    }
                    self.core.check_progress()?;
                }
                Step::Idle => self.core.advance()?,
            }
        }
    }

    /// What the run did so far.
    pub fn report(&self) -> RunReport {
        let core = &self.core;
        let trace = core.trace.borrow();
        RunReport {
            seed: core.options().seed,
            at: core.now(),
            trace_hash: trace.hash(),
            events: trace.events(),
            polls: core.polls.get(),
            advances: core.advances.get(),
            tasks_alive: core.tasks_alive(),
            timers_pending: core.timers.borrow().len(),
            foreign_wakes: core.home.foreign_wakes(),
            panics: core.panics.borrow().clone(),
            panics_total: core.panics_total.get(),
        }
    }

    /// Takes the lines kept so far, oldest first.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.core.trace.borrow_mut().take_lines()
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SimRuntime")
            .field("seed", &self.core.options().seed)
            .field("now", &self.core.now())
            .finish_non_exhaustive()
    }
}

impl Drop for SimRuntime {
    fn drop(&mut self) {
        // Destructors of tasks ask for the time and cancel timers.
        let _entered = Entered::new(&self.core);
        self.core.close();
    }
}

impl AsyncRuntime for SimRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = SimInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = NodeRng;
    type Mpsc = SimMpsc;
    type Watch = SimWatch;
    type Oneshot = SimOneshot;
    type Mutex<T: OptionalSend + 'static> = SimMutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        control::spawn_here(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep::for_span(duration)
    }

    fn sleep_until(deadline: SimInstant) -> Sleep {
        Sleep::until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Timeout<F> {
        Timeout::new(future, Sleep::for_span(duration))
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: SimInstant,
        future: F,
    ) -> Timeout<F> {
        Timeout::new(future, Sleep::until(deadline))
    }

    fn is_panic(join_error: &JoinError) -> bool {
        match join_error {
            JoinError::Panicked { .. } => true,
            JoinError::Killed => false,
        }
    }

    fn thread_rng() -> NodeRng {
        NodeRng
    }

    fn new(_threads: usize) -> Self {
        SimRuntime::with_seed(0)
    }

    /// # Panics
    ///
    /// If the run ends before `future` does: see [`SimRuntime::drive`].
    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        match self.drive(future) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs `blocking` at once and here: it takes no virtual time, but others
    /// may run before its caller goes on.
    fn spawn_blocking<F, T>(blocking: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let outcome = catch_unwind(AssertUnwindSafe(blocking)).map_err(|payload| {
            let message = with_core(|core| core.record_panic(payload.as_ref()));
            io::Error::other(format!("blocking work panicked: {message}"))
        });
        async move {
            yield_now().await;
            outcome
        }
    }
}
