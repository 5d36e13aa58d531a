//! Accounts and the policy.

use stellara_machine::command::{AccountRole, Command, Entry, FormBatch, Policy};
use stellara_machine::decision::{Rejection, Reply};
use stellara_machine::ids::{AccountId, Index};
use stellara_machine::limits::ENTRY_COMMANDS_MAX;
use stellara_machine::rows::Rows;
use stellara_machine::step::{StepError, step};
use stellara_machine::units::{AccountSequence, Lane, Stroops, UnixMs};

use crate::world::{START, TREASURY, World, channel, register, set_policy, submit};

#[test]
fn a_channel_is_corrected_only_while_it_is_free() {
    let mut world = World::with_channels(1);
    let known = Ok(Reply::AccountRegistered);
    assert_eq!(
        world.one(register(channel(0), AccountRole::Channel, 41)),
        known
    );
    assert!(world.one(submit("key", Lane::High)).is_ok());
    let forms = world
        .state
        .due(START)
        .map(|group| Command::FormBatch(FormBatch { group }));
    world.entry(forms.into_iter().collect());
    let batch = *world.state.batches().keys().next().unwrap();
    assert_eq!(world.state.batches()[&batch].sequence, AccountSequence(42));
    let lent = Err(Rejection::ChannelLent { batch });
    assert_eq!(
        world.one(register(channel(0), AccountRole::Channel, 50)),
        lent
    );
    assert_eq!(
        world.one(register(channel(0), AccountRole::Channel, 41)),
        known
    );
}

#[test]
fn an_account_keeps_its_role() {
    let mut world = World::with_channels(1);
    let conflict = Err(Rejection::RoleConflict {
        role: AccountRole::Treasury,
    });
    assert_eq!(
        world.one(register(TREASURY, AccountRole::Channel, 0)),
        conflict
    );
    let reply = world.one(register(AccountId([8; 32]), AccountRole::Fee, -1));
    assert!(
        matches!(
            reply,
            Err(Rejection::Field {
                field: "sequence",
                ..
            })
        ),
        "{reply:?}"
    );
}

#[test]
fn a_channel_without_a_next_sequence_is_not_lent() {
    let mut world = World::with_channels(0);
    assert!(
        world
            .one(register(channel(0), AccountRole::Channel, i64::MAX))
            .is_ok()
    );
    assert!(world.state.free_channels().is_empty());
}

/// The refused field of a policy that `edit` makes of the default, if any.
#[track_caller]
fn check_policy(expected: Option<&str>, edit: impl Fn(&mut Policy)) {
    let mut policy = Policy {
        version: 99,
        ..Policy::default()
    };
    edit(&mut policy);
    let mut world = World::new();
    let refused = match world.one(set_policy(0, policy)) {
        Ok(reply) => {
            assert_eq!(reply, Reply::PolicySet { version: 1 });
            None
        }
        Err(Rejection::Field { field, .. }) => Some(field),
        Err(other) => panic!("not about a field: {other:?}"),
    };
    assert_eq!(refused, expected);
}

#[test]
fn a_policy_is_held_to_its_bounds() {
    check_policy(None, |_| {});
    check_policy(Some("batch_size_max"), |policy| policy.batch_size_max = 0);
    check_policy(Some("batch_size_max"), |policy| policy.batch_size_max = 101);
    check_policy(Some("batch_size_min"), |policy| policy.batch_size_min = 0);
    check_policy(Some("batch_size_min"), |policy| policy.batch_size_max = 4);
    check_policy(Some("batch_timeout_ms"), |policy| {
        policy.batch_timeout_ms = 0
    });
    check_policy(Some("retries_max"), |policy| policy.retries_max = 1_001);
    check_policy(Some("backoff_base_ms"), |policy| policy.backoff_base_ms = 0);
    check_policy(Some("backoff_max_ms"), |policy| policy.backoff_max_ms = 999);
    check_policy(Some("fee_base_stroops"), |policy| {
        policy.fee_base = Stroops(99)
    });
    check_policy(Some("fee_cap_stroops"), |policy| {
        policy.fee_cap = Stroops(99)
    });
    check_policy(Some("fee_cap_stroops"), |policy| {
        policy.fee_cap = Stroops(100_000_001)
    });
}

#[test]
fn a_policy_replaces_only_the_version_that_was_read() {
    let mut world = World::new();
    assert!(world.one(set_policy(0, Policy::default())).is_ok());
    let stale = Err(Rejection::PolicyVersion { actual: 1 });
    assert_eq!(world.one(set_policy(0, Policy::default())), stale);
    assert_eq!(
        world.one(set_policy(1, Policy::default())),
        Ok(Reply::PolicySet { version: 2 })
    );
}

#[test]
fn an_impossible_entry_is_refused_whole() {
    let mut world = World::with_channels(1);
    let before = world.state.digest();
    let mut check = |index, commands: usize, expected| {
        let commands = vec![submit("key", Lane::Low); commands];
        let entry = Entry {
            index: Index(index),
            proposed_at: UnixMs(u64::MAX),
            commands,
        };
        let result = step(&mut world.state, &entry, &mut Rows::default());
        assert_eq!(result.err(), Some(expected));
        assert_eq!(world.state.digest(), before);
    };
    let applied = Index(1);
    check(
        1,
        1,
        StepError::IndexNotAhead {
            applied,
            index: Index(1),
        },
    );
    check(
        0,
        0,
        StepError::IndexNotAhead {
            applied,
            index: Index(0),
        },
    );
    check(
        1 << 48,
        1,
        StepError::IndexTooLarge {
            index: Index(1 << 48),
        },
    );
    let (commands, limit) = (ENTRY_COMMANDS_MAX + 1, ENTRY_COMMANDS_MAX);
    check(2, commands, StepError::TooManyCommands { commands, limit });
}

#[test]
fn time_never_runs_backwards() {
    let mut world = World::with_channels(1);
    world.time = UnixMs(5);
    let outcome = world.entry(vec![]);
    assert_eq!(outcome.record.at, START);
    assert_eq!(world.state.now(), START);
}
