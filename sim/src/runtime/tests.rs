//! Behaviour of the runtime, seen from inside a run.
//!
//! `check` drives a scenario to its end and demands a clean report.

mod faults;
mod moments;
mod scheduling;
mod time;
mod watching;

use std::future::Future;
use std::sync::{Arc, Mutex};

use super::*;

const NODE_A: NodeTag = NodeTag(1);
const NODE_B: NodeTag = NodeTag(2);

/// Drives `scenario` with `seed`; it must end by itself, without a panic in a
/// task or a wake from another thread.
fn check<F: Future>(seed: u64, scenario: F) -> (F::Output, RunReport) {
    let mut runtime = SimRuntime::with_seed(seed);
    let value = runtime.drive(scenario).expect("the scenario ends");
    let report = runtime.report();
    assert!(report.is_clean(), "unclean: {report:?}");
    (value, report)
}

/// What tasks note down, to be looked at after they are gone.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u64>>>);

impl Notes {
    fn add(&self, note: u64) {
        self.0.lock().unwrap().push(note);
    }

    fn all(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

/// Notes when it is dropped.
struct OnDrop(Notes, u64);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

#[test]
fn openraft_accepts_the_runtime() {
    openraft_rt::testing::Suite::<SimRuntime>::test_all();
}
