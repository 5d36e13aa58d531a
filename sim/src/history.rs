//! What clients did: every call, when it was asked and answered, through which node, and what was answered.
//!
//! A call that was never answered, or whose answer was that its fate is unknown, may take effect at any later time or
//! never. The order of all questions and answers is kept: virtual time alone does not tell what came first.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stellara_machine::command::SubmitPayment;
use stellara_machine::decision::{Acceptance, Payment, PaymentStatus, Rejection, Reply, Stage};
use stellara_machine::ids::{DeveloperId, Index, PaymentId};
use stellara_node::gateway::{Failure, Rejected};
use stellara_raft_store::codec::rejection_to_proto;
use stellara_raft_store::engine::memory::MemoryDisk;
use stellara_raft_store::types::NodeId;
use stellara_raft_store::view::View;

use crate::plan::operation::Fresh;
use crate::runtime::{SimTime, now};

/// Names a call within its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(usize);

/// A moment, and its place among all questions and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Grows with every question and every answer.
    pub order: u64,
    /// True time.
    pub at: SimTime,
}

/// Stands for the node of a call by the SDK, which asks one node after another and does not tell which answered.
pub const ANY_NODE: NodeId = 0;

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To accept a payment: for the first time, again, or with another body under the same key.
    Submit(SubmitPayment),
    /// To withdraw a payment.
    Cancel {
        /// Who asks.
        developer: DeveloperId,
        /// Which.
        payment: PaymentId,
    },
    /// Where a payment stands.
    Read {
        /// Which.
        payment: PaymentId,
        /// How fresh.
        fresh: Fresh,
    },
    /// To accept what must be refused, whatever was asked before.
    Bad(SubmitPayment),
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The payment is accepted, now or earlier.
    Accepted {
        /// Its identity.
        payment: PaymentId,
        /// Now, or earlier.
        acceptance: Acceptance,
    },
    /// The payment is withdrawn.
    Cancelled,
    /// What a node has.
    Seen(Box<Seen>),
    /// Refused by the machine: nothing changed.
    Refused(Refusal),
    /// Surely not proposed, or not read: no leader, no room, no bound kept, a node that stops.
    NotDone(Failure),
    /// Its fate is not known.
    Unknown,
}

/// What a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last entry that the state held; the public API does not tell it.
    pub applied: Option<Index>,
    /// The payment, if there is one; no status yet means queued since acceptance.
    pub payment: Option<(Payment, Option<PaymentStatus>)>,
}

impl Seen {
    /// Reads a payment from a node's state.
    ///
    /// # Errors
    /// In words: the state cannot be read.
    pub fn of(view: &View<MemoryDisk>, payment: PaymentId) -> Result<Self, String> {
        Ok(Self {
            applied: Some(view.applied_index()),
            payment: view.payment(payment).map_err(|error| error.to_string())?,
        })
    }

    /// The stage of the payment, if there is one; `None` inside means queued since acceptance.
    #[must_use]
    pub fn stage(&self) -> Option<Option<&Stage>> {
        let (_, status) = self.payment.as_ref()?;
        Some(status.as_ref().map(|status| &status.stage))
    }
}

/// Why the machine refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key was used for another body.
    KeyReused {
        /// The payment it made.
        payment: PaymentId,
    },
    /// The payment already left the queue.
    NotQueued,
    /// There is no such payment of this developer.
    UnknownPayment,
    /// Anything else, in its own words.
    Other(String),
}

impl Refusal {
    /// A rejection, wherever it comes from.
    #[must_use]
    pub fn of(rejected: &Rejected) -> Self {
        let told = rejected.wire();
        let is = |like: &Rejection| rejection_to_proto(like).kind == told.kind;
        let payment = PaymentId(told.id);
        if is(&Rejection::KeyReused { payment }) {
            return Self::KeyReused { payment };
        }
        if is(&Rejection::PaymentUnknown { payment }) {
            return Self::UnknownPayment;
        }
        let stage = "";
        if is(&Rejection::PaymentNotQueued { payment, stage }) {
            return Self::NotQueued;
        }
        Self::Other(format!("{told:?}"))
    }
}

impl Answer {
    /// What a proposal brought. An answer that belongs to another command means that the fate is not known.
    #[must_use]
    pub fn of(result: Option<Result<Reply, Failure>>) -> Self {
        match result {
            Some(Ok(Reply::Submitted {
                payment,
                acceptance,
            })) => Self::Accepted {
                payment,
                acceptance,
            },
            Some(Ok(Reply::Cancelled)) => Self::Cancelled,
            Some(Err(Failure::Rejected(rejected))) => Self::Refused(Refusal::of(&rejected)),
            Some(Err(
                failure @ (Failure::Overloaded { .. }
                | Failure::NoLeader { .. }
                | Failure::Unavailable { .. }),
            )) => Self::NotDone(failure),
            Some(
                Err(Failure::Unknown)
                | Ok(
                    Reply::BatchFormed { .. }
                    | Reply::AttemptRecorded
                    | Reply::OutcomeRecorded
                    | Reply::AccountRegistered
                    | Reply::PolicySet { .. }
                    | Reply::FeesRecorded
                    | Reply::Retried,
                ),
            )
            | None => Self::Unknown,
        }
    }
}

/// One call of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which client, by number.
    pub client: u8,
    /// Through which node; [`ANY_NODE`] for a call by the SDK.
    pub node_id: NodeId,
    /// What was asked.
    pub asked: Asked,
    /// When.
    pub asked_at: Stamp,
    /// What was answered, and when; `None` while the client waits.
    pub answer: Option<(Stamp, Answer)>,
}

impl Call {
    /// Whether the SDK made it: one call of it may have asked several times, and only its last answer is known.
    #[must_use]
    pub const fn by_sdk(&self) -> bool {
        self.node_id == ANY_NODE
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} through ", self.client)?;
        match self.by_sdk() {
            true => f.write_str("the SDK")?,
            false => write!(f, "node {}", self.node_id)?,
        }
        write!(f, " at {}: {:?}", self.asked_at.at, self.asked)?;
        match &self.answer {
            Some((stamp, answer)) => write!(f, "; at {}: {answer:?}", stamp.at),
            None => f.write_str("; not answered"),
        }
    }
}

/// All calls so far.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    calls: Vec<Call>,
    /// In the order of their answers.
    answered: Vec<CallId>,
    order: u64,
}

impl Calls {
    /// All calls, in the order in which they were asked.
    #[must_use]
    pub fn all(&self) -> &[Call] {
        &self.calls
    }

    /// A call.
    #[must_use]
    pub fn get(&self, call: CallId) -> Option<&Call> {
        self.calls.get(call.0)
    }

    /// How many calls were answered.
    #[must_use]
    pub fn answered_len(&self) -> usize {
        self.answered.len()
    }

    /// The calls that were answered after the first `seen` answers, in the order of their answers.
    pub fn answered_after(&self, seen: usize) -> impl Iterator<Item = (&Call, Stamp, &Answer)> {
        let new = self.answered.get(seen..).unwrap_or_default();
        new.iter().filter_map(|id| {
            let call = self.get(*id)?;
            let (stamp, answer) = call.answer.as_ref()?;
            Some((call, *stamp, answer))
        })
    }

    /// Calls that wait for their answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.calls.len() - self.answered.len()
    }

    /// As [`History::ask`], at a given time.
    pub fn ask_at(&mut self, at: SimTime, client: u8, node_id: NodeId, asked: Asked) -> CallId {
        self.order += 1;
        self.calls.push(Call {
            client,
            node_id,
            asked,
            asked_at: Stamp {
                order: self.order,
                at,
            },
            answer: None,
        });
        CallId(self.calls.len() - 1)
    }

    /// As [`History::answer`], at a given time.
    pub fn answer_at(&mut self, at: SimTime, call: CallId, answer: Answer) {
        let Some(asked) = self.calls.get_mut(call.0) else {
            return;
        };
        if asked.answer.is_some() {
            return;
        }
        self.order += 1;
        let order = self.order;
        asked.answer = Some((Stamp { order, at }, answer));
        self.answered.push(call);
    }
}

/// The calls of a run, shared by its clients and its checks. Clones are the same history.
#[derive(Clone, Debug, Default)]
pub struct History {
    calls: Arc<Mutex<Calls>>,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a client asks something through a node, before it does.
    pub fn ask(&self, client: u8, node_id: NodeId, asked: Asked) -> CallId {
        self.lock().ask_at(now(), client, node_id, asked)
    }

    /// Notes an answer, as soon as the client has it. A second one to the same call is not taken.
    pub fn answer(&self, call: CallId, answer: Answer) {
        self.lock().answer_at(now(), call, answer);
    }

    /// Looks at all calls. Do not ask or answer meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&Calls) -> T) -> T {
        look(&self.lock())
    }
}
