//! Heartbeats as datagrams: the leader beats often, the others seldom; each beat is answered, which measures the
//! round trip. Lost beats are not repeated: the next one says more.

use std::cmp::Ordering;
use std::future::Future;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use openraft::ServerState;
use openraft::metrics::RaftServerMetrics;
use openraft_rt::{AsyncRuntime, Instant};
use prost::Message;
use stellara_proto::v1::peer as wire;
use stellara_raft_store::types::{NodeId, Types};

use crate::ports::peer_link::{Peer, PeerLink};
use crate::transport::detector::{Detector, DetectorOptions, Leads, PeerPulse};

/// A node that does not lead beats once in so many intervals.
const FOLLOWER_BEATS_EVERY: u32 = 5;

/// What a beat says, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeatView {
    /// The sender's term.
    pub term: u64,
    /// Whether it leads.
    pub leads: Leads,
    /// The other nodes of the group.
    pub peers: Vec<Peer>,
}

/// What this node does about the next leader: it calls for itself, or has promised its vote.
#[derive(Clone, Copy, Debug, Default)]
struct Campaign {
    turn_until: Option<Duration>,
    promise: Option<(NodeId, Duration)>,
}

impl Campaign {
    fn calls(&self, now: Duration) -> bool {
        self.turn_until.is_some_and(|until| now < until)
    }

    fn promised(&self, now: Duration) -> Option<NodeId> {
        let held = self.promise.filter(|(_, until)| now < *until);
        held.map(|(to, _)| to)
    }
}

impl BeatView {
    /// What a node's metrics let its beats say.
    #[must_use]
    pub fn of<R: AsyncRuntime + 'static>(metrics: &RaftServerMetrics<Types<R>>) -> Self {
        let leads = if metrics.state == ServerState::Leader {
            Leads::Yes
        } else {
            Leads::No
        };
        let others = metrics
            .membership_config
            .nodes()
            .filter(|(node_id, _)| **node_id != metrics.id);
        Self {
            term: metrics.vote.leader_id.term,
            leads,
            peers: others
                .map(|(node_id, info)| Peer {
                    node_id: *node_id,
                    info: info.clone(),
                })
                .collect(),
        }
    }
}

/// This node's heartbeats and what it heard of others'.
#[derive(Debug)]
pub struct Heart<R: AsyncRuntime + 'static, L> {
    node_id: NodeId,
    link: L,
    started: R::Instant,
    options: DetectorOptions,
    detector: Mutex<Detector>,
    withdrawn: Mutex<Option<(NodeId, u64)>>,
    campaign: Mutex<Campaign>,
    /// The leader that this node suspects, and its term.
    doubt: Mutex<Option<(NodeId, u64)>>,
}

impl<R: AsyncRuntime + 'static, L: PeerLink> Heart<R, L> {
    /// The heart of node `node_id`; [`Heart::beat`] makes it beat.
    pub fn new(node_id: NodeId, link: L, options: DetectorOptions) -> Self {
        Self {
            node_id,
            link,
            started: R::Instant::now(),
            options,
            detector: Mutex::new(Detector::new(options)),
            withdrawn: Mutex::new(None),
            campaign: Mutex::default(),
            doubt: Mutex::new(None),
        }
    }

    /// When a silent peer is suspected, and how often a leader beats.
    pub const fn options(&self) -> &DetectorOptions {
        &self.options
    }

    /// Whether the leader has been silent for too long: time for an early election.
    pub fn suspects(&self, leader: NodeId) -> bool {
        let now = self.started.elapsed();
        self.with_detector(|detector| detector.suspects(leader, now))
    }

    /// For how long the leader may be silent.
    pub fn patience(&self, leader: NodeId) -> Duration {
        self.with_detector(|detector| detector.patience(leader))
    }

    /// How much longer the leader may be silent; `None` when it never was heard leading.
    pub fn patience_left(&self, leader: NodeId) -> Option<Duration> {
        let now = self.started.elapsed();
        self.with_detector(|detector| detector.patience_left(leader, now))
    }

    /// What this node's beats say of its leader from now on: the leader and the term of a suspicion, or none.
    pub fn doubt(&self, doubt: Option<(NodeId, u64)>) {
        *self.doubt.lock().expect("no holder panics") = doubt;
    }

    fn doubted(&self) -> Option<(NodeId, u64)> {
        *self.doubt.lock().expect("no holder panics")
    }

    /// Whether `peer` said of late that it suspects `leader` in `term`.
    pub fn told_suspicion(&self, peer: NodeId, leader: NodeId, term: u64) -> bool {
        let now = self.started.elapsed();
        self.with_detector(|detector| detector.told_suspicion(peer, leader, term, now))
    }

    /// This node is about to give `asker` its vote before it is asked for: for as long as a leader's lease, no other is
    /// encouraged to stand, nor stands this node. False when another was promised it, or when this node's own call is
    /// under way and the asker, by its `order`, does not go first.
    pub fn promise(&self, asker: NodeId, order: Ordering) -> bool {
        let now = self.started.elapsed();
        let mut campaign = self.campaign();
        let taken = campaign.promised(now).is_some_and(|to| to != asker);
        if taken || (campaign.calls(now) && order == Ordering::Less) {
            return false;
        }
        campaign.promise = Some((asker, now + self.options.lease));
        true
    }

    /// The vote was not given after all.
    pub fn release(&self, asker: NodeId) {
        let mut campaign = self.campaign();
        campaign.promise = campaign.promise.filter(|(to, _)| *to != asker);
    }

    /// Whether another than `asker` was given such a promise, and it holds.
    pub fn promised_to_other(&self, asker: NodeId) -> bool {
        let promised = self.campaign().promised(self.started.elapsed());
        promised.is_some_and(|to| to != asker)
    }

    /// This node has withdrawn the lease that it gave to `leader` for `term`.
    pub fn withdraw(&self, leader: NodeId, term: u64) {
        *self.withdrawn.lock().expect("no holder panics") = Some((leader, term));
    }

    /// This node calls for an election, and grants no other a pre-vote for as long as its own may take. False when its
    /// vote is promised.
    pub fn take_turn(&self, limit: Duration) -> bool {
        let now = self.started.elapsed();
        let mut campaign = self.campaign();
        if campaign.promised(now).is_some() {
            return false;
        }
        campaign.turn_until = Some(now + limit);
        true
    }

    /// Whether this node's call is under way.
    pub fn has_turn(&self) -> bool {
        self.campaign().calls(self.started.elapsed())
    }

    fn campaign(&self) -> MutexGuard<'_, Campaign> {
        self.campaign.lock().expect("no holder panics")
    }

    /// Whether this node has withdrawn the lease of `leader` for `term`, and yet hears it lead as if nothing had been:
    /// then the lease is to be honoured after all. Raft itself has no way to give it back within the term.
    pub fn hears_again(&self, leader: NodeId, term: u64) -> bool {
        let withdrawn = *self.withdrawn.lock().expect("no holder panics");
        if withdrawn != Some((leader, term)) {
            return false;
        }
        let now = self.started.elapsed();
        self.with_detector(|detector| detector.protects(leader, now))
    }

    /// A leader's append arrived.
    pub fn append(&self, from: NodeId) {
        let now = self.started.elapsed();
        self.with_detector(|detector| detector.append(from, now));
    }

    /// What is known of a peer.
    pub fn pulse(&self, node_id: NodeId) -> Option<PeerPulse> {
        self.with_detector(|detector| detector.peer(node_id).copied())
    }

    /// When a peer last said that it leads, on the clock of [`Heart::now`]; see [`Detector::in_touch_at`].
    pub fn in_touch_at(&self) -> Option<Duration> {
        self.with_detector(|detector| detector.in_touch_at())
    }

    /// The time since this heart was made, on the clock of [`PeerPulse::heard_at`].
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Beats until `stop` resolves; `view` tells what to say before each beat.
    pub async fn beat(
        &self,
        view: impl Fn() -> BeatView + Send + Sync,
        stop: impl Future<Output = ()> + Send,
    ) {
        let beating = async {
            let mut count = 0_u32;
            loop {
                let view = view();
                let often = view.leads == Leads::Yes || self.doubted().is_some();
                if often || count.is_multiple_of(FOLLOWER_BEATS_EVERY) {
                    self.beat_once(&view);
                }
                count = count.wrapping_add(1);
                R::sleep(self.options.beat_interval).await;
            }
        };
        R::select2(stop, beating).await;
    }

    /// Sends one beat to each peer.
    pub fn beat_once(&self, view: &BeatView) {
        let doubted = self.doubted().filter(|(_, term)| *term == view.term);
        let beat = wire::Heartbeat {
            node_id: self.node_id,
            sent_at_ms: self.now_ms(),
            answer: false,
            term: view.term,
            leads: view.leads == Leads::Yes,
            suspects: doubted.map(|(leader, _)| leader),
        };
        let beat = Bytes::from(beat.encode_to_vec());
        for peer in &view.peers {
            self.send(peer, beat.clone());
        }
    }

    /// Takes a beat or an answer of `from`; `peer` is where to answer, when it is known.
    pub fn receive(&self, from: NodeId, payload: Bytes, peer: Option<&Peer>) {
        let heard = match wire::Heartbeat::decode(payload) {
            Ok(heard) if heard.node_id == from => heard,
            Ok(heard) => {
                tracing::debug!(
                    from,
                    named = heard.node_id,
                    "a heartbeat names another node"
                );
                return;
            }
            Err(error) => {
                tracing::debug!(from, %error, "a datagram is no heartbeat");
                return;
            }
        };
        let now = self.started.elapsed();
        if heard.answer {
            let sent_at = Duration::from_millis(heard.sent_at_ms);
            self.with_detector(|detector| detector.answer(from, sent_at, now));
            return;
        }
        let leads = if heard.leads { Leads::Yes } else { Leads::No };
        self.with_detector(|detector| {
            detector.beat_with(from, heard.term, leads, heard.suspects, now);
        });
        if let Some(peer) = peer {
            let answer = wire::Heartbeat {
                node_id: self.node_id,
                answer: true,
                leads: false,
                suspects: None,
                ..heard
            };
            self.send(peer, answer.encode_to_vec().into());
        }
    }

    fn send(&self, peer: &Peer, payload: Bytes) {
        if let Err(error) = self.link.datagram(peer, payload) {
            tracing::trace!(to = peer.node_id, %error, "a heartbeat was not sent");
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn with_detector<T>(&self, act: impl FnOnce(&mut Detector) -> T) -> T {
        act(&mut self.detector.lock().expect("no holder panics"))
    }
}
