//! A new leader's search for the end of a voter's log, answered with what the voter told with its vote; and whom a
//! voter promises its vote.

use std::cmp::Ordering;
use std::time::Duration;

use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
};
use openraft_rt_tokio::TokioRuntime;
use stellara_raft_store::types::{Entry, LogId, Types, log_id, vote};
use tokio::time::advance;

use super::wire::Wire;
use crate::transport::detector::DetectorOptions;
use crate::transport::raft::Heart;
use crate::transport::raft::ballots::Ballots;

type C = Types<TokioRuntime>;

const VOTER: u64 = 3;

/// Node 2 stands in term 5 with a log that ends at `own`; the voter's ends at `theirs`.
fn elected(own: LogId, theirs: LogId) -> Ballots<TokioRuntime> {
    let ballots = Ballots::new(Duration::from_millis(50));
    let asked = vote(5, 2, false);
    let request = VoteRequest::new(asked, Some(own));
    let response = VoteResponse::new(asked, Some(theirs), true);
    ballots.given(VOTER, &request, &response);
    ballots
}

/// The entries after `prev` up to `last`; from 41 on they are of the new leader.
fn search(prev: u64, last: u64) -> AppendEntriesRequest<C> {
    let at = |index| log_id(if index > 40 { 5 } else { 4 }, index);
    AppendEntriesRequest {
        vote: vote(5, 2, true),
        prev_log_id: Some(at(prev)),
        entries: (prev + 1..=last)
            .map(|index| Entry {
                log_id: at(index),
                payload: EntryPayload::Blank,
            })
            .collect(),
        leader_commit: Some(log_id(4, 30)),
    }
}

fn matched(index: u64) -> Option<StreamAppendResult<C>> {
    Some(Ok(Some(log_id(4, index))))
}

fn lacks(at: LogId) -> Option<StreamAppendResult<C>> {
    Some(Err(StreamAppendError::Conflict(at)))
}

#[test]
fn a_vote_is_taken_for_the_very_question_only() {
    let ballots = elected(log_id(4, 40), log_id(4, 38));
    let ask = |term, end| VoteRequest::<C>::new(vote(term, 2, false), Some(end));
    let given = ballots.vote(VOTER, &ask(5, log_id(4, 40)));
    assert!(given.is_some_and(|given| given.vote_granted && given.vote == vote(5, 2, false)));
    assert_eq!(ballots.vote(VOTER, &ask(5, log_id(4, 41))), None);
    assert_eq!(ballots.vote(VOTER, &ask(6, log_id(4, 40))), None);
    assert_eq!(ballots.vote(1, &ask(5, log_id(4, 40))), None);
}

#[test]
fn the_search_ends_where_the_voters_log_ends() {
    let ballots = elected(log_id(4, 40), log_id(4, 38));
    assert_eq!(ballots.append(VOTER, &search(16, 24)), matched(24));
    assert_eq!(ballots.append(VOTER, &search(32, 40)), matched(38));
    // It has nothing after its end; from here on all is streamed to the voter itself.
    assert_eq!(ballots.append(VOTER, &search(38, 41)), lacks(log_id(4, 39)));
    assert_eq!(ballots.append(VOTER, &search(38, 41)), None);
}

#[test]
fn a_search_that_begins_past_the_end_is_sent_back() {
    let ballots = elected(log_id(4, 40), log_id(4, 20));
    assert_eq!(ballots.append(VOTER, &search(24, 32)), lacks(log_id(4, 24)));
    assert_eq!(ballots.append(VOTER, &search(20, 28)), lacks(log_id(4, 21)));
    assert_eq!(ballots.append(VOTER, &search(8, 16)), matched(16));
    assert_eq!(ballots.append(VOTER, &search(16, 24)), matched(20));
}

#[test]
fn a_question_that_comes_again_is_for_the_voter_itself() {
    let ballots = elected(log_id(4, 40), log_id(4, 20));
    assert_eq!(ballots.append(VOTER, &search(20, 28)), lacks(log_id(4, 21)));
    assert_eq!(ballots.append(VOTER, &search(20, 28)), None);
    assert_eq!(ballots.append(VOTER, &search(8, 16)), None);
}

#[test]
fn a_log_that_another_leader_wrote_last_is_searched() {
    let ballots = elected(log_id(4, 40), log_id(3, 38));
    assert_eq!(ballots.append(VOTER, &search(32, 40)), None);
    let longer = elected(log_id(4, 36), log_id(4, 38));
    assert_eq!(longer.append(VOTER, &search(32, 40)), None);
}

#[test]
fn a_beat_a_commit_and_another_leader_are_not_answered_for_the_voter() {
    let ends = || elected(log_id(4, 40), log_id(4, 40));
    let mut beat = search(32, 40);
    beat.entries.clear();
    assert_eq!(ends().append(VOTER, &beat), None);
    let mut committed = search(32, 40);
    committed.leader_commit = Some(log_id(5, 41));
    assert_eq!(ends().append(VOTER, &committed), None);
    let mut other = search(32, 40);
    other.vote = vote(6, 2, true);
    assert_eq!(ends().append(VOTER, &other), None);
    assert_eq!(ends().append(1, &search(32, 40)), None);
}

#[tokio::test(start_paused = true)]
async fn words_grow_old() {
    let ballots = elected(log_id(4, 40), log_id(4, 40));
    advance(Duration::from_millis(51)).await;
    assert_eq!(ballots.append(VOTER, &search(32, 40)), None);
}

#[tokio::test(start_paused = true)]
async fn a_vote_is_promised_to_one_and_a_caller_yields_to_who_goes_first() {
    let link = Wire::new(Duration::ZERO, |_, _| async {});
    let options = DetectorOptions::default();
    let heart = Heart::<TokioRuntime, _>::new(1, link, options);
    assert!(heart.promise(2, Ordering::Less) && heart.promise(2, Ordering::Less));
    assert!(!heart.promise(3, Ordering::Greater) && heart.promised_to_other(3));
    assert!(!heart.take_turn(Duration::from_millis(100)));
    heart.release(3);
    assert!(heart.promised_to_other(3));
    heart.release(2);
    assert!(heart.take_turn(Duration::from_millis(100)) && heart.has_turn());
    assert!(!heart.promise(3, Ordering::Less) && heart.promise(2, Ordering::Greater));
    advance(options.lease).await;
    assert!(!heart.promised_to_other(3) && heart.promise(3, Ordering::Less));
}
