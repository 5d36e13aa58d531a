//! The one thread that writes: waiting commits become one write and one sync.
//!
//! Jobs run in the order they were sent. The queue is bounded; a full one holds the
//! sender back, which happens only when the disk has stood still for thousands of batches.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use stellara_raft_store::engine::room::{Ticket, Undelivered, put_bytes};
use stellara_raft_store::engine::{Batch, CheckpointFile, EngineError};

use crate::error::write_failed;
use crate::store::Store;

/// Jobs that may wait.
const JOBS_MAX: usize = 4096;
/// Bytes that go into one write; more wait for the next.
const GROUP_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A job's end: with a refusal, the mark that its caller has not seen it yet.
pub(crate) type Outcome = Result<(), (EngineError, Option<Undelivered>)>;

/// Where a job's outcome goes.
pub(crate) enum Reply {
    /// To a future.
    Task(oneshot::Sender<Outcome>),
    /// To a blocked thread.
    Thread(SyncSender<Outcome>),
}

impl Reply {
    fn send(self, outcome: Outcome) {
        // Nobody may be waiting any more: the batch counts all the same.
        match self {
            Self::Task(task) => drop(task.send(outcome)),
            Self::Thread(thread) => drop(thread.send(outcome)),
        }
    }
}

pub(crate) enum Job {
    Write {
        batch: Batch,
        ticket: Ticket,
        reply: Reply,
    },
    Flush {
        reply: Reply,
    },
    Checkpoint {
        target: PathBuf,
        reply: oneshot::Sender<Result<Vec<CheckpointFile>, EngineError>>,
    },
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Queue {
    pub batches: AtomicU64,
    pub bytes: AtomicU64,
}

/// The thread and the way to it.
pub(crate) struct Writer {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    pub queue: Arc<Queue>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// `WriteFailed` when the system has no thread to give.
    pub fn start(store: &Arc<Store>) -> Result<Self, EngineError> {
        let (sender, receiver) = sync_channel(JOBS_MAX);
        let queue = Arc::new(Queue::default());
        let worker = Worker {
            store: Arc::clone(store),
            queue: Arc::clone(&queue),
        };
        let thread = thread::Builder::new()
            .name("engine-writer".to_owned())
            .spawn(move || worker.run(&receiver))
            .map_err(|error| write_failed(&store.folder, error))?;
        Ok(Self {
            jobs: Some(sender),
            thread: Some(thread),
            queue,
        })
    }

    /// Queues a job. A job that cannot be queued is dropped, and with it its reply.
    pub fn send(&self, job: Job) {
        if let Job::Write { batch, .. } = &job {
            self.queue.batches.fetch_add(1, Ordering::Relaxed);
            self.queue
                .bytes
                .fetch_add(put_bytes(batch), Ordering::Relaxed);
        }
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(job));
        }
    }
}

impl Drop for Writer {
    /// Waits until everything queued is written.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

struct Worker {
    store: Arc<Store>,
    queue: Arc<Queue>,
}

/// What one turn of the thread takes from the queue.
#[derive(Default)]
struct Group {
    writes: Vec<(Batch, Ticket, Reply)>,
    bytes: u64,
    flushes: Vec<Reply>,
}

impl Worker {
    fn run(&self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut group = Group::default();
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Write {
                        batch,
                        ticket,
                        reply,
                    } => {
                        group.bytes += put_bytes(&batch);
                        group.writes.push((batch, ticket, reply));
                    }
                    // Writes that join the group behind a flush are flushed with it: no harm.
                    Job::Flush { reply } => group.flushes.push(reply),
                    Job::Checkpoint { target, reply } => {
                        self.finish(std::mem::take(&mut group));
                        // Nobody may be waiting any more.
                        drop(reply.send(self.store.checkpoint(&target)));
                    }
                }
                if group.bytes < GROUP_BYTES_MAX {
                    next = jobs.try_recv().ok();
                }
            }
            self.finish(group);
        }
    }

    fn finish(&self, group: Group) {
        let admitted = self.admit(group.writes);
        if !admitted.is_empty() {
            let written = self.store.write(admitted.iter().map(|(batch, _)| batch));
            self.settle(admitted, &written);
        }
        if !group.flushes.is_empty() {
            let flushed = self.store.flush();
            for reply in group.flushes {
                reply.send(flushed.clone().map_err(|error| (error, None)));
            }
        }
    }

    /// The batches there is room for; the others are refused.
    fn admit(&self, writes: Vec<(Batch, Ticket, Reply)>) -> Vec<(Batch, Reply)> {
        let mut admitted = Vec::with_capacity(writes.len());
        let mut bytes = 0;
        for (batch, ticket, reply) in writes {
            let more = put_bytes(&batch);
            match self.room_for(ticket, bytes, more) {
                Ok(()) => {
                    bytes += more;
                    admitted.push((batch, reply));
                }
                Err(error) => {
                    self.count_out(more);
                    reply.send(Err((error, Some(self.store.refusals.refuse()))));
                }
            }
        }
        admitted
    }

    fn room_for(&self, ticket: Ticket, bytes: u64, more: u64) -> Result<(), EngineError> {
        if more == 0 {
            return Ok(());
        }
        if !self.store.refusals.admits(ticket) {
            return Err(EngineError::DiskFull {
                path: self.store.folder.display().to_string(),
                detail: "a batch before it found no room".to_owned(),
            });
        }
        self.store.room_for(bytes, more)
    }

    fn settle(&self, admitted: Vec<(Batch, Reply)>, written: &Result<(), EngineError>) {
        for (batch, reply) in admitted {
            self.count_out(put_bytes(&batch));
            reply.send(written.clone().map_err(|error| (error, None)));
        }
    }

    fn count_out(&self, bytes: u64) {
        self.queue.batches.fetch_sub(1, Ordering::Relaxed);
        self.queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
