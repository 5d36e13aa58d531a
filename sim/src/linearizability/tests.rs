//! Histories that no single place could have made are found, and random ones that it could have made pass.

use proptest::prelude::*;

use super::*;

const ID: PaymentId = PaymentId(7 << 16);

fn op(asked: u64, answered: u64, action: Action) -> Op {
    Op {
        asked,
        answered: Some(answered),
        action,
    }
}

fn lost(asked: u64, action: Action) -> Op {
    Op {
        asked,
        answered: None,
        action,
    }
}

fn read(standing: Standing) -> Action {
    Action::Read(Some((0, standing)))
}

const NEW: Action = Action::Submit(0, Submitted::New(ID));
const AGAIN: Action = Action::Submit(0, Submitted::Repeated(ID));
const MAYBE: Action = Action::Submit(0, Submitted::Unknown);
const CANCEL: Action = Action::Cancel(Withdrawn::Done);
const REFUSED: Action = Action::Cancel(Withdrawn::NotQueued);

#[test]
fn a_stale_read_is_found() {
    let ops = [
        op(1, 2, NEW),
        op(3, 4, CANCEL),
        op(5, 6, read(Standing::Live)),
    ];
    assert!(
        matches!(check(&ops), Verdict::Not { placed: 2, .. }),
        "{:?}",
        check(&ops)
    );
    let overlapping = [
        op(1, 2, NEW),
        op(3, 6, CANCEL),
        op(4, 5, read(Standing::Live)),
    ];
    assert_eq!(check(&overlapping), Verdict::Linearizable);
}

#[test]
fn a_lost_write_is_found() {
    let ops = [op(1, 2, NEW), op(3, 4, Action::Read(None))];
    assert!(matches!(check(&ops), Verdict::Not { placed: 1, .. }));
    let twice = [op(1, 2, NEW), op(3, 4, NEW)];
    assert!(matches!(check(&twice), Verdict::Not { placed: 1, .. }));
}

#[test]
fn two_identities_of_one_key_are_found() {
    let other = PaymentId(9 << 16);
    let ops = [
        op(1, 2, NEW),
        op(3, 4, Action::Submit(0, Submitted::Repeated(other))),
    ];
    assert_eq!(check(&ops), Verdict::TwoIdentities(ID, other));
}

#[test]
fn what_was_cancelled_is_not_settled() {
    let ops = [
        op(1, 2, NEW),
        op(3, 4, CANCEL),
        op(5, 6, read(Standing::Settled)),
    ];
    assert!(matches!(check(&ops), Verdict::Not { .. }));
    let refused = [
        op(1, 2, NEW),
        op(3, 4, REFUSED),
        op(5, 6, read(Standing::Settled)),
    ];
    assert_eq!(check(&refused), Verdict::Linearizable);
    let back = [
        op(1, 2, NEW),
        op(3, 4, read(Standing::Settled)),
        op(5, 6, read(Standing::Live)),
    ];
    assert!(matches!(check(&back), Verdict::Not { placed: 2, .. }));
}

#[test]
fn another_body_is_a_conflict_only_once_the_first_is_there() {
    let conflict = Action::Submit(1, Submitted::Conflict(ID));
    assert_eq!(
        check(&[op(1, 2, NEW), op(3, 4, conflict)]),
        Verdict::Linearizable
    );
    let before = [op(1, 2, conflict), op(3, 4, NEW)];
    assert!(matches!(check(&before), Verdict::Not { placed: 0, .. }));
    let taken = [
        op(1, 2, NEW),
        op(3, 4, Action::Submit(1, Submitted::Repeated(ID))),
    ];
    assert!(matches!(check(&taken), Verdict::Not { .. }));
}

#[test]
fn an_unknown_call_takes_effect_late_or_never() {
    let never = [lost(1, MAYBE), op(2, 3, Action::Read(None)), op(4, 5, NEW)];
    assert_eq!(check(&never), Verdict::Linearizable);
    let late = [
        lost(1, MAYBE),
        op(2, 3, Action::Read(None)),
        op(4, 5, AGAIN),
        op(6, 7, read(Standing::Live)),
    ];
    assert_eq!(check(&late), Verdict::Linearizable);
    let before_it_was_asked = [op(1, 2, AGAIN), lost(3, MAYBE)];
    assert!(matches!(
        check(&before_it_was_asked),
        Verdict::Not { placed: 0, .. }
    ));
    let cancelled = [
        op(1, 2, NEW),
        lost(3, Action::Cancel(Withdrawn::Unknown)),
        op(4, 5, read(Standing::Live)),
        op(6, 7, read(Standing::Cancelled)),
    ];
    assert_eq!(check(&cancelled), Verdict::Linearizable);
}

/// What happens at one moment of the single place: a call, or a move that nobody asked for.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Submit(Body),
    Cancel,
    Read,
    Settle,
    Fail,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..2_u64).prop_map(Happening::Submit),
        Just(Happening::Cancel),
        Just(Happening::Read),
        Just(Happening::Read),
        Just(Happening::Settle),
        Just(Happening::Fail),
    ]
}

/// What the single place answers, and its state afterwards.
fn answer(state: State, happening: Happening) -> (State, Option<Action>) {
    match (happening, state) {
        (Happening::Submit(body), None) => (
            Some((body, Standing::Live)),
            Some(Action::Submit(body, Submitted::New(ID))),
        ),
        (Happening::Submit(body), Some((first, _))) => {
            let told = if body == first {
                Submitted::Repeated(ID)
            } else {
                Submitted::Conflict(ID)
            };
            (state, Some(Action::Submit(body, told)))
        }
        (Happening::Cancel, None) => (state, Some(Action::Cancel(Withdrawn::NoSuch))),
        (Happening::Cancel, Some((body, Standing::Live | Standing::Cancelled))) => {
            (Some((body, Standing::Cancelled)), Some(CANCEL))
        }
        (Happening::Cancel, Some((_, Standing::Settled | Standing::Failed))) => {
            (state, Some(REFUSED))
        }
        (Happening::Read, _) => (state, Some(Action::Read(state))),
        (Happening::Settle, Some((body, Standing::Live))) => {
            (Some((body, Standing::Settled)), None)
        }
        (Happening::Fail, Some((body, Standing::Live))) => (Some((body, Standing::Failed)), None),
        (Happening::Settle | Happening::Fail, _) => (state, None),
    }
}

/// The same call, had its answer been lost.
fn unheard(action: Action) -> Option<Action> {
    match action {
        Action::Submit(body, _) => Some(Action::Submit(body, Submitted::Unknown)),
        Action::Cancel(_) => Some(Action::Cancel(Withdrawn::Unknown)),
        Action::Read(_) => None,
    }
}

proptest! {
    #[test]
    fn what_one_place_could_have_made_passes(
        steps in prop::collection::vec((happening(), 0..60_u64, 0..60_u64, 0..8_u8), 1..24),
    ) {
        let (mut state, mut ops) = (None, Vec::new());
        for (at, (happening, before, after, fate)) in (100_u64..).step_by(20).zip(steps) {
            let (next, action) = answer(state, happening);
            state = next;
            let Some(action) = action else { continue };
            // It happens at `at`; the client asked somewhat before and hears somewhat after, or not at all.
            let op = if fate == 0 {
                unheard(action).map(|action| lost(at - before, action))
            } else {
                Some(op(at - before, at + after, action))
            };
            ops.extend(op);
        }
        prop_assert_eq!(check(&ops), Verdict::Linearizable);
    }
}
