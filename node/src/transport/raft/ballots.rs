//! What voters told with the votes they gave this node, and what follows from it without asking them again.
//!
//! A vote may come with the answer to the pre-vote. With either comes the end of the voter's log: the new leader need
//! not search for it. Both are the voter's own words; none is used once the leader has committed, nor for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
};
use openraft_rt::{AsyncRuntime, Instant};
use stellara_raft_store::types::{LogId, NodeId, Types, Vote, term_of};

/// The votes given to this node, the last of each voter. Clones share them.
pub(super) struct Ballots<R: AsyncRuntime + 'static> {
    fresh_for: Duration,
    by_voter: Arc<Mutex<BTreeMap<NodeId, Ballot<R::Instant>>>>,
}

impl<R: AsyncRuntime + 'static> Clone for Ballots<R> {
    fn clone(&self) -> Self {
        Self {
            fresh_for: self.fresh_for,
            by_voter: Arc::clone(&self.by_voter),
        }
    }
}

impl<R: AsyncRuntime + 'static> std::fmt::Debug for Ballots<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ballots").finish_non_exhaustive()
    }
}

struct Ballot<I> {
    vote: Vote,
    asked_with: Option<LogId>,
    response: (Vote, Option<LogId>),
    given_at: I,
    /// The end of the voter's log was told to openraft as matched.
    end_told: bool,
    /// Where the last question that was answered began, and how many were.
    asked: Option<Option<LogId>>,
    answers: u32,
}

/// Questions of one search that are answered from a voter's words: it steps back eight entries at a time.
const ANSWERS_MAX: u32 = 64;

impl<I> Ballot<I> {
    /// The end of the voter's log, if this node's log surely holds it: both ends were written by one leader, who wrote
    /// one log.
    fn end(&self) -> Option<LogId> {
        let (own, theirs) = (self.asked_with?, self.response.1?);
        let one_leader = term_of(&own) == term_of(&theirs);
        (one_leader && theirs.index <= own.index).then_some(theirs)
    }
}

impl<R: AsyncRuntime + 'static> Ballots<R> {
    /// No votes yet; a voter's words are used for `fresh_for` after its vote arrived.
    ///
    /// openraft takes what they answer for a sign that the voter still follows, which reads wait for. They wait for the
    /// leader's first entry, too, so for a majority that followed it after the votes; and nobody who follows turns to
    /// another before the least election timeout is over. So this must be less, by a way from the voter to here.
    pub(super) fn new(fresh_for: Duration) -> Self {
        Self {
            fresh_for,
            by_voter: Arc::default(),
        }
    }

    /// A voter gave its vote.
    pub(super) fn given(
        &self,
        voter: NodeId,
        request: &VoteRequest<Types<R>>,
        response: &VoteResponse<Types<R>>,
    ) {
        let ballot = Ballot {
            vote: request.vote,
            asked_with: request.last_log_id,
            response: (response.vote, response.last_log_id),
            given_at: R::Instant::now(),
            end_told: false,
            asked: None,
            answers: 0,
        };
        self.lock().insert(voter, ballot);
    }

    /// The vote asked for, if the voter has given it: for the same term, and the same end of the log.
    pub(super) fn vote(
        &self,
        voter: NodeId,
        request: &VoteRequest<Types<R>>,
    ) -> Option<VoteResponse<Types<R>>> {
        let ballots = self.lock();
        let ballot = ballots.get(&voter)?;
        let same = (ballot.vote, ballot.asked_with) == (request.vote, request.last_log_id);
        let (vote, last_log_id) = ballot.response;
        same.then(|| VoteResponse::new(vote, last_log_id, true))
    }

    /// What the voter would answer to a new leader's search for the end of its log. openraft searches it in steps of a
    /// round trip each, and sends nothing else meanwhile; `None` asks the voter itself.
    pub(super) fn append(
        &self,
        voter: NodeId,
        request: &AppendEntriesRequest<Types<R>>,
    ) -> Option<StreamAppendResult<Types<R>>> {
        let first = request.entries.first()?.log_id;
        let last = request.entries.last()?.log_id;
        let mut ballots = self.lock();
        let ballot = ballots.get_mut(&voter)?;
        let term = request.vote.leader_id.term;
        let of_it = request.vote.committed && request.vote.leader_id == ballot.vote.leader_id;
        let committed = request.leader_commit.is_some_and(|at| term_of(&at) == term);
        // A question that comes again was not helped by its answer: the voter itself is asked, or it would come for ever.
        let helped = ballot.asked != Some(request.prev_log_id) && ballot.answers < ANSWERS_MAX;
        let fresh = helped && ballot.given_at.elapsed() <= self.fresh_for;
        let Some(end) = ballot.end().filter(|_| of_it && !committed && fresh) else {
            ballots.remove(&voter);
            return None;
        };
        let prev = request.prev_log_id;
        ballot.asked = Some(prev);
        ballot.answers += 1;
        if prev < Some(end) {
            let matched = if last.index < end.index { last } else { end };
            ballot.end_told |= matched == end;
            return Some(Ok(Some(matched)));
        }
        // The voter has nothing after its end: openraft then streams all that follows, and does not search further.
        let end_told = ballot.end_told;
        if prev == Some(end) {
            if end_told {
                ballots.remove(&voter);
            }
            return Some(Err(StreamAppendError::Conflict(first)));
        }
        prev.map(|prev| Err(StreamAppendError::Conflict(prev)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Ballot<R::Instant>>> {
        self.by_voter.lock().expect("no holder panics")
    }
}
