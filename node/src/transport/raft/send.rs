//! Sends a snapshot: its beginning, its files chunk by chunk, at a bounded rate; then awaits that it is installed.

use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use openraft_rt::{AsyncRuntime, Instant};
use prost::Message;
use stellara_proto::v1::peer as wire;
use stellara_raft_store::engine::{CheckpointFile, Disk, EngineError};
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{NodeId, SnapshotMeta, Vote};
use thiserror::Error;

use super::convert::{snapshot_to_wire, vote_from_wire};
use super::{RaftLinkOptions, SnapshotBoard, SnapshotProgress};
use crate::ports::peer_link::{FrameRx, FrameTx, LinkError, Peer, PeerLink, StreamClass};

/// Why a snapshot was not installed on the other side.
#[derive(Debug, Error)]
pub(super) enum TransferError {
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A file of this side's snapshot cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Disk(#[from] EngineError),
    /// The receiver says why.
    #[error("the receiver did not install the snapshot: {0}")]
    Receiver(String),
}

/// One transfer.
pub(super) struct SnapshotSender<'a, R, L, D> {
    pub(super) peer: &'a Peer,
    pub(super) link: &'a L,
    pub(super) disk: &'a D,
    pub(super) options: RaftLinkOptions,
    pub(super) board: &'a SnapshotBoard,
    /// Given up when nothing moved for this long.
    pub(super) idle: Duration,
    pub(super) runtime: PhantomData<fn() -> R>,
}

impl<R: AsyncRuntime + 'static, L: PeerLink, D: Disk> SnapshotSender<'_, R, L, D> {
    /// Sends the snapshot; the receiver's vote after it installed it.
    pub(super) async fn send(
        &self,
        vote: &Vote,
        meta: &SnapshotMeta,
        snapshot: &Snapshot,
    ) -> Result<Vote, TransferError> {
        let opening = self.link.open(self.peer, StreamClass::Snapshot);
        let (mut tx, mut rx) = self.within(self.idle, opening).await?;
        let begin = snapshot_to_wire(vote, meta, &snapshot.files);
        let answer = match self.send_files(&mut tx, &begin, snapshot).await {
            Ok(()) => {
                self.within(self.options.snapshot_install, rx.recv())
                    .await?
            }
            Err(TransferError::Disk(error)) => return Err(error.into()),
            // A receiver that has seen enough says why and stops reading: its words count for more.
            Err(broken) => match self.within(self.idle, rx.recv()).await {
                Ok(Some(answer)) => Some(answer),
                Ok(None) | Err(_) => return Err(broken),
            },
        };
        let answer = answer.ok_or_else(|| LinkError::Closed {
            detail: "the receiver ended the stream without an answer".into(),
        })?;
        installed(answer)
    }

    async fn send_files(
        &self,
        tx: &mut L::Tx,
        begin: &wire::SnapshotBegin,
        snapshot: &Snapshot,
    ) -> Result<(), TransferError> {
        let bytes_total = snapshot.files.iter().map(|file| file.bytes).sum();
        let mut paced = Paced {
            shown: Shown {
                board: self.board,
                node_id: self.peer.node_id,
            },
            started: R::Instant::now(),
            progress: SnapshotProgress {
                bytes_sent: 0,
                bytes_total,
            },
        };
        paced.shown.board.set(self.peer.node_id, paced.progress);
        self.within(self.idle, tx.send(begin.encode_to_vec().into()))
            .await?;
        for (number, file) in (0_u32..).zip(&snapshot.files) {
            self.send_file(tx, &snapshot.folder, number, file, &mut paced)
                .await?;
        }
        Ok(self.within(self.idle, tx.finish()).await?)
    }

    async fn send_file(
        &self,
        tx: &mut L::Tx,
        folder: &str,
        number: u32,
        file: &CheckpointFile,
        paced: &mut Paced<'_, R::Instant>,
    ) -> Result<(), TransferError> {
        let mut offset = 0;
        while offset < file.bytes {
            let left = usize::try_from(file.bytes - offset).unwrap_or(usize::MAX);
            let wanted = left.min(self.options.snapshot_chunk_bytes);
            let data = self.disk.read(folder, &file.name, offset, wanted)?;
            if data.is_empty() {
                return Err(TransferError::Disk(EngineError::Corrupt {
                    path: format!("{folder}/{}", file.name),
                    detail: format!("it ends at byte {offset}, expected {}", file.bytes),
                }));
            }
            let sent = data.len() as u64;
            let chunk = wire::SnapshotChunk {
                file: number,
                offset,
                data: Bytes::from(data),
            };
            self.within(self.idle, tx.send(chunk.encode_to_vec().into()))
                .await?;
            offset += sent;
            paced.progress.bytes_sent += sent;
            paced.shown.board.set(self.peer.node_id, paced.progress);
            self.pace(paced).await;
        }
        Ok(())
    }

    // The bytes so far are due at `bytes / rate` after the start: being early is slept off, being late is not made up
    // for by more than one chunk, because the next one is due later still.
    async fn pace(&self, paced: &Paced<'_, R::Instant>) {
        let Some(rate) = self.options.snapshot_bytes_per_s else {
            return;
        };
        let due_us = u128::from(paced.progress.bytes_sent) * 1_000_000 / u128::from(rate.get());
        let due = Duration::from_micros(u64::try_from(due_us).unwrap_or(u64::MAX));
        let elapsed = paced.started.elapsed();
        if due > elapsed {
            R::sleep(due - elapsed).await;
        }
    }

    async fn within<T: Send>(
        &self,
        limit: Duration,
        act: impl Future<Output = Result<T, LinkError>> + Send,
    ) -> Result<T, LinkError> {
        R::timeout(limit, act)
            .await
            .unwrap_or(Err(LinkError::TimedOut { limit }))
    }
}

struct Paced<'a, I> {
    shown: Shown<'a>,
    started: I,
    progress: SnapshotProgress,
}

/// Takes the transfer off the board however it ends.
struct Shown<'a> {
    board: &'a SnapshotBoard,
    node_id: NodeId,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.board.clear(self.node_id);
    }
}

fn installed(answer: Bytes) -> Result<Vote, TransferError> {
    let malformed = |detail: String| LinkError::Closed {
        detail: format!("the receiver's answer is malformed: {detail}"),
    };
    let answer =
        wire::SnapshotResponse::decode(answer).map_err(|error| malformed(error.to_string()))?;
    if !answer.error.is_empty() {
        return Err(TransferError::Receiver(answer.error));
    }
    Ok(vote_from_wire(answer.vote).map_err(|error| malformed(error.to_string()))?)
}
