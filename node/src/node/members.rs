//! Changes of who votes: asked on any node, carried out by the leader, one at a time.
//!
//! A change that is under way goes on when its caller leaves, and whoever asks for the same one waits for it. What a
//! leader left half done, two sets of voters in force, the next leader ends (docs/decisions/0015).

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use openraft_rt::watch::WatchReceiver as _;
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_proto::v1::peer;
use stellara_proto::v1::peer::error::Kind;
use stellara_raft_store::types::{NodeId, NodeInfo};
use tokio::sync::watch;

use super::peers::{error, error_of};
use super::{Inner, Node, Ports};
use crate::gateway::Failure;
use crate::gateway::members::{MemberChange, MemberError, MemberRefusal, Membership};
use crate::ingress::Origin;
use crate::ports::peer_link::{LinkError, Peer};
use crate::transport::client::PeerClient;

mod change;
mod wire;

/// How long a leader lets an asker wait: then the change goes on, and the asker may ask again.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long a node waits for the leader's answer.
const CALL_WITHIN: Duration = Duration::from_secs(17);
/// How long a leader is looked for, and how soon again.
const LEADER_WITHIN: Duration = Duration::from_secs(3);
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How often a leader looks whether a change was left half done.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type Answer = Result<Membership, MemberError>;
/// Where a change's answer is waited for.
type Done = watch::Receiver<Option<Answer>>;

/// The change under way on a node, or its last one.
#[derive(Debug, Default)]
pub(super) struct Changes {
    last: Mutex<Option<(MemberChange, Done)>>,
}

/// Whose turn a change is.
enum Turn {
    /// It is begun by whoever asks now.
    Begins(watch::Sender<Option<Answer>>, Done),
    /// It is under way.
    Joins(Done),
}

fn goes_on(done: &Done) -> bool {
    // Its task may have been dropped before its end.
    done.borrow().is_none() && done.has_changed().is_ok()
}

impl Changes {
    fn turn(&self, change: MemberChange) -> Result<Turn, MemberRefusal> {
        let mut last = self.last.lock().expect("no holder panics");
        if let Some((under_way, done)) = last.as_ref().filter(|(_, done)| goes_on(done)) {
            return match *under_way == change {
                true => Ok(Turn::Joins(done.clone())),
                false => Err(MemberRefusal::UnderWay),
            };
        }
        let (tell, done) = watch::channel(None);
        *last = Some((change, done.clone()));
        Ok(Turn::Begins(tell, done))
    }

    fn under_way(&self) -> bool {
        let last = self.last.lock().expect("no holder panics");
        last.as_ref().is_some_and(|(_, done)| goes_on(done))
    }
}

fn no_leader() -> MemberError {
    Failure::NoLeader { hint: None }.into()
}

impl<P: Ports> Node<P> {
    /// Changes who votes, through whoever leads.
    pub(super) async fn change_through_leader(&self, change: MemberChange) -> Answer {
        let peers = PeerClient::new(self.inner.link.clone());
        let (mut missed, mut told) = (None, None);
        loop {
            let leader = told.take().or_else(|| self.known_leader());
            let answer = match leader {
                Some(leader) if leader == self.inner.options.whoami.node_id => {
                    self.change_here(change).await
                }
                Some(leader) => {
                    let (answer, hint) = self.change_at(&peers, leader, change).await;
                    told = hint;
                    answer
                }
                None => Err(no_leader()),
            };
            if !matches!(answer, Err(MemberError::Failed(Failure::NoLeader { .. }))) {
                return answer;
            }
            // A change names what is wanted: another leader may be asked for it without harm.
            let since = *missed.get_or_insert_with(<P::Runtime as AsyncRuntime>::Instant::now);
            if since.elapsed() > LEADER_WITHIN {
                return answer;
            }
            P::Runtime::sleep(AGAIN_AFTER).await;
        }
    }

    fn known_leader(&self) -> Option<NodeId> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.current_leader
    }

    async fn change_at(
        &self,
        peers: &PeerClient<P::Link>,
        leader: NodeId,
        change: MemberChange,
    ) -> (Answer, Option<NodeId>) {
        let Some(info) = self.inner.info_of(leader) else {
            return (Err(no_leader()), None);
        };
        let peer = Peer {
            node_id: leader,
            info,
        };
        let request = wire::change_to_wire(change);
        match peers.change_members(&peer, &request, CALL_WITHIN).await {
            Ok(answer) => {
                let hint = answer.error.as_ref().map(|error| error.leader_id);
                let own = self.inner.options.whoami.node_id;
                let hint = hint.filter(|hint| ![0, leader, own].contains(hint));
                (wire::answer_from_wire(answer), hint)
            }
            Err(LinkError::Unreachable { .. } | LinkError::Refused { .. }) => {
                (Err(no_leader()), None)
            }
            Err(
                LinkError::TimedOut { .. } | LinkError::Closed { .. } | LinkError::TooLarge { .. },
            ) => (Err(Failure::Unknown.into()), None),
        }
    }

    /// Changes who votes, if this node leads.
    pub(super) async fn change_here(&self, change: MemberChange) -> Answer {
        if let Some(reason) = self.inner.gate.closed_for(Origin::LeaderOnly) {
            return Err(Failure::Unavailable { reason }.into());
        }
        if !self.inner.raft.is_leader() {
            return Err(no_leader());
        }
        let mut done = match self.inner.changes.turn(change)? {
            Turn::Joins(done) => done,
            Turn::Begins(tell, done) => {
                let node = self.clone();
                drop(P::Runtime::spawn(async move {
                    let work = async {
                        let answer = node.carry_out(change).await;
                        tracing::info!(?change, ?answer, "change of the membership ends");
                        tell.send_replace(Some(answer));
                    };
                    P::Runtime::select2(node.failed(), work).await;
                }));
                done
            }
        };
        let answered = async {
            let answer = done.wait_for(Option::is_some).await.ok();
            answer.and_then(|answer| answer.clone())
        };
        let answer = P::Runtime::timeout(ANSWER_WITHIN, answered).await;
        answer
            .ok()
            .flatten()
            .unwrap_or(Err(Failure::Unknown.into()))
    }

    /// Answers a peer that was asked.
    pub(super) async fn change_for_peer(
        &self,
        request: peer::MemberChangeRequest,
    ) -> peer::MemberChangeResponse {
        let Some(change) = wire::change_from_wire(&request) else {
            return peer::MemberChangeResponse {
                error: Some(error(Kind::Unavailable, "the kind of change is not known")),
                ..peer::MemberChangeResponse::default()
            };
        };
        let mut answer = wire::answer_to_wire(self.change_here(change).await, error_of);
        if let Some(error) = &mut answer.error {
            error.leader_id = self.known_leader().unwrap_or_default();
        }
        answer
    }
}

impl<P: Ports> Inner<P> {
    /// Where a node is: as the membership in force says, or the configuration.
    fn info_of(&self, node_id: NodeId) -> Option<NodeInfo> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let known = metrics.membership_config.get_node(&node_id).cloned();
        known.or_else(|| self.options.members.get(&node_id).cloned())
    }
}

/// Ends what an earlier leader left half done, for as long as the group lasts.
pub(super) async fn finish_left<P: Ports>(node: Node<P>) {
    let mut metrics = node.inner.raft.server_metrics();
    loop {
        let left = {
            let metrics = metrics.borrow_and_update();
            let membership = metrics.membership_config.membership();
            metrics.state == openraft::ServerState::Leader
                && membership.get_joint_config().len() > 1
        };
        if !left {
            if metrics.changed().await.is_err() {
                return;
            }
            continue;
        }
        if !node.inner.changes.under_way() {
            tracing::info!("two sets of voters are in force: ending the change that was left");
            let end = openraft::ChangeMembers::AddVoterIds(BTreeSet::new());
            let ending = node.inner.raft.change_membership(end, true);
            // Refused while it is not committed yet, or when another leads: looked at again.
            match P::Runtime::timeout(ANSWER_WITHIN, ending).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the change is not ended yet"),
                Err(_) => tracing::debug!("the end of the change is not committed yet"),
            }
        }
        let changed = async { metrics.changed().await.is_ok() };
        if matches!(P::Runtime::timeout(LOOK_EVERY, changed).await, Ok(false)) {
            return;
        }
    }
}
