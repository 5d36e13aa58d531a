//! Brings a node with a blank log into a cluster: a new one with the others, or back into the one it lost its log of.
//!
//! Until it is done, `Memory` keeps the node out of what it could break (docs/decisions/0007-rebuilding-a-voter.md).

use std::time::Duration;

use futures_util::future::join_all;
use openraft::errors::{ClientWriteError, ForwardReason, RaftError};
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_machine::ids::Index;
use stellara_proto::v1::peer;
use stellara_proto::v1::peer::error::Kind;
use stellara_raft_store::log::Past;
use stellara_raft_store::types::{LogId, NodeId, Vote, term_of, vote};

use super::peers::error;
use super::standing::{Answers, Stage, Told, Verdict, decide, told_by, told_of};
use super::{Inner, Node, Ports};
use crate::ports::peer_link::{LinkError, Peer};
use crate::transport::client::PeerClient;
use crate::transport::raft::memory::Recall;

/// How long a peer may take to tell its standing.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// How long a leader may take to commit the entry with which it takes a node back.
const COMMIT_WITHIN: Duration = Duration::from_secs(4);
/// How long the asker waits for that.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
/// The pauses between rounds, doubling from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What is waited for is told at once when it changes, and again this often.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// The pause before a new leader, which waits for its majority, is offered the entry again.
const LEASE_WAIT: Duration = Duration::from_millis(20);

/// Works until the node remembers enough to take full part, or its Raft has ended.
pub(super) async fn run<P: Ports>(node: Node<P>, link: P::Link) {
    let rejoining = rejoin(&node, PeerClient::new(link));
    P::Runtime::select2(node.failed(), rejoining).await;
}

async fn rejoin<P: Ports>(node: &Node<P>, peers: PeerClient<P::Link>) {
    let inner = &node.inner;
    if inner.memory.recall() == Recall::Nothing {
        tracing::info!("the log is blank: asking the other members whether there is a cluster");
        let rejoiner = Rejoiner {
            inner,
            peers,
            told: None,
        };
        rejoiner.until_known().await;
    }
    if let Recall::Rebuilding { until } = inner.memory.recall() {
        rebuild(inner, until).await;
    }
}

/// Follows until `until` is applied, and votes from then on.
async fn rebuild<P: Ports>(inner: &Inner<P>, until: Index) {
    loop {
        let applied = inner.reads.view().applied_index();
        if applied >= until {
            break;
        }
        tracing::info!(
            applied = applied.0,
            until = until.0,
            "rebuilding the lost log: this node follows and does not vote yet"
        );
        let reached = inner.reads.applied_past(Index(until.0 - 1));
        P::Runtime::timeout(TELL_EVERY, reached).await.ok();
    }
    // The entries, too, are durable after this.
    if let Err(error) = inner.log.end_rebuild().await {
        inner.end_broken(&error).await;
        return;
    }
    inner.memory.set(Recall::Whole);
    inner.raft.runtime_config().elect(true);
    tracing::info!(
        applied = until.0,
        "the lost log is rebuilt: this node votes again"
    );
}

struct Rejoiner<'a, P: Ports> {
    inner: &'a Inner<P>,
    peers: PeerClient<P::Link>,
    /// What was told last, and when.
    told: Option<(String, <P::Runtime as AsyncRuntime>::Instant)>,
}

impl<P: Ports> Rejoiner<'_, P> {
    async fn until_known(mut self) {
        let mut pause = PAUSE_MIN;
        while self.inner.memory.recall() == Recall::Nothing {
            if let Err(waiting) = self.step().await {
                self.tell(waiting);
                P::Runtime::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    /// Tells at once what is new, and louder what has not changed for a while.
    fn tell(&mut self, waiting: String) {
        let now = <P::Runtime as AsyncRuntime>::Instant::now();
        match &self.told {
            Some((told, at)) if *told == waiting => {
                if now < *at + TELL_EVERY {
                    return;
                }
                tracing::warn!("still waiting: {waiting}");
            }
            Some(_) | None => tracing::info!("waiting: {waiting}"),
        }
        self.told = Some((waiting, now));
    }

    /// One round. An error says why another is needed.
    async fn step(&self) -> Result<(), String> {
        let answers = self.ask_all().await;
        match decide(self.inner.options.whoami.node_id, &answers) {
            Verdict::Found => self.found().await,
            Verdict::Join { floor } => self.join(floor).await,
            Verdict::Return { leader } => self.return_to(leader).await,
            Verdict::Wait(why) => Err(why.to_string()),
        }
    }

    fn peer(&self, node_id: NodeId) -> Option<Peer> {
        let info = self.inner.options.members.get(&node_id)?.clone();
        Some(Peer { node_id, info })
    }

    async fn ask_all(&self) -> Answers {
        let own = self.inner.options.whoami.node_id;
        let others = self.inner.options.members.keys().copied();
        let others = others.filter(|node_id| *node_id != own);
        let asking = others.filter_map(|node_id| self.peer(node_id));
        let asking = asking.map(async |peer| {
            let request = peer::StandingRequest { readmit: false };
            match self.peers.standing(&peer, &request, ASK_WITHIN).await {
                Ok(answer) => (peer.node_id, told_by(&answer)),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no standing told");
                    (peer.node_id, None)
                }
            }
        });
        join_all(asking).await.into_iter().collect()
    }

    async fn found(&self) -> Result<(), String> {
        let members = self.inner.options.members.clone();
        let count = members.len();
        // First, for Raft asks for votes at once; where all are blank nobody's vote was forgotten.
        self.remembers_all();
        if let Err(error) = self.inner.raft.initialize(members).await {
            self.inner.raft.runtime_config().elect(false);
            self.inner.memory.set(Recall::Nothing);
            return Err(format!("the cluster is not made: {error}"));
        }
        tracing::info!(members = count, "all members are new: the cluster is made");
        Ok(())
    }

    async fn join(&self, floor: Option<Vote>) -> Result<(), String> {
        if let Some(floor) = floor {
            // As if the candidate had asked: durable when it returns.
            let granted = self.inner.raft.vote(VoteRequest::new(floor, None)).await;
            granted.map_err(|error| error.to_string())?;
            self.holds(floor)?;
        }
        tracing::info!("a cluster is being made: this node takes part");
        self.remembers_all();
        Ok(())
    }

    async fn return_to(&self, leader: NodeId) -> Result<(), String> {
        let refused = |why: &dyn std::fmt::Display| {
            format!("this node lost its log and asks leader {leader} to take it back: {why}")
        };
        let peer = self
            .peer(leader)
            .ok_or_else(|| refused(&"it is not configured as a member"))?;
        let request = peer::StandingRequest { readmit: true };
        let answer = self.peers.standing(&peer, &request, RETURN_WITHIN).await;
        let answer = answer.map_err(|error: LinkError| refused(&error))?;
        if let Some(error) = answer.error {
            return Err(refused(&error.message));
        }
        let at = answer
            .readmitted_at
            .ok_or_else(|| refused(&"its answer names no entry"))?;
        tracing::warn!(
            leader,
            term = at.term,
            until = at.index,
            "this node lost its log: it follows without a vote until it has applied what the leader just committed"
        );
        let inner = self.inner;
        // The note first: a crash between the two leaves a blank log, and all begins anew.
        if let Err(error) = inner.log.begin_rebuild(at.index).await {
            inner.end_broken(&error).await;
            return Err(format!("the rebuild is not noted on disk: {error}"));
        }
        // As if the leader had beaten: nothing of an older one is accepted from now on.
        let floor = vote(at.term, leader, true);
        let beat = AppendEntriesRequest {
            vote: floor,
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        let beaten = inner.raft.append_entries(beat).await;
        beaten.map_err(|error| error.to_string())?;
        self.holds(floor)?;
        inner.memory.set(Recall::Rebuilding {
            until: Index(at.index),
        });
        Ok(())
    }

    /// Whether the floor is on disk.
    fn holds(&self, floor: Vote) -> Result<(), String> {
        match self.inner.log.past() {
            Past::Kept {
                vote: Some(vote), ..
            } if vote == floor => Ok(()),
            other @ (Past::Blank | Past::Kept { .. }) => {
                Err(format!("vote {floor} was not stored, there is {other:?}"))
            }
        }
    }

    fn remembers_all(&self) {
        self.inner.memory.set(Recall::Whole);
        self.inner.raft.runtime_config().elect(true);
    }
}

impl<P: Ports> Inner<P> {
    /// Tells an asker with a blank log what this node knows, and takes it back when that is asked.
    pub(super) async fn tell_standing(
        &self,
        from: NodeId,
        request: peer::StandingRequest,
    ) -> peer::StandingResponse {
        let told = match told_of(self.log.past()) {
            // The log alone is lost: the state tells that there was a cluster.
            Told {
                stage: Stage::Blank,
                vote,
            } if self.reads.view().applied_index().0 > 0 => Told {
                stage: Stage::Formed,
                vote,
            },
            told => told,
        };
        let mut answer = peer::StandingResponse::from(told);
        if !request.readmit {
            return answer;
        }
        let committed = P::Runtime::timeout(COMMIT_WITHIN, self.commit_blank()).await;
        let late =
            "the others did not confirm an entry in time: a majority without the asker is needed";
        match committed.unwrap_or_else(|_| Err(error(Kind::Unknown, late))) {
            Ok(at) => {
                tracing::info!(
                    node_id = from,
                    until = at.index,
                    "node lost its log: taken back without a vote until it has applied this entry"
                );
                answer.readmitted_at = Some(peer::LogId {
                    term: term_of(&at),
                    index: at.index,
                });
            }
            Err(error) => answer.error = Some(error),
        }
        answer
    }

    /// Commits an entry in this leader's own term. The node that asks answers no appends, so it is not counted.
    async fn commit_blank(&self) -> Result<LogId, peer::Error> {
        let no_leader = || error(Kind::NotLeader, "the node does not lead");
        let written = loop {
            match self.raft.write_blank().await {
                Ok(written) => break written.log_id,
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))
                    if forward.reason == ForwardReason::LeaseExpired =>
                {
                    P::Runtime::sleep(LEASE_WAIT).await;
                }
                Err(RaftError::APIError(_)) => return Err(no_leader()),
                Err(RaftError::Fatal(_)) => {
                    return Err(error(Kind::Unavailable, "the node stops"));
                }
            }
        };
        // Committed by a successor, it would not say that this node's term is the latest.
        let own = vote(term_of(&written), self.options.whoami.node_id, true);
        match self.log.past() {
            Past::Kept {
                vote: Some(vote), ..
            } if vote == own => Ok(written),
            Past::Kept { .. } | Past::Blank => Err(no_leader()),
        }
    }
}
