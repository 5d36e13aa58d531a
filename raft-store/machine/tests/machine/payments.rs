//! Submissions and cancellations, case by case.

use stellara_machine::command::{AccountRole, CancelPayment, Command, FormBatch, PaymentBody};
use stellara_machine::decision::{Acceptance, Event, Rejection, Reply, Stage};
use stellara_machine::ids::{AccountId, Asset, Destination, DeveloperId, Index, Memo, PaymentId};
use stellara_machine::limits::IDEMPOTENCY_MS;
use stellara_machine::units::{Lane, Stroops};

use crate::world::{TREASURY, World, body, register, submission, submit};

fn new(payment: PaymentId) -> Result<Reply, Rejection> {
    Ok(Reply::Submitted {
        payment,
        acceptance: Acceptance::New,
    })
}

fn repeated(payment: PaymentId) -> Result<Reply, Rejection> {
    Ok(Reply::Submitted {
        payment,
        acceptance: Acceptance::Repeated,
    })
}

/// Submits to a fresh world what `edit` makes of a good payment; the refused field, if any.
#[track_caller]
fn check_field(expected: Option<&str>, edit: impl Fn(&mut PaymentBody)) {
    let mut body = body(Lane::Medium);
    edit(&mut body);
    let mut world = World::with_channels(1);
    let reply = world.one(Command::SubmitPayment(submission("key", body)));
    let refused = match reply {
        Ok(_) => None,
        Err(Rejection::Field { field, .. }) => Some(field),
        Err(other) => panic!("not about a field: {other:?}"),
    };
    assert_eq!(refused, expected);
}

#[test]
fn fields_are_held_to_their_bounds() {
    check_field(None, |_| {});
    check_field(Some("amount"), |body| body.amount = Stroops(0));
    check_field(Some("amount"), |body| body.amount = Stroops(-1));
    check_field(None, |body| body.amount = Stroops(10_000_000_000_000_000));
    check_field(Some("amount"), |body| {
        body.amount = Stroops(10_000_000_000_000_001)
    });
    check_field(None, |body| body.reference = "r".repeat(1_024));
    check_field(Some("reference"), |body| body.reference = "r".repeat(1_025));
    check_field(None, |body| body.memo = Memo::Text("m".repeat(28)));
    check_field(Some("memo"), |body| body.memo = Memo::Text("é".repeat(15)));
    check_field(Some("destination"), |body| {
        body.destination.account = TREASURY
    });
    let issuer = AccountId([9; 32]);
    check_field(None, |body| {
        body.asset = Asset::Credit4 {
            code: *b"EUR\0",
            issuer,
        }
    });
    check_field(Some("asset.code"), |body| {
        body.asset = Asset::Credit4 {
            code: *b"\0\0\0\0",
            issuer,
        };
    });
    check_field(Some("asset.code"), |body| {
        body.asset = Asset::Credit4 {
            code: *b"E\0R\0",
            issuer,
        };
    });
    check_field(Some("asset.code"), |body| {
        body.asset = Asset::Credit12 {
            code: *b"EURO\0\0\0\0\0\0\0\0",
            issuer,
        };
    });
    check_field(None, |body| {
        body.asset = Asset::Credit12 {
            code: *b"EUROX\0\0\0\0\0\0\0",
            issuer,
        };
    });
}

#[test]
fn a_key_has_1_to_128_bytes() {
    let mut world = World::with_channels(1);
    for (len, good) in [(0, false), (1, true), (128, true), (129, false)] {
        let reply = world.one(submit(&"k".repeat(len), Lane::Low));
        assert_eq!(reply.is_ok(), good, "{len} bytes: {reply:?}");
    }
}

#[test]
fn a_key_answers_as_before_for_seven_days() {
    let mut world = World::with_channels(1);
    let first = PaymentId::fresh(Index(2), 0);
    assert_eq!(world.one(submit("key", Lane::Low)), new(first));
    world.time = world.time.plus(IDEMPOTENCY_MS - 1);
    assert_eq!(world.one(submit("key", Lane::Low)), repeated(first));
    let reused = Err(Rejection::KeyReused { payment: first });
    assert_eq!(world.one(submit("key", Lane::Medium)), reused);
    world.time = world.time.plus(1);
    let second = PaymentId::fresh(Index(5), 0);
    assert_eq!(world.one(submit("key", Lane::Medium)), new(second));
    assert_eq!(world.one(submit("key", Lane::Medium)), repeated(second));
}

#[test]
fn a_key_counts_within_its_own_entry_and_for_its_own_developer() {
    let mut world = World::with_channels(1);
    let mut other = submission("key", body(Lane::Low));
    other.developer = DeveloperId(8);
    let commands = vec![
        submit("key", Lane::Low),
        submit("key", Lane::Low),
        submit("key", Lane::High),
        Command::SubmitPayment(other),
    ];
    let first = PaymentId::fresh(Index(2), 0);
    assert_eq!(
        world.entry(commands).replies,
        [
            new(first),
            repeated(first),
            Err(Rejection::KeyReused { payment: first }),
            new(PaymentId::fresh(Index(2), 3)),
        ]
    );
}

#[test]
fn a_retry_matches_after_the_default_treasury_changed() {
    let mut world = World::with_channels(1);
    let first = PaymentId::fresh(Index(2), 0);
    assert_eq!(world.one(submit("key", Lane::Low)), new(first));
    let before_all = AccountId([0; 32]);
    assert!(
        world
            .one(register(before_all, AccountRole::Treasury, 0))
            .is_ok()
    );
    assert_eq!(world.one(submit("key", Lane::Low)), repeated(first));
    assert!(world.one(submit("other", Lane::Low)).is_ok());
    let second = &world.store.payments[&PaymentId::fresh(Index(5), 0)];
    assert_eq!(second.body.treasury, Some(before_all));
}

#[test]
fn a_treasury_must_be_registered() {
    let mut world = World::new();
    let unknown = |treasury| Err(Rejection::TreasuryUnknown { treasury });
    assert_eq!(world.one(submit("key", Lane::Low)), unknown(None));
    let mut world = World::with_channels(1);
    for stranger in [AccountId([77; 32]), crate::world::channel(0)] {
        let body = PaymentBody {
            treasury: Some(stranger),
            ..body(Lane::Low)
        };
        let reply = world.one(Command::SubmitPayment(submission("key", body)));
        assert_eq!(reply, unknown(Some(stranger)));
    }
}

#[test]
fn a_muxed_destination_is_another_body() {
    let mut world = World::with_channels(1);
    assert!(world.one(submit("key", Lane::Low)).is_ok());
    let mut muxed = body(Lane::Low);
    muxed.destination = Destination {
        muxed_id: Some(0),
        ..muxed.destination
    };
    let reply = world.one(Command::SubmitPayment(submission("key", muxed)));
    assert!(
        matches!(reply, Err(Rejection::KeyReused { .. })),
        "{reply:?}"
    );
}

#[track_caller]
fn check_cancel(
    world: &mut World,
    developer: u64,
    payment: PaymentId,
    expected: Result<Reply, Rejection>,
) {
    let cancel = CancelPayment {
        developer: DeveloperId(developer),
        payment,
    };
    assert_eq!(world.one(Command::CancelPayment(cancel)), expected);
}

#[test]
fn a_waiting_payment_is_cancelled_by_its_owner_or_the_operator() {
    let mut world = World::with_channels(1);
    world.entry(vec![submit("a", Lane::Low), submit("b", Lane::Low)]);
    let [a, b] = [0, 1].map(|offset| PaymentId::fresh(Index(2), offset));
    let unknown = |payment| Err(Rejection::PaymentUnknown { payment });
    check_cancel(&mut world, 8, a, unknown(a));
    check_cancel(&mut world, 7, PaymentId(1), unknown(PaymentId(1)));
    check_cancel(&mut world, 7, a, Ok(Reply::Cancelled));
    check_cancel(&mut world, 7, a, Ok(Reply::Cancelled));
    check_cancel(&mut world, 0, b, Ok(Reply::Cancelled));
    assert_eq!(world.state.totals().cancelled, 2);
}

#[test]
fn a_payment_of_a_batch_is_not_cancelled() {
    let mut world = World::with_channels(1);
    assert!(world.one(submit("key", Lane::Critical)).is_ok());
    let payment = PaymentId::fresh(Index(2), 0);
    let group = world.state.due(world.time);
    let cancel = CancelPayment {
        developer: DeveloperId(7),
        payment,
    };
    let form = group.map(|group| Command::FormBatch(FormBatch { group }));
    let commands = form
        .into_iter()
        .chain([Command::CancelPayment(cancel)])
        .collect();
    let outcome = world.entry(commands);
    let refused = Rejection::PaymentNotQueued {
        payment,
        stage: "batched",
    };
    assert_eq!(outcome.replies.last(), Some(&Err(refused.clone())));
    check_cancel(&mut world, 7, payment, Err(refused));
}

#[test]
fn a_payment_is_cancelled_in_the_entry_that_accepts_it() {
    let mut world = World::with_channels(1);
    let payment = PaymentId::fresh(Index(2), 0);
    let cancel = Command::CancelPayment(CancelPayment {
        developer: DeveloperId(7),
        payment,
    });
    let outcome = world.entry(vec![submit("key", Lane::Low), cancel.clone(), cancel]);
    let replies = [new(payment), Ok(Reply::Cancelled), Ok(Reply::Cancelled)];
    assert_eq!(outcome.replies, replies);
    let developer = Some(DeveloperId(7));
    let told = |stage| Event::Payment {
        payment,
        developer,
        stage,
    };
    let queued = Stage::Queued {
        not_before: world.time,
        reason: String::new(),
    };
    assert_eq!(
        outcome.record.events,
        [told(queued), told(Stage::Cancelled)]
    );
}
