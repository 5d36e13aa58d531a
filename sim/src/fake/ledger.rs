//! The simulated Stellar network in process, as the executor's port.
//!
//! Time is the run's true time; requests and answers each take a drawn time, so a caller that is dropped meanwhile
//! has sent what it sent. Faults are told as the HTTP adapter tells them: what may have been accepted is unknown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stellar_xdr::{Limits, TransactionResult as ResultXdr, WriteXdr};
use stellara_ledger::{Config, ConfigError, Fault, Network, SubmitAnswer as Told, TxHash};
use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::units::LedgerSeq;
use stellara_node::ports::ledger::decode::decode_result;
use stellara_node::ports::ledger::{
    AccountState, DecodeError, FeeStats, FoundTransaction, Ingested, LatestLedger, SubmitAnswer,
    TransactionLookup, TransactionResult,
};
use stellara_node::ports::{Ledger, LedgerError};

use super::LEDGER_TAG;
use crate::runtime::{EventKind, RandomStream, event, sleep, stream, wall_clock_of};

mod ailment;
mod shapes;

use ailment::Ailments;
pub use ailment::{LedgerAilment, LedgerHold};

const HELD: EventKind = EventKind::new("ledger-hold");
const RELEASED: EventKind = EventKind::new("ledger-release");
const SUBMITTED: EventKind = EventKind::new("ledger-submit");
const ASKED: EventKind = EventKind::new("ledger-query");

/// A simulated Stellar network and the way to it. Clones are the same network.
#[derive(Clone)]
pub struct SimLedger {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    network: Network,
    ailments: Ailments,
    draws: RandomStream,
    least: Duration,
    most: Duration,
}

impl std::fmt::Debug for SimLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimLedger").finish_non_exhaustive()
    }
}

enum Failure {
    /// Nothing, or the connection broke.
    Silent(String),
    /// An error status.
    Status(u16),
}

impl Failure {
    fn why(&self) -> String {
        match self {
            Failure::Silent(why) => why.clone(),
            Failure::Status(status) => format!("http status {status}"),
        }
    }

    /// Whether the HTTP adapter takes it for a request that reached no queue.
    fn turned_away(&self) -> bool {
        match self {
            Failure::Silent(_) => false,
            Failure::Status(status) => (400..500).contains(status) && *status != 408,
        }
    }
}

impl SimLedger {
    /// A network by `config`, whose first ledger closes now; one way to it takes from `least` to `most`.
    ///
    /// # Errors
    /// The configuration's.
    pub fn new(config: Config, least: Duration, most: Duration) -> Result<Self, ConfigError> {
        let config = Config {
            start_ms: wall_clock_of(LEDGER_TAG).0,
            ..config
        };
        let shared = Shared {
            network: Network::new(config)?,
            ailments: Ailments::default(),
            draws: stream(LEDGER_TAG, "latency"),
            least,
            most,
        };
        Ok(Self {
            shared: Arc::new(Mutex::new(shared)),
        })
    }

    /// Looks at the network as of now, or sets it up.
    pub fn with<T>(&self, act: impl FnOnce(&mut Network) -> T) -> T {
        let mut shared = self.lock();
        shared.network.advance(wall_clock_of(LEDGER_TAG).0);
        act(&mut shared.network)
    }

    /// Something is wrong with the ledger from now on, until it is released.
    #[must_use]
    pub fn hold(&self, ailment: LedgerAilment) -> LedgerHold {
        let mut shared = self.lock();
        let Shared {
            network, ailments, ..
        } = &mut *shared;
        network.advance(wall_clock_of(LEDGER_TAG).0);
        let hold = ailments.hold(network, ailment);
        event(HELD, hold.0, 0, || format!("{ailment:?}"));
        hold
    }

    /// What is held is over. Nothing happens when it was already.
    pub fn release(&self, hold: LedgerHold) {
        let mut shared = self.lock();
        let Shared {
            network, ailments, ..
        } = &mut *shared;
        network.advance(wall_clock_of(LEDGER_TAG).0);
        ailments.release(network, hold);
        event(RELEASED, hold.0, 0, String::new);
    }

    /// Looks at the network as somebody last left it: no ledger closes meanwhile.
    pub fn peek<T>(&self, look: impl FnOnce(&Network) -> T) -> T {
        look(&self.lock().network)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn travel(&self) {
        let span = {
            let mut shared = self.lock();
            let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
            let (least, most) = (ns(shared.least), ns(shared.most));
            Duration::from_nanos(shared.draws.between(least, most))
        };
        sleep(span).await;
    }

    /// What the fault makes of an answer; `None` lets it through.
    async fn suffer(&self, fault: Option<Fault>) -> Option<Failure> {
        match fault? {
            Fault::Timeout { delay_ms } => {
                sleep(Duration::from_millis(delay_ms)).await;
                Some(Failure::Silent("no answer".to_owned()))
            }
            Fault::Status(status) => Some(Failure::Status(status)),
            Fault::Reset => Some(Failure::Silent("connection reset".to_owned())),
            Fault::InternalError => None,
            Fault::Slow { delay_ms } => {
                sleep(Duration::from_millis(delay_ms)).await;
                None
            }
        }
    }

    async fn read<T>(&self, look: impl FnOnce(&mut Network) -> T) -> Result<T, LedgerError> {
        self.travel().await;
        let (fault, seen) = self.with(|network| {
            event(
                ASKED,
                u64::from(network.visible().sequence),
                u64::from(network.latest().sequence),
                String::new,
            );
            (network.query_fault(), look(network))
        });
        let failure = self.suffer(fault).await;
        self.travel().await;
        match failure {
            None => Ok(seen),
            Some(failure) => Err(LedgerError::Unavailable {
                why: failure.why(),
                retry_after_ms: None,
            }),
        }
    }
}

fn ingested(network: &Network) -> Ingested {
    let visible = network.visible();
    Ingested {
        ledger: LedgerSeq(visible.sequence),
        closed_at_s: visible.closed_at_ms / 1_000,
    }
}

fn decoded(result: &ResultXdr) -> Result<TransactionResult, DecodeError> {
    let text = result
        .to_xdr_base64(Limits::none())
        .expect("a result has a bounded size");
    decode_result(&text)
}

fn answered(told: Told) -> SubmitAnswer {
    match told {
        Told::Pending { hash } => SubmitAnswer::Pending { hash: Hash(hash.0) },
        Told::Duplicate { hash } => SubmitAnswer::Duplicate { hash: Hash(hash.0) },
        Told::TryAgainLater { .. } => SubmitAnswer::TryAgainLater,
        Told::Error { result, .. } => match decoded(&result) {
            Ok(result) => SubmitAnswer::Refused(result),
            Err(error) => SubmitAnswer::Unknown {
                why: error.to_string(),
            },
        },
        Told::Malformed { reason } => SubmitAnswer::NotSent {
            why: reason,
            retry_after_ms: None,
        },
    }
}

impl Ledger for SimLedger {
    async fn submit(&self, envelope: &[u8]) -> SubmitAnswer {
        self.travel().await;
        let outcome = self.with(|network| {
            let now_ms = wall_clock_of(LEDGER_TAG).0;
            let outcome = network.submit(now_ms, envelope);
            let waiting = u64::try_from(network.pending_len()).unwrap_or(u64::MAX);
            event(
                SUBMITTED,
                u64::from(network.latest().sequence),
                waiting,
                || format!("{:?} {:?}", outcome.answer, outcome.fault),
            );
            outcome
        });
        let failure = self.suffer(outcome.fault).await;
        self.travel().await;
        match (failure, outcome.shown) {
            (Some(failure), _) if failure.turned_away() => SubmitAnswer::NotSent {
                why: failure.why(),
                retry_after_ms: None,
            },
            (Some(failure), _) => SubmitAnswer::Unknown { why: failure.why() },
            (None, Some(told)) => answered(told),
            (None, None) => SubmitAnswer::Unknown {
                why: "no answer".to_owned(),
            },
        }
    }

    async fn transaction(&self, hash: Hash) -> Result<TransactionLookup, LedgerError> {
        // Two requests, as over HTTP: the absence is told as of what was ingested before it.
        let before = self.read(|network| ingested(network)).await?;
        let found = self
            .read(|network| {
                let record = network.transaction(&TxHash(hash.0))?;
                let result = decoded(&record.result);
                Some(result.map(|result| FoundTransaction {
                    ledger: LedgerSeq(record.ledger),
                    successful: record.successful,
                    result,
                }))
            })
            .await?;
        match found {
            None => Ok(TransactionLookup::NotFound(before)),
            Some(Ok(found)) => Ok(TransactionLookup::Found(found)),
            Some(Err(error)) => Err(LedgerError::BadAnswer {
                what: "a transaction",
                why: error.to_string(),
            }),
        }
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountState>, LedgerError> {
        let id = shapes::account_id(account);
        self.read(|network| network.account(&id).map(shapes::account))
            .await
    }

    async fn fee_stats(&self) -> Result<FeeStats, LedgerError> {
        self.read(|network| shapes::fee_stats(&network.fee_stats()))
            .await
    }

    async fn latest_ledger(&self) -> Result<LatestLedger, LedgerError> {
        self.read(|network| ingested(network)).await
    }
}
