//! When batches form, and from what.

use stellara_machine::command::{Command, FormBatch, GroupKey, Policy};
use stellara_machine::decision::{Rejection, Reply, Trigger};
use stellara_machine::ids::{Index, Memo, PaymentId};
use stellara_machine::units::{Lane, UnixMs};

use crate::world::{START, TREASURY, World, channel, set_policy, submit};

fn group(lane: Lane) -> GroupKey {
    GroupKey {
        fee_cap: None,
        treasury: TREASURY,
        lane,
        memo: Memo::None,
    }
}

/// A world in which so many payments wait in one lane, all since `START`.
fn waiting(count: usize, lane: Lane) -> World {
    let mut world = World::with_channels(2);
    let commands = (0..count)
        .map(|key| submit(&key.to_string(), lane))
        .collect();
    world.entry(commands);
    world
}

/// The trigger and size of the batch that forms after `wait_ms`, or `None`.
#[track_caller]
fn check(count: usize, lane: Lane, wait_ms: u64, expected: Option<(Trigger, usize)>) {
    let mut world = waiting(count, lane);
    world.time = START.plus(wait_ms);
    let due = world.state.due(world.time);
    let next_due_at = world.state.next_due_at();
    assert_eq!(
        due.is_some(),
        next_due_at.is_some_and(|at| at <= world.time),
        "{next_due_at:?}"
    );
    let reply = world.one(Command::FormBatch(FormBatch { group: group(lane) }));
    let formed = match reply {
        Ok(Reply::BatchFormed { batch }) => {
            let batch = &world.state.batches()[&batch];
            assert!(batch.payments.is_sorted_by_key(|place| place.payment));
            Some((batch.trigger, batch.payments.len()))
        }
        Ok(other) => panic!("another answer: {other:?}"),
        Err(rejection) => {
            assert_eq!(rejection, Rejection::NotDue);
            None
        }
    };
    assert_eq!(formed, expected);
    assert_eq!(due, expected.map(|_| group(lane)));
}

#[test]
fn a_batch_forms_by_size_time_or_urgency() {
    check(0, Lane::Medium, 60_000, None);
    check(1, Lane::Medium, 9_999, None);
    check(1, Lane::Medium, 10_000, Some((Trigger::Time, 1)));
    check(4, Lane::Medium, 9_999, None);
    check(5, Lane::Medium, 4_999, None);
    check(5, Lane::Medium, 5_000, Some((Trigger::Time, 5)));
    check(99, Lane::Low, 4_999, None);
    check(100, Lane::Low, 0, Some((Trigger::Size, 100)));
    check(101, Lane::Low, 0, Some((Trigger::Size, 100)));
    check(1, Lane::High, 0, Some((Trigger::Immediate, 1)));
    check(100, Lane::Critical, 0, Some((Trigger::Size, 100)));
}

#[test]
fn the_most_urgent_lane_goes_first_and_channels_run_out() {
    let mut world = World::with_channels(2);
    world.entry(vec![
        submit("h", Lane::High),
        submit("m", Lane::Medium),
        submit("c", Lane::Critical),
    ]);
    world.time = START.plus(30_000);
    let lanes = |world: &World, limit| {
        let due = world.state.form_candidates(world.time, limit);
        due.into_iter().map(|group| group.lane).collect::<Vec<_>>()
    };
    assert_eq!(lanes(&world, 9), [Lane::Critical, Lane::High]);
    for (lane, no) in [(Lane::Critical, 0), (Lane::High, 1)] {
        let reply = world.one(Command::FormBatch(FormBatch { group: group(lane) }));
        let Ok(Reply::BatchFormed { batch }) = reply else {
            panic!("{reply:?}")
        };
        assert_eq!(world.state.batches()[&batch].channel, channel(no));
    }
    assert_eq!(world.state.due(world.time), None);
    assert_eq!(world.state.next_due_at(), None);
    let reply = world.one(Command::FormBatch(FormBatch {
        group: group(Lane::Medium),
    }));
    assert_eq!(reply, Err(Rejection::NoFreeChannel));
}

#[test]
fn a_batch_takes_the_oldest() {
    let mut world = waiting(150, Lane::Low);
    let form = Command::FormBatch(FormBatch {
        group: group(Lane::Low),
    });
    let reply = world.one(form);
    let Ok(Reply::BatchFormed { batch }) = reply else {
        panic!("{reply:?}")
    };
    let taken = world.state.batches()[&batch]
        .payments
        .iter()
        .map(|place| place.payment);
    assert!(taken.eq((0..100).map(|offset| PaymentId::fresh(Index(2), offset))));
}

type Edit = fn(&mut Policy);

#[test]
fn a_policy_moves_the_deadlines() {
    let mut world = waiting(3, Lane::Low);
    assert_eq!(world.state.next_due_at(), Some(UnixMs(START.0 + 10_000)));
    let edits: [(Edit, u64); 4] = [
        (|policy| policy.batch_timeout_ms = 1_000, 2_000),
        (|policy| policy.batch_size_min = 3, 5_000),
        (
            |policy| (policy.batch_size_max, policy.batch_size_min) = (3, 3),
            0,
        ),
        (|policy| policy.immediate_from = Lane::Low, 0),
    ];
    for (version, (edit, wait_ms)) in (0..).zip(edits) {
        let mut policy = Policy::default();
        edit(&mut policy);
        let reply = world.one(set_policy(version, policy));
        assert_eq!(
            reply,
            Ok(Reply::PolicySet {
                version: version + 1
            })
        );
        assert_eq!(world.state.next_due_at(), Some(START.plus(wait_ms)));
    }
}
