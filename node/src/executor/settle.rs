//! Brings each live batch to its end on the ledger: one task per batch, a bounded number at a time.
//!
//! The exactly-once rule: a signed envelope is committed before it is sent; what is sent is the committed bytes and
//! nothing else; a different inner transaction is signed only when every earlier one is proven dead; a batch is
//! given back or given up only when no envelope of it can still apply.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openraft_rt::{AsyncRuntime, Instant as _, Select3};
use stellara_machine::command::{AttemptOutcome, Command, RecordOutcome};
use stellara_machine::decision::{Batch, BatchStage, Effect, Rejection};
use stellara_machine::ids::{AttemptNo, BatchId};
use tracing::{debug, error, info, warn};

use super::outcome::needs_operator;
use super::{Backoff, Cluster, Ended, Executor, ProposeError};
use crate::ports::{Clock, Ledger, Signer};

mod attempt;
mod fate;
mod flight;

/// The state moves many times a second: changes within this time are looked at together.
const GATHER_MS: u64 = 20;

/// How a batch's task ends.
#[derive(Debug)]
enum Ending {
    /// The batch ended.
    Done,
    /// It is to be taken up again after a rest.
    Rest,
    /// The signer gave no signature: it is to be taken up again after a ledger's time. What helps is done elsewhere, and
    /// many batches that ask often would not hasten it.
    Unsigned,
    /// The executor ends.
    Ended(Ended),
}

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    pub(super) async fn settle_batches(&self) -> Ended {
        let mut running = FuturesUnordered::new();
        let mut live = BTreeSet::new();
        let mut resting: BTreeMap<BatchId, R::Instant> = BTreeMap::new();
        let rest = Duration::from_millis(self.settings.backoff_base_ms);
        let rest_unsigned = Duration::from_millis(self.settings.ledger_ms);
        loop {
            let seen = self.cluster.applied();
            let now = R::Instant::now();
            resting.retain(|_, until| *until > now);
            let free = self.settings.settlements_max - live.len();
            for batch in self.waiting(free, |id| live.contains(id) || resting.contains_key(id)) {
                live.insert(batch);
                running.push(async move { (batch, self.settle(batch).await) });
            }
            let ended = async {
                match running.next().await {
                    Some(ended) => ended,
                    None => pending().await,
                }
            };
            let changed = async {
                self.cluster.applied_past(seen).await;
                R::sleep(Duration::from_millis(GATHER_MS)).await;
            };
            let rested = async {
                match resting.values().min() {
                    Some(until) => R::sleep_until(*until).await,
                    None => pending().await,
                }
            };
            match R::select3(ended, changed, rested).await {
                Select3::First((batch, Ending::Done)) => drop(live.remove(&batch)),
                Select3::First((batch, Ending::Rest)) => {
                    live.remove(&batch);
                    resting.insert(batch, R::Instant::now() + rest);
                }
                Select3::First((batch, Ending::Unsigned)) => {
                    live.remove(&batch);
                    resting.insert(batch, R::Instant::now() + rest_unsigned);
                }
                Select3::First((_, Ending::Ended(ended))) => return ended,
                Select3::Second(()) | Select3::Third(()) => {}
            }
        }
    }

    /// The next batches to take up: the most urgent lanes first, the oldest first within them.
    fn waiting(&self, free: usize, taken: impl Fn(&BatchId) -> bool) -> Vec<BatchId> {
        if free == 0 {
            return Vec::new();
        }
        let effects = self.cluster.effects().into_iter();
        let mut waiting: Vec<BatchId> = effects
            .map(|Effect::SettleBatch(batch)| batch)
            .filter(|batch| !taken(batch))
            .collect();
        if waiting.len() > free {
            let lane = |id: &BatchId| self.cluster.batch(*id).map(|batch| batch.group.lane);
            waiting.sort_by_cached_key(|id| (Reverse(lane(id)), *id));
            waiting.truncate(free);
        }
        waiting
    }

    async fn settle(&self, id: BatchId) -> Ending {
        let mut before = None;
        loop {
            let Some(batch) = self.cluster.batch(id) else {
                return Ending::Done;
            };
            // A step that moved nothing is not repeated at once.
            if before.as_ref() == Some(&batch) {
                return Ending::Rest;
            }
            let step = match batch.stage {
                BatchStage::Building => self.make_attempt(&batch).await,
                BatchStage::InFlight => self.bring_home(&batch).await,
                BatchStage::Settled { .. }
                | BatchStage::RolledBack { .. }
                | BatchStage::Abandoned { .. } => return Ending::Done,
            };
            if let Err(ending) = step {
                return ending;
            }
            before = Some(batch);
        }
    }

    /// Commits an outcome.
    async fn report(
        &self,
        batch: &Batch,
        attempt: AttemptNo,
        outcome: AttemptOutcome,
    ) -> Result<(), Ending> {
        let id = batch.id.0;
        if needs_operator(&outcome) {
            error!(
                batch = id,
                ?outcome,
                "account of ours cannot pay, or signs wrong"
            );
        }
        let record = |attempt| {
            Command::RecordOutcome(RecordOutcome {
                batch: batch.id,
                attempt,
                outcome: outcome.clone(),
            })
        };
        let recorded = match self.commit(record(attempt)).await? {
            // What used the sequence is final for whichever attempt the machine holds to be the last.
            Err(Rejection::AttemptOutOfOrder { expected })
                if expected != attempt && used_sequence(&outcome) =>
            {
                self.commit(record(expected)).await?
            }
            recorded => recorded,
        };
        match recorded {
            Ok(()) => {
                info!(
                    batch = id,
                    attempt = attempt.0,
                    ?outcome,
                    "batch outcome recorded"
                );
                Ok(())
            }
            Err(Rejection::BatchUnknown { .. }) => Err(Ending::Done),
            Err(rejection) => {
                warn!(batch = id, ?rejection, ?outcome, "batch outcome refused");
                Err(Ending::Rest)
            }
        }
    }

    /// Tells of every attempt that it is proven dead, until the batch ends. Every one, since the machine may hold an
    /// earlier bump for alive when a later one of the same inner transaction was refused.
    async fn expire_all(&self, batch: &Batch) -> Result<(), Ending> {
        for attempt in &batch.attempts {
            if self.cluster.batch(batch.id).is_none() {
                return Ok(());
            }
            let expired = Command::RecordOutcome(RecordOutcome {
                batch: batch.id,
                attempt: attempt.attempt,
                outcome: AttemptOutcome::Expired,
            });
            // One that the machine holds for dead already, or of an older sequence, it may refuse.
            if let Err(rejection) = self.commit(expired).await? {
                let attempt = attempt.attempt.0;
                debug!(batch = batch.id.0, attempt, ?rejection, "expiry refused");
            }
        }
        Ok(())
    }

    /// Proposes until the machine answers. An unknown fate ends the task: the stored state tells how to go on.
    async fn commit(&self, command: Command) -> Result<Result<(), Rejection>, Ending> {
        let mut backoff = Backoff::new(&self.settings);
        loop {
            match self.cluster.propose(command.clone()).await {
                Ok(_) => return Ok(Ok(())),
                Err(ProposeError::Rejected(rejection)) => return Ok(Err(rejection)),
                Err(ProposeError::Overloaded) => self.pause(backoff.next()).await,
                Err(ProposeError::Unknown) => return Err(Ending::Rest),
                Err(ProposeError::NotLeader) => return Err(Ending::Ended(Ended::NotLeader)),
                Err(ProposeError::Stopped) => return Err(Ending::Ended(Ended::Stopped)),
            }
        }
    }
}

/// Whether the outcome tells that a transaction of the batch is in a ledger.
const fn used_sequence(outcome: &AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Applied { .. } | AttemptOutcome::AppliedFailed { .. } => true,
        AttemptOutcome::Refused(_)
        | AttemptOutcome::Expired
        | AttemptOutcome::SequenceLost { .. } => false,
    }
}
