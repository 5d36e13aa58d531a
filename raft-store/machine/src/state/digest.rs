//! What replicas compare: one hash of the decision state, kept up to date change by change.
//!
//! Every keyed item contributes the xxh3-128 of its tag and canonical bytes to a wrapping sum,
//! so an item leaves as cheaply as it came and order does not matter. The single values (time,
//! index, totals, chain) join when the digest is asked for.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128;

use super::{State, Totals};
use crate::canon::Canonical;
use crate::command::{GroupKey, Policy};
use crate::decision::{Account, Batch, Effect};
use crate::fees::book::FeeHour;
use crate::fees::market::Market;
use crate::ids::{Hash, PaymentId};
use crate::state::queue::Delayed;

impl Canonical for Totals {
    fn canonical(&self, out: &mut Vec<u8>) {
        let Self {
            submitted,
            settled,
            failed,
            cancelled,
            attempts,
            batches_settled,
            batches_rolled_back,
            batches_abandoned,
            fee_charged_stroops,
        } = self;
        submitted.canonical(out);
        settled.canonical(out);
        failed.canonical(out);
        cancelled.canonical(out);
        attempts.canonical(out);
        batches_settled.canonical(out);
        batches_rolled_back.canonical(out);
        batches_abandoned.canonical(out);
        fee_charged_stroops.canonical(out);
    }
}

/// A keyed item of the decision state.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Place(PaymentId, &'a GroupKey, Delayed),
    Batch(&'a Batch),
    Effect(&'a Effect),
    Account(&'a Account),
    Policy(&'a Policy),
    Market(&'a Market),
    Hour(&'a FeeHour),
}

impl Canonical for Item<'_> {
    fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Place(payment, group, place) => {
                let Delayed {
                    queued_at,
                    not_before,
                    failures,
                } = place;
                (1_u8, payment).canonical(out);
                group.canonical(out);
                queued_at.canonical(out);
                not_before.canonical(out);
                failures.canonical(out);
            }
            Self::Batch(batch) => (2_u8, *batch).canonical(out),
            Self::Effect(effect) => (3_u8, *effect).canonical(out),
            Self::Account(account) => (4_u8, *account).canonical(out),
            Self::Policy(policy) => (5_u8, *policy).canonical(out),
            Self::Market(market) => (6_u8, *market).canonical(out),
            Self::Hour(hour) => (7_u8, *hour).canonical(out),
        }
    }
}

/// The sum over the items, with the buffer that encodes them.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemSum {
    sum: u128,
    scratch: Vec<u8>,
}

impl ItemSum {
    fn weight(&mut self, item: Item<'_>) -> u128 {
        self.scratch.clear();
        item.canonical(&mut self.scratch);
        xxh3_128(&self.scratch)
    }

    pub(super) fn add(&mut self, item: Item<'_>) {
        self.sum = self.sum.wrapping_add(self.weight(item));
    }

    pub(super) fn subtract(&mut self, item: Item<'_>) {
        self.sum = self.sum.wrapping_sub(self.weight(item));
    }
}

impl State {
    /// The hash of everything that decides, for replicas to compare at the same index.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.seal(self.items.sum)
    }

    /// The same from scratch: what `digest` must equal, at the price of a walk over all.
    #[must_use]
    pub fn recompute_digest(&self) -> Hash {
        let mut items = ItemSum::default();
        for (key, group) in self.queues.groups() {
            for (payment, place) in group.places() {
                items.add(Item::Place(payment, key, place));
            }
        }
        for batch in self.batches.values() {
            items.add(Item::Batch(batch));
        }
        for effect in &self.effects {
            items.add(Item::Effect(effect));
        }
        for account in self.accounts.values() {
            items.add(Item::Account(account));
        }
        items.add(Item::Policy(&self.policy));
        items.add(Item::Market(&self.market));
        items.add(Item::Hour(&self.hour));
        self.seal(items.sum)
    }

    fn seal(&self, sum: u128) -> Hash {
        let mut bytes = Vec::with_capacity(256);
        sum.canonical(&mut bytes);
        self.protocol_version.canonical(&mut bytes);
        self.now.canonical(&mut bytes);
        self.index.canonical(&mut bytes);
        self.totals.canonical(&mut bytes);
        self.chain.canonical(&mut bytes);
        Hash(Sha256::digest(&bytes).into())
    }
}
