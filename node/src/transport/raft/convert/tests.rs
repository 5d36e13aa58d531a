//! Laws of the conversions: through the wire and back is the same message; what is not Raft's is refused.

use bytes::Bytes;
use openraft_rt_tokio::TokioRuntime;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use stellara_raft_store::types::{Membership, NodeInfo};

use super::*;

type C = Types<TokioRuntime>;

fn votes() -> impl Strategy<Value = Vote> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(t, n, c)| vote(t, n, c))
}

fn log_ids() -> impl Strategy<Value = LogId> {
    (any::<u64>(), 0..u64::MAX / 2).prop_map(|(term, index)| log_id(term, index))
}

fn memberships() -> impl Strategy<Value = Membership> {
    let infos = ("[a-z0-9-]{0,9}", "[a-z0-9:.]{0,9}", ".{0,9}").prop_map(
        |(region, peer_address, public_address)| NodeInfo {
            region,
            peer_address,
            public_address,
        },
    );
    (btree_map(any::<u64>(), infos, 1..6), 1..3_usize).prop_map(|(nodes, sets)| {
        let voters: BTreeSet<u64> = nodes.keys().copied().collect();
        let configs = (0..sets)
            .map(|skip| {
                voters
                    .iter()
                    .copied()
                    .skip(skip.min(voters.len() - 1))
                    .collect()
            })
            .collect();
        Membership::new(configs, nodes).unwrap()
    })
}

fn payloads() -> impl Strategy<Value = EntryPayload<EncodedEntry, u64, NodeInfo>> {
    prop_oneof![
        Just(EntryPayload::Blank),
        vec(any::<u8>(), 0..64)
            .prop_map(|bytes| EntryPayload::Normal(EncodedEntry(Bytes::from(bytes)))),
        memberships().prop_map(EntryPayload::Membership),
    ]
}

fn appends() -> impl Strategy<Value = AppendEntriesRequest<C>> {
    let entries = vec((any::<u64>(), payloads()), 0..5);
    (
        votes(),
        option::of(log_ids()),
        entries,
        option::of(log_ids()),
    )
        .prop_map(|(vote, prev_log_id, entries, leader_commit)| {
            let first = prev_log_id.as_ref().map_or(0, |id| id.index + 1);
            let entries = (first..)
                .zip(entries)
                .map(|(index, (term, payload))| Entry {
                    log_id: log_id(term, index),
                    payload,
                })
                .collect();
            AppendEntriesRequest {
                vote,
                prev_log_id,
                entries,
                leader_commit,
            }
        })
}

/// Encodes and decodes, as the link does.
fn over_the_wire<M: Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

proptest! {
    #[test]
    fn vote_requests_survive_the_wire(vote in votes(), last in option::of(log_ids()), transfer: bool, pre: bool) {
        let mut request = VoteRequest::<C>::new(vote, last);
        request.leadership_transfer = transfer;
        let round = if pre { VoteRound::PreVote } else { VoteRound::Vote };
        let wire = over_the_wire(&vote_request_to_wire(&request, round));
        prop_assert_eq!(vote_request_from_wire(wire), Ok((request, round)));
    }

    #[test]
    fn vote_responses_survive_the_wire(vote in votes(), last in option::of(log_ids()), granted: bool) {
        let response = VoteResponse::<C> { vote, vote_granted: granted, last_log_id: last };
        let wire = over_the_wire(&vote_response_to_wire(&response));
        prop_assert_eq!(vote_response_from_wire(wire), Ok(response));
    }

    #[test]
    fn append_requests_survive_the_wire(request in appends()) {
        let wire = over_the_wire(&append_request_to_wire(&request));
        let back = append_request_from_wire::<TokioRuntime>(wire).unwrap();
        prop_assert_eq!(&back.vote, &request.vote);
        prop_assert_eq!(&back.prev_log_id, &request.prev_log_id);
        prop_assert_eq!(&back.entries, &request.entries);
        prop_assert_eq!(&back.leader_commit, &request.leader_commit);
    }

    #[test]
    fn append_answers_survive_the_wire(vote in votes(), id in option::of(log_ids()), which in 0..4_u8) {
        let response = match which {
            0 => AppendEntriesResponse::<C>::Success,
            1 => AppendEntriesResponse::PartialSuccess(id),
            2 => AppendEntriesResponse::Conflict,
            _ => AppendEntriesResponse::HigherVote(vote),
        };
        let wire = over_the_wire(&append_response_to_wire(&response));
        prop_assert_eq!(append_response_from_wire(wire), Ok(response));
    }

    #[test]
    fn stream_results_survive_the_wire(vote in votes(), id in log_ids(), which in 0..4_u8) {
        let result: StreamAppendResult<C> = match which {
            0 => Ok(None),
            1 => Ok(Some(id)),
            2 => Err(StreamAppendError::Conflict(id)),
            _ => Err(StreamAppendError::HigherVote(vote)),
        };
        let wire = over_the_wire(&stream_result_to_wire::<TokioRuntime>(&result));
        prop_assert_eq!(stream_result_from_wire::<TokioRuntime>(wire), Ok(result));
    }

    #[test]
    fn transfers_survive_the_wire(vote in votes(), to: u64, last in option::of(log_ids())) {
        let request = TransferLeaderRequest::<C>::new(vote, to, last);
        let wire = over_the_wire(&transfer_to_wire(&request));
        prop_assert_eq!(transfer_from_wire(wire), Ok(request));
    }

    #[test]
    fn snapshots_survive_the_wire(
        vote in votes(),
        last in option::of(log_ids()),
        at in option::of(log_ids()),
        membership in memberships(),
        files in btree_map("[a-zA-Z0-9][a-z0-9._-]{0,9}", (any::<u64>(), any::<u32>()), 0..5),
    ) {
        let meta = SnapshotMeta { last_log_id: last, last_membership: StoredMembership::new(at, membership) };
        let files: Vec<CheckpointFile> = files
            .into_iter()
            .map(|(name, (bytes, crc32))| CheckpointFile { name, bytes, crc32 })
            .collect();
        let wire = over_the_wire(&snapshot_to_wire(&vote, &meta, &files));
        prop_assert_eq!(snapshot_from_wire(wire), Ok((vote, meta, files)));
    }
}

#[test]
fn the_membership_of_nobody_survives_the_wire() {
    let wire = over_the_wire(&membership_to_proto(&Membership::default()));
    assert_eq!(membership_from_proto(wire), Ok(Membership::default()));
}

#[test]
fn file_names_that_leave_their_folder_are_refused() {
    for name in ["", ".", "..", "a/b", "../x", "a\\b", "a\0", "\u{e9}"] {
        let wire = peer::SnapshotBegin {
            vote: Some(peer::Vote::default()),
            membership: Some(peer::Membership::default()),
            files: vec![peer::SnapshotFile {
                name: name.into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let error = snapshot_from_wire(wire).unwrap_err();
        assert!(error.to_string().starts_with("files.name is"), "{error}");
    }
}

#[test]
fn entries_with_a_gap_are_refused() {
    let wire = peer::AppendRequest {
        vote: Some(peer::Vote::default()),
        prev_log_id: Some(peer::LogId { term: 1, index: 4 }),
        entries: vec![peer::Entry {
            log_id: Some(peer::LogId { term: 1, index: 6 }),
            payload: Some(peer::entry::Payload::Blank(true)),
        }],
        leader_commit: None,
    };
    let error = append_request_from_wire::<TokioRuntime>(wire)
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "entries.log_id.index is 6, expected the index after its predecessor's"
    );
}

#[test]
fn a_voter_without_a_node_is_refused() {
    let wire = peer::Membership {
        configs: vec![peer::NodeSet { node_ids: vec![1] }],
        nodes: vec![],
    };
    let wire = peer::Entry {
        log_id: Some(peer::LogId { term: 1, index: 1 }),
        payload: Some(peer::entry::Payload::Membership(wire)),
    };
    let error = entry_from_wire(wire).unwrap_err().to_string();
    assert!(error.starts_with("membership is"), "{error}");
}
