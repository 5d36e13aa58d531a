//! Faults on demand: an ordered list of rules, each firing by count, rate, or both. The core
//! decides which request fails and how; the server (or a simulated link) acts it out.
//! Every draw comes from the seeded stream, so a seed fixes the faults.

use serde::{Deserialize, Serialize};

use crate::rng::{Rng, STREAM_FAULTS};

/// Rate of a rule that fires always, in parts per million.
const ALWAYS_PPM: u32 = 1_000_000;
/// Most rules in one plan.
const RULES_MAX: usize = 64;
/// Longest delay, in ms.
const DELAY_MS_MAX: u64 = 600_000;

/// What goes wrong. *Before*: the ledger never saw the request. *After*: it did, and the answer
/// is lost. For queries the two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No answer comes; not accepted.
    TimeoutBefore,
    /// No answer comes; accepted.
    TimeoutAfter,
    /// An error status (by default 503); not accepted.
    ErrorBefore,
    /// An error status (by default 503); accepted.
    ErrorAfter,
    /// The connection breaks; not accepted.
    ResetBefore,
    /// The connection breaks; accepted.
    ResetAfter,
    /// The answer `tx_internal_error`; not accepted. Submissions only.
    InternalErrorBefore,
    /// The answer `tx_internal_error`; accepted. Submissions only.
    InternalErrorAfter,
    /// The true answer, late.
    Slow,
}

impl FaultKind {
    /// Whether the caller gets a transaction result that is not the true one.
    fn is_result(self) -> bool {
        matches!(self, Self::InternalErrorBefore | Self::InternalErrorAfter)
    }
}

/// Which requests a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultTarget {
    /// Submissions of transactions.
    #[default]
    Submit,
    /// Everything that only reads.
    Query,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Which requests; submissions by default.
    #[serde(default)]
    pub on: FaultTarget,
    /// How many matching requests pass before the rule starts.
    #[serde(default)]
    pub skip: u64,
    /// How many times it fires; without it there is no end.
    #[serde(default)]
    pub count: Option<u64>,
    /// Chance to fire, in parts per million; always by default.
    #[serde(default = "always_ppm")]
    pub rate_ppm: u32,
    /// How long a slow answer takes, or how long a timeout is held open; 60,000 ms by default.
    #[serde(default = "default_delay_ms")]
    pub delay_ms: u64,
    /// The error status, 400 to 599; 503 by default.
    #[serde(default = "default_status")]
    pub status: u16,
}

fn always_ppm() -> u32 {
    ALWAYS_PPM
}

fn default_delay_ms() -> u64 {
    60_000
}

fn default_status() -> u16 {
    503
}

impl FaultRule {
    /// A rule for every submission, without end: narrow it with the fields.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            on: FaultTarget::Submit,
            skip: 0,
            count: None,
            rate_ppm: ALWAYS_PPM,
            delay_ms: default_delay_ms(),
            status: default_status(),
        }
    }
}

/// All faults in force. The first rule that fires decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    /// The rules, in order; at most 64.
    pub rules: Vec<FaultRule>,
    /// Queries see a ledger only this long after it closed, in ms.
    pub ingest_lag_ms: u64,
    /// Queries see the ledger this many ledgers late; at most 100.
    pub ingest_lag_ledgers: u32,
}

/// Which field of a plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultPlanError {
    /// Too many rules.
    #[error("rules has {0} entries, at most 64 are accepted")]
    TooManyRules(usize),
    /// A rate above one.
    #[error("rules[{0}].rate_ppm {1} is above 1000000")]
    Rate(usize, u32),
    /// A delay above ten minutes.
    #[error("rules[{0}].delay_ms {1} is above 600000")]
    Delay(usize, u64),
    /// Not an error status.
    #[error("rules[{0}].status {1} is not 400 to 599")]
    Status(usize, u16),
    /// A query cannot answer with a transaction result.
    #[error("rules[{0}].kind internal_error_* is for submissions only")]
    Kind(usize),
    /// A lag that history does not cover.
    #[error("ingest_lag_ledgers {0} is above 100")]
    Lag(u32),
}

impl FaultPlan {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), FaultPlanError> {
        if self.rules.len() > RULES_MAX {
            return Err(FaultPlanError::TooManyRules(self.rules.len()));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.rate_ppm > ALWAYS_PPM {
                return Err(FaultPlanError::Rate(index, rule.rate_ppm));
            }
            if rule.delay_ms > DELAY_MS_MAX {
                return Err(FaultPlanError::Delay(index, rule.delay_ms));
            }
            if rule.on == FaultTarget::Query && rule.kind.is_result() {
                return Err(FaultPlanError::Kind(index));
            }
            if !(400..=599).contains(&rule.status) {
                return Err(FaultPlanError::Status(index, rule.status));
            }
        }
        if self.ingest_lag_ledgers > 100 {
            return Err(FaultPlanError::Lag(self.ingest_lag_ledgers));
        }
        Ok(())
    }
}

/// How the caller experiences a request that a rule hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing comes; a server gives up after `delay_ms`.
    Timeout {
        /// How long the connection is held open, in ms.
        delay_ms: u64,
    },
    /// This HTTP status instead of the answer.
    Status(u16),
    /// The connection breaks.
    Reset,
    /// The answer is an error with `tx_internal_error`, whatever the truth.
    InternalError,
    /// The answer comes after `delay_ms`.
    Slow {
        /// The delay in ms.
        delay_ms: u64,
    },
}

/// Whether the ledger still sees a request that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Lost,
    Processed,
}

/// The plan in force and its stream.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) plan: FaultPlan,
    rng: Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            plan: FaultPlan::default(),
            rng: Rng::new(seed, STREAM_FAULTS),
        }
    }

    /// Decides the fate of one request and uses up the rule that fired.
    pub(crate) fn decide(&mut self, target: FaultTarget) -> Option<(Reach, Fault)> {
        for rule in &mut self.plan.rules {
            if rule.on != target || rule.count == Some(0) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.rate_ppm < ALWAYS_PPM
                && self.rng.below(u64::from(ALWAYS_PPM)) >= u64::from(rule.rate_ppm)
            {
                continue;
            }
            rule.count = rule.count.map(|left| left - 1);
            let delay_ms = rule.delay_ms;
            return Some(match rule.kind {
                FaultKind::TimeoutBefore => (Reach::Lost, Fault::Timeout { delay_ms }),
                FaultKind::TimeoutAfter => (Reach::Processed, Fault::Timeout { delay_ms }),
                FaultKind::ErrorBefore => (Reach::Lost, Fault::Status(rule.status)),
                FaultKind::ErrorAfter => (Reach::Processed, Fault::Status(rule.status)),
                FaultKind::ResetBefore => (Reach::Lost, Fault::Reset),
                FaultKind::ResetAfter => (Reach::Processed, Fault::Reset),
                FaultKind::InternalErrorBefore => (Reach::Lost, Fault::InternalError),
                FaultKind::InternalErrorAfter => (Reach::Processed, Fault::InternalError),
                FaultKind::Slow => (Reach::Processed, Fault::Slow { delay_ms }),
            });
        }
        None
    }
}
