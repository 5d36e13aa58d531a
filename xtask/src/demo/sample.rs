//! The sample payments: several assets, memos, lanes and treasuries, and one in 25 that must
//! fail. Invariant: the same seed makes the same sample, and no two payments of a sample have
//! the same amount, so that the ledger's journal tells them apart.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cluster::ClusterError;
use crate::cluster::accounts::{self, CODES, Kind, RECIPIENTS};
use crate::cluster::cli::Cli;
use crate::cluster::strkey;
use crate::shell;

/// One payment in this many must fail.
const FAILING_EVERY: u32 = 25;
/// The kinds of recipients that cannot be paid, in turn.
const UNPAYABLE: [Kind; 4] = [
    Kind::Absent,
    Kind::WithoutTrust,
    Kind::Unauthorised,
    Kind::Full,
];
/// Amounts differ in the lowest five digits of the stroops.
const DISTINCT_STROOPS: u64 = 100_000;

/// What the ledger must make of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is paid.
    Settles,
    /// It cannot be paid.
    Fails,
}

/// The memo of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memo {
    /// Without.
    None,
    /// Words.
    Text(&'static str),
    /// A number.
    Id(u64),
}

/// A payment of the sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The idempotency key.
    pub key: String,
    /// `G...` or `M...`.
    pub destination: String,
    /// `native` or `CODE:ISSUER`.
    pub asset: String,
    /// How much.
    pub amount_stroops: u64,
    /// Its memo.
    pub memo: Memo,
    /// Its lane.
    pub priority: &'static str,
    /// Whose money moves; empty for the cluster's first treasury.
    pub treasury: String,
    /// What must become of it.
    pub fate: Fate,
}

/// All payments, in the order of submission.
pub struct Sample {
    /// The payments.
    pub payments: Vec<Payment>,
}

impl Sample {
    /// Makes `count` payments, at most 100,000.
    pub fn generate(seed: u64, count: u32, treasuries: &[String]) -> Self {
        let mut random = Random(seed);
        let payments = (0..count)
            .map(|number| payment(seed, number, treasuries, &mut random))
            .collect();
        Self { payments }
    }

    /// How many must fail.
    pub fn failing(&self) -> usize {
        let fails = |payment: &&Payment| payment.fate == Fate::Fails;
        self.payments.iter().filter(fails).count()
    }

    /// The payments that must settle, as the ledger's checker takes intents.
    pub fn intents(&self) -> Vec<Value> {
        let settling = self
            .payments
            .iter()
            .filter(|payment| payment.fate == Fate::Settles);
        settling
            .map(|payment| {
                json!({
                    "reference": payment.key,
                    "destination": payment.destination,
                    "asset": payment.asset,
                    "amount_stroops": payment.amount_stroops,
                    "memo": payment.memo.journal_name(),
                })
            })
            .collect()
    }
}

/// A file for `stellara payment submit --file`.
pub fn csv(payments: &[Payment]) -> String {
    let mut text = String::from(
        "idempotency_key,destination,asset,amount,memo_text,memo_id,priority,treasury,reference\n",
    );
    for payment in payments {
        let (memo_text, memo_id) = match payment.memo {
            Memo::None => ("", String::new()),
            Memo::Text(words) => (words, String::new()),
            Memo::Id(id) => ("", id.to_string()),
        };
        let Payment {
            key,
            destination,
            asset,
            priority,
            treasury,
            ..
        } = payment;
        let amount = payment.amount();
        writeln!(
            text,
            "{key},{destination},{asset},{amount},{memo_text},{memo_id},{priority},{treasury},sample"
        )
        .expect("a String takes whatever is written");
    }
    text
}

impl Payment {
    /// Submits it through this node alone, with little patience.
    ///
    /// # Errors
    /// When it is not acknowledged within the time.
    pub fn submit(&self, cli: &Cli<'_>, endpoint: &str) -> Result<(), ClusterError> {
        let mut command = cli.command(&[endpoint.to_owned()], "400ms");
        command.args(["payment", "submit", "--reference", "sample"]);
        command.args(["--idempotency-key", &self.key]);
        command.args(["--destination", &self.destination]);
        command.args(["--asset", &self.asset, "--amount", &self.amount()]);
        command.args(["--priority", &self.priority.to_lowercase()]);
        if !self.treasury.is_empty() {
            command.args(["--treasury", &self.treasury]);
        }
        match self.memo {
            Memo::None => {}
            Memo::Text(words) => {
                command.args(["--memo-text", words]);
            }
            Memo::Id(id) => {
                command.args(["--memo-id", &id.to_string()]);
            }
        }
        shell::output(&mut command)?;
        Ok(())
    }

    /// The amount as a decimal number.
    pub fn amount(&self) -> String {
        const UNIT: u64 = 10_000_000;
        format!(
            "{}.{:07}",
            self.amount_stroops / UNIT,
            self.amount_stroops % UNIT
        )
    }
}

impl Memo {
    /// As the ledger's journal writes it.
    fn journal_name(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Text(words) => Some(format!("text:{words}")),
            Self::Id(id) => Some(format!("id:{id}")),
        }
    }
}

fn payment(seed: u64, number: u32, treasuries: &[String], random: &mut Random) -> Payment {
    let place = u64::from(number);
    let amount_stroops = (1 + random.below(5_000)) * DISTINCT_STROOPS + place % DISTINCT_STROOPS;
    let memo = match random.below(10) {
        0..5 => Memo::None,
        5 => Memo::Text("payroll"),
        6 => Memo::Text("refund"),
        7 => Memo::Text("March payout"),
        8 => Memo::Id(2_041),
        _ => Memo::Id(u64::MAX),
    };
    let priority = match random.below(20) {
        0..3 => "LOW",
        3..16 => "MEDIUM",
        16..19 => "HIGH",
        _ => "CRITICAL",
    };
    let code = usize::try_from(random.below(4)).expect("below 4");
    let is_second = random.below(4) == 0;
    let treasury = treasuries
        .get(1)
        .filter(|_| is_second)
        .cloned()
        .unwrap_or_default();
    let recipient = u8::try_from(random.below(RECIPIENTS.into())).expect("below a byte's range");
    let customer = random.below(1_000);
    let is_muxed = random.below(5) == 0;
    let fails = number % FAILING_EVERY == FAILING_EVERY - 1;
    let (destination, asset, fate) = if fails {
        let kinds_len = u32::try_from(UNPAYABLE.len()).expect("there are a few kinds");
        let kind = UNPAYABLE[(number / FAILING_EVERY % kinds_len) as usize];
        // Only an issued asset meets the trust lines that the bad recipients lack.
        (
            kind.address(0),
            accounts::asset(code % CODES.len()),
            Fate::Fails,
        )
    } else {
        let asset = match CODES.get(code) {
            Some(_) => accounts::asset(code),
            None => "native".to_owned(),
        };
        let key = Kind::Recipient.key(recipient);
        let destination = if is_muxed {
            strkey::muxed(&key, customer)
        } else {
            strkey::account(&key)
        };
        (destination, asset, Fate::Settles)
    };
    Payment {
        key: format!("sample-{seed}-{number}"),
        destination,
        asset,
        amount_stroops,
        memo,
        priority,
        treasury,
        fate,
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a sample.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Sample, csv};

    fn sample(seed: u64) -> Sample {
        Sample::generate(seed, 1_000, &["GA".to_owned(), "GB".to_owned()])
    }

    #[test]
    fn a_seed_makes_one_sample() {
        assert_eq!(csv(&sample(1).payments), csv(&sample(1).payments));
        assert_ne!(csv(&sample(1).payments), csv(&sample(2).payments));
    }

    #[test]
    fn the_sample_has_something_of_everything() {
        let sample = sample(1);
        assert_eq!((sample.payments.len(), sample.failing()), (1_000, 40));
        assert_eq!(sample.intents().len(), 960);
        let payments = &sample.payments;
        let distinct = |of: fn(&super::Payment) -> String| {
            payments.iter().map(of).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(
            distinct(|payment| payment.amount_stroops.to_string()),
            1_000
        );
        assert_eq!(distinct(|payment| payment.key.clone()), 1_000);
        assert_eq!(distinct(|payment| payment.asset.clone()), 3);
        assert_eq!(distinct(|payment| format!("{:?}", payment.memo)), 6);
        assert_eq!(distinct(|payment| payment.priority.to_owned()), 4);
        assert_eq!(distinct(|payment| payment.treasury.clone()), 2);
        assert!(
            payments
                .iter()
                .any(|payment| payment.destination.starts_with('M'))
        );
    }

    #[test]
    fn rows_have_the_columns_of_the_header() {
        let text = csv(&sample(1).payments);
        assert!(text.lines().all(|line| line.split(',').count() == 9));
    }
}
