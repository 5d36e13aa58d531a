//! Receives snapshots into `incoming/<n>`, verifies every file by size and CRC-32, and seals the folder.
//!
//! A folder under `incoming` belongs to its transfer: it is removed when the transfer fails, when Raft has finished
//! with it (installing it moves it elsewhere), and, after a crash, at the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crc32fast::Hasher;
use openraft_rt::AsyncRuntime;
use prost::Message;
use stellara_proto::v1::peer as wire;
use stellara_raft_store::engine::{CheckpointFile, Disk, EngineError};
use stellara_raft_store::snapshot::Snapshot;
use thiserror::Error;

use crate::ports::peer_link::{FrameRx, LinkError};

const FOLDER: &str = "incoming";

/// Transfers received at once, at most: a leader and one that was deposed.
const RECEIVING_MAX: usize = 2;

/// Why a snapshot was not received.
#[derive(Debug, Error)]
pub(super) enum ReceiveError {
    /// The stream failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// This node's disk failed.
    #[error(transparent)]
    Disk(#[from] EngineError),
    /// A frame is not the one that should follow.
    #[error("out of order: {detail}")]
    OutOfOrder {
        /// What came, what should have.
        detail: String,
    },
    /// A file arrived otherwise than it was announced.
    #[error("file {name} is corrupt: CRC-32 is {found:08x}, expected {expected:08x}")]
    Corrupt {
        /// The file.
        name: String,
        /// Of what arrived.
        found: u32,
        /// As announced.
        expected: u32,
    },
    /// Too many transfers at once.
    #[error("{RECEIVING_MAX} snapshots are being received already")]
    Busy,
}

/// Where snapshots are received.
#[derive(Debug)]
pub(super) struct Incoming<D> {
    disk: D,
    next: AtomicU64,
    receiving: Arc<AtomicUsize>,
}

impl<D: Disk> Incoming<D> {
    /// Removes what an earlier run left.
    pub(super) fn new(disk: D) -> Result<Self, EngineError> {
        for left in disk.list(FOLDER)? {
            disk.remove(&format!("{FOLDER}/{left}"))?;
        }
        Ok(Self {
            disk,
            next: AtomicU64::new(1),
            receiving: Arc::default(),
        })
    }

    /// Receives the announced files from the stream, until its end; each frame within `idle`.
    pub(super) async fn receive<R: AsyncRuntime + 'static>(
        &self,
        files: Vec<CheckpointFile>,
        rx: &mut impl FrameRx,
        idle: Duration,
    ) -> Result<Received<D>, ReceiveError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let received = Received {
            disk: self.disk.clone(),
            snapshot: Snapshot {
                folder: format!("{FOLDER}/{number}"),
                files,
            },
            _turn: Turn::take(&self.receiving)?,
        };
        let Snapshot { folder, files } = &received.snapshot;
        for (number, file) in (0_u32..).zip(files) {
            self.receive_file::<R>(folder, number, file, rx, idle)
                .await?;
        }
        if next::<R>(rx, idle).await?.is_some() {
            return Err(ReceiveError::OutOfOrder {
                detail: "a frame came after the last file's last byte".into(),
            });
        }
        self.disk.seal(folder)?;
        Ok(received)
    }

    async fn receive_file<R: AsyncRuntime + 'static>(
        &self,
        folder: &str,
        number: u32,
        file: &CheckpointFile,
        rx: &mut impl FrameRx,
        idle: Duration,
    ) -> Result<(), ReceiveError> {
        let mut hasher = Hasher::new();
        let mut offset = 0;
        if file.bytes == 0 {
            self.disk.append(folder, &file.name, &[])?;
        }
        while offset < file.bytes {
            let frame = next::<R>(rx, idle)
                .await?
                .ok_or_else(|| ReceiveError::OutOfOrder {
                    detail: format!("the stream ended at byte {offset} of {}", file.name),
                })?;
            let chunk =
                wire::SnapshotChunk::decode(frame).map_err(|error| ReceiveError::OutOfOrder {
                    detail: format!("a chunk does not decode: {error}"),
                })?;
            let end = offset.saturating_add(chunk.data.len() as u64);
            if (chunk.file, chunk.offset) != (number, offset)
                || chunk.data.is_empty()
                || end > file.bytes
            {
                return Err(ReceiveError::OutOfOrder {
                    detail: format!(
                        "a chunk of {} bytes at {} of file {}, expected byte {offset} of file {number} of {} bytes",
                        chunk.data.len(),
                        chunk.offset,
                        chunk.file,
                        file.bytes
                    ),
                });
            }
            hasher.update(&chunk.data);
            self.disk.append(folder, &file.name, &chunk.data)?;
            offset = end;
        }
        let found = hasher.finalize();
        if found != file.crc32 {
            return Err(ReceiveError::Corrupt {
                name: file.name.clone(),
                found,
                expected: file.crc32,
            });
        }
        Ok(())
    }
}

/// The next frame of a stream, within `idle`.
pub(super) async fn next<R: AsyncRuntime + 'static>(
    rx: &mut impl FrameRx,
    idle: Duration,
) -> Result<Option<Bytes>, LinkError> {
    R::timeout(idle, rx.recv())
        .await
        .unwrap_or(Err(LinkError::TimedOut { limit: idle }))
}

/// A snapshot on this node's disk; its folder goes when this is dropped, unless it was moved by then.
#[derive(Debug)]
pub(super) struct Received<D: Disk> {
    disk: D,
    pub(super) snapshot: Snapshot,
    _turn: Turn,
}

impl<D: Disk> Drop for Received<D> {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.snapshot.folder) {
            tracing::warn!(folder = %self.snapshot.folder, %error, "a received snapshot's folder stays until the next start");
        }
    }
}

/// One of the transfers that may go on at once.
#[derive(Debug)]
struct Turn(Arc<AtomicUsize>);

impl Turn {
    fn take(receiving: &Arc<AtomicUsize>) -> Result<Self, ReceiveError> {
        receiving
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < RECEIVING_MAX).then_some(count + 1)
            })
            .map(|_| Self(Arc::clone(receiving)))
            .map_err(|_| ReceiveError::Busy)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
