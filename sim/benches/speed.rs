//! How much virtual time the simulation of three real nodes passes in one second of one core.
//!
//! `cargo bench -p stellara-sim --bench speed -- [row] [seeds] [seconds]`. A row is measured from the moment the
//! cluster is ready; afterwards, unmeasured, every payment must have been paid once. The trace hashes are printed:
//! they must not depend on the profile or the process.

use std::time::Duration;

use stellara_sim::invariants::{Checks, Ending};
use stellara_sim::runtime::{RunReport, SimOptions, SimRuntime, SimTime, sleep};
use stellara_sim::world::load::{Accepted, Load, LoadOptions, Standing, paid, standing};
use stellara_sim::world::sdk::SdkLoad;
use stellara_sim::world::{World, WorldOptions};

// As the command line does.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Payments a virtual second.
const WRITES_PER_S: u32 = 20;
const FAULT_EVERY: Duration = Duration::from_secs(15);
const FAULT_LASTS: Duration = Duration::from_secs(3);
const READY: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// Payments, and nothing goes wrong.
    Writes,
    /// The same, and nobody checks anything.
    Unchecked,
    /// Nobody asks for anything.
    Quiet,
    /// Payments, and the leader is cut off again and again.
    Faults,
    /// Payments by the Rust SDK through the public API, and nothing goes wrong.
    Sdk,
}

impl Row {
    const ALL: [Row; 5] = [
        Row::Writes,
        Row::Unchecked,
        Row::Quiet,
        Row::Faults,
        Row::Sdk,
    ];

    const fn name(self) -> &'static str {
        match self {
            Row::Writes => "writes",
            Row::Unchecked => "unchecked",
            Row::Quiet => "quiet",
            Row::Faults => "faults",
            Row::Sdk => "sdk",
        }
    }
}

fn options(seed: u64) -> WorldOptions {
    let mut options = WorldOptions::three_regions(seed);
    options.timers.heartbeat_ms = 240;
    options.timers.election_timeout_min_ms = 320;
    options.timers.election_timeout_max_ms = 540;
    options
}

struct Stage {
    world: World,
    checks: Option<Checks>,
}

async fn ready(row: Row, seed: u64) -> Stage {
    let world = World::start(options(seed)).await.expect("the world starts");
    let checks = (row != Row::Unchecked).then(|| Checks::start(&world));
    world
        .until_ready(READY)
        .await
        .expect("the cluster is ready");
    Stage { world, checks }
}

/// The callers of a row.
enum Callers {
    Nobody,
    Inside(Load),
    Sdk(SdkLoad),
}

impl Callers {
    async fn finish(self) -> Vec<Accepted> {
        match self {
            Callers::Nobody => Vec::new(),
            Callers::Inside(load) => load.finish().await.expect("every payment is accepted"),
            Callers::Sdk(load) => load.finish().await.expect("every payment is accepted"),
        }
    }
}

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

fn load(stage: &Stage, row: Row, span: Duration) -> Callers {
    let seconds = u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    let asked = LoadOptions {
        payments: WRITES_PER_S.saturating_mul(seconds),
        over: span,
    };
    match row {
        Row::Quiet => Callers::Nobody,
        Row::Writes | Row::Unchecked | Row::Faults => {
            Callers::Inside(Load::start(&stage.world, asked))
        }
        Row::Sdk => {
            let load = SdkLoad::start(&stage.world, &REGIONS, asked);
            Callers::Sdk(load.expect("the settings are good"))
        }
    }
}

async fn pass(stage: &Stage, row: Row, span: Duration) {
    if row != Row::Faults {
        sleep(span).await;
        return;
    }
    let mut left = span;
    while left > FAULT_EVERY {
        sleep(FAULT_EVERY - FAULT_LASTS).await;
        let leader = stage.world.leader();
        if let Some(leader) = leader {
            stage.world.isolate(leader);
        }
        sleep(FAULT_LASTS).await;
        if let Some(leader) = leader {
            stage.world.rejoin(leader);
        }
        left -= FAULT_EVERY;
    }
    sleep(left).await;
}

async fn settle(stage: Stage, callers: Callers) {
    let Stage { world, checks } = stage;
    let accepted = callers.finish().await;
    let mut first_open = 0;
    world
        .until("settlement", SETTLED, |world| {
            while let Some(next) = accepted.get(first_open) {
                if standing(world, next.acknowledged.payment) != Standing::Settled {
                    return None;
                }
                first_open += 1;
            }
            Some(())
        })
        .await
        .expect("every payment is settled");
    let report = paid(&world, &accepted);
    assert!(report.is_exactly_once(), "{report:?}");
    if let Some(checks) = checks {
        assert_eq!(checks.finish(Ending::Settled), []);
    }
    world.stop();
}

/// Time this thread was on a core.
fn cpu_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("linux tells it");
    let first = told.split_whitespace().next().expect("three numbers");
    first.parse().expect("nanoseconds")
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    virtual_ns: u64,
    cpu_ns: u64,
    polls: u64,
    events: u64,
    advances: u64,
}

impl Cost {
    fn between(first: &RunReport, last: &RunReport, cpu_ns: u64) -> Self {
        Cost {
            virtual_ns: last.at.as_ns() - first.at.as_ns(),
            cpu_ns,
            polls: last.polls - first.polls,
            events: last.events - first.events,
            advances: last.advances - first.advances,
        }
    }

    fn add(&mut self, other: Cost) {
        self.virtual_ns += other.virtual_ns;
        self.cpu_ns += other.cpu_ns;
        self.polls += other.polls;
        self.events += other.events;
        self.advances += other.advances;
    }

    fn line(&self, name: &str) -> String {
        let virtual_s = self.virtual_ns as f64 / 1e9;
        format!(
            "{name:<9} {:>8.0} virtual s per cpu s; a virtual second: {:>7.0} polls, {:>7.0} events, {:>6.0} steps of time, {:>6.0} us of cpu",
            self.virtual_ns as f64 / self.cpu_ns.max(1) as f64,
            self.polls as f64 / virtual_s,
            self.events as f64 / virtual_s,
            self.advances as f64 / virtual_s,
            self.cpu_ns as f64 / 1e3 / virtual_s,
        )
    }
}

fn run(row: Row, seed: u64, span: Duration) -> (Cost, RunReport) {
    let mut runtime = SimRuntime::with_options(SimOptions {
        seed,
        time_limit: Some(SimTime::from_ms(3_600_000)),
        ..SimOptions::default()
    });
    let stage = runtime.drive(ready(row, seed)).expect("the start ends");
    let (first, first_cpu_ns) = (runtime.report(), cpu_ns());
    let (stage, asked) = runtime
        .drive(async move {
            let asked = load(&stage, row, span);
            pass(&stage, row, span).await;
            (stage, asked)
        })
        .expect("the row ends");
    let (last, last_cpu_ns) = (runtime.report(), cpu_ns());
    runtime.drive(settle(stage, asked)).expect("the run ends");
    let end = runtime.report();
    assert!(end.is_clean(), "seed {seed}: {end:?}");
    (
        Cost::between(&first, &last, last_cpu_ns - first_cpu_ns),
        end,
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let number = |at: usize, standard: u64| {
        let text = arguments.get(at)?;
        Some(text.parse().unwrap_or(standard))
    };
    let seeds = number(1, 3).unwrap_or(3);
    let span = Duration::from_secs(number(2, 60).unwrap_or(60));
    for row in Row::ALL {
        let named = arguments.first().map(String::as_str);
        if named.is_some_and(|named| named != "all" && named != row.name()) {
            continue;
        }
        let mut all = Cost::default();
        for seed in 0..seeds {
            let (cost, end) = run(row, seed, span);
            all.add(cost);
            println!("  {} seed {seed}: trace {}", row.name(), end.trace_hash);
        }
        println!("{}", all.line(row.name()));
    }
}
