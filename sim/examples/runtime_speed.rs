//! How many polls a second the runtime makes: `cargo run --release -p
//! stellara-sim --example runtime_speed`. Prints one line a workload, with the
//! CPU time of this process, so that other load does not count.

use std::time::Duration;

use openraft_rt::{
    AsyncRuntime, Mpsc, MpscReceiver, MpscSender, Watch, WatchReceiver, WatchSender,
};
use stellara_sim::runtime::{NodeTag, RunReport, SimMpsc, SimRuntime, SimWatch, sleep, spawn_on};

/// Pairs of tasks that pass a message back and forth: scheduling alone.
async fn ping_pong() {
    let mut pairs = Vec::new();
    for pair in 0..8 {
        let (there, mut at_there) = SimMpsc::channel::<u64>(1);
        let (back, mut at_back) = SimMpsc::channel::<u64>(1);
        spawn_on(NodeTag(pair), async move {
            while let Some(ball) = at_there.recv().await {
                if back.send(ball).await.is_err() {
                    return;
                }
            }
        });
        pairs.push(spawn_on(NodeTag(pair), async move {
            for ball in 0..200_000 {
                there.send(ball).await.expect("the other side runs on");
                at_back.recv().await;
            }
        }));
    }
    for pair in pairs {
        pair.await.expect("a pair does not panic");
    }
}

/// Tasks that sleep again and again: the timers.
async fn sleepers() {
    let tasks: Vec<_> = (0..100_u64)
        .map(|task| {
            spawn_on(NodeTag(task % 5), async move {
                for round in 0..10_000_u64 {
                    SimRuntime::sleep(Duration::from_nanos(
                        1_000 + (task * 7_919 + round * 104_729) % 5_000,
                    ))
                    .await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a sleeper does not panic");
    }
}

/// Short tasks with a time limit that is not reached, as a request is.
async fn requests() {
    for request in 0..500_000_u64 {
        let reply = SimRuntime::spawn(async move { request });
        let answered = SimRuntime::timeout(Duration::from_secs(1), reply).await;
        answered
            .expect("a reply takes no time")
            .expect("a reply does not panic");
    }
}

/// One value watched by ten tasks.
async fn watchers() {
    let (sender, receiver) = SimWatch::channel(0_u64);
    for task in 0..10 {
        let mut receiver = receiver.clone();
        spawn_on(NodeTag(task), async move {
            while receiver.changed().await.is_ok() {}
        });
    }
    for value in 1..=100_000 {
        sender.send(value).expect("someone watches");
        sleep(Duration::from_micros(1)).await;
    }
}

fn measure(name: &str, scenario: impl Future<Output = ()>) {
    let mut runtime = SimRuntime::with_seed(1);
    let start_ns = cpu_ns();
    runtime.drive(scenario).expect("the workload ends");
    let spent_ns = (cpu_ns() - start_ns).max(1);
    let RunReport {
        polls,
        advances,
        trace_hash,
        ..
    } = runtime.report();
    let polls_per_s = u128::from(polls) * 1_000_000_000 / u128::from(spent_ns);
    println!(
        "{name:10} {polls_per_s:>10} polls/s  {:>4} ns/poll  {polls:>8} polls  {advances:>7} advances  {trace_hash}",
        spent_ns / polls
    );
}

/// CPU time of this thread, the only one: the first field of the kernel's schedstat.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .expect("this measurement needs Linux");
    let first = text
        .split_whitespace()
        .next()
        .expect("schedstat has three fields");
    first.parse().expect("schedstat holds numbers")
}

fn main() {
    measure("ping-pong", ping_pong());
    measure("sleepers", sleepers());
    measure("requests", requests());
    measure("watchers", watchers());
}
