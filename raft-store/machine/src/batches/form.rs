//! Forming a batch: the leader names a group, the machine decides whether it is due.

use alloc::vec::Vec;

use crate::command::{AccountRole, FormBatch};
use crate::decision::{
    Account, Batch, BatchStage, Change, Decision, Effect, PaymentStatus, Rejection, Reply, Stage,
};
use crate::fees::bid::{aged, bid};
use crate::fees::charge::Charge;
use crate::fees::predict::predict;
use crate::ids::{AccountId, BatchId};
use crate::limits::LIVE_BATCHES_MAX;
use crate::state::State;
use crate::step::Context;
use crate::units::AccountSequence;

/// Decides the forming of a batch. It takes the oldest payments that may leave, up to the
/// policy's size, and the free channel of the lowest id.
///
/// # Errors
/// `NotDue`, `BatchesFull`, `NoFreeChannel`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    form: &FormBatch,
) -> Result<Decision, Rejection> {
    let trigger = state
        .trigger(&form.group, ctx.now)
        .ok_or(Rejection::NotDue)?;
    if state.batches().len() >= LIVE_BATCHES_MAX {
        let limit = u64::try_from(LIVE_BATCHES_MAX).unwrap_or(u64::MAX);
        return Err(Rejection::BatchesFull { limit });
    }
    let (channel, used, sequence) = free_channel(state).ok_or(Rejection::NoFreeChannel)?;
    let payments = state.queues().candidates(&form.group, ctx.now);
    if payments.is_empty() {
        return Err(Rejection::NotDue);
    }

    let (policy, market) = (state.policy(), state.market());
    let oldest = payments.iter().map(|place| place.queued_at).min();
    let age_ms = oldest.map_or(0, |oldest| ctx.now.since(oldest));
    let counts_as = aged(policy, form.group.lane, age_ms);
    let first = bid(policy, market, counts_as, form.group.fee_cap);
    let prediction = predict(market, first, policy.fee_base, payments.len(), ctx.now);

    let id = BatchId::fresh(ctx.index, ctx.offset);
    let mut changes = Vec::with_capacity(payments.len().saturating_mul(2).saturating_add(3));
    for place in &payments {
        let stage = Stage::Batched { batch: id };
        let status = PaymentStatus {
            stage,
            at: ctx.now,
            failures: place.failures,
        };
        changes.push(Change::Dequeue(place.payment, form.group.clone()));
        changes.push(Change::PutStatus(place.payment, status));
    }
    changes.push(Change::PutBatch(Batch {
        id,
        group: form.group.clone(),
        payments,
        trigger,
        formed_at: ctx.now,
        channel,
        sequence,
        stage: BatchStage::Building,
        attempts: Vec::new(),
        failures: 0,
        not_before: ctx.now,
        fee_bid: first.per_operation,
        fee_cap: first.cap,
        bid_reason: first.reason,
        counts_as,
        prediction,
        charge: Charge::default(),
        ending: None,
    }));
    changes.push(Change::PutAccount(Account {
        account: channel,
        role: AccountRole::Channel,
        sequence: used,
        lent_to: Some(id),
    }));
    changes.push(Change::PutEffect(Effect::SettleBatch(id)));
    Ok(Decision {
        changes,
        reply: Reply::BatchFormed { batch: id },
    })
}

/// The channel to lend, its last sequence and the next one.
fn free_channel(state: &State) -> Option<(AccountId, AccountSequence, AccountSequence)> {
    let channel = *state.free_channels().first()?;
    let used = state.accounts().get(&channel)?.sequence;
    Some((channel, used, used.next()?))
}
