//! One entry: for each command decide, absorb, audit. The one place where state moves.
//!
//! A command is decided on the state that the commands before it left, those of the same
//! entry included. A rejected command leaves only its audit record.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::canon::Canonical;
use crate::command::{Command, Entry};
use crate::decision::{
    AuditRecord, Change, Decision, EntryRecord, Event, KeyRecord, Outcome, Rejection, Reply, Stage,
};
use crate::ids::{DeveloperId, Hash, IdempotencyKey, Index, PaymentId};
use crate::limits::ENTRY_COMMANDS_MAX;
use crate::rows::Rows;
use crate::state::State;
use crate::units::UnixMs;
use crate::{accounts, audit, batches, fees, payments, policy};

/// An entry that no correct log holds: an invariant is broken, the node must stop. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// The entry was applied before, or the log went back.
    IndexNotAhead {
        /// The last entry applied.
        applied: Index,
        /// The entry's index.
        index: Index,
    },
    /// The index does not fit the 48 bits that identities have for it.
    IndexTooLarge {
        /// The entry's index.
        index: Index,
    },
    /// More commands than an entry may hold.
    TooManyCommands {
        /// How many.
        commands: usize,
        /// `limits::ENTRY_COMMANDS_MAX`.
        limit: usize,
    },
}

/// The largest index that identities can carry.
const INDEX_MAX: u64 = u64::MAX >> 16;

/// What a decision may read besides the state.
#[derive(Clone, Copy)]
pub struct Context<'a, 'e> {
    /// The entry's index: the upper part of fresh identities.
    pub index: Index,
    /// The command's place in its entry: their lower part.
    pub offset: u16,
    /// The machine's time.
    pub now: UnixMs,
    rows: &'a Rows,
    fresh_keys: &'a FreshKeys<'e>,
}

impl Context<'_, '_> {
    /// The record of a key, also when an earlier command of the entry made it.
    #[must_use]
    pub fn key<'k>(
        &'k self,
        developer: DeveloperId,
        key: &'k IdempotencyKey,
    ) -> Option<&'k KeyRecord> {
        self.fresh_keys.get(developer, key).or_else(|| {
            // Almost every key is new: an empty map is asked without copying the key.
            let rows = Some(&self.rows.keys).filter(|keys| !keys.is_empty())?;
            rows.get(&(developer, key.clone()))
        })
    }

    /// The prefetched rows, with what earlier commands of the entry made of them.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        self.rows
    }
}

/// The keys that earlier commands of the entry used, borrowed from it.
#[derive(Default)]
struct FreshKeys<'e> {
    /// The hash comes first so that a look-up mostly compares numbers.
    records: BTreeMap<(u64, DeveloperId, &'e IdempotencyKey), KeyRecord>,
}

impl<'e> FreshKeys<'e> {
    fn get(&self, developer: DeveloperId, key: &'e IdempotencyKey) -> Option<&KeyRecord> {
        self.records
            .get(&(xxh3_64(key.0.as_bytes()), developer, key))
    }

    fn put(&mut self, developer: DeveloperId, key: &'e IdempotencyKey, record: KeyRecord) {
        self.records
            .insert((xxh3_64(key.0.as_bytes()), developer, key), record);
    }
}

/// Applies one entry. The store writes `Outcome::changes` and the state's `meta` together.
///
/// # Errors
/// `StepError` when the entry cannot be from a correct log; the state is as before.
pub fn step(state: &mut State, entry: &Entry, rows: &mut Rows) -> Result<Outcome, StepError> {
    check_entry(state, entry)?;
    state.begin(entry.index, entry.proposed_at);
    let commands = entry.commands.len();
    let mut run = Run {
        index: entry.index,
        now: state.now(),
        chain: state.chain(),
        fresh_keys: FreshKeys::default(),
        watched: watched(&entry.commands),
        scratch: Vec::with_capacity(1_024),
        replies: Vec::with_capacity(commands),
        changes: Vec::with_capacity(commands.saturating_mul(3)),
        audits: Vec::with_capacity(commands),
        events: Vec::with_capacity(commands),
    };
    for (offset, command) in (0_u16..).zip(&entry.commands) {
        run.command(state, rows, offset, command);
    }
    state.set_chain(run.chain);
    let Run {
        index,
        now: at,
        chain,
        replies,
        changes,
        audits,
        events,
        ..
    } = run;
    Ok(Outcome {
        replies,
        changes,
        record: EntryRecord {
            index,
            at,
            audits,
            events,
            chain,
        },
    })
}

fn check_entry(state: &State, entry: &Entry) -> Result<(), StepError> {
    let (applied, index) = (state.index(), entry.index);
    if index <= applied {
        return Err(StepError::IndexNotAhead { applied, index });
    }
    if index.0 > INDEX_MAX {
        return Err(StepError::IndexTooLarge { index });
    }
    let (commands, limit) = (entry.commands.len(), ENTRY_COMMANDS_MAX);
    if commands > limit {
        return Err(StepError::TooManyCommands { commands, limit });
    }
    Ok(())
}

/// The payments that cancellations and retries of the entry ask about: their rows are kept up to date.
fn watched(commands: &[Command]) -> BTreeSet<PaymentId> {
    let cancelled = commands.iter().filter_map(|command| match command {
        Command::CancelPayment(cancel) => Some(cancel.payment),
        Command::RetryPayment(retry) => Some(retry.payment),
        Command::SubmitPayment(_)
        | Command::FormBatch(_)
        | Command::RecordAttempt(_)
        | Command::RecordOutcome(_)
        | Command::RegisterAccount(_)
        | Command::SetPolicy(_)
        | Command::RecordFees(_) => None,
    });
    cancelled.collect()
}

fn decide(state: &State, ctx: &Context<'_, '_>, command: &Command) -> Result<Decision, Rejection> {
    match command {
        Command::SubmitPayment(submit) => payments::submit::decide(state, ctx, submit),
        Command::RetryPayment(retry) => payments::retry::decide(state, ctx, retry),
        Command::CancelPayment(cancel) => payments::cancel::decide(state, ctx, cancel),
        Command::FormBatch(form) => batches::form::decide(state, ctx, form),
        Command::RecordAttempt(attempt) => batches::record_attempt::decide(state, ctx, attempt),
        Command::RecordOutcome(outcome) => batches::record_outcome::decide(state, ctx, outcome),
        Command::RegisterAccount(register) => accounts::register::decide(state, ctx, register),
        Command::SetPolicy(set) => policy::decide(state, ctx, set),
        Command::RecordFees(record) => fees::record::decide(state, ctx, record),
    }
}

/// An entry under way.
struct Run<'e> {
    index: Index,
    now: UnixMs,
    chain: Hash,
    fresh_keys: FreshKeys<'e>,
    watched: BTreeSet<PaymentId>,
    scratch: Vec<u8>,
    replies: Vec<Result<Reply, Rejection>>,
    changes: Vec<Change>,
    audits: Vec<AuditRecord>,
    events: Vec<Event>,
}

impl<'e> Run<'e> {
    fn command(&mut self, state: &mut State, rows: &mut Rows, offset: u16, command: &'e Command) {
        let Self { index, now, .. } = *self;
        let ctx = Context {
            index,
            offset,
            now,
            rows,
            fresh_keys: &self.fresh_keys,
        };
        let (answer, hash) = match decide(state, &ctx, command) {
            Ok(Decision { changes, reply }) => {
                let hash = self.absorb(state, rows, command, changes);
                (Ok(reply), hash)
            }
            Err(rejection) => (Err(rejection), 0),
        };
        let record = audit::record(command, answer.as_ref(), hash);
        self.chain = audit::link(self.chain, (index, now), &record, &mut self.scratch);
        self.audits.push(record);
        self.replies.push(answer);
    }

    /// Takes the changes over and gives their hash, 0 for none.
    fn absorb(
        &mut self,
        state: &mut State,
        rows: &mut Rows,
        command: &'e Command,
        changes: Vec<Change>,
    ) -> u128 {
        if changes.is_empty() {
            return 0;
        }
        self.scratch.clear();
        for change in &changes {
            change.canonical(&mut self.scratch);
            state.absorb(change);
            self.remember(rows, command, change);
            self.tell(rows, change);
        }
        self.changes.extend(changes);
        xxh3_128(&self.scratch)
    }

    /// Keeps what later commands of the entry may ask for.
    fn remember(&mut self, rows: &mut Rows, command: &'e Command, change: &Change) {
        match change {
            Change::PutKey(developer, _, record) => {
                if let Command::SubmitPayment(submit) = command {
                    self.fresh_keys.put(*developer, &submit.key, record.clone());
                }
            }
            Change::PutPayment(payment) => {
                if self.watched.contains(&payment.id) {
                    rows.payments.insert(payment.id, payment.clone());
                }
            }
            Change::PutStatus(payment, status) => {
                if self.watched.contains(payment) {
                    rows.statuses.insert(*payment, status.clone());
                }
            }
            Change::Enqueue(..)
            | Change::Dequeue(..)
            | Change::PutBatch(_)
            | Change::EndBatch(_)
            | Change::PutAttempt(..)
            | Change::PutEffect(_)
            | Change::RemoveEffect(_)
            | Change::PutAccount(_)
            | Change::PutPolicy(_)
            | Change::LeaveDeadLetters(_)
            | Change::PutMarket(_)
            | Change::PutFeeSample(..)
            | Change::PutFeeHour(_) => {}
        }
    }

    /// Tells watchers of the stages that payments and batches reached.
    fn tell(&mut self, rows: &Rows, change: &Change) {
        let event = match change {
            Change::PutPayment(payment) => Event::Payment {
                payment: payment.id,
                developer: Some(payment.developer),
                stage: Stage::Queued {
                    not_before: payment.accepted_at,
                    reason: alloc::string::String::new(),
                },
            },
            Change::PutStatus(payment, status) => Event::Payment {
                payment: *payment,
                developer: rows.payments.get(payment).map(|found| found.developer),
                stage: status.stage.clone(),
            },
            Change::PutBatch(batch) | Change::EndBatch(batch) => Event::Batch {
                batch: batch.id,
                stage: batch.stage.clone(),
            },
            Change::PutKey(..)
            | Change::Enqueue(..)
            | Change::Dequeue(..)
            | Change::PutAttempt(..)
            | Change::PutEffect(_)
            | Change::RemoveEffect(_)
            | Change::PutAccount(_)
            | Change::PutPolicy(_)
            | Change::LeaveDeadLetters(_)
            | Change::PutMarket(_)
            | Change::PutFeeSample(..)
            | Change::PutFeeHour(_) => return,
        };
        self.events.push(event);
    }
}
