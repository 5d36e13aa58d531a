//! Channels and the mutex: tokio's, which need no runtime and are fair.
//!
//! Their waiters are queued in order of arrival, so they add no choice of
//! their own. The watch channel is the exception and lives in `watch`.

use openraft_rt::{OptionalSend, SendError, TryRecvError};
use tokio::sync::{mpsc, oneshot};

/// Bounded multi-producer channels.
#[derive(Debug)]
pub struct SimMpsc;

/// Sends into a bounded channel.
#[derive(Debug)]
pub struct MpscSender<T>(mpsc::Sender<T>);

/// Receives from a bounded channel.
#[derive(Debug)]
pub struct MpscReceiver<T>(mpsc::Receiver<T>);

/// A sender that does not keep the channel open.
#[derive(Debug)]
pub struct MpscWeakSender<T>(mpsc::WeakSender<T>);

impl<T> Clone for MpscSender<T> {
    fn clone(&self) -> Self {
        MpscSender(self.0.clone())
    }
}

impl<T> Clone for MpscWeakSender<T> {
    fn clone(&self) -> Self {
        MpscWeakSender(self.0.clone())
    }
}

impl openraft_rt::Mpsc for SimMpsc {
    type Sender<T: OptionalSend> = MpscSender<T>;
    type Receiver<T: OptionalSend> = MpscReceiver<T>;
    type WeakSender<T: OptionalSend> = MpscWeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (MpscSender<T>, MpscReceiver<T>) {
        let (sender, receiver) = mpsc::channel(buffer);
        (MpscSender(sender), MpscReceiver(receiver))
    }
}

impl<T: OptionalSend> openraft_rt::MpscSender<SimMpsc, T> for MpscSender<T> {
    async fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0
            .send(message)
            .await
            .map_err(|refused| SendError(refused.0))
    }

    fn downgrade(&self) -> MpscWeakSender<T> {
        MpscWeakSender(self.0.downgrade())
    }
}

impl<T: OptionalSend> openraft_rt::MpscReceiver<T> for MpscReceiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            mpsc::error::TryRecvError::Empty => TryRecvError::Empty,
            mpsc::error::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl<T: OptionalSend> openraft_rt::MpscWeakSender<SimMpsc, T> for MpscWeakSender<T> {
    fn upgrade(&self) -> Option<MpscSender<T>> {
        self.0.upgrade().map(MpscSender)
    }
}

/// Channels for one value.
#[derive(Debug)]
pub struct SimOneshot;

/// Sends the one value.
#[derive(Debug)]
pub struct OneshotSender<T>(oneshot::Sender<T>);

impl openraft_rt::Oneshot for SimOneshot {
    type Sender<T: OptionalSend> = OneshotSender<T>;
    type Receiver<T: OptionalSend> = oneshot::Receiver<T>;
    type ReceiverError = oneshot::error::RecvError;

    fn channel<T: OptionalSend>() -> (OneshotSender<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (OneshotSender(sender), receiver)
    }
}

impl<T: OptionalSend> openraft_rt::OneshotSender<T> for OneshotSender<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

/// A mutex that is held across awaits, granted in order of arrival.
#[derive(Debug)]
pub struct SimMutex<T>(tokio::sync::Mutex<T>);

impl<T: OptionalSend + 'static> openraft_rt::Mutex<T> for SimMutex<T> {
    type Guard<'a> = tokio::sync::MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        SimMutex(tokio::sync::Mutex::new(value))
    }

    async fn lock(&self) -> Self::Guard<'_> {
        self.0.lock().await
    }
}
