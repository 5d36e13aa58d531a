//! Splits an append request into frames below a size.
//!
//! The parts chain: each names its predecessor's last entry as previous. Joined, they are the request.

use bytes::Bytes;
use openraft::raft::AppendEntriesRequest;
use openraft_rt::AsyncRuntime;
use prost::Message;
use prost::encoding::encoded_len_varint;
use stellara_proto::v1::peer;
use stellara_raft_store::types::{LogId, Types};

use super::convert::{entry_to_wire, log_id_to_wire, vote_to_wire};

/// One frame of a request.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The encoded `AppendRequest`.
    pub(super) message: peer::AppendRequest,
    /// The last log id that it brings to the follower.
    pub(super) last: Option<LogId>,
    /// Whether others follow.
    pub(super) place: Place,
}

impl Part {
    /// The part as a frame.
    pub(super) fn frame(&self) -> Bytes {
        self.message.encode_to_vec().into()
    }
}

/// Where a part stands in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// More of the request follows.
    Within,
    /// The last part; its answer answers the request.
    Last,
}

/// The request's parts, at least one; each encodes to at most `bytes_max`, unless a single entry is larger.
pub(super) fn split<R: AsyncRuntime + 'static>(
    request: &AppendEntriesRequest<Types<R>>,
    bytes_max: usize,
) -> Vec<Part> {
    let empty = |prev: Option<LogId>| peer::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        prev_log_id: prev.as_ref().map(log_id_to_wire),
        entries: Vec::new(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_wire),
    };
    let mut parts = Vec::with_capacity(1);
    let mut last = request.prev_log_id;
    let mut message = empty(last);
    let mut bytes = message.encoded_len();
    for entry in &request.entries {
        let wire = entry_to_wire(entry);
        let entry_bytes = wire.encoded_len();
        let field_bytes = 1 + encoded_len_varint(entry_bytes as u64) + entry_bytes;
        if !message.entries.is_empty() && bytes + field_bytes > bytes_max {
            let next = empty(last);
            bytes = next.encoded_len();
            parts.push(Part {
                message: std::mem::replace(&mut message, next),
                last,
                place: Place::Within,
            });
        }
        bytes += field_bytes;
        last = Some(entry.log_id);
        message.entries.push(wire);
    }
    parts.push(Part {
        message,
        last,
        place: Place::Last,
    });
    parts
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft_rt_tokio::TokioRuntime;
    use proptest::prelude::*;
    use stellara_raft_store::types::{EncodedEntry, Entry, log_id, vote};

    use super::*;
    use crate::transport::raft::convert::append_request_from_wire;

    proptest! {
        #[test]
        fn parts_are_small_and_join_to_the_request(sizes in proptest::collection::vec(0..600_usize, 0..40), prev: bool) {
            let prev_log_id = prev.then(|| log_id(2, 9));
            let first = if prev { 10 } else { 0 };
            let entries: Vec<Entry> = (first..).zip(&sizes).map(|(index, size)| Entry {
                log_id: log_id(3, index),
                payload: EntryPayload::Normal(EncodedEntry(vec![7; *size].into())),
            }).collect();
            let request = AppendEntriesRequest::<Types<TokioRuntime>> {
                vote: vote(3, 1, true),
                prev_log_id,
                entries: entries.clone(),
                leader_commit: Some(log_id(2, 8)),
            };
            let parts = split(&request, 1_000);
            let mut joined = Vec::new();
            let mut last = prev_log_id;
            for (at, part) in parts.iter().enumerate() {
                prop_assert!(part.frame().len() <= 1_000);
                prop_assert_eq!(part.place == Place::Last, at + 1 == parts.len());
                let wire = peer::AppendRequest::decode(part.frame()).unwrap();
                let back = append_request_from_wire::<TokioRuntime>(wire).unwrap();
                prop_assert_eq!(&back.prev_log_id, &last);
                prop_assert_eq!(&back.leader_commit, &request.leader_commit);
                joined.extend(back.entries);
                last = part.last;
            }
            prop_assert_eq!(joined, entries);
        }
    }
}
