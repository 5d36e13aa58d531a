//! Crashes, pauses, panics, and runs that cannot go on.

use std::future::pending;
use std::task::Poll;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_crash_drops_tasks_and_timers() {
    let notes = Notes::default();
    let dropped = notes.clone();
    let (_, report) = check(1, async move {
        for task in 0..5 {
            let guard = OnDrop(dropped.clone(), task);
            spawn_on(NODE_A, async move {
                let _guard = guard;
                // Belongs to the node too, though it does not say so.
                SimRuntime::spawn(async { SimRuntime::sleep(10 * SECOND).await });
                SimRuntime::timeout(5 * SECOND, pending::<()>()).await
            });
        }
        let bystander = spawn_on(NODE_B, async { SimRuntime::sleep(2 * SECOND).await });
        sleep(SECOND).await;
        assert_eq!(kill_node(NODE_A), 10);
        assert_eq!(dropped.all().len(), 5);
        assert_eq!(kill_node(NODE_A), 0);
        bystander.await.unwrap();
    });
    assert_eq!(
        (report.at, report.tasks_alive),
        (SimTime::from_ms(2_000), 0)
    );
    assert_eq!(
        (report.timers_pending, report.advances),
        (0, 2),
        "no timer of the dead node fires"
    );
}

#[test]
fn a_dead_nodes_timer_kept_elsewhere_does_not_move_time() {
    let (_, report) = check(1, async {
        let kept = Arc::new(Mutex::new(Box::pin(sleep(100 * SECOND))));
        let polled = Arc::clone(&kept);
        spawn_on(
            NODE_A,
            std::future::poll_fn(move |context| polled.lock().unwrap().as_mut().poll(context)),
        );
        sleep(SECOND).await;
        kill_node(NODE_A);
        with_core(|core| assert_eq!(core.timers.borrow().len(), 0));
        // The sleep itself is still good for whoever polls it next.
        std::future::poll_fn(|context| kept.lock().unwrap().as_mut().poll(context)).await;
    });
    assert_eq!(report.at, SimTime::from_ms(100_000));
}

#[test]
fn joining_a_killed_task_says_so() {
    check(1, async {
        let task = spawn_on(NODE_A, pending::<()>());
        yield_now().await;
        kill_node(NODE_A);
        let error = task.await.unwrap_err();
        assert_eq!(error, JoinError::Killed);
        assert!(!SimRuntime::is_panic(&error));
    });
}

#[test]
fn a_task_may_kill_its_own_node() {
    let notes = Notes::default();
    let seen = notes.clone();
    let (_, report) = check(1, async move {
        let (guard, inner) = (OnDrop(seen.clone(), 1), seen.clone());
        let suicide = spawn_on(NODE_A, async move {
            let _guard = guard;
            assert!(!is_killed());
            assert_eq!(kill_node(NODE_A), 1);
            assert!(is_killed());
            // The dead have no effects: neither here nor on another node.
            let note = inner.clone();
            SimRuntime::spawn(async move { note.add(2) });
            spawn_on(NODE_B, async move { inner.add(3) });
            SimRuntime::sleep(SECOND).await;
        });
        assert_eq!(suicide.await, Err(JoinError::Killed));
        let at_once = spawn_on(NODE_A, async {
            kill_node(NODE_A);
        });
        assert_eq!(
            at_once.await,
            Err(JoinError::Killed),
            "even if it ends in the same poll"
        );
        sleep(SECOND).await;
        assert_eq!(
            spawn_on(NODE_A, async { 5 }).await,
            Ok(5),
            "the node starts again"
        );
    });
    assert_eq!(notes.all(), [1]);
    assert_eq!((report.tasks_alive, report.timers_pending), (0, 0));
}

#[test]
fn destructors_of_a_crash_may_call_the_runtime() {
    struct Restless(NodeTag);
    impl Drop for Restless {
        fn drop(&mut self) {
            assert!(is_killed());
            assert_eq!(current_node(), self.0);
            spawn_on(NODE_B, pending::<()>());
            kill_node(NODE_A);
            drop(SimRuntime::sleep(SECOND));
        }
    }
    let (_, report) = check(1, async {
        for _ in 0..3 {
            let guard = Restless(NODE_A);
            spawn_on(NODE_A, async move {
                let _guard = guard;
                pending::<()>().await
            });
        }
        yield_now().await;
        kill_node(NODE_A);
    });
    assert_eq!(report.tasks_alive, 0);
}

#[test]
fn a_paused_node_stands_still_and_its_timers_fire_late() {
    let (late, report) = check(1, async {
        let ticks = Notes::default();
        let ticking = ticks.clone();
        let task = spawn_on(NODE_A, async move {
            SimRuntime::sleep(SECOND).await;
            ticking.add(now().as_ms());
            SimRuntime::sleep(SECOND).await;
            ticking.add(now().as_ms());
        });
        sleep(SECOND / 2).await;
        pause_node(NODE_A);
        pause_node(NODE_A);
        sleep(3 * SECOND).await;
        assert!(ticks.all().is_empty());
        resume_node(NODE_A);
        task.await.unwrap();
        ticks.all()
    });
    assert_eq!(late, [3_500, 4_500]);
    assert_eq!(report.tasks_alive, 0);
}

#[test]
fn a_crash_ends_a_pause() {
    check(1, async {
        pause_node(NODE_A);
        let held = spawn_on(NODE_A, async {});
        sleep(SECOND).await;
        assert_eq!(kill_node(NODE_A), 1);
        assert_eq!(held.await, Err(JoinError::Killed));
        spawn_on(NODE_A, async {}).await.unwrap();
        resume_node(NODE_A);
    });
}

#[test]
fn a_panic_of_a_task_is_reported() {
    let mut runtime = SimRuntime::with_seed(1);
    let error = runtime
        .drive(async {
            let task = spawn_on(NODE_B, async {
                sleep(SECOND).await;
                panic!("broken invariant {}", 5);
            });
            let error = task.await.unwrap_err();
            spawn_on(NODE_A, async {}).await.expect("the others go on");
            error
        })
        .unwrap();
    assert!(SimRuntime::is_panic(&error));
    assert_eq!(error.to_string(), "task panicked: broken invariant 5");
    let report = runtime.report();
    assert!(!report.is_clean());
    let [panic] = report.panics.as_slice() else {
        panic!("one panic: {report:?}")
    };
    assert_eq!((panic.node, panic.at), (NODE_B, SimTime::from_ms(1_000)));
    let text = panic.to_string();
    assert!(
        text.starts_with("node 2 panicked at 1.000000000: broken invariant 5 ("),
        "{text}"
    );
    assert!(text.contains("faults.rs:"), "{text}");
}

#[test]
fn a_panic_of_a_destructor_is_its_tasks_panic() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let mut runtime = SimRuntime::with_seed(1);
    runtime
        .drive(async {
            let bomb = Bomb;
            spawn_on(NODE_A, async move {
                let _bomb = bomb;
                pending::<()>().await
            });
            yield_now().await;
            kill_node(NODE_A);
        })
        .unwrap();
    assert_eq!(runtime.report().panics[0].node, NODE_A);
}

#[test]
fn a_panic_of_the_scenario_is_passed_on_and_leaves_the_thread_usable() {
    let mut runtime = SimRuntime::with_seed(1);
    let driven = catch_unwind(AssertUnwindSafe(|| {
        runtime.drive(async { panic!("assertion of the scenario") })
    }));
    assert!(driven.is_err());
    drop(runtime);
    check(1, yield_now());
}

#[test]
fn a_deadlock_ends_the_run() {
    let mut runtime = SimRuntime::with_seed(1);
    let error = runtime.drive(async {
        spawn_on(NODE_A, async {});
        pause_node(NODE_A);
        spawn_on(NODE_B, SimRuntime::sleep(Duration::MAX));
        sleep(SECOND).await;
        pending::<()>().await
    });
    assert_eq!(
        error,
        Err(RunError::Deadlock {
            at: SimTime::from_ms(1_000),
            waiting: 2,
            paused: 1
        })
    );
    assert!(
        runtime.drive(yield_now()).is_ok(),
        "the simulation can still be looked into"
    );
}

#[test]
fn a_livelock_ends_the_run() {
    let options = SimOptions {
        polls_per_instant_max: 1_000,
        ..SimOptions::default()
    };
    let mut runtime = SimRuntime::with_options(options);
    let error = runtime.drive(async {
        loop {
            yield_now().await;
        }
    });
    let expected = RunError::Livelock {
        at: SimTime::ZERO,
        polls: 1_001,
    };
    assert_eq!(error, Err::<(), _>(expected));
    assert!(
        runtime.drive(yield_now()).is_ok(),
        "the simulation can still be looked into"
    );
}

#[test]
fn the_time_limit_ends_the_run() {
    let limit = SimTime::from_ms(1_500);
    let mut runtime = SimRuntime::with_options(SimOptions {
        time_limit: Some(limit),
        ..SimOptions::default()
    });
    let error = runtime.drive(async {
        loop {
            sleep(SECOND).await;
        }
    });
    assert_eq!(error, Err::<(), _>(RunError::TimeLimit { limit }));
    assert_eq!(runtime.report().at, limit);
}

#[test]
fn a_wake_from_another_thread_is_counted() {
    let mut runtime = SimRuntime::with_seed(1);
    runtime
        .drive(async {
            let task = spawn_on(NODE_A, async {
                let mut woken = false;
                std::future::poll_fn(move |context| {
                    if woken {
                        return Poll::Ready(());
                    }
                    woken = true;
                    let waker = context.waker().clone();
                    std::thread::spawn(move || waker.wake()).join().unwrap();
                    Poll::Pending
                })
                .await;
            });
            task.await.unwrap();
        })
        .unwrap();
    let report = runtime.report();
    assert_eq!(report.foreign_wakes, 1);
    assert!(!report.is_clean());
}

#[test]
fn a_wake_between_two_runs_is_not_foreign() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut runtime = SimRuntime::with_seed(1);
    let [task] = runtime
        .drive(async {
            let task = SimRuntime::spawn(receiver);
            sleep(SECOND).await;
            [task]
        })
        .unwrap();
    sender.send(5).unwrap();
    assert_eq!(runtime.drive(task).unwrap().unwrap(), Ok(5));
    assert!(runtime.report().is_clean());
}

#[test]
fn dropping_the_simulation_drops_its_tasks() {
    let notes = Notes::default();
    let guard = OnDrop(notes.clone(), 1);
    let mut runtime = SimRuntime::with_seed(1);
    let [task] = runtime
        .drive(async {
            [SimRuntime::spawn(async move {
                let _guard = guard;
                SimRuntime::sleep(SECOND).await
            })]
        })
        .unwrap();
    drop(runtime);
    assert_eq!(notes.all(), [1]);
    assert_eq!(check(1, task).0, Err(JoinError::Killed));
}
