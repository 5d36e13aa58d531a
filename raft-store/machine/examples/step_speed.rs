//! How long one submission takes in the machine: `cargo run --release --example step_speed`.
//!
//! Entries of 1,000 new payments with a text memo for one in four, then a batch for every
//! hundred; prints nanoseconds for each. No other part of a node runs.
#![expect(clippy::as_conversions, reason = "figures for people")]
#![expect(clippy::float_arithmetic, reason = "figures for people")]
#![expect(clippy::arithmetic_side_effects, reason = "small counters")]

use std::error::Error;
use std::time::Duration;

use stellara_machine::command::{
    AccountRole, Command, Entry, FormBatch, PaymentBody, RegisterAccount, SubmitPayment,
};
use stellara_machine::ids::{
    AccountId, Asset, Destination, DeveloperId, IdempotencyKey, Index, Memo,
};
use stellara_machine::rows::Rows;
use stellara_machine::state::State;
use stellara_machine::step::step;
use stellara_machine::units::{AccountSequence, Lane, Stroops, UnixMs};

const ENTRIES: u64 = 1_000;
const ENTRY_COMMANDS: u64 = 1_000;
const CHANNELS: u8 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut state = State::new();
    let accounts = Entry {
        index: Index(1),
        proposed_at: UnixMs(1_700_000_000_000),
        commands: (0..=CHANNELS).map(account).collect(),
    };
    apply(&mut state, &accounts)?;

    let mut spent = Duration::ZERO;
    for number in 0..ENTRIES {
        let entry = Entry {
            index: Index(number + 2),
            proposed_at: UnixMs(1_700_000_000_000 + number),
            commands: (0..ENTRY_COMMANDS)
                .map(|offset| submission(number, offset))
                .collect(),
        };
        spent += apply(&mut state, &entry)?;
    }
    let submissions = ENTRIES * ENTRY_COMMANDS;
    report("submission", spent, submissions);

    let later = UnixMs(state.now().0 + 60_000);
    let due = state.form_candidates(later, usize::from(CHANNELS));
    let batches = due.len() as u64;
    let commands = due
        .into_iter()
        .map(|group| Command::FormBatch(FormBatch { group }))
        .collect();
    let forming = Entry {
        index: Index(ENTRIES + 2),
        proposed_at: later,
        commands,
    };
    report("batch formed", apply(&mut state, &forming)?, batches);
    if state.digest() != state.recompute_digest() {
        return Err("the digest is not what the state adds up to".into());
    }
    println!("{} queued, {} in batches", state.queued(), state.batched());
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "measuring is what this program is for"
)]
fn apply(state: &mut State, entry: &Entry) -> Result<Duration, Box<dyn Error>> {
    let mut rows = Rows::default();
    let start = std::time::Instant::now();
    let outcome = step(state, entry, &mut rows).map_err(|error| format!("{error:?}"))?;
    let spent = start.elapsed();
    match outcome.replies.into_iter().find_map(Result::err) {
        Some(rejection) => Err(format!("{rejection:?}").into()),
        None => Ok(spent),
    }
}

fn report(what: &str, spent: Duration, count: u64) {
    println!(
        "{:>8.0} ns per {what}",
        spent.as_nanos() as f64 / count.max(1) as f64
    );
}

fn account(number: u8) -> Command {
    Command::RegisterAccount(RegisterAccount {
        account: AccountId([number; 32]),
        role: if number == 0 {
            AccountRole::Treasury
        } else {
            AccountRole::Channel
        },
        sequence: AccountSequence(1),
    })
}

fn submission(entry: u64, offset: u64) -> Command {
    let mut destination = [9; 32];
    destination
        .iter_mut()
        .zip(offset.to_le_bytes())
        .for_each(|(to, from)| *to = from);
    Command::SubmitPayment(SubmitPayment {
        developer: DeveloperId(offset % 50 + 1),
        key: IdempotencyKey(format!("order-{entry:08}-{offset:08}-0123456789abcdef")),
        body: PaymentBody {
            fee_cap: None,
            treasury: None,
            destination: Destination {
                account: AccountId(destination),
                muxed_id: None,
            },
            asset: Asset::Native,
            amount: Stroops(10_000_000),
            memo: if offset.is_multiple_of(4) {
                Memo::Text(format!("invoice {}", offset % 100))
            } else {
                Memo::None
            },
            lane: Lane::Medium,
            reference: format!("payout run {entry}, line {offset}"),
        },
    })
}
