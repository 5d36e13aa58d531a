//! Waiting: sleeps and time limits, on a node's clock or in true time.
//!
//! A timer exists only while something waits for it: it is registered at the
//! first poll and cancelled when its future is dropped. A deadline beyond
//! `FOREVER` never fires and does not keep a deadlocked run alive.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::clock::{SimInstant, SimTime};
use super::core::{try_with_core, with_core};
use super::timers::{Deadline, SetWaker, Timer, TimerKey};

/// About 292 years: no run gets there.
const FOREVER: SimTime = SimTime::from_ns(u64::MAX / 2);

/// Completes when a deadline has passed.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless awaited"]
pub struct Sleep {
    deadline: Deadline,
    key: Option<TimerKey>,
}

impl Sleep {
    /// Until the clock of the running task's node reads `deadline`.
    pub(super) fn until(deadline: SimInstant) -> Self {
        let node = with_core(|core| core.place().node);
        Sleep {
            deadline: Deadline::Node(node, deadline),
            key: None,
        }
    }

    /// For `span` on the clock of the running task's node.
    pub(super) fn for_span(span: Duration) -> Self {
        Sleep::until(with_core(|core| core.local_now()) + span)
    }

    pub(super) fn until_true(at: SimTime) -> Self {
        Sleep {
            deadline: Deadline::True(at),
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (outcome, stale_waker) = with_core(|core| {
            let at = core.true_time(self.deadline);
            let mut timers = core.timers.borrow_mut();
            if at <= core.now() {
                let waker = self.key.take().and_then(|key| timers.cancel(key));
                return (Poll::Ready(()), waker);
            }
            if at >= FOREVER {
                return (Poll::Pending, None);
            }
            match self.key.map(|key| timers.set_waker(key, context.waker())) {
                Some(SetWaker::Same) => return (Poll::Pending, None),
                Some(SetWaker::Replaced(earlier)) => return (Poll::Pending, Some(earlier)),
                Some(SetWaker::Stale) | None => {}
            }
            let timer = Timer {
                deadline: self.deadline,
                owner: core.place().node,
                waker: context.waker().clone(),
            };
            self.key = Some(timers.insert(at, timer));
            (Poll::Pending, None)
        });
        drop(stale_waker);
        outcome
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        // Outside a simulation there is no timer left to cancel.
        let waker = try_with_core(|core| core.timers.borrow_mut().cancel(key));
        drop(waker);
    }
}

/// The time limit of a [`Timeout`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("time limit elapsed")
    }
}

impl std::error::Error for Elapsed {}

pin_project_lite::pin_project! {
    /// A future with a time limit. The future is asked first, so one that is
    /// ready at its deadline wins.
    #[must_use = "a timeout does nothing unless awaited"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    pub(super) fn new(future: F, sleep: Sleep) -> Self {
        Timeout { future, sleep }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(value) = this.future.poll(context) {
            return Poll::Ready(Ok(value));
        }
        this.sleep.poll(context).map(|()| Err(Elapsed))
    }
}
