//! openraft's messages to protobuf and back. The wire never sees openraft's own encodings.
//!
//! Both directions are lossless; what a peer sends is checked field by field before openraft sees it, because
//! openraft asserts what it takes for granted.

use std::collections::BTreeSet;

use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft_rt::AsyncRuntime;
use stellara_proto::v1::peer;
use stellara_raft_store::codec::{DecodeError, membership_from_proto, membership_to_proto};
use stellara_raft_store::engine::CheckpointFile;
use stellara_raft_store::types::{
    EncodedEntry, Entry, LogId, SnapshotMeta, StoredMembership, Types, Vote, log_id, term_of, vote,
};
use thiserror::Error;

/// Why a peer's message is not one of Raft's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConvertError {
    /// A field is absent.
    #[error("{field} is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field holds what Raft cannot take.
    #[error("{field} is {value}, expected {expected}")]
    Invalid {
        /// Its name.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A part that the log shares with the wire is not what the codec takes.
    #[error(transparent)]
    Codec(#[from] DecodeError),
}

const fn missing(field: &'static str) -> ConvertError {
    ConvertError::Missing { field }
}

/// A vote for the wire.
#[must_use]
pub const fn vote_to_wire(vote: &Vote) -> peer::Vote {
    peer::Vote {
        term: vote.leader_id.term,
        voted_for: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

/// A vote from the wire.
///
/// # Errors
/// `Missing` when there is none.
pub fn vote_from_wire(wire: Option<peer::Vote>) -> Result<Vote, ConvertError> {
    let wire = wire.ok_or(missing("vote"))?;
    Ok(vote(wire.term, wire.voted_for, wire.committed))
}

/// A log id for the wire.
#[must_use]
pub fn log_id_to_wire(id: &LogId) -> peer::LogId {
    peer::LogId {
        term: term_of(id),
        index: id.index,
    }
}

/// A log id from the wire.
#[must_use]
pub fn log_id_from_wire(wire: peer::LogId) -> LogId {
    log_id(wire.term, wire.index)
}

/// An entry for the wire; the payload's bytes are shared, not copied.
#[must_use]
pub fn entry_to_wire(entry: &Entry) -> peer::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => peer::entry::Payload::Blank(true),
        EntryPayload::Normal(EncodedEntry(bytes)) => peer::entry::Payload::Normal(bytes.clone()),
        EntryPayload::Membership(membership) => {
            peer::entry::Payload::Membership(membership_to_proto(membership))
        }
    };
    peer::Entry {
        log_id: Some(log_id_to_wire(&entry.log_id)),
        payload: Some(payload),
    }
}

/// An entry from the wire.
///
/// # Errors
/// `Missing` without a log id or payload, `Invalid` for a bad membership.
pub fn entry_from_wire(wire: peer::Entry) -> Result<Entry, ConvertError> {
    let id = wire.log_id.ok_or(missing("entry.log_id"))?;
    let payload = match wire.payload.ok_or(missing("entry.payload"))? {
        peer::entry::Payload::Blank(_) => EntryPayload::Blank,
        peer::entry::Payload::Normal(bytes) => EntryPayload::Normal(EncodedEntry(bytes)),
        peer::entry::Payload::Membership(membership) => {
            EntryPayload::Membership(membership_from_proto(membership)?)
        }
    };
    Ok(Entry {
        log_id: log_id_from_wire(id),
        payload,
    })
}

/// Whether a vote is real or only asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteRound {
    /// Would it be granted? Nothing is stored.
    PreVote,
    /// The vote itself.
    Vote,
}

/// A vote request for the wire.
#[must_use]
pub fn vote_request_to_wire<R: AsyncRuntime + 'static>(
    request: &VoteRequest<Types<R>>,
    round: VoteRound,
) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(vote_to_wire(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_wire),
        pre_vote: round == VoteRound::PreVote,
        leadership_transfer: request.leadership_transfer,
    }
}

/// A vote request from the wire.
///
/// # Errors
/// `Missing` without a vote.
pub fn vote_request_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::VoteRequest,
) -> Result<(VoteRequest<Types<R>>, VoteRound), ConvertError> {
    let last_log_id = wire.last_log_id.map(log_id_from_wire);
    let mut request = VoteRequest::new(vote_from_wire(wire.vote)?, last_log_id);
    request.leadership_transfer = wire.leadership_transfer;
    let round = if wire.pre_vote {
        VoteRound::PreVote
    } else {
        VoteRound::Vote
    };
    Ok((request, round))
}

/// A vote response for the wire.
#[must_use]
pub fn vote_response_to_wire<R: AsyncRuntime + 'static>(
    response: &VoteResponse<Types<R>>,
) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(vote_to_wire(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_wire),
        voted: false,
    }
}

/// A vote response from the wire.
///
/// # Errors
/// `Missing` without a vote.
pub fn vote_response_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::VoteResponse,
) -> Result<VoteResponse<Types<R>>, ConvertError> {
    Ok(VoteResponse {
        vote: vote_from_wire(wire.vote)?,
        vote_granted: wire.granted,
        last_log_id: wire.last_log_id.map(log_id_from_wire),
    })
}

/// An append request for the wire.
#[must_use]
pub fn append_request_to_wire<R: AsyncRuntime + 'static>(
    request: &AppendEntriesRequest<Types<R>>,
) -> peer::AppendRequest {
    peer::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        prev_log_id: request.prev_log_id.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(entry_to_wire).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to_wire),
    }
}

/// An append request from the wire.
///
/// # Errors
/// `Missing` or `Invalid`; entries must follow `prev_log_id`, and each other, without a gap.
pub fn append_request_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::AppendRequest,
) -> Result<AppendEntriesRequest<Types<R>>, ConvertError> {
    let prev_log_id = wire.prev_log_id.map(log_id_from_wire);
    let mut entries = Vec::with_capacity(wire.entries.len());
    let mut next = prev_log_id
        .as_ref()
        .map_or(0, |id| id.index.saturating_add(1));
    for entry in wire.entries {
        let entry = entry_from_wire(entry)?;
        if entry.log_id.index != next {
            return Err(ConvertError::Invalid {
                field: "entries.log_id.index",
                value: entry.log_id.index.to_string(),
                expected: "the index after its predecessor's",
            });
        }
        next = next.saturating_add(1);
        entries.push(entry);
    }
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(wire.vote)?,
        prev_log_id,
        entries,
        leader_commit: wire.leader_commit.map(log_id_from_wire),
    })
}

/// The response to a unary append for the wire.
#[must_use]
pub fn append_response_to_wire<R: AsyncRuntime + 'static>(
    response: &AppendEntriesResponse<Types<R>>,
) -> peer::AppendResponse {
    use peer::append_response::Result as Wire;
    let result = match response {
        AppendEntriesResponse::Success => Wire::Success(true),
        // "Matched nothing" has no log id to put into `partial`.
        AppendEntriesResponse::PartialSuccess(None) => Wire::Success(false),
        AppendEntriesResponse::PartialSuccess(Some(id)) => Wire::Partial(log_id_to_wire(id)),
        AppendEntriesResponse::Conflict => Wire::Conflict(true),
        AppendEntriesResponse::HigherVote(vote) => Wire::HigherVote(vote_to_wire(vote)),
    };
    peer::AppendResponse {
        result: Some(result),
        matched: None,
        conflict_at: None,
    }
}

/// The response to a unary append from the wire.
///
/// # Errors
/// `Missing` without a result.
pub fn append_response_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::AppendResponse,
) -> Result<AppendEntriesResponse<Types<R>>, ConvertError> {
    use peer::append_response::Result as Wire;
    Ok(match wire.result.ok_or(missing("result"))? {
        Wire::Success(true) => AppendEntriesResponse::Success,
        Wire::Success(false) => AppendEntriesResponse::PartialSuccess(None),
        Wire::Partial(id) => AppendEntriesResponse::PartialSuccess(Some(log_id_from_wire(id))),
        Wire::Conflict(_) => AppendEntriesResponse::Conflict,
        Wire::HigherVote(higher) => {
            AppendEntriesResponse::HigherVote(vote_from_wire(Some(higher))?)
        }
    })
}

/// One result of an append stream for the wire.
#[must_use]
pub fn stream_result_to_wire<R: AsyncRuntime + 'static>(
    result: &StreamAppendResult<Types<R>>,
) -> peer::AppendResponse {
    use peer::append_response::Result as Wire;
    match result {
        Ok(matched) => peer::AppendResponse {
            result: Some(Wire::Success(true)),
            matched: matched.as_ref().map(log_id_to_wire),
            conflict_at: None,
        },
        Err(StreamAppendError::Conflict(at)) => peer::AppendResponse {
            result: Some(Wire::Conflict(true)),
            matched: None,
            conflict_at: Some(log_id_to_wire(at)),
        },
        Err(StreamAppendError::HigherVote(higher)) => peer::AppendResponse {
            result: Some(Wire::HigherVote(vote_to_wire(higher))),
            matched: None,
            conflict_at: None,
        },
    }
}

/// One result of an append stream from the wire.
///
/// # Errors
/// `Missing` or `Invalid` when it is no stream's result.
pub fn stream_result_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::AppendResponse,
) -> Result<StreamAppendResult<Types<R>>, ConvertError> {
    use peer::append_response::Result as Wire;
    match wire.result.ok_or(missing("result"))? {
        Wire::Success(_) => Ok(Ok(wire.matched.map(log_id_from_wire))),
        Wire::Partial(_) => Err(ConvertError::Invalid {
            field: "result",
            value: "partial".into(),
            expected: "success, conflict or higher_vote on a stream",
        }),
        Wire::Conflict(_) => {
            let at = wire.conflict_at.ok_or(missing("conflict_at"))?;
            Ok(Err(StreamAppendError::Conflict(log_id_from_wire(at))))
        }
        Wire::HigherVote(higher) => {
            let higher = vote_from_wire(Some(higher))?;
            Ok(Err(StreamAppendError::HigherVote(higher)))
        }
    }
}

/// A transfer request for the wire.
#[must_use]
pub fn transfer_to_wire<R: AsyncRuntime + 'static>(
    request: &TransferLeaderRequest<Types<R>>,
) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from_leader: Some(vote_to_wire(request.from_leader())),
        to_node_id: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id_to_wire),
    }
}

/// A transfer request from the wire.
///
/// # Errors
/// `Missing` without the leader's vote.
pub fn transfer_from_wire<R: AsyncRuntime + 'static>(
    wire: peer::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<Types<R>>, ConvertError> {
    Ok(TransferLeaderRequest::new(
        vote_from_wire(wire.from_leader)?,
        wire.to_node_id,
        wire.last_log_id.map(log_id_from_wire),
    ))
}

/// The first frame of a snapshot.
#[must_use]
pub fn snapshot_to_wire(
    vote: &Vote,
    meta: &SnapshotMeta,
    files: &[CheckpointFile],
) -> peer::SnapshotBegin {
    peer::SnapshotBegin {
        vote: Some(vote_to_wire(vote)),
        last_log_id: meta.last_log_id.as_ref().map(log_id_to_wire),
        membership_log_id: meta.last_membership.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_proto(meta.last_membership.membership())),
        files: files
            .iter()
            .map(|file| peer::SnapshotFile {
                name: file.name.clone(),
                bytes: file.bytes,
                crc32: file.crc32,
            })
            .collect(),
    }
}

/// What the first frame of a snapshot says.
///
/// # Errors
/// `Missing` or `Invalid`; file names must be plain, distinct names.
pub fn snapshot_from_wire(
    wire: peer::SnapshotBegin,
) -> Result<(Vote, SnapshotMeta, Vec<CheckpointFile>), ConvertError> {
    let vote = vote_from_wire(wire.vote)?;
    let membership = membership_from_proto(wire.membership.ok_or(missing("membership"))?)?;
    let meta = SnapshotMeta {
        last_log_id: wire.last_log_id.map(log_id_from_wire),
        last_membership: StoredMembership::new(
            wire.membership_log_id.map(log_id_from_wire),
            membership,
        ),
    };
    let mut names = BTreeSet::new();
    let mut files = Vec::with_capacity(wire.files.len());
    for file in wire.files {
        if !is_plain_name(&file.name) || !names.insert(file.name.clone()) {
            return Err(ConvertError::Invalid {
                field: "files.name",
                value: format!("{:?}", file.name),
                expected: "distinct names of 1 to 255 letters, digits, '.', '_' and '-'",
            });
        }
        files.push(CheckpointFile {
            name: file.name,
            bytes: file.bytes,
            crc32: file.crc32,
        });
    }
    Ok((vote, meta, files))
}

// A name from the network becomes a path: nothing in it may leave its folder.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=255).contains(&name.len()) && name.chars().all(plain) && name.chars().any(|c| c != '.')
}

#[cfg(test)]
mod tests;
