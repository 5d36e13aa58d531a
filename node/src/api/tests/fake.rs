//! A cluster of one node without Raft: the real machine and the real rows over a disk in memory.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use openraft::EntryPayload;
use openraft::storage::RaftStateMachine;
use openraft_rt_tokio::TokioRuntime;
use prost::Message as _;
use stellara_machine::command::{AccountRole, Command, Entry as MachineEntry, RegisterAccount};
use stellara_machine::decision::{Change, Reply};
use stellara_machine::ids::{AccountId, Index};
use stellara_machine::rows::Rows;
use stellara_machine::state::State;
use stellara_machine::step::step;
use stellara_machine::units::{AccountSequence, UnixMs};
use stellara_proto::v1::log;
use stellara_raft_store::apply::StateStore;
use stellara_raft_store::codec::command_to_proto;
use stellara_raft_store::engine::memory::{Faults, MemoryDisk};
use stellara_raft_store::types::{EncodedEntry, Entry, NodeInfo, Types, log_id};
use stellara_raft_store::view::View;
use tokio::sync::watch;

use crate::gateway::members::{Effect, MemberChange, MemberError, MemberRefusal, Membership};
use crate::gateway::{
    ClusterView, Failure, Freshness, Gateway, MemberView, Rejected, Role, Suffrage,
};
use crate::ports::on_kept_threads;

/// The treasury that every fake cluster knows.
pub const TREASURY: AccountId = AccountId([7; 32]);

type Store = StateStore<TokioRuntime, MemoryDisk>;

/// A second machine beside the store's, to hear its replies.
#[derive(Default)]
struct Twin {
    state: State,
    rows: Rows,
    index: u64,
}

/// The fake; clones share it.
#[derive(Clone)]
pub struct Fake {
    store: Store,
    twin: Arc<tokio::sync::Mutex<Twin>>,
    applied: watch::Sender<u64>,
    failure: Arc<Mutex<Option<Failure>>>,
    cluster: Arc<Mutex<ClusterView>>,
    /// While it is closed, proposals wait.
    pub gate: watch::Sender<Gate>,
    /// How many proposals came.
    pub proposals: watch::Sender<usize>,
}

/// Whether proposals go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    Closed,
}

impl Fake {
    /// A cluster that knows no account yet.
    pub fn blank() -> Self {
        Self {
            store: Store::open(MemoryDisk::new(Faults::none(1))).unwrap(),
            twin: Arc::default(),
            applied: watch::Sender::new(0),
            failure: Arc::default(),
            cluster: Arc::new(Mutex::new(cluster())),
            gate: watch::Sender::new(Gate::Open),
            proposals: watch::Sender::new(0),
        }
    }

    /// A cluster that knows one treasury and one channel.
    pub async fn new() -> Self {
        let fake = Self::blank();
        fake.register().await;
        fake
    }

    /// Makes the treasury and the channel known, as the first leader's executor does.
    pub async fn register(&self) {
        let registered = [
            (TREASURY, AccountRole::Treasury),
            (AccountId([8; 32]), AccountRole::Channel),
        ];
        let commands = registered.map(|(account, role)| {
            Command::RegisterAccount(RegisterAccount {
                account,
                role,
                sequence: AccountSequence(5),
            })
        });
        for result in self.propose(commands.to_vec()).await {
            result.unwrap();
        }
    }

    /// Everything proposed or read fails so, until it is taken back.
    pub fn fail(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
    }

    /// Changes what the node says of the cluster.
    pub fn change(&self, change: impl FnOnce(&mut ClusterView)) {
        change(&mut self.cluster.lock().unwrap());
    }

    /// Payments accepted so far.
    pub fn submitted(&self) -> u64 {
        self.store.view().state(|state| state.totals().submitted)
    }

    fn failing(&self) -> Option<Failure> {
        self.failure.lock().unwrap().clone()
    }

    async fn apply(&self, twin: &mut Twin, commands: Vec<Command>) -> Vec<Result<Reply, Failure>> {
        twin.index += 1;
        let payload = log::EntryPayload {
            proposed_at_ms: 1_000 + twin.index,
            commands: commands.iter().cloned().map(command_to_proto).collect(),
        };
        let entry = MachineEntry {
            index: Index(twin.index),
            proposed_at: UnixMs(payload.proposed_at_ms),
            commands,
        };
        let outcome = step(&mut twin.state, &entry, &mut twin.rows).unwrap();
        for change in outcome.changes {
            match change {
                Change::PutPayment(payment) => {
                    twin.rows.payments.insert(payment.id, payment);
                }
                Change::PutStatus(id, status) => {
                    twin.rows.statuses.insert(id, status);
                }
                Change::PutKey(developer, key, record) => {
                    twin.rows.keys.insert((developer, key), record);
                }
                Change::Enqueue(..)
                | Change::Dequeue(..)
                | Change::PutBatch(_)
                | Change::EndBatch(_)
                | Change::PutAttempt(..)
                | Change::PutEffect(_)
                | Change::RemoveEffect(_)
                | Change::PutAccount(_)
                | Change::PutPolicy(_)
                | Change::LeaveDeadLetters(_)
                | Change::PutMarket(_)
                | Change::PutFeeSample(..)
                | Change::PutFeeHour(_) => {}
            }
        }
        let entry = Entry {
            log_id: log_id(1, twin.index),
            payload: EntryPayload::Normal(EncodedEntry(payload.encode_to_vec().into())),
        };
        let mut store = self.store.clone();
        let entries = stream::iter([Ok((entry, None))]);
        <Store as RaftStateMachine<Types<TokioRuntime>>>::apply(&mut store, entries)
            .await
            .unwrap();
        self.applied.send_replace(twin.index);
        let replies = outcome.replies.into_iter();
        replies
            .map(|reply| reply.map_err(|why| Failure::Rejected(Rejected::Here(why))))
            .collect()
    }
}

impl Gateway for Fake {
    type Runtime = TokioRuntime;
    type Disk = MemoryDisk;

    async fn blocking<T, F>(work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        on_kept_threads(work).await
    }

    async fn propose(&self, commands: Vec<Command>) -> Vec<Result<Reply, Failure>> {
        self.proposals.send_modify(|count| *count += 1);
        let mut gate = self.gate.subscribe();
        let _ = gate.wait_for(|gate| *gate == Gate::Open).await;
        if let Some(failure) = self.failing() {
            return commands.iter().map(|_| Err(failure.clone())).collect();
        }
        let mut twin = self.twin.lock().await;
        self.apply(&mut twin, commands).await
    }

    async fn change_members(&self, change: MemberChange) -> Result<Membership, MemberError> {
        if let Some(failure) = self.failing() {
            return Err(failure.into());
        }
        match change {
            MemberChange::AddVoter(node_id) => Ok(Membership {
                effect: Effect::Changed,
                at_index: 7,
                voters: vec![1, node_id],
                learners: Vec::new(),
            }),
            MemberChange::RemoveVoter(node_id) => Err(MemberRefusal::LastVoter { node_id }.into()),
        }
    }

    async fn read(&self, _freshness: Freshness) -> Result<View<MemoryDisk>, Failure> {
        match self.failing() {
            Some(failure) => Err(failure),
            None => Ok(self.store.view()),
        }
    }

    fn status(&self) -> ClusterView {
        let applied = *self.applied.borrow();
        ClusterView {
            last_log_index: applied,
            committed_index: applied,
            applied_index: applied,
            ..self.cluster.lock().unwrap().clone()
        }
    }

    async fn applied_past(&self, seen: Index) {
        let mut applied = self.applied.subscribe();
        let _ = applied.wait_for(|applied| *applied > seen.0).await;
    }
}

fn cluster() -> ClusterView {
    let info = NodeInfo {
        region: "eu-west-1".to_owned(),
        peer_address: "127.0.0.1:7400".to_owned(),
        public_address: "http://127.0.0.1:7420".to_owned(),
    };
    ClusterView {
        cluster_id: "test".to_owned(),
        node_id: 1,
        region: info.region.clone(),
        role: Role::Leader,
        term: 1,
        leader_id: Some(1),
        last_log_index: 0,
        committed_index: 0,
        applied_index: 0,
        members: vec![MemberView {
            node_id: 1,
            info,
            suffrage: Suffrage::Voter,
            matched_index: Some(0),
        }],
        joining: None,
        read_only_reason: None,
    }
}
