//! Tells from the journal how many times each intent was paid. Intents and successful payments
//! are compared as multisets over (destination, asset, amount, memo): what was paid beyond the
//! intents of a key is an excess (paid twice), what is short is missing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::journal::{JournalEntry, OperationKind};

/// What somebody meant to be paid, exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The caller's name for it; repeated in the report.
    pub reference: String,
    /// G... or M..., as the operation names it.
    pub destination: String,
    /// `native` or `CODE:ISSUER`.
    pub asset: String,
    /// Amount in stroops.
    pub amount_stroops: i64,
    /// As [`crate::memo_name`] writes it; absent for none.
    #[serde(default)]
    pub memo: Option<String>,
}

/// What makes two payments the same to the checker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PaidKey {
    /// G... or M...
    pub destination: String,
    /// `native` or `CODE:ISSUER`.
    pub asset: String,
    /// Amount in stroops.
    pub amount_stroops: i64,
    /// The memo, if any.
    pub memo: Option<String>,
}

/// How many times one intent, or one key, was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentCount {
    /// References of the intents with this key, in the caller's order.
    pub references: Vec<String>,
    /// The key.
    pub key: PaidKey,
    /// Payments meant.
    pub expected: u64,
    /// Payments made.
    pub paid: u64,
    /// Inner hashes of the transactions that paid, in ledger order.
    pub paid_by: Vec<String>,
}

/// The verdict. Exactly once holds when `missing`, `excess` and `unexpected` are all empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Intents given.
    pub intents: u64,
    /// Payments in the journal that took effect and were looked at.
    pub payments: u64,
    /// Intents never paid.
    pub paid_0: u64,
    /// Intents paid exactly once.
    pub paid_1: u64,
    /// Intents paid twice or more.
    pub paid_2_or_more: u64,
    /// Keys paid fewer times than meant.
    pub missing: Vec<IntentCount>,
    /// Keys paid more times than meant.
    pub excess: Vec<IntentCount>,
    /// Payments that match no intent at all.
    pub unexpected: Vec<IntentCount>,
}

impl CheckReport {
    /// Whether every intent was paid once and nothing else was.
    pub fn is_exactly_once(&self) -> bool {
        self.missing.is_empty() && self.excess.is_empty() && self.unexpected.is_empty()
    }
}

#[derive(Default)]
struct Tally {
    references: Vec<String>,
    paid_by: Vec<String>,
}

/// Compares intents with the journal. With `treasuries` only payments from those accounts (G...)
/// are looked at; without, all are. When several intents share a key, an excess counts as one
/// intent paid often and the others paid once.
pub fn check<'a>(
    intents: &[Intent],
    journal: impl IntoIterator<Item = &'a JournalEntry>,
    treasuries: Option<&BTreeSet<String>>,
) -> CheckReport {
    let mut tallies: BTreeMap<PaidKey, Tally> = BTreeMap::new();
    for intent in intents {
        let key = PaidKey {
            destination: intent.destination.clone(),
            asset: intent.asset.clone(),
            amount_stroops: intent.amount_stroops,
            memo: intent.memo.clone(),
        };
        let tally = tallies.entry(key).or_default();
        tally.references.push(intent.reference.clone());
    }
    let mut report = CheckReport::default();
    for entry in journal.into_iter().filter(|entry| entry.successful) {
        for operation in &entry.operations {
            let ours = treasuries.is_none_or(|all| all.contains(&operation.source));
            if !ours || operation.kind != OperationKind::Payment {
                continue;
            }
            report.payments += 1;
            let key = PaidKey {
                destination: operation.destination.clone(),
                asset: operation.asset.clone(),
                amount_stroops: operation.amount_stroops,
                memo: entry.memo.clone(),
            };
            let tally = tallies.entry(key).or_default();
            tally.paid_by.push(entry.inner_hash.clone());
        }
    }
    for (key, tally) in tallies {
        report.add(key, tally);
    }
    report
}

impl CheckReport {
    fn add(&mut self, key: PaidKey, tally: Tally) {
        let expected = len(&tally.references);
        let paid = len(&tally.paid_by);
        self.intents += expected;
        let count = IntentCount {
            references: tally.references,
            key,
            expected,
            paid,
            paid_by: tally.paid_by,
        };
        if expected == 0 {
            self.unexpected.push(count);
        } else if paid < expected {
            self.paid_0 += expected - paid;
            self.paid_1 += paid;
            self.missing.push(count);
        } else if paid == expected {
            self.paid_1 += paid;
        } else {
            self.paid_2_or_more += 1;
            self.paid_1 += expected - 1;
            self.excess.push(count);
        }
    }
}

fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
