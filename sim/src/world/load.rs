//! Many callers over time, and what must be true of their payments in the end.

use std::time::Duration;

use stellara_ledger::{CheckReport, Intent, check};
use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::decision::{PaymentStatus, Stage};
use stellara_machine::ids::{Asset, Destination, DeveloperId, IdempotencyKey, PaymentId};
use stellara_machine::units::{Lane, Stroops};

use super::client::{Acknowledged, submit};
use super::{World, payment_intent, view_of};
use crate::history::Refusal;
use crate::runtime::{JoinHandle, NodeTag, RandomStream, sleep, spawn_on, stream};

/// Waits between a caller's calls that brought no answer.
const PAUSE: Duration = Duration::from_millis(150);

/// How much is asked, over which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Payments, each by a caller of its own.
    pub payments: u32,
    /// The time over which they are first asked, evenly drawn.
    pub over: Duration,
}

/// Callers at work.
pub struct Load {
    callers: Vec<(SubmitPayment, JoinHandle<Result<Acknowledged, Refusal>>)>,
}

/// A payment and its acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// What was asked.
    pub payment: SubmitPayment,
    /// What was answered.
    pub acknowledged: Acknowledged,
}

/// Why a load did not end well.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The machine refused a payment.
    #[error("payment {key:?} was refused: {refusal:?}")]
    Refused {
        /// Its key.
        key: String,
        /// What was answered.
        refusal: Refusal,
    },
    /// The caller itself failed.
    #[error("the caller of payment {key:?} failed: {why}")]
    Caller {
        /// The key of its payment.
        key: String,
        /// How.
        why: String,
    },
}

/// The payment with this number; no two are alike.
pub(super) fn payment(world: &World, nth: u32, draws: &mut RandomStream) -> SubmitPayment {
    let destinations = world.funds().destinations();
    let count = u64::try_from(destinations.len()).unwrap_or(1);
    let at = usize::try_from(draws.below(count)).unwrap_or(0);
    let lane = match draws.below(4) {
        0 => Lane::Low,
        1 => Lane::Medium,
        2 => Lane::High,
        _ => Lane::Critical,
    };
    SubmitPayment {
        developer: DeveloperId(1 + draws.below(3)),
        key: IdempotencyKey(format!("payment-{nth}")),
        body: PaymentBody {
            treasury: None,
            destination: Destination {
                account: destinations[at],
                muxed_id: None,
            },
            asset: Asset::Native,
            // No two are alike, so that the ledger's checker tells each from every other.
            amount: Stroops(1_000_000 + i64::from(nth)),
            lane,
            ..PaymentBody::default()
        },
    }
}

impl Load {
    /// Sets the callers to work.
    #[must_use]
    pub fn start(world: &World, options: LoadOptions) -> Self {
        Self::numbered(world, 0, options)
    }

    /// As `start`; the payments are numbered from `first`, so that they differ from those of an earlier load.
    #[must_use]
    pub fn numbered(world: &World, first: u32, options: LoadOptions) -> Self {
        let mut draws = stream(NodeTag::DRIVER, "load");
        let over_ns = u64::try_from(options.over.as_nanos()).unwrap_or(u64::MAX);
        let callers = (first..first.saturating_add(options.payments)).map(|nth| {
            let payment = payment(world, nth, &mut draws);
            let begin = Duration::from_nanos(draws.below(over_ns));
            let mut own = RandomStream::derive(&[draws.next_bits()]);
            let (asked, roster) = (payment.clone(), world.roster().clone());
            let history = world.history().clone();
            let caller = spawn_on(NodeTag::DRIVER, async move {
                sleep(begin).await;
                // On the heap from here on: nearly all of the time, nearly all callers only wait.
                Box::pin(submit(&asked, (&roster, &history), &mut own, PAUSE)).await
            });
            (payment, caller)
        });
        Self {
            callers: callers.collect(),
        }
    }

    /// Waits until all are answered.
    ///
    /// # Errors
    /// The first payment that was refused.
    pub async fn finish(self) -> Result<Vec<Accepted>, LoadError> {
        let mut accepted = Vec::with_capacity(self.callers.len());
        for (payment, caller) in self.callers {
            let key = || payment.key.0.clone();
            let answer = caller.await.map_err(|error| LoadError::Caller {
                key: key(),
                why: error.to_string(),
            })?;
            let acknowledged = answer.map_err(|refusal| LoadError::Refused {
                key: key(),
                refusal,
            })?;
            accepted.push(Accepted {
                payment,
                acknowledged,
            });
        }
        Ok(accepted)
    }
}

/// Where a payment stands on a running node: by any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Paid, as every running node says.
    Settled,
    /// A node has no such payment, or says that it is not paid.
    Open(String),
}

/// Where an accepted payment stands.
#[must_use]
pub fn standing(world: &World, payment: PaymentId) -> Standing {
    for (node_id, node) in world.roster().running() {
        let Some(view) = view_of(&node) else {
            return Standing::Open(format!("node {node_id} gives no view"));
        };
        match view.payment(payment) {
            Ok(Some((
                _,
                Some(PaymentStatus {
                    stage: Stage::Settled { .. },
                    ..
                }),
            ))) => {}
            other => return Standing::Open(format!("node {node_id}: {other:?}")),
        }
    }
    Standing::Settled
}

/// What the ledger's checker says of the accepted payments: each paid once, and nothing else.
#[must_use]
pub fn paid(world: &World, accepted: &[Accepted]) -> CheckReport {
    let intents: Vec<Intent> = accepted
        .iter()
        .filter_map(|accepted| {
            let SubmitPayment { key, body, .. } = &accepted.payment;
            payment_intent(&key.0, body)
        })
        .collect();
    world
        .ledger()
        .with(|network| check(&intents, network.journal(), None))
}
