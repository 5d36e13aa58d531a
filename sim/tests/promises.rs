//! Clients that read, cancel, repeat and err while the leader is cut off and comes back: every promise is kept, and every
//! check has something to look at.

use std::time::Duration;

use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::ids::{Destination, DeveloperId, IdempotencyKey, PaymentId};
use stellara_machine::units::{Lane, Stroops};
use stellara_sim::history::{Answer, Asked, History, Refusal};
use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::plan::operation::Fresh;
use stellara_sim::runtime::{
    NodeTag, RandomStream, RunReport, SimOptions, SimRuntime, SimTime, sleep, spawn_on, stream,
};
use stellara_sim::world::client::ask;
use stellara_sim::world::{Roster, World, WorldOptions, view_of};

const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);
const CLIENTS: u8 = 6;
const PAYMENTS: u32 = 12;

/// A client and the payments that only it asks for.
struct Client {
    number: u8,
    roster: Roster,
    history: History,
    draws: RandomStream,
    destination: Destination,
}

impl Client {
    fn request(&self, nth: u32) -> SubmitPayment {
        let lane = if nth.is_multiple_of(3) {
            Lane::Low
        } else {
            Lane::High
        };
        SubmitPayment {
            developer: DeveloperId(u64::from(self.number) + 1),
            key: IdempotencyKey(format!("client-{}-{nth}", self.number)),
            body: PaymentBody {
                destination: self.destination,
                amount: Stroops(1_000_000 + i64::from(self.number) * 1_000 + i64::from(nth)),
                lane,
                ..PaymentBody::default()
            },
        }
    }

    async fn ask(&mut self, asked: Asked) -> Option<Answer> {
        let node = self.roster.any(&mut self.draws)?;
        Some(ask(&self.history, self.number, node, asked).await)
    }

    async fn submit(&mut self, request: &SubmitPayment) -> PaymentId {
        loop {
            match self.ask(Asked::Submit(request.clone())).await {
                Some(Answer::Accepted { payment, .. }) => return payment,
                Some(Answer::Refused(refusal)) => panic!("{request:?} is refused: {refusal:?}"),
                Some(
                    Answer::NotDone(_) | Answer::Unknown | Answer::Cancelled | Answer::Seen(_),
                )
                | None => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn live(mut self) {
        for nth in 0..PAYMENTS {
            sleep(Duration::from_millis(self.draws.between(200, 1_500))).await;
            let request = self.request(nth);
            let payment = self.submit(&request).await;
            let fresh = Fresh::Linearizable;
            self.ask(Asked::Read { payment, fresh }).await;
            if nth.is_multiple_of(3) {
                let developer = request.developer;
                self.ask(Asked::Cancel { developer, payment }).await;
                self.ask(Asked::Read { payment, fresh }).await;
            }
            self.ask(Asked::Submit(request.clone())).await;
            let mut other = request.clone();
            other.body.amount.0 += 500;
            let answer = self.ask(Asked::Submit(other)).await;
            if let Some(Answer::Refused(refusal)) = answer {
                assert_eq!(refusal, Refusal::KeyReused { payment });
            }
            let mut bad = request;
            bad.key = IdempotencyKey(format!("bad-{}-{nth}", self.number));
            bad.body.amount = Stroops(0);
            self.ask(Asked::Bad(bad)).await;
            let fresh = Fresh::Stale { max_ms: 900 };
            self.ask(Asked::Read { payment, fresh }).await;
        }
    }
}

fn clients(world: &World) -> Vec<Client> {
    let destinations = world.funds().destinations();
    (0..CLIENTS)
        .map(|number| Client {
            number,
            roster: world.roster().clone(),
            history: world.history().clone(),
            draws: stream(NodeTag::DRIVER, "client"),
            destination: Destination {
                account: destinations[usize::from(number)],
                muxed_id: None,
            },
        })
        .collect()
}

fn everything_ended(world: &World) -> Option<()> {
    let running = world.roster().running();
    let ended = running.iter().all(|(_, node)| {
        view_of(node)
            .is_some_and(|view| view.state(|state| state.queued() == 0 && state.batched() == 0))
    });
    let applied = world.statuses().into_iter();
    let mut applied = applied.map(|status| (status.applied_index, status.committed_index));
    let first = applied.next()?;
    let level = first.0 == first.1 && applied.all(|next| next == first);
    (ended && level).then_some(())
}

/// A node that is stopped in order, and started again, is no node that stopped by itself.
async fn restarted(seed: u64) {
    let world = World::start(WorldOptions::three_regions(seed)).await;
    let mut world = world.expect("the world starts");
    let checks = Checks::start(&world);
    let leader = world.until_ready(READY).await.expect("it is ready");
    let running = world.roster().running();
    let (_, node) = running
        .iter()
        .find(|(node_id, _)| *node_id == leader)
        .expect("the leader runs");
    node.stop().await;
    drop(running);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(checks.hold(), Ok(()), "seed {seed}");
    world.crash(leader);
    let started = world.start_node(leader).await;
    started.expect("it starts from what its disk kept");
    world.until_ready(READY).await.expect("it is ready again");
    assert_eq!(checks.finish(Ending::Settled), [], "seed {seed}");
    world.stop();
}

async fn scenario(seed: u64) {
    let world = World::start(WorldOptions::three_regions(seed)).await;
    let world = world.expect("the world starts");
    let checks = Checks::start(&world);
    world.until_ready(READY).await.expect("it is ready");
    let clients: Vec<_> = clients(&world)
        .into_iter()
        .map(|client| spawn_on(NodeTag::DRIVER, client.live()))
        .collect();
    for _ in 0..2 {
        sleep(Duration::from_secs(4)).await;
        let leader = world.leader().expect("a cluster at work has a leader");
        world.isolate(leader);
        let another = |world: &World| world.leader().filter(|now| *now != leader);
        let another = world.until("another leader", READY, another).await;
        another.expect("the majority elects another leader");
        sleep(Duration::from_secs(3)).await;
        world.rejoin(leader);
    }
    for client in clients {
        client.await.expect("no client fails");
    }
    let ended = world.until("an end of all payments", SETTLED, everything_ended);
    ended.await.expect("every payment has its end");
    assert_eq!(checks.finish(Ending::Settled), [], "seed {seed}");
    let payments = u64::from(CLIENTS) * u64::from(PAYMENTS);
    for (invariant, compared) in checks.compared() {
        assert!(compared > 0, "{invariant} saw nothing");
    }
    assert_eq!(checks.compared()["linearizable"], payments);
    world.stop();
}

fn run<F: Future<Output = ()>>(seed: u64, scenario: impl FnOnce(u64) -> F) -> RunReport {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        time_limit: Some(SimTime::from_ms(600_000)),
        ..SimOptions::default()
    });
    runtime
        .drive(scenario(seed))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}: {report:?}");
    report
}

#[test]
fn every_promise_is_kept_while_leaders_are_cut_off() {
    for seed in 0..4 {
        run(seed, scenario);
    }
}

#[test]
fn one_seed_is_one_history() {
    assert_eq!(run(9, scenario), run(9, scenario));
}

#[test]
fn a_node_that_is_restarted_in_order_breaks_no_promise() {
    for seed in 0..2 {
        run(seed, restarted);
    }
}
