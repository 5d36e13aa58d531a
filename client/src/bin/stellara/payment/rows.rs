//! Payments in a file: CSV with a header, or JSON lines.
//!
//! A row without an idempotency key gets one from its contents and its place among equal rows:
//! the same file gives the same keys, however its columns are ordered or quoted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};
use stellara_client::ClientError;
use stellara_client::api::memo::Memo as Kind;
use stellara_client::api::{Memo, Priority, SubmitPaymentRequest};

use crate::failure::Failure;
use crate::payment::check;
use crate::payment::lines::RecordLines;

/// A longer line is no payment.
const LINE_BYTES_MAX: u64 = 64 * 1024;

const COLUMNS: [&str; 11] = [
    "destination",
    "asset",
    "amount",
    "memo_text",
    "memo_id",
    "memo_hash",
    "memo_return",
    "priority",
    "reference",
    "treasury",
    "idempotency_key",
];
const REQUIRED: [&str; 3] = ["destination", "asset", "amount"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated, with a header
    Csv,
    /// One JSON object a line
    Jsonl,
}

impl Format {
    /// By the extension.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson" | "json") => Ok(Self::Jsonl),
            Some(_) | None => Err(Failure::Usage(format!(
                "the format of {} is not known by its extension; say --format csv or --format jsonl",
                path.display()
            ))),
        }
    }
}

/// A row as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    destination: String,
    asset: String,
    amount: String,
    #[serde(alias = "memoText")]
    memo_text: String,
    #[serde(alias = "memoId", deserialize_with = "text_or_number")]
    memo_id: String,
    #[serde(alias = "memoHash")]
    memo_hash: String,
    #[serde(alias = "memoReturn")]
    memo_return: String,
    priority: String,
    reference: String,
    treasury: String,
    #[serde(alias = "idempotencyKey")]
    idempotency_key: String,
}

/// A row that was read: a valid payment, or what is wrong with it.
pub struct Row {
    /// In the file, from 1.
    pub line: u64,
    pub payment: Result<SubmitPaymentRequest, ClientError>,
}

type Input = Box<dyn Read + Send>;
type CsvReader = csv::Reader<RecordLines<Input>>;

enum Source {
    Csv {
        reader: Box<CsvReader>,
        headers: csv::StringRecord,
    },
    Lines {
        reader: BufReader<Input>,
        line: u64,
        bytes: u64,
    },
}

/// Reads a file row by row.
pub struct Rows {
    source: Source,
    /// How often a row's contents were seen.
    seen: HashMap<[u8; 16], u64>,
}

impl Rows {
    /// Opens a file, `-` for stdin.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self, Failure> {
        let is_stdin = path == Path::new("-");
        let format = match format {
            Some(format) => format,
            None if is_stdin => {
                let advice = "say --format csv or --format jsonl with --file -";
                return Err(Failure::Usage(advice.into()));
            }
            None => Format::of(path)?,
        };
        let input: Input = if is_stdin {
            Box::new(io::stdin())
        } else {
            let unreadable =
                |error| Failure::Usage(format!("{} cannot be opened: {error}", path.display()));
            Box::new(File::open(path).map_err(unreadable)?)
        };
        Self::new(input, format)
    }

    fn new(input: Input, format: Format) -> Result<Self, Failure> {
        let source = match format {
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new()
                    .trim(csv::Trim::All)
                    .from_reader(RecordLines::new(input));
                let headers = reader
                    .headers()
                    .map_err(|error| Failure::Usage(format!("line 1: {error}")))?
                    .clone();
                check_headers(&headers)?;
                reader.get_mut().next();
                Source::Csv {
                    reader: Box::new(reader),
                    headers,
                }
            }
            Format::Jsonl => Source::Lines {
                reader: BufReader::new(input),
                line: 0,
                bytes: 0,
            },
        };
        Ok(Self {
            source,
            seen: HashMap::new(),
        })
    }

    /// Bytes read so far.
    pub fn position_bytes(&self) -> u64 {
        match &self.source {
            Source::Csv { reader, .. } => reader.position().byte(),
            Source::Lines { bytes, .. } => *bytes,
        }
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row>, Failure> {
        let read = match &mut self.source {
            Source::Csv { reader, headers } => next_csv(reader, headers)?,
            Source::Lines {
                reader,
                line,
                bytes,
            } => next_line(reader, line, bytes)?,
        };
        Ok(read.map(|(line, fields)| Row {
            line,
            payment: fields.and_then(|fields| self.payment(fields)),
        }))
    }

    fn payment(&mut self, fields: Fields) -> Result<SubmitPaymentRequest, ClientError> {
        let mut payment = parse(fields)?;
        check::payment(&payment)?;
        if payment.idempotency_key.is_empty() {
            let digest = contents_digest(&payment);
            let earlier = self.seen.entry(digest).or_insert(0);
            payment.idempotency_key = format!("row-{}-{earlier}", hex::encode(digest));
            *earlier += 1;
        }
        Ok(payment)
    }
}

type Read1 = Option<(u64, Result<Fields, ClientError>)>;

fn next_csv(reader: &mut CsvReader, headers: &csv::StringRecord) -> Result<Read1, Failure> {
    let mut record = csv::StringRecord::new();
    let read = reader.read_record(&mut record);
    if matches!(read, Ok(false)) {
        return Ok(None);
    }
    let line = reader.get_mut().next();
    match read {
        Ok(_) => {
            let fields = record
                .deserialize(Some(headers))
                .map_err(|error| unreadable_row(&error.to_string()));
            Ok(Some((line, fields)))
        }
        Err(error) if error.is_io_error() => Err(Failure::Other(format!("line {line}: {error}"))),
        Err(error) => Ok(Some((line, Err(uneven(&error, headers))))),
    }
}

fn uneven(error: &csv::Error, headers: &csv::StringRecord) -> ClientError {
    let expected = format!("{} values, as the header has", headers.len());
    if let csv::ErrorKind::UnequalLengths { len, .. } = error.kind() {
        return check::wrong("row", &format!("{len} values"), &expected);
    }
    unreadable_row(&error.to_string())
}

fn next_line(
    reader: &mut BufReader<Input>,
    line: &mut u64,
    bytes: &mut u64,
) -> Result<Read1, Failure> {
    let mut text = Vec::new();
    loop {
        text.clear();
        *line += 1;
        let unreadable = |error| Failure::Other(format!("line {line}: {error}"));
        let mut limited = reader.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut text).map_err(unreadable)?;
        *bytes += read as u64;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LINE_BYTES_MAX && !text.ends_with(b"\n") {
            *bytes += reader.skip_until(b'\n').map_err(unreadable)? as u64;
            let error = check::wrong("row", "a longer line", "at most 65536 bytes");
            return Ok(Some((*line, Err(error))));
        }
        if !text.trim_ascii().is_empty() {
            let fields = serde_json::from_slice(&text)
                .map_err(|error| unreadable_row(&without_position(&error)));
            return Ok(Some((*line, fields)));
        }
    }
}

fn unreadable_row(error: &str) -> ClientError {
    check::wrong("row", error, "a payment's columns, all of them text")
}

/// The line is told already, and it is always 1 in here.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn check_headers(headers: &csv::StringRecord) -> Result<(), Failure> {
    for header in headers {
        if !COLUMNS.contains(&header) {
            return Err(Failure::Usage(format!(
                "line 1: column {header:?} is not known, expected some of {}",
                COLUMNS.join(", ")
            )));
        }
    }
    match REQUIRED
        .iter()
        .find(|name| !headers.iter().any(|h| h == **name))
    {
        Some(missing) => Err(Failure::Usage(format!(
            "line 1: column {missing:?} is missing, the header must name it"
        ))),
        None => Ok(()),
    }
}

fn parse(fields: Fields) -> Result<SubmitPaymentRequest, ClientError> {
    let priority = match fields.priority.to_uppercase().as_str() {
        "" => Priority::Unspecified,
        "LOW" | "PRIORITY_LOW" => Priority::Low,
        "MEDIUM" | "PRIORITY_MEDIUM" => Priority::Medium,
        "HIGH" | "PRIORITY_HIGH" => Priority::High,
        "CRITICAL" | "PRIORITY_CRITICAL" => Priority::Critical,
        _other => {
            let expected = "low, medium, high or critical";
            return Err(check::wrong("priority", &fields.priority, expected));
        }
    };
    let mut memos = Vec::new();
    if !fields.memo_text.is_empty() {
        memos.push(Kind::Text(fields.memo_text));
    }
    if !fields.memo_id.is_empty() {
        let id = fields
            .memo_id
            .parse()
            .map_err(|_| check::wrong("memo_id", &fields.memo_id, "a whole number below 2^64"))?;
        memos.push(Kind::Id(id));
    }
    if !fields.memo_hash.is_empty() {
        memos.push(Kind::Hash(fields.memo_hash));
    }
    if !fields.memo_return.is_empty() {
        memos.push(Kind::ReturnHash(fields.memo_return));
    }
    if memos.len() > 1 {
        let value = format!("{} memos", memos.len());
        return Err(check::wrong("memo", &value, "at most one"));
    }
    Ok(SubmitPaymentRequest {
        idempotency_key: fields.idempotency_key,
        destination: fields.destination,
        asset: fields.asset,
        amount: fields.amount,
        treasury: fields.treasury,
        memo: memos.pop().map(|kind| Memo { memo: Some(kind) }),
        priority: priority.into(),
        reference: fields.reference,
        fee_cap_stroops: 0,
    })
}

/// Each field with its length, so that no two rows run together. Half of a SHA-256: equal rows
/// must be told from others, not from attacks on the sender's own file.
fn contents_digest(payment: &SubmitPaymentRequest) -> [u8; 16] {
    let (memo_kind, memo) = match payment.memo.as_ref().and_then(|memo| memo.memo.as_ref()) {
        None => ("", String::new()),
        Some(Kind::Text(text)) => ("text", text.clone()),
        Some(Kind::Id(id)) => ("id", id.to_string()),
        Some(Kind::Hash(hash)) => ("hash", hash.to_lowercase()),
        Some(Kind::ReturnHash(hash)) => ("return", hash.to_lowercase()),
    };
    let mut hasher = Sha256::new();
    for field in [
        payment.destination.as_str(),
        &payment.asset,
        &payment.amount,
        &payment.treasury,
        memo_kind,
        &memo,
        payment.priority().as_str_name(),
        &payment.reference,
    ] {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    half
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Either;
    impl de::Visitor<'_> for Either {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a whole number, as a number or as text")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_unit<E: de::Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    }
    deserializer.deserialize_any(Either)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
