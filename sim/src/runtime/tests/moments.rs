//! Who looks at moments sees each once, with all that ran in it, and changes nothing.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

type Looks = Rc<RefCell<Vec<(u64, Vec<u64>)>>>;

async fn two_nodes() {
    let ticking = |node, ms| {
        spawn_on(node, async move {
            for _ in 0..3 {
                sleep(Duration::from_millis(ms)).await;
                yield_now().await;
            }
        })
    };
    let (a, b) = (ticking(NODE_A, 10), ticking(NODE_B, 15));
    a.await.unwrap();
    b.await.unwrap();
}

fn watch(looks: &Looks) {
    let looks = Rc::clone(looks);
    on_moment(move |moment| {
        let polled = moment.polled.iter().map(|tag| tag.0).collect();
        looks.borrow_mut().push((moment.at.as_ms(), polled));
    });
}

#[test]
fn each_moment_is_seen_once_with_all_that_ran() {
    let looks = Looks::default();
    check(1, async {
        watch(&looks);
        two_nodes().await;
        // The last moment ends with the next.
        sleep(Duration::from_millis(1)).await;
    });
    let expected = [
        (0, vec![0, 1, 2]),
        (10, vec![1]),
        (15, vec![2]),
        (20, vec![1]),
        (30, vec![0, 1, 2]),
        (45, vec![0, 2]),
    ];
    assert_eq!(*looks.borrow(), expected);
}

#[test]
fn a_run_that_is_watched_is_the_same_history() {
    let (_, alone) = check(7, two_nodes());
    let looks = Looks::default();
    let (_, watched) = check(7, async {
        watch(&looks);
        two_nodes().await;
    });
    assert_eq!(alone, watched);
    assert!(!looks.borrow().is_empty());
}

#[test]
fn nobody_looks_any_more_once_told_so() {
    let looks = Looks::default();
    check(1, async {
        watch(&looks);
        sleep(Duration::from_millis(1)).await;
        no_moments();
        two_nodes().await;
    });
    assert_eq!(*looks.borrow(), [(0, vec![0])]);
}

#[test]
fn a_panic_is_told_with_its_moment() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut runtime = SimRuntime::with_seed(1);
    let told = Rc::clone(&seen);
    let driven = runtime.drive(async move {
        on_moment(move |moment| told.borrow_mut().extend(moment.panics_after(0)));
        let broken = spawn_on(NODE_A, async { panic!("broken") });
        assert!(broken.await.is_err());
        sleep(Duration::from_millis(1)).await;
    });
    driven.expect("the scenario ends");
    let seen = seen.borrow();
    assert_eq!((seen.len(), seen[0].node), (1, NODE_A));
}

#[test]
#[should_panic(expected = "who looks at a moment wakes and spawns nothing")]
fn a_look_that_spawns_is_refused() {
    check(1, async {
        on_moment(|_| drop(spawn_on(NODE_A, async {})));
        sleep(Duration::from_millis(1)).await;
    });
}
