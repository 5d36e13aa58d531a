//! `stellara bench submit`: three ways to submit, the same number of payments outstanding.
//!
//! `unary` closes a loop per client. `stream` keeps each connection's share outstanding on one
//! bidirectional call, every payment measured from its own send to its own answer. `batch`
//! sends many payments in a call; the latency of each is that of its call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use serde_json::json;
use stellara_client::{BulkAnswer, BulkOptions, BulkSubmitter, Client};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::args::Global;
use crate::bench::BenchArgs;
use crate::bench::load::Load;
use crate::bench::record::{self, Record};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub bench: BenchArgs,
    /// How payments are sent
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    mode: Mode,
    /// Payments in one call, with --mode batch; the most in one message, with --mode stream
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One payment a call
    Unary,
    /// A bidirectional call per connection, an answer for each payment
    Stream,
    /// Many payments a call
    Batch,
}

/// What a task of the run needs.
struct Job {
    client: Client,
    load: Arc<Load>,
    record: Arc<Record>,
    /// Its number, for keys.
    id: u64,
}

impl Submit {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.bench.client(global).await?;
        let load = Arc::new(Load::new(self.bench.bytes));
        let record = Arc::new(Record::begin(&self.bench)?);
        let job = |id: u32| Job {
            client: client.clone(),
            load: Arc::clone(&load),
            record: Arc::clone(&record),
            id: id.into(),
        };
        let mut tasks = JoinSet::new();
        match self.mode {
            Mode::Unary => {
                for id in 0..self.bench.clients {
                    tasks.spawn(unary(job(id)));
                }
            }
            Mode::Stream => {
                let connections = self.bench.connections();
                for id in 0..connections {
                    let share = share(self.bench.clients, connections, id);
                    tasks.spawn(stream(job(id), share, self.batch));
                }
            }
            Mode::Batch => {
                let calls = (self.bench.clients / self.batch).max(1);
                for id in 0..calls {
                    tasks.spawn(batch(job(id), self.batch));
                }
            }
        }
        record.show(record::bar()).await;
        join(tasks, global.timeout).await;
        let record = Arc::into_inner(record)
            .ok_or_else(|| Failure::Other("a task of the run did not end".into()))?;
        let mode = match self.mode {
            Mode::Unary => json!({ "op": "submit", "mode": "unary" }),
            Mode::Stream => json!({ "op": "submit", "mode": "stream", "batch": self.batch }),
            Mode::Batch => json!({ "op": "submit", "mode": "batch", "batch": self.batch }),
        };
        record.print(global.output, &self.bench, mode)
    }
}

/// Waits for the operations under way, at most for their deadline.
pub async fn join(mut tasks: JoinSet<()>, deadline: Duration) {
    let end = Instant::now() + deadline + Duration::from_secs(1);
    while let Ok(Some(_ended)) = timeout_at(end, tasks.join_next()).await {}
    tasks.shutdown().await;
}

/// The `id`-th of `parts` parts of `whole`, none larger by more than one.
const fn share(whole: u32, parts: u32, id: u32) -> usize {
    (whole / parts + if id < whole % parts { 1 } else { 0 }) as usize
}

async fn unary(job: Job) {
    let mut payment = job.load.payment();
    let mut began = Instant::now();
    for n in 0.. {
        if job.record.is_over(began) {
            return;
        }
        job.load.fill(&mut payment, job.id, n);
        let result = job.client.submit_payment(&payment).await;
        let now = Instant::now();
        match result {
            Ok(_) => job.record.done(job.id, began, now, 1),
            Err(error) => job.record.failed(error),
        }
        began = now;
    }
}

async fn batch(job: Job, size: u32) {
    let mut payments: Vec<_> = (0..size).map(|_| job.load.payment()).collect();
    let mut began = Instant::now();
    let mut n = 0;
    while !job.record.is_over(began) {
        for payment in &mut payments {
            job.load.fill(payment, job.id, n);
            n += 1;
        }
        let results = job.client.submit_payments(&payments).await;
        let now = Instant::now();
        match results {
            Ok(results) => {
                let mut accepted = 0;
                for result in results {
                    match result {
                        Ok(_) => accepted += 1,
                        Err(error) => job.record.failed(error),
                    }
                }
                job.record.done(job.id, began, now, accepted);
            }
            Err(error) => {
                for _ in 0..size {
                    job.record.failed(error.clone());
                }
            }
        }
        began = now;
    }
}

async fn stream(job: Job, outstanding: usize, pack_max: u32) {
    let submitter = job.client.bulk(BulkOptions {
        outstanding_max: outstanding,
        pack_max: pack_max as usize,
    });
    let mut payment = job.load.payment();
    let mut waiting: VecDeque<(Instant, BulkAnswer)> = VecDeque::with_capacity(outstanding);
    let mut n = 0;
    let mut now = Instant::now();
    while !job.record.is_over(now) {
        while waiting.len() < outstanding {
            job.load.fill(&mut payment, job.id, n);
            n += 1;
            match submitter.submit(&payment).await {
                Ok(answer) => waiting.push_back((now, answer)),
                Err(error) => return job.record.failed(error),
            }
        }
        now = settle(&job, &mut waiting).await;
    }
    finish(submitter, &job, waiting).await;
}

/// Waits for the oldest answer, then takes those that came with it: one message, one wake.
async fn settle(job: &Job, waiting: &mut VecDeque<(Instant, BulkAnswer)>) -> Instant {
    let Some((began, answer)) = waiting.pop_front() else {
        return Instant::now();
    };
    let mut settled = (began, answer.await);
    let now = Instant::now();
    loop {
        let (began, result) = settled;
        match result {
            Ok(_) => job.record.done(job.id, began, now, 1),
            Err(error) => job.record.failed(error),
        }
        let Some((began, answer)) = waiting.front_mut() else {
            return now;
        };
        let Some(result) = answer.now_or_never() else {
            return now;
        };
        settled = (*began, result);
        waiting.pop_front();
    }
}

async fn finish(submitter: BulkSubmitter, job: &Job, mut waiting: VecDeque<(Instant, BulkAnswer)>) {
    while !waiting.is_empty() {
        settle(job, &mut waiting).await;
    }
    submitter.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (whole, parts) in [(64, 16), (17, 16), (100, 7), (3, 3)] {
            let shares: Vec<_> = (0..parts).map(|id| share(whole, parts, id)).collect();
            assert_eq!(shares.iter().sum::<usize>(), whole as usize);
            assert!(shares.iter().all(|share| *share >= 1));
        }
    }
}
