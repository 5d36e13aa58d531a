//! Appends over a long link, in virtual time: sent without waiting, bounded, answered in order, given up when idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use openraft::EntryPayload;
use openraft::errors::RPCError;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use openraft_rt_tokio::TokioRuntime;
use prost::Message;
use stellara_proto::v1::peer;
use stellara_raft_store::types::{EncodedEntry, Entry, Types, log_id, vote};
use tokio::time::Instant;

use super::disk::MemoryDisk;
use super::wire::{Wire, WireRx, WireTx, somebody};
use crate::ports::peer_link::{FrameRx, FrameTx};
use crate::transport::raft::convert::{append_request_from_wire, stream_result_to_wire};
use crate::transport::raft::{RaftFactory, RaftLinkOptions, RaftPeer};

type C = Types<TokioRuntime>;
type Results = Vec<Result<StreamAppendResult<C>, RPCError<C>>>;

const LATENCY: Duration = Duration::from_millis(90);
// openraft's limit is the heartbeat interval, here shorter than the round trip.
const HEARTBEAT: Duration = Duration::from_millis(100);

fn append(index: u64, entries: u64, entry_bytes: usize) -> AppendEntriesRequest<C> {
    AppendEntriesRequest {
        vote: vote(1, 1, true),
        prev_log_id: Some(log_id(1, index)),
        entries: (index + 1..=index + entries)
            .map(|index| Entry {
                log_id: log_id(1, index),
                payload: EntryPayload::Normal(EncodedEntry(vec![1; entry_bytes].into())),
            })
            .collect(),
        leader_commit: None,
    }
}

fn matched(request: &AppendEntriesRequest<C>) -> StreamAppendResult<C> {
    let last = request.entries.last().map(|entry| entry.log_id);
    Ok(last.or(request.prev_log_id))
}

/// Answers every request with what `answer` says, until it says nothing.
async fn follower(
    mut tx: WireTx,
    mut rx: WireRx,
    answer: impl Fn(&AppendEntriesRequest<C>) -> Option<StreamAppendResult<C>>,
) {
    while let Ok(Some(frame)) = rx.recv().await {
        let wire = peer::AppendRequest::decode(frame).unwrap();
        let request = append_request_from_wire::<TokioRuntime>(wire).unwrap();
        if let Some(result) = answer(&request) {
            let wire = stream_result_to_wire::<TokioRuntime>(&result);
            if tx.send(wire.encode_to_vec().into()).await.is_err() {
                return;
            }
            if result.is_err() {
                return;
            }
        }
    }
}

async fn client(link: Wire, options: RaftLinkOptions) -> RaftPeer<TokioRuntime, Wire, MemoryDisk> {
    let peer = somebody();
    RaftFactory::new(1, link, MemoryDisk::default(), options)
        .new_client(peer.node_id, &peer.info)
        .await
}

/// Appends all requests over a link whose far side answers with `answer`; the results and the time it took.
async fn append_all(
    requests: Vec<AppendEntriesRequest<C>>,
    options: RaftLinkOptions,
    answer: impl Fn(&AppendEntriesRequest<C>) -> Option<StreamAppendResult<C>>
    + Clone
    + Send
    + Sync
    + 'static,
) -> (Results, Duration) {
    let link = Wire::new(LATENCY, move |tx, rx| follower(tx, rx, answer.clone()));
    let mut client = client(link, options).await;
    let started = Instant::now();
    let results = client
        .stream_append(stream::iter(requests), RPCOption::new(HEARTBEAT))
        .await
        .unwrap()
        .collect::<Vec<_>>()
        .await;
    (results, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn many_appends_share_one_round_trip() {
    let requests: Vec<_> = (0..64).map(|index| append(index, 1, 100)).collect();
    let (results, took) = append_all(requests, RaftLinkOptions::default(), |request| {
        Some(matched(request))
    })
    .await;
    let expected: Results = (1..=64)
        .map(|index| Ok(Ok(Some(log_id(1, index)))))
        .collect();
    assert_eq!(results, expected);
    // One after the other they would take 64 round trips: 11.5 s.
    assert!(took < LATENCY * 3, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn appends_in_flight_are_bounded() {
    let options = RaftLinkOptions {
        appends_in_flight_max: 8,
        ..RaftLinkOptions::default()
    };
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    let requests: Vec<_> = (0..64).map(|index| append(index, 1, 100)).collect();
    let (results, took) = append_all(requests, options, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    })
    .await;
    assert_eq!(received.load(Ordering::Relaxed), 8);
    assert!(matches!(results[..], [Err(RPCError::Timeout(_))]));
    // Four round trips of silence, although openraft's limit is 75 ms.
    assert!(took >= LATENCY * 8 && took < LATENCY * 9, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn bounded_appends_flow_on_as_answers_come() {
    let options = RaftLinkOptions {
        append_bytes_in_flight_max: 3_000,
        ..RaftLinkOptions::default()
    };
    let requests: Vec<_> = (0..20).map(|index| append(index, 1, 1_000)).collect();
    let (results, _) = append_all(requests, options, |request| Some(matched(request))).await;
    assert_eq!(results.len(), 20);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_split_append_has_one_result() {
    let options = RaftLinkOptions {
        append_frame_bytes_max: 2_500,
        ..RaftLinkOptions::default()
    };
    let parts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&parts);
    let requests = vec![append(0, 10, 1_000), append(10, 0, 0), append(10, 1, 10)];
    let (results, _) = append_all(requests, options, move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        Some(matched(request))
    })
    .await;
    let expected: Results = [10, 10, 11]
        .map(|index| Ok(Ok(Some(log_id(1, index)))))
        .into();
    assert_eq!(results, expected);
    assert_eq!(parts.load(Ordering::Relaxed), 5 + 1 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_ends_the_stream_and_is_the_last_result() {
    let requests: Vec<_> = (0..5).map(|index| append(index, 1, 10)).collect();
    let conflict = || Err(StreamAppendError::Conflict(log_id(1, 2)));
    let (results, _) = append_all(requests, RaftLinkOptions::default(), move |request| {
        if request.prev_log_id == Some(log_id(1, 2)) {
            return Some(conflict());
        }
        Some(matched(request))
    })
    .await;
    let expected: Results = vec![
        Ok(Ok(Some(log_id(1, 1)))),
        Ok(Ok(Some(log_id(1, 2)))),
        Ok(conflict()),
    ];
    assert_eq!(results, expected);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_without_requests_is_kept() {
    let link = Wire::new(LATENCY, |tx, rx| {
        follower(tx, rx, |request| Some(matched(request)))
    });
    let mut client = client(link, RaftLinkOptions::default()).await;
    let quiet = stream::iter(0..3).then(|index| async move {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        append(index, 1, 10)
    });
    let results = client
        .stream_append(Box::pin(quiet), RPCOption::new(HEARTBEAT))
        .await
        .unwrap()
        .collect::<Vec<_>>()
        .await;
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_results_drops_the_requests_at_once() {
    let link = Wire::new(LATENCY, |tx, rx| {
        follower(tx, rx, |request| Some(matched(request)))
    });
    let mut client = client(link, RaftLinkOptions::default()).await;
    let held = Arc::new(());
    let holding = Arc::clone(&held);
    let input = stream::iter(0..).map(move |index| {
        let _holding = &holding;
        append(index, 1, 10)
    });
    let mut results = client
        .stream_append(input, RPCOption::new(HEARTBEAT))
        .await
        .unwrap();
    results.next().await.unwrap().unwrap().unwrap();
    drop(results);
    assert_eq!(Arc::strong_count(&held), 1);
}
