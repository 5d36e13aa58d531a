//! `stellara-sim advise`: what a choice of regions costs and survives, and whether its timers keep the rules.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use stellara_sim::advise::{
    Advice, Failover, Loss, MeasureOptions, Origin, TimerChoice, Writes, advise, measure, question,
};
use stellara_sim::plan::topology::RaftTimers;

use crate::failure::Failure;
use crate::output::{Output, print_json, print_rows};

/// Options of `stellara-sim advise`.
#[derive(Args)]
pub struct AdviseArgs {
    /// Regions with commas between them, as us-east-1,eu-west-1,ap-southeast-1; a name of `stellara-sim list`; or the path of a scenario's file
    #[arg(long, short)]
    topology: String,
    /// Check this heartbeat, as 240ms
    #[arg(long, value_name = "SPAN", value_parser = timer_ms)]
    heartbeat: Option<u64>,
    /// Check this least election timeout
    #[arg(long, value_name = "SPAN", value_parser = timer_ms)]
    election_min: Option<u64>,
    /// Check this most election timeout
    #[arg(long, value_name = "SPAN", value_parser = timer_ms)]
    election_max: Option<u64>,
    /// Runs for each leader that is lost; 0 for the formula alone
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(..=10_000))]
    seeds: u64,
    /// Runs at once; as many as there are cores by default
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A timer as people write it, in milliseconds.
fn timer_ms(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("ms").unwrap_or(text);
    let timer_ms: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no timer: expected milliseconds, as 240ms"))?;
    if (1..=60_000).contains(&timer_ms) {
        return Ok(timer_ms);
    }
    Err(format!(
        "{text:?} is out of bounds: expected 1ms to 60000ms"
    ))
}

/// Advises.
pub fn run(args: AdviseArgs) -> Result<(), Failure> {
    let timers = TimerChoice {
        heartbeat_ms: args.heartbeat,
        election_timeout_min_ms: args.election_min,
        election_timeout_max_ms: args.election_max,
    };
    let question = question(&args.topology, timers)?;
    let mut advice = advise(&question)?;
    let options = MeasureOptions {
        seeds: args.seeds,
        jobs: args.jobs.unwrap_or_else(cores),
    };
    // Raft does not start with timers that are out of order.
    let ordered = advice.broken().all(|rule| rule.name != "order");
    if ordered {
        let bar = progress(&advice, options);
        measure(&question.topology, &mut advice, options, || bar.inc(1));
        bar.finish_and_clear();
    }
    match args.output {
        Output::Json => print_json(&advice)?,
        Output::Table => table(&advice)?,
    }
    let broken: Vec<&str> = advice.broken().map(|rule| rule.name).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::Timers(broken.join(", ")))
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn progress(advice: &Advice, options: MeasureOptions) -> ProgressBar {
    let leaders = advice.failovers.iter();
    let leaders = leaders.filter(|one| one.predicted.is_some()).count();
    let leaders = u64::try_from(leaders).unwrap_or(0);
    let bar = ProgressBar::new(leaders.saturating_mul(options.seeds));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} failovers, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Milliseconds with a tenth.
fn tenths(us: u64) -> String {
    let tenths = (us + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn timers_told(timers: RaftTimers) -> String {
    format!(
        "heartbeat {} ms, election timeout {} to {} ms",
        timers.heartbeat_ms, timers.election_timeout_min_ms, timers.election_timeout_max_ms
    )
}

fn table(advice: &Advice) -> Result<(), Failure> {
    println!(
        "{}: {} voters, {} must agree\n",
        advice.regions.join(", "),
        advice.regions.len(),
        advice.majority
    );
    leading(advice)?;
    failovers(advice)?;
    losses(advice)?;
    let widest = &advice.widest;
    println!(
        "TIMERS\nwidest majority that can remain: {} to {}, {} ms there and back in 9 of 10",
        widest.leader,
        widest.farthest,
        tenths(widest.round_trip_p90_us)
    );
    println!("recommended: {}", timers_told(advice.recommended));
    let from = match advice.timers_from {
        Origin::Recommended => "the recommended",
        Origin::Given => "as given",
    };
    println!("checked: {} ({from})\n", timers_told(advice.timers));
    let rules = advice.rules.iter().map(|rule| {
        vec![
            rule.name.to_owned(),
            match rule.holds {
                true => "holds".to_owned(),
                false => "BROKEN".to_owned(),
            },
            rule.numbers.clone(),
            format!("{}: {}", rule.says, rule.why),
        ]
    });
    let rules: Vec<_> = rules.collect();
    Ok(print_rows(
        &["RULE", "", "NUMBERS, MS", "WHAT IT SAYS"],
        &rules,
    )?)
}

fn leading(advice: &Advice) -> Result<(), Failure> {
    let rows: Vec<_> = advice
        .leading
        .iter()
        .map(|one| {
            vec![
                one.region.clone(),
                one.needs.clone(),
                tenths(one.commit_p50_us),
                tenths(one.commit_p90_us),
                tenths(one.read_p50_us),
                format!("{} from {}", tenths(one.farthest_us), one.farthest),
            ]
        })
        .collect();
    print_rows(
        &[
            "LEADER IN",
            "NEEDS",
            "WRITE P50 MS",
            "P90",
            "READ P50 MS",
            "FARTHEST WRITE MS",
        ],
        &rows,
    )?;
    println!("a stale read is answered where it is asked, without a message\n");
    Ok(())
}

fn failovers(advice: &Advice) -> Result<(), Failure> {
    let row = |one: &Failover| {
        let mut row = vec![one.lost.clone()];
        match &one.predicted {
            None => row.extend(["nobody: writes stop".to_owned()]),
            Some(predicted) => {
                let second = predicted.second_turn_ms;
                row.extend([
                    predicted.next.clone(),
                    format!(
                        "{} + {} + {}",
                        predicted.silence_ms, predicted.votes_ms, predicted.entry_ms
                    ),
                    predicted.first_turn_ms.to_string(),
                    second.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
                ]);
            }
        }
        if let Some(measured) = &one.measured {
            let ms = |span: Option<u64>| span.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
            let mut runs = measured.losses.to_string();
            if measured.never > 0 {
                runs.push_str(&format!(", {} without a write in time", measured.never));
            }
            row.extend([ms(measured.p50_ms), ms(measured.p99_ms), runs]);
        }
        row
    };
    let rows: Vec<_> = advice.failovers.iter().map(row).collect();
    print_rows(
        &[
            "LEADER LOST IN",
            "NEXT",
            "SILENCE + VOTES + ENTRY MS",
            "FIRST TURN",
            "SECOND",
            "MEASURED P50",
            "P99",
            "RUNS",
        ],
        &rows,
    )?;
    println!();
    Ok(())
}

fn losses(advice: &Advice) -> Result<(), Failure> {
    let row = |loss: &Loss| {
        vec![
            loss.regions.join(" and "),
            loss.left.to_string(),
            match loss.writes {
                Writes::GoOn => "go on".to_owned(),
                Writes::Stop => "stop; stale reads within their bound".to_owned(),
            },
        ]
    };
    let rows: Vec<_> = advice.losses.iter().map(row).collect();
    print_rows(&["LOST", "VOTERS LEFT", "WRITES"], &rows)?;
    println!();
    Ok(())
}
