//! The shipped Rust SDK against the shipped API of real nodes, in virtual time.
//!
//! What the SDK calls accepted is settled once, whatever befalls the nodes; what it cannot know it calls unknown.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use stellara_client::api::payment_event::Event;
use stellara_client::api::{
    GetPaymentRequest, ListPaymentsRequest, PaymentStage, SubmitPaymentRequest,
};
use stellara_client::{BulkOptions, ClientError, Discovery, Watch, WatchOptions};
use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::decision::Acceptance;
use stellara_machine::ids::{Asset, Destination, DeveloperId, IdempotencyKey};
use stellara_machine::units::{Lane, Stroops};
use stellara_node::api::parse;
use stellara_node::node::Timers;
use stellara_raft_store::types::NodeId;
use stellara_sim::runtime::{RunReport, SimOptions, SimRuntime, SimTime, now, sleep};
use stellara_sim::world::load::{Accepted, LoadOptions, Standing, paid, standing};
use stellara_sim::world::sdk::{SdkLoad, accepted_of, request_of};
use stellara_sim::world::{SdkClient, World, WorldOptions, public_address};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);

/// Three regions, with timers that keep the lease over their longest path.
fn options(seed: u64) -> WorldOptions {
    WorldOptions {
        timers: Timers {
            heartbeat_ms: 240,
            election_timeout_min_ms: 320,
            election_timeout_max_ms: 540,
        },
        ..WorldOptions::three_regions(seed)
    }
}

/// Drives a scenario in a world of three regions that is ready.
fn drive<T, F: Future<Output = T>>(seed: u64, scenario: impl FnOnce(World) -> F) -> (RunReport, T) {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        time_limit: Some(SimTime::from_ms(600_000)),
        ..SimOptions::default()
    });
    let driven = runtime.drive(async {
        let world = World::start(options(seed)).await;
        let world = world.expect("the world starts");
        world
            .until_ready(READY)
            .await
            .expect("the cluster is ready");
        scenario(world).await
    });
    let output = driven.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let report = runtime.report();
    assert!(report.is_clean(), "seed {seed}: {report:?}");
    (report, output)
}

/// The payment with this number; no two have the same amount.
fn payment(world: &World, nth: i64) -> SubmitPayment {
    let destinations = world.funds().destinations();
    let at = usize::try_from(nth).expect("a small number") % destinations.len();
    SubmitPayment {
        developer: DeveloperId(0),
        key: IdempotencyKey(format!("payment-{nth}")),
        body: PaymentBody {
            treasury: None,
            destination: Destination {
                account: destinations[at],
                muxed_id: None,
            },
            asset: Asset::Native,
            amount: Stroops(1_000_000 + nth),
            lane: [Lane::Low, Lane::Medium, Lane::High, Lane::Critical][at % 4],
            ..PaymentBody::default()
        },
    }
}

fn client(world: &World, region: &str, seed: u64) -> SdkClient {
    world
        .sdk_client(region, seed)
        .expect("the settings are good")
}

/// A caller that keeps to one node.
fn tied(world: &World, region: &str, node_id: NodeId, deadline: Duration) -> SdkClient {
    let builder = world
        .sdk_builder(region, 900 + node_id)
        .endpoints([public_address(node_id)])
        .discovery(Discovery::Off)
        .deadline(deadline);
    SdkClient::build(builder, 900 + node_id).expect("the settings are good")
}

/// All accepted payments end settled, each paid once and nothing else.
async fn check_settled(world: &World, accepted: &[Accepted]) {
    let all_settled = |world: &World| {
        let open = accepted
            .iter()
            .find(|accepted| standing(world, accepted.acknowledged.payment) != Standing::Settled);
        open.is_none().then_some(())
    };
    let settled = world.until("settlement", SETTLED, all_settled).await;
    settled.expect("what was accepted is settled");
    let report = paid(world, accepted);
    assert!(report.is_exactly_once(), "{report:?}");
    let count = u64::try_from(accepted.len()).expect("a small number");
    assert_eq!(
        (report.intents as u64, report.paid_1 as u64),
        (count, count)
    );
}

/// How many payments were asked more than once, and how many of them were found accepted already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeats {
    asked_again: usize,
    found: usize,
}

/// Sixty payments from three regions, and the leader loses power in their midst.
async fn leader_crashes(mut world: World) -> Repeats {
    let options = LoadOptions {
        payments: 60,
        over: Duration::from_secs(6),
    };
    let load = SdkLoad::start(&world, &REGIONS, options).expect("the settings are good");
    sleep(Duration::from_secs(2)).await;
    let leader = world.leader().expect("a cluster at work has a leader");
    world.crash(leader);
    sleep(Duration::from_secs(4)).await;
    world
        .start_node(leader)
        .await
        .expect("the node starts again");
    let accepted = load.finish().await.expect("every payment is accepted");
    let all = accepted.iter().map(|one| one.acknowledged);
    let payments: BTreeSet<_> = all.clone().map(|one| one.payment).collect();
    assert_eq!(payments.len(), 60, "every key made a payment of its own");
    check_settled(&world, &accepted).await;
    world.stop();
    Repeats {
        asked_again: all.clone().filter(|one| one.calls > 1).count(),
        found: all
            .filter(|one| one.acceptance == Acceptance::Repeated)
            .count(),
    }
}

#[test]
fn sixty_payments_are_accepted_once_and_settled_once_while_the_leader_crashes() {
    let mut found = 0;
    for seed in 0..4 {
        let (_, repeats) = drive(seed, leader_crashes);
        println!("seed {seed}: {repeats:?}");
        found += repeats.found;
    }
    assert!(found > 0, "an attempt was accepted whose answer was lost");
}

#[test]
fn one_seed_is_one_history() {
    let (first, _) = drive(77, leader_crashes);
    let (second, _) = drive(77, leader_crashes);
    assert_eq!(first, second);
}

#[test]
fn requests_are_parsed_back_to_the_payments_they_were_made_from() {
    drive(1, |world| async move {
        for nth in 0..10 {
            let asked = payment(&world, nth);
            let parsed = parse::submission(asked.developer, request_of(&asked));
            assert_eq!(parsed.expect("the request is in its form"), asked);
        }
        world.stop();
    });
}

#[test]
fn a_caller_whose_node_is_cut_off_or_down_finds_another() {
    drive(5, |mut world| async move {
        let caller = client(&world, REGIONS[1], 1);
        let submit = async |world: &World, nth| {
            let asked = payment(world, nth);
            let began = now();
            let answer = caller.submit(&request_of(&asked)).await;
            let accepted = accepted_of(asked, &answer.expect("another node takes it"), 1);
            (accepted.expect("the answer names a payment"), now() - began)
        };
        let (first, quick) = submit(&world, 0).await;
        assert!(quick < Duration::from_millis(400), "{quick:?}");
        // An attempt on the connection that is there ends at its time limit.
        world.public_network().cut(REGIONS[1], 2);
        let (second, slow) = submit(&world, 1).await;
        assert!(slow > Duration::from_secs(2), "{slow:?}");
        // From then on the others are asked first.
        let (third, soon) = submit(&world, 2).await;
        assert!(soon < Duration::from_secs(1), "{soon:?}");
        world.public_network().heal(REGIONS[1], 2);
        sleep(Duration::from_secs(30)).await;
        world.crash(2);
        let (fourth, _) = submit(&world, 3).await;
        world.start_node(2).await.expect("the node starts again");
        sleep(Duration::from_secs(30)).await;
        let (fifth, again) = submit(&world, 4).await;
        assert!(again < Duration::from_secs(1), "{again:?}");
        check_settled(&world, &[first, second, third, fourth, fifth]).await;
        world.stop();
    });
}

#[test]
fn a_write_that_may_have_been_made_is_called_unknown() {
    drive(6, |world| async move {
        let leader = world.leader().expect("a ready cluster has a leader");
        let region = REGIONS[usize::try_from(leader).expect("small") - 1];
        let asked = payment(&world, 0);
        let request = request_of(&asked);
        // The leader proposes, and nobody hears it.
        world.isolate(leader);
        let caller = tied(&world, region, leader, Duration::from_secs(3));
        match caller.submit(&request).await {
            Err(ClientError::Unknown {
                idempotency_key, ..
            }) => {
                assert_eq!(idempotency_key, asked.key.0);
            }
            other => panic!("{other:?}"),
        }
        world.rejoin(leader);
        // A request whose answer is lost on the way.
        let client = client(&world, REGIONS[2], 2);
        let again = client.submit(&request).await.expect("asking again tells");
        let lost = payment(&world, 1);
        let other = if leader == 1 { 2 } else { 1 };
        let tied = tied(&world, REGIONS[2], other, Duration::from_secs(3));
        tied.get(&GetPaymentRequest {
            payment_id: again.payment_id.clone(),
            ..GetPaymentRequest::default()
        })
        .await
        .expect("the connection is made");
        let lost_request = request_of(&lost);
        let asking = tied.submit(&lost_request);
        let cutting = async {
            // The request has left and has not arrived.
            sleep(Duration::from_millis(5)).await;
            world.public_network().cut(REGIONS[2], other);
        };
        let (answer, ()) = futures_util::join!(asking, cutting);
        assert!(
            matches!(answer, Err(ClientError::Unknown { .. })),
            "{answer:?}"
        );
        let told = client
            .submit(&lost_request)
            .await
            .expect("asking again tells");
        let accepted = [(asked, again), (lost, told)]
            .map(|(asked, answer)| accepted_of(asked, &answer, 1).expect("it names a payment"));
        check_settled(&world, &accepted).await;
        world.stop();
    });
}

#[test]
fn what_never_left_is_not_called_unknown() {
    drive(7, |mut world| async move {
        let follower = world
            .node_ids()
            .into_iter()
            .find(|id| Some(*id) != world.leader());
        let follower = follower.expect("two of three follow");
        let region = REGIONS[usize::try_from(follower).expect("small") - 1];
        let caller = tied(&world, region, follower, Duration::from_secs(3));
        world.crash(follower);
        let answer = caller.submit(&request_of(&payment(&world, 0))).await;
        assert!(
            matches!(answer, Err(ClientError::Unavailable { .. })),
            "{answer:?}"
        );
        world.stop();
    });
}

/// More than the door holds at once: 65,536 commands.
const CALLS: i64 = 68;
const PER_CALL: i64 = 1_000;

#[test]
fn an_overloaded_answer_is_waited_for() {
    drive(8, |world| async move {
        let leader = world.leader().expect("a ready cluster has a leader");
        let region = REGIONS[usize::try_from(leader).expect("small") - 1];
        let tied = tied(&world, region, leader, Duration::from_secs(60));
        let requests = |call| -> Vec<SubmitPaymentRequest> {
            (0..PER_CALL)
                .map(|nth| request_of(&payment(&world, call * PER_CALL + nth)))
                .collect()
        };
        let calls = (0..CALLS).map(|call| {
            let payments = requests(call);
            let client = tied.client().clone();
            async move { client.submit_payments(&payments).await }
        });
        let impatient = tied.with_deadline(Duration::from_millis(60));
        let refused = async {
            sleep(Duration::from_millis(5)).await;
            let too_much = requests(CALLS);
            impatient.client().submit_payments(&too_much).await
        };
        let (all, refused) = futures_util::join!(join_all(calls), refused);
        // Who cannot wait hears that the door is full, and that nothing was taken.
        for answer in refused.expect("the call is answered") {
            let full = ClientError::Overloaded {
                retry_after_ms: 100,
            };
            assert_eq!(answer, Err(full));
        }
        let mut accepted = 0;
        for answers in all {
            let answers = answers.expect("the calls are answered");
            for answer in answers {
                answer.expect("who waits is served");
                accepted += 1;
            }
        }
        assert_eq!(accepted, CALLS * PER_CALL);
        world.stop();
    });
}

#[test]
fn reads_cancels_lists_streams_and_watches_go_the_same_way() {
    drive(9, |world| async move {
        let caller = client(&world, REGIONS[2], 1);
        let mut watch = caller.client().watch_payments(WatchOptions {
            cursor: "0".to_owned(),
            ..WatchOptions::default()
        });
        let bulk = caller.client().bulk(BulkOptions::default());
        let mut answers = Vec::new();
        for nth in 0..20 {
            let asked = payment(&world, nth);
            let answer = bulk
                .submit(&request_of(&asked))
                .await
                .expect("there is room");
            answers.push((asked, answer));
        }
        let mut accepted = Vec::new();
        for (asked, answer) in answers {
            let answer = answer.await.expect("every payment is accepted");
            accepted.push(accepted_of(asked, &answer, 1).expect("the answer names a payment"));
        }
        bulk.finish().await;
        let page = caller.list(&ListPaymentsRequest::default()).await;
        let listed = page.expect("a page is read").payments;
        assert_eq!(listed.len(), 20);
        let asked = GetPaymentRequest {
            payment_id: listed[3].payment_id.clone(),
            ..GetPaymentRequest::default()
        };
        let read = caller.get(&asked).await.expect("the payment is there");
        assert_eq!(read.idempotency_key, listed[3].idempotency_key);
        // 20 is of the low lane, and waits for company.
        let waiting = caller.submit(&request_of(&payment(&world, 20))).await;
        let waiting = waiting.expect("the payment is accepted").payment_id;
        let cancelled = caller.cancel(&waiting).await;
        let cancelled = cancelled.expect("it still waits in its queue");
        assert_eq!(cancelled.stage(), PaymentStage::Cancelled);
        let none = caller.cancel("pay_00000000000000ff").await;
        assert!(
            matches!(none, Err(ClientError::NotFound { .. })),
            "{none:?}"
        );
        let members = caller.client().list_members().await;
        assert_eq!(members.expect("the members are told").len(), 3);
        check_settled(&world, &accepted).await;
        let mut settled = 0;
        while settled < 20 {
            let event = watch.next().await.expect("the watch goes on");
            let event = event.expect("nothing went wrong").event;
            if let Some(Event::Payment(moved)) = event {
                settled += usize::from(moved.stage() == PaymentStage::Settled);
            }
        }
        world.stop();
    });
}

/// The next payment of which the watch tells that it was queued: none twice, so none is told again.
async fn next_queued(watch: &mut Watch) -> String {
    loop {
        let event = watch.next().await.expect("the watch goes on");
        let event = event.expect("another node goes on").event;
        if let Some(Event::Payment(moved)) = event
            && moved.stage() == PaymentStage::Queued
        {
            return moved.payment_id;
        }
    }
}

#[test]
fn a_watch_goes_on_elsewhere_when_its_node_crashes() {
    drive(10, |mut world| async move {
        let caller = client(&world, REGIONS[1], 1);
        let mut watch = caller.client().watch_payments(WatchOptions {
            cursor: "0".to_owned(),
            ..WatchOptions::default()
        });
        for nth in 0..4 {
            let answer = caller.submit(&request_of(&payment(&world, nth))).await;
            let answer = answer.expect("the payment is accepted");
            let began = now();
            assert_eq!(next_queued(&mut watch).await, answer.payment_id);
            if nth == 1 {
                world.crash(2);
            }
            if nth == 2 {
                let silent = now() - began;
                assert!(silent > Duration::from_secs(3), "{silent:?}");
            }
        }
        world.stop();
    });
}
