//! `stellara payment watch`: prints events until interrupted, through failover.

use std::io::{self, Write};

use clap::Args;
use stellara_client::WatchOptions;
use stellara_client::api::payment_event::Event;
use stellara_client::api::{BatchStage, PaymentEvent};
use tokio::select;

use crate::args::{Global, Output};
use crate::failure::Failure;
use crate::output::{json, one_line, or_dash, print_json_line, word};
use crate::time::utc;

#[derive(Debug, Args)]
pub struct Watch {
    /// Only these payments; all when none is named
    #[arg(value_name = "ID")]
    payment_ids: Vec<String>,
    /// Go on after this event's cursor; 0 for all that is kept [default: from now on]
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// End after so many events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
}

impl Watch {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut watch = global.client()?.watch_payments(WatchOptions {
            cursor: self.cursor,
            payment_ids: self.payment_ids,
            patience: global.timeout,
        });
        let mut printed = 0;
        while self.limit.is_none_or(|limit| printed < limit) {
            let event = select! {
                biased;
                // An interrupt is how a watch ends; a signal that cannot be had kills as usual.
                Ok(()) = tokio::signal::ctrl_c() => return Ok(()),
                event = watch.next() => event,
            };
            let Some(event) = event else {
                return Ok(());
            };
            print(global.output, &event?)?;
            printed += 1;
        }
        Ok(())
    }
}

fn print(output: Output, event: &PaymentEvent) -> Result<(), Failure> {
    if output == Output::Json {
        return print_json_line(&json("PaymentEvent", event)?);
    }
    let text = match &event.event {
        Some(Event::Payment(moved)) => format!(
            "{}  {:<9}  {}  {}",
            moved.payment_id,
            word(moved.stage().as_str_name(), "PAYMENT_STAGE_"),
            or_dash(&moved.batch_id),
            one_line(&moved.reason),
        ),
        Some(Event::Batch(moved)) => {
            let stage = i32::try_from(moved.stage)
                .ok()
                .and_then(|stage| BatchStage::try_from(stage).ok())
                .unwrap_or_default();
            let stage = word(stage.as_str_name(), "BATCH_STAGE_");
            format!("{}  {stage}", moved.batch_id)
        }
        Some(Event::Progress(_)) | None => return Ok(()),
    };
    let line = format!("{}  {}  {text}", utc(event.at_ms), event.cursor);
    Ok(writeln!(io::stdout(), "{}", line.trim_end())?)
}
