//! What a measurement counts, and how it is told.
//!
//! An operation counts when it ends within the measured time, whenever it began. Operations
//! that failed are counted apart and have no latency.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use stellara_client::ClientError;
use tokio::time::{Instant, sleep_until};

use crate::args::Output;
use crate::bench::BenchArgs;
use crate::failure::Failure;
use crate::output::{print_fields, print_json};

/// Clients share a few histograms, so that they seldom meet at one.
const SHARDS: usize = 16;
/// Two minutes: longer than any deadline.
const LATENCY_US_MAX: u64 = 120_000_000;

/// The record of one run.
pub struct Record {
    measure_from: Instant,
    stop_at: Instant,
    latencies_us: Vec<Mutex<Histogram<u64>>>,
    errors: AtomicU64,
    first_error: Mutex<Option<ClientError>>,
}

impl Record {
    /// Begins the run now.
    pub fn begin(args: &BenchArgs) -> Result<Self, Failure> {
        let now = Instant::now();
        let measure_from = now + args.warmup.unwrap_or(Duration::ZERO);
        let shards: Result<_, _> = (0..SHARDS)
            .map(|_| Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).map(Mutex::new))
            .collect();
        Ok(Self {
            measure_from,
            stop_at: measure_from + args.seconds,
            latencies_us: shards
                .map_err(|error| Failure::Other(format!("no histogram: {error}")))?,
            errors: AtomicU64::new(0),
            first_error: Mutex::new(None),
        })
    }

    /// No operation begins any more.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.stop_at
    }

    /// Counts operations of one client that began and ended together.
    pub fn done(&self, client: u64, began: Instant, now: Instant, operations: u64) {
        if now < self.measure_from || now > self.stop_at || operations == 0 {
            return;
        }
        let us = u64::try_from((now - began).as_micros()).unwrap_or(LATENCY_US_MAX);
        let shard = usize::try_from(client).unwrap_or(0) % SHARDS;
        self.latencies_us[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .saturating_record_n(us.max(1), operations);
    }

    /// Counts an operation that failed, in the warm-up too: a run with errors says so.
    pub fn failed(&self, error: ClientError) {
        if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
            *self
                .first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Shows a person how far the run is, until it is over.
    pub async fn show(&self, bar: ProgressBar) {
        let began = Instant::now();
        let whole = self.stop_at.saturating_duration_since(began);
        bar.set_length(whole.as_millis().try_into().unwrap_or(u64::MAX));
        while !self.is_over(Instant::now()) {
            let passed = began.elapsed().as_millis();
            bar.set_position(passed.try_into().unwrap_or(u64::MAX));
            let next = Instant::now() + Duration::from_millis(250);
            sleep_until(next.min(self.stop_at)).await;
        }
        bar.finish_and_clear();
    }

    /// Prints the result. An error when nothing succeeded: there is no result then.
    pub fn print(self, output: Output, args: &BenchArgs, what: Value) -> Result<(), Failure> {
        let mut all = Histogram::<u64>::new_with_bounds(1, LATENCY_US_MAX, 3)
            .map_err(|error| Failure::Other(format!("no histogram: {error}")))?;
        for shard in self.latencies_us {
            let shard = shard.into_inner().unwrap_or_else(PoisonError::into_inner);
            all.add(shard)
                .map_err(|error| Failure::Other(format!("no histogram: {error}")))?;
        }
        let seconds = args.seconds.as_secs_f64();
        let errors = self.errors.load(Ordering::Relaxed);
        let first_error = self
            .first_error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let ms = |us: u64| us as f64 / 1_000.0;
        let quantile = |q: f64| ms(all.value_at_quantile(q));
        let mut result = json!({
            "clients": args.clients,
            "connections": args.connections(),
            "bytes": args.bytes,
            "seconds": seconds,
            "ops": all.len(),
            "ops_per_s": (all.len() as f64 / seconds * 10.0).round() / 10.0,
            "mean_ms": (all.mean().round()) / 1_000.0,
            "p50_ms": quantile(0.5),
            "p90_ms": quantile(0.9),
            "p99_ms": quantile(0.99),
            "p999_ms": quantile(0.999),
            "max_ms": ms(all.max()),
            "errors": errors,
            "first_error": first_error.as_ref().map(ToString::to_string),
        });
        if let (Some(result), Some(what)) = (result.as_object_mut(), what.as_object()) {
            result.extend(what.clone());
        }
        match output {
            Output::Json => print_json(&result)?,
            Output::Table => print_table(&result)?,
        }
        match first_error {
            Some(error) if all.is_empty() => Err(error.into()),
            None if all.is_empty() => Err(Failure::Other(
                "no operation ended within the measured time; allow more --seconds".into(),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn print_table(result: &Value) -> Result<(), Failure> {
    let fields: Vec<(&str, String)> = result
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.as_str(), text)
        })
        .collect();
    print_fields(&fields)
}

/// Shown only where a person waits.
pub fn bar() -> ProgressBar {
    if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    // The default style does when the template does not parse.
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent}%  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}
