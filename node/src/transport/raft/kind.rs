//! Which call of the vote or append class a request is: its first byte, before the protobuf message.
//!
//! Streams need none: an append stream carries append requests, a snapshot stream its beginning and chunks.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;

use crate::ports::peer_link::ServiceError;

/// The calls of the vote and append classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum CallKind {
    /// `VoteRequest`, pre-votes included.
    Vote,
    /// `AppendRequest`.
    Append,
    /// `TransferLeaderRequest`.
    TransferLeader,
    /// `StandingRequest`, which the cluster's service answers and not Raft.
    Standing,
    /// `MemberChangeRequest`, which the cluster's service answers, too.
    MemberChange,
}

impl CallKind {
    const fn code(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::Append => 2,
            Self::TransferLeader => 3,
            Self::Standing => 4,
            Self::MemberChange => 5,
        }
    }

    /// A request of this kind as bytes.
    pub(in crate::transport) fn encode(self, message: &impl Message) -> Bytes {
        let mut bytes = Vec::with_capacity(1 + message.encoded_len());
        bytes.put_u8(self.code());
        message
            .encode(&mut bytes)
            .expect("a Vec grows as it is written");
        bytes.into()
    }

    /// Takes the kind off a request.
    pub(super) fn decode(request: &mut Bytes) -> Result<Self, ServiceError> {
        let code = request.try_get_u8().ok();
        match code {
            Some(1) => Ok(Self::Vote),
            Some(2) => Ok(Self::Append),
            Some(3) => Ok(Self::TransferLeader),
            Some(4) => Ok(Self::Standing),
            Some(5) => Ok(Self::MemberChange),
            Some(_) | None => Err(ServiceError::Malformed {
                detail: format!("call kind is {code:?}, expected 1 to 5"),
            }),
        }
    }
}

/// Decodes a request's message.
pub(super) fn decode<M: Message + Default>(request: Bytes) -> Result<M, ServiceError> {
    M::decode(request).map_err(|error| ServiceError::Malformed {
        detail: error.to_string(),
    })
}
