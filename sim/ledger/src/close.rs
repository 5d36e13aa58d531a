//! Closing a ledger: drop what became invalid, hold the uniform-price auction for its space,
//! charge every included transaction, apply each one whole or not at all, then age the queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use stellar_xdr::AccountId;

use crate::apply::{self, Applying};
use crate::codes;
use crate::envelope::Parsed;
use crate::fee_stats::Sample;
use crate::journal;
use crate::network::{LEDGERS_KEPT, LedgerRecord, Network, TransactionRecord};
use crate::queue::{Bid, Slot};
use crate::validity::{self, Auth, Moment};

/// Who won the auction, and the price of one operation.
struct Auction {
    ours: Vec<Parsed>,
    foreign: Vec<Bid>,
    ops: u32,
    price_stroops: i64,
}

/// What applying did to our transactions.
#[derive(Default)]
struct Applied {
    successful: u32,
    failed: u32,
    samples: Vec<Sample>,
    hasher: Sha256,
}

impl Network {
    /// Closes the next ledger at this time.
    pub(crate) fn close_at(&mut self, passed_at_ms: u64) {
        let closed_at_ms = self.close_time_ms(passed_at_ms);
        let latest = self.latest();
        let (sequence, prev_hash) = (latest.sequence.saturating_add(1), latest.hash);
        self.drop_invalid(sequence, closed_at_ms);
        let auction = self.hold_auction(sequence);
        let mut applied = Applied::default();
        applied.hasher.update(prev_hash);
        applied.hasher.update(closed_at_ms.to_be_bytes());
        let charged = self.charge_fees(&auction);
        for (parsed, fee_stroops) in charged {
            self.apply_one(parsed, fee_stroops, sequence, closed_at_ms, &mut applied);
        }
        for bid in &auction.foreign {
            let max_stroops = bid.rate_stroops();
            applied.successful += 1;
            applied.samples.push(Sample {
                charged_stroops: max_stroops.min(auction.price_stroops),
                max_stroops,
            });
        }
        self.book.seal(sequence);
        self.ledgers.push_back(LedgerRecord {
            sequence,
            closed_at_ms,
            passed_at_ms,
            hash: applied.hasher.finalize().into(),
            prev_hash,
            successful: applied.successful,
            failed: applied.failed,
            ops: auction.ops,
            price_stroops: auction.price_stroops,
            fee_pool_stroops: self.book.fee_pool_stroops(),
        });
        self.samples.push_back(applied.samples);
        if self.ledgers.len() > LEDGERS_KEPT {
            self.ledgers.pop_front();
            self.samples.pop_front();
        }
        self.queue.shift(sequence, &self.config);
        self.offer_foreign();
    }

    /// What the state or the time made invalid leaves the queue and is banned, and so is what
    /// its fee source can no longer cover.
    fn drop_invalid(&mut self, sequence: u32, closed_at_ms: u64) {
        let moment = Moment {
            ledger: sequence,
            earliest_s: closed_at_ms / 1_000,
            latest_s: closed_at_ms / 1_000,
            base_fee_stroops: self.config.base_fee_stroops,
            base_reserve_stroops: self.config.base_reserve_stroops,
            auth: Auth::Checked,
        };
        let mut committed: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut invalid = Vec::new();
        for (source, pending) in self.queue.pending() {
            let parsed = &pending.parsed;
            let fee_source = parsed.fee_source();
            let available = self
                .book
                .get(&fee_source)
                .map_or(0, |a| a.available_stroops(moment.base_reserve_stroops));
            let total = committed.entry(fee_source).or_default();
            let with_this = *total + i128::from(parsed.fee_max_stroops());
            let affordable = with_this <= i128::from(available);
            if affordable && validity::check(&self.book, parsed, moment).is_ok() {
                *total = with_this;
            } else {
                invalid.push(source.clone());
            }
        }
        for source in invalid {
            if let Some(pending) = self.queue.remove(&source) {
                let hash = pending.parsed.outer_hash;
                self.queue.ban(hash, sequence, &self.config);
            }
        }
    }

    /// The best bids win until the ledger is full; one that does not fit is skipped and smaller,
    /// cheaper ones may still enter. If any was skipped, all pay the lowest included bid.
    fn hold_auction(&mut self, sequence: u32) -> Auction {
        let mut space = self.config.ledger_ops_max;
        let mut lowest_stroops = i64::MAX;
        let mut anyone_skipped = false;
        let mut sources = Vec::new();
        let mut foreign = Vec::new();
        let mut foreign_gone = vec![false; self.queue.foreign_len()];
        for offer in self.queue.offers() {
            let Some(left) = space.checked_sub(offer.bid.ops) else {
                anyone_skipped = true;
                continue;
            };
            space = left;
            lowest_stroops = lowest_stroops.min(offer.bid.rate_stroops());
            match offer.slot {
                Slot::Ours(source) => sources.push(source),
                Slot::Foreign(index) => {
                    foreign.push(self.queue.foreign_bid(index));
                    foreign_gone[index] = true;
                }
            }
        }
        self.queue.remove_foreign(&foreign_gone);
        let mut ours = Vec::new();
        for source in sources {
            if let Some(pending) = self.queue.remove(&source) {
                let hash = pending.parsed.outer_hash;
                self.queue.ban(hash, sequence, &self.config);
                ours.push(pending.parsed);
            }
        }
        // The order of application is no order of bids: nobody can buy being first.
        ours.sort_by_key(|parsed| parsed.outer_hash);
        let surge = anyone_skipped && lowest_stroops < i64::MAX;
        let base_fee = self.config.base_fee_stroops;
        Auction {
            ours,
            foreign,
            ops: self.config.ledger_ops_max - space,
            price_stroops: if surge {
                lowest_stroops.max(base_fee)
            } else {
                base_fee
            },
        }
    }

    /// All fees are taken before any transaction is applied, as on the network.
    fn charge_fees(&mut self, auction: &Auction) -> Vec<(Parsed, i64)> {
        let mut charged = Vec::with_capacity(auction.ours.len());
        for parsed in &auction.ours {
            let price = auction
                .price_stroops
                .saturating_mul(i64::from(parsed.ops()));
            let fee_stroops = price.min(parsed.fee_max_stroops());
            let fee_stroops = self.book.charge_fee(&parsed.fee_source(), fee_stroops);
            charged.push((parsed.clone(), fee_stroops));
        }
        charged
    }

    fn apply_one(
        &mut self,
        parsed: Parsed,
        fee_charged_stroops: i64,
        ledger: u32,
        closed_at_ms: u64,
        applied: &mut Applied,
    ) {
        let at = Applying {
            ledger,
            closed_at_s: closed_at_ms / 1_000,
            base_reserve_stroops: self.config.base_reserve_stroops,
        };
        let results = apply::apply(&mut self.book, &parsed, at);
        let successful = results.iter().all(codes::is_success);
        let result = codes::included(&parsed, fee_charged_stroops, results);
        if successful {
            applied.successful += 1;
        } else {
            applied.failed += 1;
        }
        applied.hasher.update(parsed.outer_hash.0);
        // Horizon rounds the charged rate up and counts a bump as an operation.
        let ops = i64::from(parsed.ops());
        applied.samples.push(Sample {
            charged_stroops: (fee_charged_stroops + ops - 1) / ops,
            max_stroops: parsed.fee_max_stroops() / ops,
        });
        let record = TransactionRecord {
            outer_hash: parsed.outer_hash,
            inner_hash: parsed.inner_hash,
            ledger,
            closed_at_ms,
            successful,
            fee_charged_stroops,
            result,
            parsed,
        };
        self.journal.push(journal::entry(&record));
        if record.inner_hash != record.outer_hash {
            self.outer_by_inner
                .insert(record.inner_hash, record.outer_hash);
        }
        self.transactions
            .insert(record.outer_hash, Arc::new(record));
    }
}
