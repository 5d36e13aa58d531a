//! `stellara payment submit --file`: the bulk path, row by row.
//!
//! Running the same file again submits nothing twice, so a run that was cut short is simply
//! repeated. Memory is bounded by what is outstanding, whatever the size of the file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use stellara_client::{Accepted, BulkAnswer, BulkOptions, BulkSubmitter, ClientError};

use crate::args::{Global, Output};
use crate::failure::Failure;
use crate::output::{print_fields, print_json};
use crate::payment::rows::Rows;
use crate::payment::submit::BulkArgs;

/// Rows sent and not yet answered.
const OUTSTANDING_MAX: usize = 2_048;

/// What became of the rows.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    accepted: u64,
    repeated: u64,
    refused: u64,
    /// Wrong by themselves: never sent.
    invalid: u64,
    /// Sent, without an answer before the deadline.
    unanswered: u64,
}

struct Run {
    counts: Counts,
    bar: ProgressBar,
    report: Option<BufWriter<File>>,
    waiting: VecDeque<(u64, String, BulkAnswer)>,
    /// Why no further row is sent.
    stopped: Option<(u64, ClientError)>,
}

pub async fn run(global: &Global, path: &Path, args: &BulkArgs) -> Result<(), Failure> {
    let client = global.client()?;
    if args.check || args.dry_run {
        let rows = check_all(path, args)?;
        if args.dry_run {
            return match global.output {
                Output::Json => print_json(&json!({ "valid": rows })),
                Output::Table => print_fields(&[("valid", rows.to_string())]),
            };
        }
    }
    let mut rows = Rows::open(path, args.format)?;
    let submitter = client.bulk(BulkOptions {
        outstanding_max: OUTSTANDING_MAX,
        ..BulkOptions::default()
    });
    let mut run = Run {
        counts: Counts::default(),
        bar: bar(path),
        report: args.report.as_deref().map(create).transpose()?,
        waiting: VecDeque::new(),
        stopped: None,
    };
    let read = run.send_all(&mut rows, &submitter).await;
    while !run.waiting.is_empty() {
        run.await_one().await?;
    }
    submitter.finish().await;
    run.bar.finish_and_clear();
    if let Some(report) = &mut run.report {
        report.flush()?;
    }
    run.counts.print(global.output)?;
    read?;
    run.verdict()
}

/// Validates every row; gives their number.
fn check_all(path: &Path, args: &BulkArgs) -> Result<u64, Failure> {
    if path == Path::new("-") {
        let advice = "--check and --dry-run read the rows beforehand: name a file instead of -";
        return Err(Failure::Usage(advice.into()));
    }
    let mut rows = Rows::open(path, args.format)?;
    let (mut valid, mut invalid) = (0, 0_u64);
    while let Some(row) = rows.next()? {
        match row.payment {
            Ok(_) => valid += 1,
            Err(error) => {
                invalid += 1;
                writeln!(io::stderr(), "line {}: {error}", row.line)?;
            }
        }
    }
    if invalid > 0 {
        return Err(Failure::Rows(format!(
            "{invalid} of {} rows are not valid, nothing was sent; correct the lines above",
            valid + invalid
        )));
    }
    Ok(valid)
}

impl Run {
    async fn send_all(
        &mut self,
        rows: &mut Rows,
        submitter: &BulkSubmitter,
    ) -> Result<(), Failure> {
        while self.stopped.is_none() {
            let Some(row) = rows.next()? else {
                return Ok(());
            };
            self.bar.set_position(rows.position_bytes());
            let payment = match row.payment {
                Ok(payment) => payment,
                Err(error) => {
                    self.counts.invalid += 1;
                    self.tell(row.line, "", &error)?;
                    continue;
                }
            };
            let answer = submitter.submit(&payment).await?;
            self.waiting
                .push_back((row.line, payment.idempotency_key, answer));
            if self.waiting.len() >= OUTSTANDING_MAX {
                self.await_one().await?;
            }
        }
        Ok(())
    }

    async fn await_one(&mut self) -> Result<(), Failure> {
        let Some((line, key, answer)) = self.waiting.pop_front() else {
            return Ok(());
        };
        match answer.await {
            Ok(accepted) => {
                if accepted.repeated {
                    self.counts.repeated += 1;
                } else {
                    self.counts.accepted += 1;
                }
                self.bar.set_message(self.counts.words());
                self.report(&accepted_json(line, &accepted))
            }
            Err(error) => {
                if stops(&error) {
                    self.counts.unanswered += 1;
                    self.stopped.get_or_insert_with(|| (line, error.clone()));
                } else {
                    self.counts.refused += 1;
                }
                self.tell(line, &key, &error)
            }
        }
    }

    /// A row's error, to stderr and to the report.
    fn tell(&mut self, line: u64, key: &str, error: &ClientError) -> Result<(), Failure> {
        self.bar
            .suspend(|| writeln!(io::stderr(), "line {line}: {error}"))?;
        let mut detail = json!({ "code": error.code(), "message": error.to_string() });
        if let ClientError::InvalidField {
            field,
            value,
            expected,
        } = error
        {
            detail["field"] = field.as_str().into();
            detail["value"] = value.as_str().into();
            detail["expected"] = expected.as_str().into();
        }
        self.report(&json!({ "line": line, "idempotencyKey": key, "error": detail }))
    }

    fn report(&mut self, value: &Value) -> Result<(), Failure> {
        match &mut self.report {
            Some(report) => Ok(writeln!(report, "{value}")?),
            None => Ok(()),
        }
    }

    fn verdict(self) -> Result<(), Failure> {
        if let Some((line, error)) = self.stopped {
            let told = format!("stopped at line {line}: {error}; run the same file again, ");
            let promise = "what was accepted is not submitted twice";
            return Err(Failure::Stopped(error, format!("{told}{promise}")));
        }
        let wrong = self.counts.refused + self.counts.invalid;
        if wrong > 0 {
            return Err(Failure::Rows(format!(
                "{wrong} rows were not accepted; correct the lines above and run the file again"
            )));
        }
        Ok(())
    }
}

/// Errors that the next row would meet too.
const fn stops(error: &ClientError) -> bool {
    match error {
        ClientError::Unknown { .. }
        | ClientError::Unavailable { .. }
        | ClientError::NoLeader { .. }
        | ClientError::Overloaded { .. }
        | ClientError::Denied { .. }
        | ClientError::Unexpected { .. }
        | ClientError::InvalidEndpoint { .. }
        | ClientError::Internal { .. }
        | ClientError::Closed => true,
        ClientError::InvalidField { .. }
        | ClientError::KeyReused { .. }
        | ClientError::NotFound { .. }
        | ClientError::WrongStage { .. }
        | ClientError::TreasuryUnknown { .. }
        | ClientError::VersionConflict { .. }
        | ClientError::TooLarge { .. } => false,
    }
}

fn accepted_json(line: u64, accepted: &Accepted) -> Value {
    json!({
        "line": line,
        "idempotencyKey": accepted.idempotency_key,
        "paymentId": accepted.payment_id,
        "repeated": accepted.repeated,
    })
}

impl Counts {
    fn words(&self) -> String {
        format!(
            "{} accepted, {} repeated, {} refused",
            self.accepted, self.repeated, self.refused
        )
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Json => print_json(&json!({
                "accepted": self.accepted,
                "repeated": self.repeated,
                "refused": self.refused,
                "invalid": self.invalid,
                "unanswered": self.unanswered,
            })),
            Output::Table => print_fields(&[
                ("accepted", self.accepted.to_string()),
                ("repeated", self.repeated.to_string()),
                ("refused", self.refused.to_string()),
                ("invalid", self.invalid.to_string()),
                ("unanswered", self.unanswered.to_string()),
            ]),
        }
    }
}

/// Shown only where a person waits.
fn bar(path: &Path) -> ProgressBar {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let template = "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left";
    // The default style does when the template does not parse.
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let failed = |error| {
        Failure::Usage(format!(
            "the report {} cannot be written: {error}",
            path.display()
        ))
    };
    File::create(path).map(BufWriter::new).map_err(failed)
}
