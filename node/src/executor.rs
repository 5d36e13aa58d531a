//! What only the leader does outside: make accounts known, form batches that are due, settle them on the ledger.
//!
//! One future holds all of it: whoever learns that leadership is lost drops it, and nothing of it runs on. Every
//! effect is stored before it is done here, so a new leader's executor resumes where this one was dropped.

use std::marker::PhantomData;
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Select2, Select3};
use rand::Rng as _;
use stellara_machine::command::{Command, GroupKey, Policy, RecordAttempt};
use stellara_machine::decision::{Account, Batch, Effect, Payment, Rejection, Reply};
use stellara_machine::fees::market::Market;
use stellara_machine::ids::{AttemptNo, BatchId, Index, PaymentId};
use stellara_machine::units::UnixMs;

use crate::ports::{Clock, Ledger, Signer};

mod batching;
mod bootstrap;
pub mod envelope;
mod fees;
pub mod outcome;
mod pacer;
mod settings;
mod settle;

use envelope::Network;
use pacer::Pacer;
pub use settings::{Settings, SettingsError};

/// The replicated machine as the executor sees it: its own node's applied state, and the one door in.
///
/// Proposals are never forwarded to another leader, and they resolve after this node applied them, so that a read
/// that follows sees them.
pub trait Cluster: Clone + Send + Sync + 'static {
    /// Proposes a command as the leader of this node's term.
    fn propose(&self, command: Command)
    -> impl Future<Output = Result<Reply, ProposeError>> + Send;

    /// A live batch; `None` when it ended or never was.
    fn batch(&self, batch: BatchId) -> Option<Batch>;

    /// What is to be done outside, oldest first.
    fn effects(&self) -> Vec<Effect>;

    /// The group that most urgently forms a batch at `now`, if one is due.
    fn due(&self, now: UnixMs) -> Option<GroupKey>;

    /// When the next group becomes due if nothing arrives before.
    fn next_due_at(&self) -> Option<UnixMs>;

    /// What is known of the network's fees.
    fn market(&self) -> Market;

    /// The policy in force.
    fn policy(&self) -> Policy;

    /// Our accounts.
    fn accounts(&self) -> Vec<Account>;

    /// The payments with these identities, in this order.
    fn payments(
        &self,
        payments: &[PaymentId],
    ) -> impl Future<Output = Result<Vec<Payment>, ReadError>> + Send;

    /// The stored envelope of an attempt.
    fn attempt(
        &self,
        batch: BatchId,
        attempt: AttemptNo,
    ) -> impl Future<Output = Result<Option<RecordAttempt>, ReadError>> + Send;

    /// The last index applied.
    fn applied(&self) -> Index;

    /// Resolves once an index past `seen` is applied, at once when it is already.
    fn applied_past(&self, seen: Index) -> impl Future<Output = ()> + Send;
}

/// Why a proposal brought no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Applied, and refused by the machine.
    Rejected(Rejection),
    /// This node does not lead: surely not proposed.
    NotLeader,
    /// It may or may not be applied later.
    Unknown,
    /// The door is full: surely not proposed.
    Overloaded,
    /// The node stops.
    Stopped,
}

/// A row of our own store could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read from the store: {why}")]
pub struct ReadError {
    /// What the store said.
    pub why: String,
}

/// Why the executor ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Another node leads.
    NotLeader,
    /// The node stops.
    Stopped,
}

/// The outside world of one executor.
#[derive(Clone, Debug)]
pub struct Outside<L, S, C> {
    /// The Stellar network.
    pub ledger: L,
    /// Who signs.
    pub signer: S,
    /// The time of day.
    pub clock: C,
    /// The network that signatures are for.
    pub network: Network,
}

impl<L, S, C> Outside<L, S, C> {
    /// The same world by another clock.
    #[must_use]
    pub fn at<T>(self, clock: T) -> Outside<L, S, T> {
        Outside {
            ledger: self.ledger,
            signer: self.signer,
            clock,
            network: self.network,
        }
    }
}

/// The leader's work, for one term.
#[derive(Debug)]
pub struct Executor<R: AsyncRuntime, K, L, S, C> {
    cluster: K,
    ledger: L,
    signer: S,
    clock: C,
    network: Network,
    settings: Settings,
    pacer: Pacer<R>,
    runtime: PhantomData<fn() -> R>,
}

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    /// Prepares an executor; nothing runs before [`Executor::run`].
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn new(
        cluster: K,
        outside: Outside<L, S, C>,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        let settings = settings.validated()?;
        Ok(Self {
            cluster,
            ledger: outside.ledger,
            signer: outside.signer,
            clock: outside.clock,
            network: outside.network,
            pacer: Pacer::new(settings.operations_per_ledger_max, settings.ledger_ms),
            settings,
            runtime: PhantomData,
        })
    }

    /// Works until leadership is lost or the node stops. Dropping the future ends the work at its next wait, at any
    /// point safely.
    pub async fn run(self) -> Ended {
        match R::select3(
            self.register_accounts(),
            self.form_batches(),
            R::select2(self.settle_batches(), self.watch_fees()),
        )
        .await
        {
            Select3::First(ended)
            | Select3::Second(ended)
            | Select3::Third(Select2::First(ended) | Select2::Second(ended)) => ended,
        }
    }

    /// Waits about this long: a quarter more or less, so that nodes and tasks do not march in step.
    async fn pause(&self, wait_ms: u64) {
        let spread = wait_ms / 2;
        let jitter = R::thread_rng().next_u64() % (spread + 1);
        let wait_ms = wait_ms - spread / 2 + jitter;
        R::sleep(Duration::from_millis(wait_ms)).await;
    }
}

/// Waits that double up to a limit.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    next_ms: u64,
    max_ms: u64,
}

impl Backoff {
    const fn new(settings: &Settings) -> Self {
        Self {
            next_ms: settings.backoff_base_ms,
            max_ms: settings.backoff_max_ms,
        }
    }

    fn next(&mut self) -> u64 {
        let wait_ms = self.next_ms;
        self.next_ms = wait_ms.saturating_mul(2).min(self.max_ms);
        wait_ms
    }
}

#[cfg(test)]
mod tests;
