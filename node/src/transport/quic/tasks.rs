//! Tasks that end with their owner: counted, awaited, and cancelled together.
//!
//! A task is cancelled between two of its polls, as a runtime's own abort does it; the runtime needs to know nothing
//! but how to spawn.

use std::future::Future;
use std::marker::PhantomData;

use openraft_rt::AsyncRuntime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Some tasks. When this is dropped, those that run are cancelled.
pub(super) struct Tasks<R> {
    running: TaskTracker,
    cancelled: CancellationToken,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Tasks<R> {
    pub(super) fn new() -> Self {
        Self {
            running: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            runtime: PhantomData,
        }
    }

    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Waits until none runs.
    pub(super) async fn all_ended(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Cancels all and waits until none runs.
    pub(super) async fn end(&self) {
        self.cancelled.cancel();
        self.all_ended().await;
    }
}

impl<R: AsyncRuntime> Tasks<R> {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancelled = self.cancelled.clone();
        drop(R::spawn(self.running.track_future(async move {
            // Cancelled or ended: nobody asks which.
            cancelled.run_until_cancelled_owned(task).await;
        })));
    }
}

impl<R> Drop for Tasks<R> {
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}
