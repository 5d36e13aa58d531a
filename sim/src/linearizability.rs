//! Whether what clients saw of one payment could have come from one place where everything happens at once.
//!
//! The search of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): some order of the calls
//! that keeps each before those asked after its answer, in which every answer is right. A call whose fate is unknown
//! may take effect at any time after it was asked, or never.

use std::collections::{BTreeMap, BTreeSet};

use stellara_machine::command::PaymentBody;
use stellara_machine::decision::{Acceptance, Stage};
use stellara_machine::ids::{DeveloperId, IdempotencyKey, PaymentId};

use crate::history::{Answer, Asked, Call, Calls, Refusal, Seen};
use crate::plan::operation::Fresh;

/// States that are looked at before a search is given up.
const STATES_MAX: usize = 200_000;

/// Where a payment stands, as the model tells it. Between queue and batch it goes back and forth unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Accepted, queued or in a batch.
    Live,
    /// Withdrawn.
    Cancelled,
    /// Paid.
    Settled,
    /// Dead-lettered.
    Failed,
}

/// The body of a request, by number: equal numbers are equal bodies.
pub type Body = u64;

/// What a submission was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Accepted by this call.
    New(PaymentId),
    /// Accepted before.
    Repeated(PaymentId),
    /// Accepted, by this call or before: the SDK asks again by itself.
    Held(PaymentId),
    /// Refused: the key made this payment of another body.
    Conflict(PaymentId),
    /// Nothing that tells.
    Unknown,
}

/// What a cancellation was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Withdrawn.
    Done,
    /// Refused: it is not in the queue.
    NotQueued,
    /// Refused: there is none.
    NoSuch,
    /// Nothing that tells.
    Unknown,
}

/// A call and its answer, as far as one payment is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To accept it.
    Submit(Body, Submitted),
    /// To withdraw it.
    Cancel(Withdrawn),
    /// A linearizable read, and what it saw.
    Read(Option<(Body, Standing)>),
}

/// A call in the order of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// When it was asked.
    pub asked: u64,
    /// When it was answered; `None` when its fate is not known.
    pub answered: Option<u64>,
    /// What it was.
    pub action: Action,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order in which every answer is right.
    Linearizable,
    /// There is none.
    Not {
        /// The most calls that could be put in order.
        placed: usize,
        /// The calls of which none could come next then.
        stuck: Vec<Op>,
    },
    /// One key made two payments.
    TwoIdentities(PaymentId, PaymentId),
    /// Too many orders to look at.
    GivenUp,
}

type State = Option<(Body, Standing)>;

/// The state after a call, if its answer is right in `state`.
fn step(state: State, action: Action) -> Option<State> {
    match (action, state) {
        (
            Action::Submit(body, Submitted::New(_) | Submitted::Held(_) | Submitted::Unknown),
            None,
        ) => Some(Some((body, Standing::Live))),
        (Action::Submit(body, Submitted::Repeated(_) | Submitted::Held(_)), Some((first, _))) => {
            (first == body).then_some(state)
        }
        (Action::Submit(body, Submitted::Conflict(_)), Some((first, _))) => {
            (first != body).then_some(state)
        }
        (
            Action::Cancel(Withdrawn::Done | Withdrawn::Unknown),
            Some((body, Standing::Live | Standing::Cancelled)),
        ) => Some(Some((body, Standing::Cancelled))),
        // It is in a batch, or was in one.
        (
            Action::Cancel(Withdrawn::NotQueued),
            Some((_, Standing::Live | Standing::Settled | Standing::Failed)),
        )
        | (Action::Cancel(Withdrawn::NoSuch), None)
        | (Action::Read(None), None) => Some(state),
        (Action::Read(Some((body, saw))), Some((first, stands))) if body == first => {
            let reached = match (stands, saw) {
                (Standing::Live, Standing::Live | Standing::Settled | Standing::Failed) => true,
                (
                    Standing::Live | Standing::Cancelled | Standing::Settled | Standing::Failed,
                    _,
                ) => stands == saw,
            };
            reached.then_some(Some((body, saw)))
        }
        (Action::Submit(..) | Action::Cancel(_) | Action::Read(_), Some(_) | None) => None,
    }
}

/// The calls that are in order already.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    bits: Vec<u64>,
    count: usize,
}

impl Placed {
    fn none(len: usize) -> Self {
        Self {
            bits: vec![0; len.div_ceil(64)],
            count: 0,
        }
    }

    fn has(&self, at: usize) -> bool {
        self.bits
            .get(at / 64)
            .is_some_and(|bits| bits & (1 << (at % 64)) != 0)
    }

    fn with(&self, at: usize) -> Self {
        let mut more = self.clone();
        if let Some(bits) = more.bits.get_mut(at / 64) {
            *bits |= 1 << (at % 64);
        }
        more.count += 1;
        more
    }
}

/// Calls that may come next: not placed, and asked before any that is not placed was answered.
fn next(ops: &[Op], placed: &Placed) -> Vec<usize> {
    let open = || (0..ops.len()).filter(|at| !placed.has(*at));
    let first = open().filter_map(|at| ops[at].answered).min();
    open()
        .filter(|at| first.is_none_or(|first| ops[*at].asked <= first))
        .collect()
}

/// Searches for an order of the calls in which every answer is right.
#[must_use]
pub fn check(ops: &[Op]) -> Verdict {
    let mut identities = ops.iter().filter_map(|op| match op.action {
        Action::Submit(
            _,
            Submitted::New(id)
            | Submitted::Repeated(id)
            | Submitted::Held(id)
            | Submitted::Conflict(id),
        ) => Some(id),
        Action::Submit(_, Submitted::Unknown) | Action::Cancel(_) | Action::Read(_) => None,
    });
    if let Some(first) = identities.next()
        && let Some(other) = identities.find(|id| *id != first)
    {
        return Verdict::TwoIdentities(first, other);
    }
    let mut seen = BTreeSet::new();
    let mut stack = vec![(Placed::none(ops.len()), None)];
    let mut furthest = Placed::none(ops.len());
    while let Some((placed, state)) = stack.pop() {
        let open = (0..ops.len()).filter(|at| !placed.has(*at));
        if open.into_iter().all(|at| ops[at].answered.is_none()) {
            return Verdict::Linearizable;
        }
        if seen.len() > STATES_MAX {
            return Verdict::GivenUp;
        }
        // The earliest call is tried first: mostly it is the right one.
        for at in next(ops, &placed).into_iter().rev() {
            let Some(after) = step(state, ops[at].action) else {
                continue;
            };
            let more = placed.with(at);
            if seen.insert((more.clone(), after)) {
                stack.push((more, after));
            }
        }
        if placed.count > furthest.count {
            furthest = placed;
        }
    }
    Verdict::Not {
        placed: furthest.count,
        stuck: next(ops, &furthest).into_iter().map(|at| ops[at]).collect(),
    }
}

/// A key of a developer.
pub type Key = (DeveloperId, IdempotencyKey);

/// The calls about each payment, by its key.
#[must_use]
pub fn by_payment(calls: &Calls) -> BTreeMap<Key, Vec<Op>> {
    let mut keys: BTreeMap<PaymentId, Key> = BTreeMap::new();
    let mut bodies: BTreeMap<Key, Vec<PaymentBody>> = BTreeMap::new();
    for call in calls.all() {
        let Asked::Submit(asked) = &call.asked else {
            continue;
        };
        let key = (asked.developer, asked.key.clone());
        let known = bodies.entry(key.clone()).or_default();
        if !known.contains(&asked.body) {
            known.push(asked.body.clone());
        }
        if let Some((
            _,
            Answer::Accepted { payment, .. } | Answer::Refused(Refusal::KeyReused { payment }),
        )) = &call.answer
        {
            keys.insert(*payment, key);
        }
    }
    let mut all: BTreeMap<Key, Vec<Op>> = BTreeMap::new();
    for call in calls.all() {
        let key = match &call.asked {
            Asked::Submit(asked) => Some((asked.developer, asked.key.clone())),
            Asked::Cancel { payment, .. } | Asked::Read { payment, .. } => {
                keys.get(payment).cloned()
            }
            Asked::Bad(_) => None,
        };
        let Some(key) = key else {
            continue;
        };
        let known = bodies.get(&key).map_or(&[][..], Vec::as_slice);
        if let Some(action) = action(call, known) {
            let answered = call
                .answer
                .as_ref()
                .and_then(|(stamp, answer)| (*answer != Answer::Unknown).then_some(stamp.order));
            let asked = call.asked_at.order;
            let ops = all.entry(key).or_default();
            ops.push(Op {
                asked,
                answered,
                action,
            });
            // An earlier attempt of the SDK's call may still be under way, and find the payment queued again.
            if call.by_sdk() && action == Action::Cancel(Withdrawn::NotQueued) {
                ops.push(Op {
                    asked,
                    answered: None,
                    action: Action::Cancel(Withdrawn::Unknown),
                });
            }
        }
    }
    all
}

/// What a call tells of its payment; nothing when it surely did nothing, or bound itself to nothing.
fn action(call: &Call, bodies: &[PaymentBody]) -> Option<Action> {
    let answer = call.answer.as_ref().map(|(_, answer)| answer);
    if let Some(Answer::NotDone(_)) = answer {
        return None;
    }
    match &call.asked {
        Asked::Submit(asked) => {
            let number = bodies.iter().position(|body| *body == asked.body)?;
            let told = match answer {
                Some(Answer::Accepted {
                    payment,
                    acceptance,
                }) => match acceptance {
                    Acceptance::New => Submitted::New(*payment),
                    Acceptance::Repeated if call.by_sdk() => Submitted::Held(*payment),
                    Acceptance::Repeated => Submitted::Repeated(*payment),
                },
                Some(Answer::Refused(Refusal::KeyReused { payment })) => {
                    Submitted::Conflict(*payment)
                }
                // Refused for another reason: nothing changed, whatever was before.
                Some(Answer::Refused(_) | Answer::NotDone(_)) => return None,
                Some(Answer::Cancelled | Answer::Seen(_) | Answer::Unknown) | None => {
                    Submitted::Unknown
                }
            };
            Some(Action::Submit(numbered(number), told))
        }
        Asked::Cancel { .. } => Some(Action::Cancel(match answer {
            Some(Answer::Cancelled) => Withdrawn::Done,
            Some(Answer::Refused(Refusal::NotQueued)) => Withdrawn::NotQueued,
            Some(Answer::Refused(Refusal::UnknownPayment)) => Withdrawn::NoSuch,
            Some(
                Answer::Refused(Refusal::KeyReused { .. } | Refusal::Other(_)) | Answer::NotDone(_),
            ) => return None,
            Some(Answer::Accepted { .. } | Answer::Seen(_) | Answer::Unknown) | None => {
                Withdrawn::Unknown
            }
        })),
        Asked::Read {
            fresh: Fresh::Linearizable,
            ..
        } => match answer {
            Some(Answer::Seen(seen)) => Some(Action::Read(saw(seen, bodies))),
            Some(
                Answer::Accepted { .. }
                | Answer::Cancelled
                | Answer::Refused(_)
                | Answer::NotDone(_)
                | Answer::Unknown,
            )
            | None => None,
        },
        Asked::Read {
            fresh: Fresh::Stale { .. },
            ..
        }
        | Asked::Bad(_) => None,
    }
}

fn numbered(at: usize) -> Body {
    u64::try_from(at).unwrap_or(Body::MAX)
}

fn saw(seen: &Seen, bodies: &[PaymentBody]) -> Option<(Body, Standing)> {
    let (payment, status) = seen.payment.as_ref()?;
    // The machine fills in the treasury that the request did not name.
    let same = |asked: &PaymentBody| {
        let treasury = asked.treasury.or(payment.body.treasury);
        let asked = PaymentBody {
            treasury,
            ..asked.clone()
        };
        asked == payment.body
    };
    let number = bodies.iter().position(same).map_or(Body::MAX, numbered);
    let standing = match status.as_ref().map(|status| &status.stage) {
        None | Some(Stage::Queued { .. } | Stage::Batched { .. }) => Standing::Live,
        Some(Stage::Settled { .. }) => Standing::Settled,
        Some(Stage::Failed { .. }) => Standing::Failed,
        Some(Stage::Cancelled) => Standing::Cancelled,
    };
    Some((number, standing))
}

#[cfg(test)]
mod tests;
