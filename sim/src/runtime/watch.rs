//! The watch channel: the last value, and who waits for a newer one.
//!
//! tokio's own notifies its waiters in a random order; this one wakes them in
//! the order in which they began to wait. A value may not be sent while it is
//! borrowed: on one thread that would wait forever, so it panics instead.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::task::{Context, Poll, Waker};

use openraft_rt::watch::{RecvError, SendError};
use openraft_rt::{OptionalSend, OptionalSync};

/// Watch channels.
#[derive(Debug)]
pub struct SimWatch;

/// Replaces the watched value.
#[derive(Debug)]
pub struct WatchSender<T> {
    shared: Arc<Shared<T>>,
}

/// Reads the watched value and waits for newer ones.
#[derive(Debug)]
pub struct WatchReceiver<T> {
    shared: Arc<Shared<T>>,
    id: u64,
    seen: u64,
}

/// A borrowed watched value. Do not hold it across an await.
#[derive(Debug)]
pub struct WatchRef<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for WatchRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: u64,
    senders: usize,
    receivers: usize,
    next_receiver: u64,
    /// In order of registration, one a receiver.
    waiting: Vec<(u64, Waker)>,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> WatchRef<'_, T> {
        // Never contended: a writer does not yield while it holds the value. A
        // writer that panicked left a value that is whole or its own affair.
        WatchRef(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.value.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                panic!("a watched value was sent while it was borrowed")
            }
        }
    }

    fn publish(&self) {
        self.state().version += 1;
        self.wake_all();
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    fn receiver(self: &Arc<Self>, seen: Seen) -> WatchReceiver<T> {
        let mut state = self.state();
        state.receivers += 1;
        state.next_receiver += 1;
        let seen = match seen {
            Seen::Current => state.version,
            Seen::Version(version) => version,
        };
        WatchReceiver {
            shared: Arc::clone(self),
            id: state.next_receiver,
            seen,
        }
    }
}

enum Seen {
    Current,
    Version(u64),
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> Self {
        self.shared.state().senders += 1;
        WatchSender {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        let senders_left = {
            let mut state = self.shared.state();
            state.senders -= 1;
            state.senders
        };
        if senders_left == 0 {
            self.shared.wake_all();
        }
    }
}

impl<T> Clone for WatchReceiver<T> {
    fn clone(&self) -> Self {
        self.shared.receiver(Seen::Version(self.seen))
    }
}

impl<T> Drop for WatchReceiver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.shared.state();
            state.receivers -= 1;
            take_waker(&mut state, self.id)
        };
        drop(waker);
    }
}

fn take_waker(state: &mut State, id: u64) -> Option<Waker> {
    let at = state
        .waiting
        .iter()
        .position(|(waiting, _)| *waiting == id)?;
    Some(state.waiting.remove(at).1)
}

impl openraft_rt::Watch for SimWatch {
    type Sender<T: OptionalSend + OptionalSync> = WatchSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = WatchRef<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (WatchSender<T>, WatchReceiver<T>) {
        let state = State {
            version: 0,
            senders: 1,
            receivers: 0,
            next_receiver: 0,
            waiting: Vec::new(),
        };
        let shared = Arc::new(Shared {
            value: RwLock::new(init),
            state: Mutex::new(state),
        });
        let receiver = shared.receiver(Seen::Current);
        (WatchSender { shared }, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> openraft_rt::WatchSender<SimWatch, T> for WatchSender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.shared.state().receivers == 0 {
            return Err(SendError(value));
        }
        // The guard is gone before the earlier value is dropped.
        let earlier = std::mem::replace(&mut *self.shared.write(), value);
        drop(earlier);
        self.shared.publish();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = modify(&mut self.shared.write());
        if modified {
            self.shared.publish();
        }
        modified
    }

    fn borrow_watched(&self) -> WatchRef<'_, T> {
        self.shared.read()
    }

    fn subscribe(&self) -> WatchReceiver<T> {
        self.shared.receiver(Seen::Current)
    }
}

impl<T> WatchReceiver<T> {
    /// Whether a value was sent that this receiver has not seen; it is not seen by this.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.shared.state().version != self.seen
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether nobody can send any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.state().senders == 0
    }

    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        let (outcome, stale_waker) = {
            let mut state = self.shared.state();
            if state.version != self.seen {
                self.seen = state.version;
                (Poll::Ready(Ok(())), take_waker(&mut state, self.id))
            } else if state.senders == 0 {
                (
                    Poll::Ready(Err(RecvError(()))),
                    take_waker(&mut state, self.id),
                )
            } else {
                let fresh = context.waker().clone();
                let stale = match state
                    .waiting
                    .iter_mut()
                    .find(|(waiting, _)| *waiting == self.id)
                {
                    Some((_, waker)) => Some(std::mem::replace(waker, fresh)),
                    None => {
                        state.waiting.push((self.id, fresh));
                        None
                    }
                };
                (Poll::Pending, stale)
            }
        };
        drop(stale_waker);
        outcome
    }
}

impl<T: OptionalSend + OptionalSync> openraft_rt::WatchReceiver<SimWatch, T> for WatchReceiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    fn borrow_watched(&self) -> WatchRef<'_, T> {
        self.shared.read()
    }

    fn borrow_and_update(&mut self) -> WatchRef<'_, T> {
        self.seen = self.shared.state().version;
        self.shared.read()
    }
}
