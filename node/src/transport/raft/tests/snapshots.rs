//! A snapshot over a link, in virtual time: arrives whole or not at all.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::SnapshotResponse;
use openraft_rt_tokio::TokioRuntime;
use prost::Message;
use stellara_proto::v1::peer;
use stellara_raft_store::snapshot::Snapshot;
use stellara_raft_store::types::{SnapshotMeta, Types, log_id, vote};
use tokio::time::Instant;

use super::disk::MemoryDisk;
use super::wire::{Wire, WireRx, WireTx, somebody};
use crate::ports::peer_link::{FrameRx, FrameTx, LinkError, PeerLink, StreamClass};
use crate::transport::raft::convert::{snapshot_from_wire, vote_to_wire};
use crate::transport::raft::receive::{Incoming, next};
use crate::transport::raft::{RaftFactory, RaftLinkOptions};

type C = Types<TokioRuntime>;

const IDLE: Duration = Duration::from_secs(8);

/// What happens to the frames on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Clean,
    FlipsABit,
    LosesAChunk,
    EndsEarly,
}

struct Spoiled {
    rx: WireRx,
    way: Way,
    frames: usize,
}

impl FrameRx for Spoiled {
    async fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        self.frames += 1;
        let frame = self.rx.recv().await?;
        if self.frames != 3 {
            return Ok(frame);
        }
        match self.way {
            Way::Clean => Ok(frame),
            Way::FlipsABit => {
                let mut spoiled = frame.unwrap().to_vec();
                *spoiled.last_mut().unwrap() ^= 1;
                Ok(Some(spoiled.into()))
            }
            Way::LosesAChunk => self.rx.recv().await,
            Way::EndsEarly => Ok(None),
        }
    }
}

/// Receives one snapshot, keeps its files in folder `received`, and answers.
async fn receiver(disk: MemoryDisk, way: Way, mut tx: WireTx, rx: WireRx) {
    let incoming = Incoming::new(disk.clone()).unwrap();
    let mut rx = Spoiled { rx, way, frames: 0 };
    let begin = next::<TokioRuntime>(&mut rx, IDLE).await.unwrap().unwrap();
    let begin = peer::SnapshotBegin::decode(begin).unwrap();
    let (vote, _, files) = snapshot_from_wire(begin).unwrap();
    let error = match incoming.receive::<TokioRuntime>(files, &mut rx, IDLE).await {
        Ok(received) => {
            for (file, data) in disk.folder(&received.snapshot.folder) {
                disk.put("received", &file, &data);
            }
            String::new()
        }
        Err(error) => error.to_string(),
    };
    let answer = peer::SnapshotResponse {
        vote: Some(vote_to_wire(&vote)),
        error,
    };
    tx.send(answer.encode_to_vec().into()).await.ok();
}

fn snapshot(disk: &MemoryDisk) -> Snapshot {
    let long: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    Snapshot {
        folder: "snapshots/7".into(),
        files: vec![
            disk.put("snapshots/7", "000012.sst", &long),
            disk.put("snapshots/7", "EMPTY", &[]),
            disk.put("snapshots/7", "CURRENT", b"MANIFEST-000004\n"),
        ],
    }
}

struct Sent {
    result: Result<SnapshotResponse<C>, StreamingError<C>>,
    took: Duration,
    from: MemoryDisk,
    to: MemoryDisk,
}

async fn send(
    way: Way,
    bytes_per_s: Option<u64>,
    cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
) -> Sent {
    let (from, to) = (MemoryDisk::default(), MemoryDisk::default());
    let far = to.clone();
    let link = Wire::new(Duration::from_millis(90), move |tx, rx| {
        receiver(far.clone(), way, tx, rx)
    });
    let options = RaftLinkOptions {
        snapshot_chunk_bytes: 10_000,
        snapshot_bytes_per_s: bytes_per_s.and_then(NonZeroU64::new),
        ..RaftLinkOptions::default()
    };
    let data = snapshot(&from);
    let peer = somebody();
    let mut factory = RaftFactory::<TokioRuntime, _, _>::new(1, link, from.clone(), options);
    let board = factory.snapshots();
    let mut client = factory.new_client(peer.node_id, &peer.info).await;
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(3, 9)),
        ..SnapshotMeta::default()
    };
    let snapshot = openraft::Snapshot {
        meta,
        snapshot: data,
    };
    let started = Instant::now();
    let option = RPCOption::new(Duration::from_millis(200));
    let result = client
        .full_snapshot(vote(3, 1, true), snapshot, cancel, option)
        .await;
    assert!(board.transfers().is_empty());
    Sent {
        result,
        took: started.elapsed(),
        from,
        to,
    }
}

/// Sends over a way that spoils it: the receiver says `words`, and keeps nothing.
async fn check_spoiled(way: Way, words: &str) {
    let sent = send(way, None, std::future::pending()).await;
    let error = sent.result.unwrap_err().to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
    assert!(sent.to.folder("received").is_empty());
    assert!(sent.to.folder("incoming/1").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_arrives_whole() {
    let sent = send(Way::Clean, None, std::future::pending()).await;
    assert_eq!(sent.result.unwrap().vote, vote(3, 1, true));
    assert_eq!(sent.to.folder("received"), sent.from.folder("snapshots/7"));
    assert!(sent.to.folder("incoming/1").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_detected() {
    check_spoiled(Way::FlipsABit, "file 000012.sst is corrupt: CRC-32 is").await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_chunk_is_detected() {
    check_spoiled(
        Way::LosesAChunk,
        "out of order: a chunk of 10000 bytes at 20000",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_early_end_is_detected() {
    check_spoiled(
        Way::EndsEarly,
        "the stream ended at byte 10000 of 000012.sst",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_capped() {
    let sent = send(Way::Clean, Some(10_000), std::future::pending()).await;
    sent.result.unwrap();
    // 100,016 bytes at 10,000 a second.
    assert!(sent.took >= Duration::from_secs(10), "{:?}", sent.took);
    assert!(sent.took < Duration::from_secs(11), "{:?}", sent.took);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_transfer_stops() {
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        ReplicationClosed::new("another leader")
    };
    let sent = send(Way::Clean, Some(10_000), cancel).await;
    assert!(matches!(sent.result, Err(StreamingError::Closed(_))));
    assert!(sent.took < Duration::from_secs(4), "{:?}", sent.took);
}

#[test]
fn what_an_earlier_run_left_is_removed() {
    let disk = MemoryDisk::default();
    disk.put("incoming/4", "CURRENT", b"half");
    disk.put("state", "CURRENT", b"whole");
    Incoming::new(disk.clone()).unwrap();
    assert!(disk.folder("incoming/4").is_empty());
    assert_eq!(disk.folder("state").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_received_at_once() {
    let disk = MemoryDisk::default();
    let incoming = Arc::new(Incoming::new(disk).unwrap());
    let answers = Arc::new(Mutex::new(Vec::new()));
    let (incoming_far, answers_far) = (Arc::clone(&incoming), Arc::clone(&answers));
    let link = Wire::new(Duration::ZERO, move |_tx, mut rx: WireRx| {
        let (incoming, answers) = (Arc::clone(&incoming_far), Arc::clone(&answers_far));
        async move {
            let file = stellara_raft_store::engine::CheckpointFile {
                name: "a".into(),
                bytes: 1,
                crc32: 0,
            };
            let result = incoming
                .receive::<TokioRuntime>(vec![file], &mut rx, IDLE)
                .await;
            answers
                .lock()
                .unwrap()
                .push(result.unwrap_err().to_string());
        }
    });
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(link.open(&somebody(), StreamClass::Snapshot).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answers = answers.lock().unwrap().clone();
    assert_eq!(answers, ["2 snapshots are being received already"]);
}
