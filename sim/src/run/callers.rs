//! The clients of a run: each operation of the plan at its moment, through the client's own node or the next that runs.
//!
//! A submission is asked until it is answered, always with the same key; everything else is asked once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::ids::{
    AccountId, Asset, Destination, DeveloperId, IdempotencyKey, PaymentId,
};
use stellara_machine::units::{Lane, Stroops};

use crate::history::{Answer, Asked, History};
use crate::plan::Plan;
use crate::plan::operation::{LaneName, Mistake, Operation};
use crate::runtime::{EventKind, NodeTag, SimTime, event, sleep, sleep_until, spawn_on};
use crate::world::client::ask;
use crate::world::{Roster, World};

/// Waits between a caller's calls that brought no answer.
const PAUSE: Duration = Duration::from_millis(100);

const ACKNOWLEDGED: EventKind = EventKind::new("acknowledged");

/// The payments that were accepted, by their number in the plan.
type Accepted = Arc<Mutex<BTreeMap<u32, PaymentId>>>;

/// The clients at work.
pub(super) struct Callers {
    accepted: Accepted,
    /// Operations that are not over.
    open: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Caller {
    client: u8,
    roster: Roster,
    history: History,
    accepted: Accepted,
    bodies: Arc<Bodies>,
}

/// What the payments of a plan say.
struct Bodies {
    destinations: Vec<AccountId>,
    submits: BTreeMap<u32, (LaneName, u8)>,
}

const fn lane(name: LaneName) -> Lane {
    match name {
        LaneName::Low => Lane::Low,
        LaneName::Medium => Lane::Medium,
        LaneName::High => Lane::High,
        LaneName::Critical => Lane::Critical,
    }
}

impl Bodies {
    fn of(world: &World, plan: &Plan) -> Self {
        let submits = plan.operations.iter().filter_map(|at| match at.operation {
            Operation::Submit {
                payment,
                lane,
                destination,
            } => Some((payment, (lane, destination))),
            Operation::Again { .. }
            | Operation::Conflict { .. }
            | Operation::Cancel { .. }
            | Operation::Read { .. }
            | Operation::Bad { .. } => None,
        });
        Self {
            destinations: world.funds().destinations().to_vec(),
            submits: submits.collect(),
        }
    }

    /// No two amounts are alike, so that the ledger's checker tells each payment from every other.
    fn request(&self, payment: u32, amount: i64) -> SubmitPayment {
        let (lane_name, destination) = self
            .submits
            .get(&payment)
            .copied()
            .unwrap_or((LaneName::High, 0));
        let at = usize::from(destination) % self.destinations.len();
        SubmitPayment {
            developer: developer(payment),
            key: IdempotencyKey(format!("payment-{payment}")),
            body: PaymentBody {
                treasury: None,
                destination: Destination {
                    account: self.destinations[at],
                    muxed_id: None,
                },
                asset: Asset::Native,
                amount: Stroops(amount),
                lane: lane(lane_name),
                ..PaymentBody::default()
            },
        }
    }

    fn plain(&self, payment: u32) -> SubmitPayment {
        self.request(payment, 1_000_000 + i64::from(payment))
    }

    fn other(&self, payment: u32) -> SubmitPayment {
        self.request(payment, 900_000_000 + i64::from(payment))
    }

    fn bad(&self, mistake: Mistake) -> SubmitPayment {
        let mut request = self.request(0, 5_000_000_000);
        request.key = IdempotencyKey(format!("bad-{mistake:?}"));
        match mistake {
            Mistake::ZeroAmount => request.body.amount = Stroops(0),
            Mistake::NegativeAmount => request.body.amount = Stroops(-1),
            Mistake::EmptyKey => request.key = IdempotencyKey(String::new()),
            Mistake::UnknownTreasury => request.body.treasury = Some(AccountId([7; 32])),
        }
        request
    }
}

fn developer(payment: u32) -> DeveloperId {
    DeveloperId(1 + u64::from(payment % 3))
}

impl Callers {
    /// Sets the clients to work.
    pub(super) fn start(world: &World, plan: &Plan, ready_at: SimTime) -> Self {
        let accepted = Accepted::default();
        let bodies = Arc::new(Bodies::of(world, plan));
        let open = Arc::new(AtomicUsize::new(plan.operations.len()));
        for at in &plan.operations {
            let caller = Caller {
                client: at.client,
                roster: world.roster().clone(),
                history: world.history().clone(),
                accepted: Arc::clone(&accepted),
                bodies: Arc::clone(&bodies),
            };
            let operation = at.operation.clone();
            let begins = ready_at + Duration::from_millis(at.at_ms);
            let open = Arc::clone(&open);
            drop(spawn_on(NodeTag::DRIVER, async move {
                sleep_until(begins).await;
                caller.perform(operation).await;
                open.fetch_sub(1, Ordering::Relaxed);
            }));
        }
        Self { accepted, open }
    }

    /// How many operations are not over.
    pub(super) fn unanswered(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The payments accepted so far.
    pub(super) fn accepted(&self) -> BTreeMap<u32, PaymentId> {
        lock(&self.accepted).clone()
    }
}

fn lock(accepted: &Accepted) -> MutexGuard<'_, BTreeMap<u32, PaymentId>> {
    accepted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Caller {
    async fn perform(&self, operation: Operation) {
        match operation {
            Operation::Submit { payment, .. } => {
                let request = self.bodies.plain(payment);
                self.submit(payment, request).await;
            }
            Operation::Again { payment } => {
                let request = self.bodies.plain(payment);
                self.once(payment, Asked::Submit(request)).await;
            }
            Operation::Conflict { payment } => {
                let request = self.bodies.other(payment);
                self.once(payment, Asked::Submit(request)).await;
            }
            Operation::Cancel { payment: number } => {
                if let Some(payment) = self.known(number) {
                    let developer = developer(number);
                    self.once(number, Asked::Cancel { developer, payment })
                        .await;
                }
            }
            Operation::Read {
                payment: number,
                fresh,
            } => {
                if let Some(payment) = self.known(number) {
                    self.once(number, Asked::Read { payment, fresh }).await;
                }
            }
            Operation::Bad { mistake } => {
                let request = self.bodies.bad(mistake);
                self.once(u32::MAX, Asked::Bad(request)).await;
            }
        }
    }

    fn known(&self, payment: u32) -> Option<PaymentId> {
        lock(&self.accepted).get(&payment).copied()
    }

    /// Asks the client's nodes in turn, its own first, until there is an answer that asking again would not change.
    async fn submit(&self, number: u32, request: SubmitPayment) {
        let mut turn = usize::from(self.client);
        loop {
            let Some(node) = self.roster.nth(turn) else {
                sleep(PAUSE).await;
                continue;
            };
            let node_id = node.0;
            let asked = Asked::Submit(request.clone());
            match ask(&self.history, self.client, node, asked).await {
                Answer::Accepted { payment, .. } => {
                    event(ACKNOWLEDGED, node_id, payment.0, String::new);
                    lock(&self.accepted).insert(number, payment);
                    return;
                }
                Answer::Refused(_) => return,
                Answer::NotDone(_) | Answer::Unknown | Answer::Cancelled | Answer::Seen(_) => {
                    turn += 1;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn once(&self, number: u32, asked: Asked) {
        let Some(node) = self.roster.nth(usize::from(self.client)) else {
            return;
        };
        if let Answer::Accepted { payment, .. } = ask(&self.history, self.client, node, asked).await
            && number != u32::MAX
        {
            lock(&self.accepted).insert(number, payment);
        }
    }
}
