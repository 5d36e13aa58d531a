//! Tasks: a slab of futures, their wakers, and the handles that await them.
//!
//! A task id carries the generation of its slot, so a wake for a task that is
//! gone finds nothing. A wake from another OS thread cannot be ordered: it is
//! counted, and delivered at the next idle moment so that the run can end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use tokio::sync::oneshot;

use super::core::{Place, enqueue, with_core};
use super::nodes::NodeIndex;

/// A slot and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    slot: u32,
    generation: u32,
}

impl TaskId {
    /// The future given to the runtime: not a task, but scheduled like one.
    pub(super) const ROOT: TaskId = TaskId {
        slot: u32::MAX,
        generation: 0,
    };

    /// For the trace.
    pub(super) fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

pub(super) type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where wakes arrive that do not come from inside the simulation.
pub(super) struct Home {
    thread: ThreadId,
    inbox: Mutex<Vec<TaskId>>,
    foreign_wakes: AtomicU64,
}

impl Home {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Home {
            thread: thread::current().id(),
            inbox: Mutex::new(Vec::new()),
            foreign_wakes: AtomicU64::new(0),
        })
    }

    pub(super) fn foreign_wakes(&self) -> u64 {
        self.foreign_wakes.load(Ordering::Acquire)
    }

    pub(super) fn take_inbox(&self) -> Vec<TaskId> {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn deliver(&self, id: TaskId) {
        // The runtime's own thread may wake tasks between two runs.
        if thread::current().id() != self.thread {
            self.foreign_wakes.fetch_add(1, Ordering::AcqRel);
        }
        self.inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
    }
}

pub(super) struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    home: Arc<Home>,
}

impl TaskWaker {
    /// A waker whose task is already queued.
    pub(super) fn queued(id: TaskId, home: Arc<Home>) -> Arc<Self> {
        Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(true),
            home,
        })
    }

    /// From here on a wake queues the task again.
    pub(super) fn begin_poll(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if !enqueue(&self.home, self.id) {
            self.home.deliver(self.id);
        }
    }
}

/// What is taken out of a slot while the task is polled.
pub(super) struct Body {
    pub(super) future: BoxedTask,
    pub(super) waker: Waker,
    pub(super) shared: Arc<TaskWaker>,
}

struct Slot {
    generation: u32,
    place: Option<Place>,
    body: Option<Body>,
}

#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Tasks {
    pub(super) fn alive(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, place: Place, future: BoxedTask, home: &Arc<Home>) -> TaskId {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot {
                    generation: 0,
                    place: None,
                    body: None,
                });
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 tasks fit in memory")
            }
        };
        let entry = &mut self.slots[slot as usize];
        let id = TaskId {
            slot,
            generation: entry.generation,
        };
        let shared = TaskWaker::queued(id, Arc::clone(home));
        let waker = Waker::from(Arc::clone(&shared));
        entry.place = Some(place);
        entry.body = Some(Body {
            future,
            waker,
            shared,
        });
        id
    }

    /// Where the task runs; none if it is gone.
    pub(super) fn place(&self, id: TaskId) -> Option<Place> {
        self.slots
            .get(id.slot as usize)
            .filter(|slot| slot.generation == id.generation)?
            .place
    }

    /// Takes a task out for a poll; none if it is gone.
    pub(super) fn check_out(&mut self, id: TaskId) -> Option<(Place, Body)> {
        let slot = self.slot(id)?;
        slot.place.zip(slot.body.take())
    }

    /// Puts a pending task back, or gives it back if it was killed meanwhile.
    pub(super) fn check_in(&mut self, id: TaskId, body: Body) -> Option<Body> {
        match self.slot(id) {
            Some(slot) => {
                slot.body = Some(body);
                None
            }
            None => Some(body),
        }
    }

    /// Frees the slot of a task that has ended, unless it was killed meanwhile.
    pub(super) fn release(&mut self, id: TaskId) {
        if self.slot(id).is_some() {
            self.free_slot(id.slot);
        }
    }

    /// Removes the tasks of a node, or of all, in the order of their slots. A
    /// task that is being polled is removed too; its body comes at check-in.
    pub(super) fn remove(&mut self, whose: Whose) -> Vec<(Place, Option<Body>)> {
        let mut removed = Vec::new();
        for slot in 0..self.slots.len() {
            let entry = &mut self.slots[slot];
            let Some(place) = entry.place else { continue };
            match whose {
                Whose::Node(node) if place.node != node => continue,
                Whose::Node(_) | Whose::Everyone => {}
            }
            removed.push((place, entry.body.take()));
            self.free_slot(slot as u32);
        }
        removed
    }

    fn slot(&mut self, id: TaskId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.generation == id.generation && slot.place.is_some())
    }

    fn free_slot(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.place = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }
}

#[derive(Clone, Copy)]
pub(super) enum Whose {
    Node(NodeIndex),
    Everyone,
}

/// Why a task gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It panicked; the run reports it too.
    #[error("task panicked: {message}")]
    Panicked {
        /// What it panicked with.
        message: String,
    },
    /// Its node was killed, or the run has ended.
    #[error("task was killed with its node")]
    Killed,
}

/// Awaits the value of a task. Dropping it lets the task run on.
#[derive(Debug)]
pub struct JoinHandle<T> {
    value: oneshot::Receiver<Result<T, JoinError>>,
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.value)
            .poll(context)
            .map(|value| value.unwrap_or(Err(JoinError::Killed)))
    }
}

pin_project_lite::pin_project! {
    struct Task<F: Future> {
        #[pin]
        future: F,
        reply: Option<oneshot::Sender<Result<F::Output, JoinError>>>,
    }
}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.poll(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(JoinError::Panicked {
                message: with_core(|core| core.record_panic(payload.as_ref())),
            }),
        };
        // A task that killed its own node has no value: its last poll ran on
        // only because a poll cannot be stopped half way.
        let live = with_core(|core| core.is_live(core.place()));
        if let Some(reply) = this.reply.take().filter(|_| live) {
            // The handle may be gone, which means that nobody waits for the value.
            reply.send(outcome).ok();
        }
        Poll::Ready(())
    }
}

/// Boxes a future as a task, and makes the handle that awaits it.
pub(super) fn task<F>(future: F) -> (BoxedTask, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (reply, value) = oneshot::channel();
    (
        Box::pin(Task {
            future,
            reply: Some(reply),
        }),
        JoinHandle { value },
    )
}
