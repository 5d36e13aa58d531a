//! What a node asks of its peers: from which index to read, to propose commands, to change who votes, and whether there is a
//! cluster.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use stellara_proto::v1::peer;

use super::raft::kind::CallKind;
use crate::ports::peer_link::{LinkError, Peer, PeerLink, StreamClass};

/// The asking side of read-index, forward, standing and membership calls.
#[derive(Clone, Debug)]
pub struct PeerClient<L> {
    link: L,
}

impl<L: PeerLink> PeerClient<L> {
    /// A client over `link`.
    pub const fn new(link: L) -> Self {
        Self { link }
    }

    /// Asks from which index on a read is linearizable; the peer's own refusal is inside the answer.
    ///
    /// # Errors
    /// Every [`LinkError`].
    pub async fn read_index(
        &self,
        peer: &Peer,
        limit: Duration,
    ) -> Result<peer::ReadIndexResponse, LinkError> {
        self.ask(
            peer,
            StreamClass::ReadIndex,
            &peer::ReadIndexRequest {},
            limit,
        )
        .await
    }

    /// Asks the peer to propose commands; its own refusal is inside the answer.
    ///
    /// # Errors
    /// Every [`LinkError`]; after `TimedOut` and `Closed` the commands' fate is not known.
    pub async fn forward(
        &self,
        peer: &Peer,
        request: &peer::ForwardRequest,
        limit: Duration,
    ) -> Result<peer::ForwardResponse, LinkError> {
        self.ask(peer, StreamClass::Forward, request, limit).await
    }

    /// Asks the peer what it knows of a cluster; its own refusal is inside the answer.
    ///
    /// # Errors
    /// Every [`LinkError`]; after `TimedOut` and `Closed` an entry asked for may yet be committed.
    pub async fn standing(
        &self,
        peer: &Peer,
        request: &peer::StandingRequest,
        limit: Duration,
    ) -> Result<peer::StandingResponse, LinkError> {
        let request = CallKind::Standing.encode(request);
        self.call(peer, StreamClass::Vote, request, limit).await
    }

    /// Asks the peer to change who votes; its own refusal is inside the answer.
    ///
    /// # Errors
    /// Every [`LinkError`]; after `TimedOut` and `Closed` the change may be made yet.
    pub async fn change_members(
        &self,
        peer: &Peer,
        request: &peer::MemberChangeRequest,
        limit: Duration,
    ) -> Result<peer::MemberChangeResponse, LinkError> {
        let request = CallKind::MemberChange.encode(request);
        self.call(peer, StreamClass::Vote, request, limit).await
    }

    async fn ask<Q: Message, A: Message + Default>(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: &Q,
        limit: Duration,
    ) -> Result<A, LinkError> {
        let request = Bytes::from(request.encode_to_vec());
        self.call(peer, class, request, limit).await
    }

    async fn call<A: Message + Default>(
        &self,
        peer: &Peer,
        class: StreamClass,
        request: Bytes,
        limit: Duration,
    ) -> Result<A, LinkError> {
        let answer = self.link.call(peer, class, request, limit).await?;
        // The request was served, so this is not a refusal: what became of it is unknown.
        A::decode(answer).map_err(|error| LinkError::Closed {
            detail: format!("the answer of {peer} does not decode: {error}"),
        })
    }
}
