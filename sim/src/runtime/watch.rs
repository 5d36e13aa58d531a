//! The watch channel: the last value, and who waits for a newer one.
//!
//! tokio's own notifies its waiters in a random order; this one wakes them in
//! the order in which they began to wait. A value may not be sent while it is
//! borrowed: on one thread that would wait forever, so it panics instead.
//! The counters are not under the lock: one thread changes them.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
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
    version: AtomicU64,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    next_receiver: AtomicU64,
    /// In order of registration, one a receiver. All are of the present version: a new one takes them out.
    waiting: Mutex<Vec<(u64, Waker)>>,
    /// Whether any wait.
    waited_for: AtomicBool,
}

impl<T> Shared<T> {
    fn waiting(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.version.fetch_add(1, Relaxed);
        self.wake_all();
    }

    fn wake_all(&self) {
        if !self.waited_for.swap(false, Relaxed) {
            return;
        }
        let mut waiting = std::mem::take(&mut *self.waiting());
        for (_, waker) in waiting.drain(..) {
            waker.wake();
        }
        // Its room is used again, unless a waker's code waits here already.
        let mut since = self.waiting();
        if since.is_empty() {
            *since = waiting;
        }
    }

    fn receiver(self: &Arc<Self>, seen: Seen) -> WatchReceiver<T> {
        self.receivers.fetch_add(1, Relaxed);
        let seen = match seen {
            Seen::Current => self.version.load(Relaxed),
            Seen::Version(version) => version,
        };
        WatchReceiver {
            shared: Arc::clone(self),
            id: self.next_receiver.fetch_add(1, Relaxed),
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
        self.shared.senders.fetch_add(1, Relaxed);
        WatchSender {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Relaxed) == 1 {
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
        self.shared.receivers.fetch_sub(1, Relaxed);
        if !self.shared.waited_for.load(Relaxed) {
            return;
        }
        let waker = take_waker(&mut self.shared.waiting(), self.id);
        drop(waker);
    }
}

fn take_waker(waiting: &mut Vec<(u64, Waker)>, id: u64) -> Option<Waker> {
    let at = waiting.iter().position(|(waiting, _)| *waiting == id)?;
    Some(waiting.remove(at).1)
}

impl openraft_rt::Watch for SimWatch {
    type Sender<T: OptionalSend + OptionalSync> = WatchSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = WatchRef<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (WatchSender<T>, WatchReceiver<T>) {
        let shared = Arc::new(Shared {
            value: RwLock::new(init),
            version: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            next_receiver: AtomicU64::new(0),
            waiting: Mutex::default(),
            waited_for: AtomicBool::new(false),
        });
        let receiver = shared.receiver(Seen::Current);
        (WatchSender { shared }, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> openraft_rt::WatchSender<SimWatch, T> for WatchSender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.shared.receivers.load(Relaxed) == 0 {
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
        self.shared.version.load(Relaxed) != self.seen
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether nobody can send any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.senders.load(Relaxed) == 0
    }

    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        let version = self.shared.version.load(Relaxed);
        if version != self.seen {
            self.seen = version;
            return Poll::Ready(Ok(()));
        }
        if self.shared.senders.load(Relaxed) == 0 {
            return Poll::Ready(Err(RecvError(())));
        }
        let stale_waker = {
            let mut waiting = self.shared.waiting();
            self.shared.waited_for.store(true, Relaxed);
            let own = waiting.iter_mut().find(|(id, _)| *id == self.id);
            match own {
                Some((_, waker)) if waker.will_wake(context.waker()) => None,
                Some((_, waker)) => Some(std::mem::replace(waker, context.waker().clone())),
                None => {
                    waiting.push((self.id, context.waker().clone()));
                    None
                }
            }
        };
        drop(stale_waker);
        Poll::Pending
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
        self.seen = self.shared.version.load(Relaxed);
        self.shared.read()
    }
}
