//! Many seeds of many scenarios on all cores, each seed a run of its own.
//!
//! A run is the same alone and in a swarm: nothing is shared between them but the counter of what comes next.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::record::Record;
use crate::run::{DETERMINISTIC, Outcome, RunOptions, run, violation};
use crate::runtime::SimTime;
use crate::scenario::Scenario;

/// When a swarm ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All seeds are done.
    Done,
    /// A seed broke an invariant.
    Fails,
}

/// How often each seed is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// Twice, and a second run that differs from the first is a violation.
    Twice,
}

/// What a swarm does.
#[derive(Clone, Debug)]
pub struct SwarmOptions {
    /// The scenarios, all under the same seeds.
    pub scenarios: Vec<Scenario>,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Runs at once.
    pub jobs: NonZeroUsize,
    /// When it ends.
    pub until: Until,
    /// How often each seed is run.
    pub times: Times,
}

impl SwarmOptions {
    /// How many runs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let seeds = usize::try_from(self.seeds.end.saturating_sub(self.seeds.start));
        seeds
            .unwrap_or(usize::MAX)
            .saturating_mul(self.scenarios.len())
    }

    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seeds outside, scenarios inside: a swarm that is ended early has seen all of them.
    fn nth(&self, nth: usize) -> (&Scenario, u64) {
        let scenarios = self.scenarios.len();
        let seed = u64::try_from(nth / scenarios).unwrap_or(u64::MAX);
        (&self.scenarios[nth % scenarios], self.seeds.start + seed)
    }
}

/// Runs them all; `each` is told of every run, from any thread, as soon as it ended. Returns the outcomes by scenario
/// and seed.
///
/// # Panics
/// When `each` does.
pub fn swarm(options: &SwarmOptions, each: impl Fn(&Record) + Sync) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let ended = AtomicBool::new(false);
    let outcomes = Mutex::new(Vec::with_capacity(options.len().min(1_000_000)));
    let work = || {
        while !ended.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= options.len() {
                return;
            }
            let (scenario, seed) = options.nth(nth);
            let record = one(scenario, seed, options.times);
            each(&record);
            if options.until == Until::Fails && !record.outcome.held() {
                ended.store(true, Ordering::Relaxed);
            }
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.push((nth, record.outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.get() {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let scenarios = options.scenarios.len().max(1);
    outcomes.sort_by_key(|(nth, _)| (nth % scenarios, *nth));
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn one(scenario: &Scenario, seed: u64, times: Times) -> Record {
    let plan = scenario.plan(seed);
    let options = RunOptions::default();
    let mut outcome = run(&plan, &options).outcome;
    if times == Times::Twice {
        let again = run(&plan, &options).outcome;
        if again.without_wall() != outcome.without_wall() {
            let detail = format!("the second run has trace {}", again.trace_hash);
            let at = SimTime::from_ms(outcome.virtual_ms);
            let differs = violation(DETERMINISTIC, at, detail);
            outcome.violations.push(differs);
        }
    }
    Record::new(plan, outcome)
}
