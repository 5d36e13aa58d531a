//! What goes to stdout: aligned tables for people, the API's own JSON for programs.
//!
//! The JSON is that of the REST API: names, enums and 64-bit numbers as protobuf's JSON mapping
//! writes them, with fields at their default included.

use std::io::{self, Write};
use std::sync::LazyLock;

use futures_util::{Stream, TryStreamExt};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use stellara_client::ClientError;

use crate::args::Output;
use crate::failure::Failure;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(stellara_proto::descriptor_pool);

/// A message as JSON; `name` is its name in the contract, as `Payment`.
pub fn json<M: Message>(name: &str, message: &M) -> Result<Value, Failure> {
    let full = format!("stellara.v1.{name}");
    let unreadable = |error: String| Failure::Other(format!("{full} has no JSON: {error}"));
    let descriptor = POOL
        .get_message_by_name(&full)
        .ok_or_else(|| unreadable("the contract does not have it".into()))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| unreadable(error.to_string()))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| unreadable(error.to_string()))
}

/// Prints one document.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{value:#}")?)
}

/// Prints one line of a stream.
pub fn print_json_line(value: &Value) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{value}")?)
}

/// Prints one message: its JSON, or its fields one below the other.
pub fn print_record<M: Message>(
    output: Output,
    name: &str,
    message: &M,
    fields: &[(&str, String)],
) -> Result<(), Failure> {
    match output {
        Output::Json => print_json(&json(name, message)?),
        Output::Table => print_fields(fields),
    }
}

/// Prints fields one below the other, their values aligned.
pub fn print_fields(fields: &[(&str, String)]) -> Result<(), Failure> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut out = io::stdout().lock();
    for (name, value) in fields {
        writeln!(out, "{name:width$}  {}", one_line(value))?;
    }
    Ok(())
}

/// Items of one page, at most (the contract's limit).
pub const PAGE_ITEMS_MAX: u32 = 500;

/// A list that is printed as it is read.
pub struct List {
    output: Output,
    /// The message's name in the contract, and the list's in JSON.
    names: (&'static str, &'static str),
    columns: &'static [&'static str],
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    printed: usize,
}

/// Rows whose widths are known together; later ones keep to them or wider.
const ROWS_PER_BLOCK: usize = 100;

impl List {
    pub fn new(
        output: Output,
        names: (&'static str, &'static str),
        columns: &'static [&'static str],
    ) -> Self {
        Self {
            output,
            names,
            columns,
            widths: columns.iter().map(|column| column.len()).collect(),
            rows: Vec::new(),
            printed: 0,
        }
    }

    pub fn item<M: Message>(&mut self, message: &M, row: Vec<String>) -> Result<(), Failure> {
        match self.output {
            Output::Json => {
                let before = if self.printed == 0 {
                    format!("{{\"{}\":[\n", self.names.1)
                } else {
                    ",\n".into()
                };
                let value = json(self.names.0, message)?;
                write!(io::stdout(), "{before}{value}")?;
                self.printed += 1;
            }
            Output::Table => {
                self.rows.push(row);
                if self.rows.len() >= ROWS_PER_BLOCK {
                    self.print_block()?;
                }
            }
        }
        Ok(())
    }

    /// One page, and where the list goes on.
    pub fn print_page<M: Message>(
        mut self,
        items: &[M],
        row: fn(&M) -> Vec<String>,
        next_cursor: &str,
    ) -> Result<(), Failure> {
        for item in items {
            self.item(item, row(item))?;
        }
        self.finish(next_cursor)
    }

    /// Everything, printed as the pages come in.
    pub async fn print_all<M: Message>(
        mut self,
        items: impl Stream<Item = Result<M, ClientError>>,
        row: fn(&M) -> Vec<String>,
    ) -> Result<(), Failure> {
        let mut items = std::pin::pin!(items);
        while let Some(item) = items.try_next().await? {
            self.item(&item, row(&item))?;
        }
        self.finish("")
    }

    /// The end of the list; `next_cursor` is where it would go on, empty when it is whole.
    pub fn finish(mut self, next_cursor: &str) -> Result<(), Failure> {
        match self.output {
            Output::Json => {
                let before = if self.printed == 0 {
                    format!("{{\"{}\":[", self.names.1)
                } else {
                    "\n".into()
                };
                let cursor = Value::from(next_cursor);
                writeln!(io::stdout(), "{before}],\"nextCursor\":{cursor}}}")?;
            }
            Output::Table => {
                self.print_block()?;
                if !next_cursor.is_empty() {
                    let mut stderr = io::stderr();
                    // Only advice: a closed stderr does not spoil the list.
                    let _unheard = writeln!(
                        stderr,
                        "there is more: --cursor {next_cursor}, or --all for everything"
                    );
                }
            }
        }
        Ok(())
    }

    fn print_block(&mut self) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|row| row.iter().map(|cell| one_line(cell)).collect())
            .collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut out = io::stdout().lock();
        if self.printed == 0 {
            let head = self.columns.iter().map(|column| column.to_uppercase());
            writeln!(out, "{}", self.line(head))?;
        }
        self.printed += 1;
        for row in rows {
            writeln!(out, "{}", self.line(row.into_iter()))?;
        }
        Ok(())
    }

    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let mut line = String::new();
        for (cell, width) in cells.zip(&self.widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Text of other people does not break a table, nor steer a terminal.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// An enum's value as people say it: `PAYMENT_STAGE_QUEUED` is `queued`.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', " ")
}

/// `-` for what is not there yet.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// A ledger's number, or `-` before there is one.
pub fn ledger(ledger: u32) -> String {
    if ledger == 0 {
        "-".into()
    } else {
        ledger.to_string()
    }
}

#[cfg(test)]
mod tests {
    use stellara_client::api::Payment;

    use super::*;

    #[test]
    fn json_is_that_of_the_api() {
        let payment = Payment {
            payment_id: "pay_1".into(),
            accepted_at_ms: 5,
            stage: 3,
            ..Payment::default()
        };
        let value = json("Payment", &payment).unwrap_or_default();
        assert_eq!(value["paymentId"], "pay_1");
        assert_eq!(value["acceptedAtMs"], "5");
        assert_eq!(value["stage"], "PAYMENT_STAGE_SETTLED");
        assert_eq!(value["ledger"], 0);
    }

    #[test]
    fn words_are_plain() {
        assert_eq!(word("BATCH_STAGE_IN_FLIGHT", "BATCH_STAGE_"), "in flight");
        assert_eq!(one_line("a\nb\u{1b}[2J"), "a b [2J");
    }
}
