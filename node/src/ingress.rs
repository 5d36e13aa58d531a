//! The one door in: admits or refuses, gathers many callers' commands into one log entry, forwards at most once.
//!
//! The leader stamps the time, proposes and awaits the replies. What is refused here was surely not proposed;
//! what times out is unknown, never "failed".

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::Raft;
use openraft_rt::AsyncRuntime;
use prost::Message;
use stellara_machine::command::Command;
use stellara_machine::decision::Reply;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::codec;
use stellara_raft_store::engine::Disk;
use stellara_raft_store::types::Types;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::gate::Gate;
use crate::gateway::Failure;
use crate::ports::{Clock, PeerLink};
use crate::transport::client::PeerClient;
use crate::transport::raft::Heart;

mod entry;
mod propose;

/// openraft's handle over our types.
pub type Group<R, D> = Raft<Types<R>, StateStore<R, D>>;

/// How much the door takes in at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressLimits {
    /// Commands admitted and not answered, at most.
    pub commands_max: usize,
    /// Log entries proposed and not applied, at most; more callers then share each entry.
    pub entries_in_flight_max: usize,
    /// Commands in one entry, at most.
    pub entry_commands_max: usize,
    /// Bytes of one entry, about, at most.
    pub entry_bytes_max: usize,
    /// How long commands wait for company while another entry is under way, at most: the price, beside a
    /// round trip between regions, for entries that carry many. On an idle node nothing waits.
    pub entry_linger: Duration,
    /// How long a caller waits before its outcome is called unknown.
    pub answer_within: Duration,
}

impl Default for IngressLimits {
    fn default() -> Self {
        Self {
            commands_max: 65_536,
            entries_in_flight_max: 8,
            entry_commands_max: 2_048,
            entry_bytes_max: 1 << 20,
            entry_linger: Duration::from_millis(2),
            answer_within: Duration::from_secs(5),
        }
    }
}

/// Who asks, and so whether a follower passes the commands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A caller of this node: forwarded to the leader when another leads.
    Caller,
    /// The node's own executor, or a peer that forwarded: only the leader may take them.
    LeaderOnly,
}

type Answers = Vec<Result<Reply, Failure>>;

/// Commands of one caller, encoded, on their way.
struct Pending {
    commands: Vec<Vec<u8>>,
    bytes: usize,
    answer: oneshot::Sender<Answers>,
}

/// The door of one node. Clones share it.
pub struct Ingress<R: AsyncRuntime + 'static, D: Disk, L, C> {
    shared: Arc<Shared<R, D, L, C>>,
}

impl<R: AsyncRuntime + 'static, D: Disk, L, C> Clone for Ingress<R, D, L, C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

struct Shared<R: AsyncRuntime + 'static, D: Disk, L, C> {
    raft: Group<R, D>,
    peers: PeerClient<L>,
    heart: Arc<Heart<R, L>>,
    clock: C,
    gate: Gate,
    limits: IngressLimits,
    admitted: AtomicUsize,
    /// Since when no leader was found; `None` while there is one.
    leaderless: Mutex<Option<R::Instant>>,
    entries: Arc<Semaphore>,
    callers: mpsc::UnboundedSender<Pending>,
    leader_only: mpsc::UnboundedSender<Pending>,
}

impl<R: AsyncRuntime + 'static, D: Disk, L: PeerLink, C: Clock> Ingress<R, D, L, C> {
    /// Opens the door: its two gathering tasks run until the last clone is dropped. Commands are not passed on to a
    /// leader that `heart` suspects: they wait for the next.
    pub fn open(
        raft: Group<R, D>,
        (link, heart): (L, Arc<Heart<R, L>>),
        clock: C,
        gate: Gate,
        limits: IngressLimits,
    ) -> Self {
        let (callers, callers_rx) = mpsc::unbounded_channel();
        let (leader_only, leader_only_rx) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            raft,
            peers: PeerClient::new(link),
            heart,
            clock,
            gate,
            limits,
            admitted: AtomicUsize::new(0),
            leaderless: Mutex::new(None),
            entries: Arc::new(Semaphore::new(limits.entries_in_flight_max)),
            callers,
            leader_only,
        });
        drop(R::spawn(propose::gather(
            Arc::downgrade(&shared),
            callers_rx,
            Origin::Caller,
        )));
        drop(R::spawn(propose::gather(
            Arc::downgrade(&shared),
            leader_only_rx,
            Origin::LeaderOnly,
        )));
        Self { shared }
    }

    /// Proposes commands; one answer each, in order.
    pub async fn propose(&self, commands: Vec<Command>, origin: Origin) -> Answers {
        let encoded = commands
            .into_iter()
            .map(|command| codec::command_to_proto(command).encode_to_vec())
            .collect();
        self.propose_encoded(encoded, origin).await
    }

    /// Proposes commands that are encoded as `log.Command`.
    pub async fn propose_encoded(&self, commands: Vec<Vec<u8>>, origin: Origin) -> Answers {
        let count = commands.len();
        if let Some(reason) = self.shared.gate.closed_for(origin) {
            return vec![Err(Failure::Unavailable { reason }); count];
        }
        let Some(_admission) = Admission::of(&self.shared.admitted, count, self.shared.limits)
        else {
            return vec![
                Err(Failure::Overloaded {
                    retry_after_ms: 100
                });
                count
            ];
        };
        let (answer, answered) = oneshot::channel();
        let pending = Pending {
            bytes: commands.iter().map(Vec::len).sum(),
            commands,
            answer,
        };
        let door = match origin {
            Origin::Caller => &self.shared.callers,
            Origin::LeaderOnly => &self.shared.leader_only,
        };
        if door.send(pending).is_err() {
            let reason = "the node stops".to_owned();
            return vec![Err(Failure::Unavailable { reason }); count];
        }
        match R::timeout(self.shared.limits.answer_within, answered).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(_)) | Err(_) => vec![Err(Failure::Unknown); count],
        }
    }

    /// Commands admitted and not answered.
    #[must_use]
    pub fn admitted(&self) -> usize {
        self.shared.admitted.load(Ordering::Relaxed)
    }
}

/// A place in the door's bounded room, given back when dropped.
struct Admission<'a> {
    admitted: &'a AtomicUsize,
    count: usize,
}

impl<'a> Admission<'a> {
    fn of(admitted: &'a AtomicUsize, count: usize, limits: IngressLimits) -> Option<Self> {
        let before = admitted.fetch_add(count, Ordering::Relaxed);
        let admission = Self { admitted, count };
        // A single oversized call on an empty door is let in: it would never fit otherwise.
        (before == 0 || before + count <= limits.commands_max).then_some(admission)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.admitted.fetch_sub(self.count, Ordering::Relaxed);
    }
}
