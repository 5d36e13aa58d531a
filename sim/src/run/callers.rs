//! The clients of a run: each operation of the plan at its moment, through the client's own node or the next that runs,
//! or by the SDK, which chooses for itself.
//!
//! A submission is asked until it is answered, always with the same key; everything else is asked once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::ids::{
    AccountId, Asset, Destination, DeveloperId, IdempotencyKey, PaymentId,
};
use stellara_machine::units::{Lane, Stroops};
use stellara_raft_store::types::NodeId;

use crate::history::{ANY_NODE, Answer, Asked, History};
use crate::plan::Plan;
use crate::plan::operation::{LaneName, Mistake, Operation, OperationAt, Through};
use crate::runtime::{EventKind, NodeTag, SimTime, event, sleep, sleep_until, spawn_on};
use crate::world::{Roster, SdkClient, World, client, sdk};

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
    door: Door,
    history: History,
    accepted: Accepted,
    bodies: Arc<Bodies>,
}

/// How a caller reaches the cluster.
#[derive(Clone)]
enum Door {
    Gateway(Roster),
    Sdk(SdkClient),
}

/// What the payments of a plan say.
struct Bodies {
    destinations: Vec<AccountId>,
    submits: BTreeMap<u32, (LaneName, u8)>,
    /// Payments about which somebody calls by the SDK.
    public: BTreeSet<u32>,
}

/// Whom the public API takes its callers for.
const OPERATOR: DeveloperId = DeveloperId(0);

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
        let public = plan.operations.iter().filter_map(|at| match at.through {
            Through::Gateway => None,
            Through::Sdk => at.operation.payment(),
        });
        Self {
            destinations: world.funds().destinations().to_vec(),
            submits: submits.collect(),
            public: public.collect(),
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
            developer: self.developer(payment),
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

    /// A key belongs to who asks: by whichever door a payment is called about, it is the same payment.
    fn developer(&self, payment: u32) -> DeveloperId {
        match self.public.contains(&payment) {
            true => OPERATOR,
            false => DeveloperId(1 + u64::from(payment % 3)),
        }
    }

    fn bad(&self, mistake: Mistake) -> SubmitPayment {
        let mut request = self.request(0, 5_000_000_000);
        request.developer = OPERATOR;
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

/// A client of the SDK for each client that uses it, in the region that is its home.
fn sdk_clients(world: &World, plan: &Plan) -> BTreeMap<u8, SdkClient> {
    let regions = &world.options().regions;
    let by_sdk = |at: &&OperationAt| at.through == Through::Sdk;
    let numbers: BTreeSet<u8> = plan
        .operations
        .iter()
        .filter(by_sdk)
        .map(|at| at.client)
        .collect();
    numbers
        .into_iter()
        .map(|number| {
            let home = &regions[usize::from(number) % regions.len()];
            let client = world.sdk_client(home, u64::from(number));
            (number, client.expect("the world's own addresses are good"))
        })
        .collect()
}

impl Callers {
    /// Sets the clients to work.
    pub(super) fn start(world: &World, plan: &Plan, ready_at: SimTime) -> Self {
        let accepted = Accepted::default();
        let bodies = Arc::new(Bodies::of(world, plan));
        let open = Arc::new(AtomicUsize::new(plan.operations.len()));
        let clients = sdk_clients(world, plan);
        for at in &plan.operations {
            let door = match (at.through, clients.get(&at.client)) {
                (Through::Sdk, Some(client)) => Door::Sdk(client.clone()),
                (Through::Sdk | Through::Gateway, _) => Door::Gateway(world.roster().clone()),
            };
            let caller = Caller {
                client: at.client,
                door,
                history: world.history().clone(),
                accepted: Arc::clone(&accepted),
                bodies: Arc::clone(&bodies),
            };
            let operation = at.operation.clone();
            let begins = ready_at + Duration::from_millis(at.at_ms);
            let open = Arc::clone(&open);
            drop(spawn_on(NodeTag::DRIVER, async move {
                sleep_until(begins).await;
                // On the heap from here on: nearly all of the time, nearly all callers only wait.
                Box::pin(caller.perform(operation)).await;
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
                    let developer = self.bodies.developer(number);
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

    /// Asks until there is an answer that asking again would not change.
    async fn submit(&self, number: u32, request: SubmitPayment) {
        let mut turn = usize::from(self.client);
        loop {
            let asked = Asked::Submit(request.clone());
            if let Some((node_id, answer)) = self.ask(turn, asked).await {
                match answer {
                    Answer::Accepted { payment, .. } => {
                        event(ACKNOWLEDGED, node_id, payment.0, String::new);
                        lock(&self.accepted).insert(number, payment);
                        return;
                    }
                    Answer::Refused(_) => return,
                    Answer::NotDone(_) | Answer::Unknown | Answer::Cancelled | Answer::Seen(_) => {
                        turn += 1;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn once(&self, number: u32, asked: Asked) {
        let answer = self.ask(usize::from(self.client), asked).await;
        if let Some((_, Answer::Accepted { payment, .. })) = answer
            && number != u32::MAX
        {
            lock(&self.accepted).insert(number, payment);
        }
    }

    /// Asks once: of the nodes, the one whose turn it is, unless none runs; or by the SDK.
    async fn ask(&self, turn: usize, asked: Asked) -> Option<(NodeId, Answer)> {
        match &self.door {
            Door::Gateway(roster) => {
                let node = roster.nth(turn)?;
                let node_id = node.0;
                let answer = client::ask(&self.history, self.client, node, asked).await;
                Some((node_id, answer))
            }
            Door::Sdk(by) => {
                let answer = sdk::ask(&self.history, self.client, by, asked).await;
                Some((ANY_NODE, answer))
            }
        }
    }
}
