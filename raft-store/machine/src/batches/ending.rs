//! Ending a batch: what becomes of its payments, its channel and its effect, in one decision.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::back_off;
use crate::command::AccountRole;
use crate::decision::{
    Account, AttemptFate, Batch, BatchPayment, BatchStage, Change, Decision, Effect, Ending,
    PaymentStatus, Queued, Reply, Stage,
};
use crate::fees::charge::{Charge, charge};
use crate::state::State;
use crate::step::Context;
use crate::units::{AccountSequence, LedgerSeq, UnixMs};

/// The outcome is stored, with these changes.
pub(crate) fn recorded(changes: Vec<Change>) -> Decision {
    Decision {
        changes,
        reply: Reply::OutcomeRecorded,
    }
}

/// Gives a batch up: at once when no attempt is open, otherwise when the last one is proven dead.
pub(crate) fn give_up(
    state: &State,
    ctx: &Context<'_, '_>,
    mut batch: Batch,
    ending: Ending,
) -> Decision {
    if batch
        .attempts
        .iter()
        .any(|attempt| attempt.fate == AttemptFate::Open)
    {
        batch.stage = BatchStage::InFlight;
        batch.ending = Some(ending);
        return recorded(vec![Change::PutBatch(batch)]);
    }
    // No attempt applied: the ledger still waits for the batch's own sequence.
    let used = state
        .accounts()
        .get(&batch.channel)
        .map(|channel| channel.sequence);
    let sequence = used.unwrap_or(AccountSequence(batch.sequence.0.saturating_sub(1)));
    abandon(state, ctx, batch, ending, sequence)
}

/// Ends a batch of which nothing can apply any more.
pub(crate) fn abandon(
    state: &State,
    ctx: &Context<'_, '_>,
    batch: Batch,
    ending: Ending,
    sequence: AccountSequence,
) -> Decision {
    let mut changes = Vec::with_capacity(batch.payments.len().saturating_mul(2));
    let fates = Fates {
        state,
        ctx,
        batch: &batch,
    };
    let reason = match ending {
        Ending::DeadLetter { reason } => {
            batch
                .payments
                .iter()
                .for_each(|place| fates.failed(place, &reason, &mut changes));
            reason
        }
        Ending::Retry { reason } => {
            batch
                .payments
                .iter()
                .for_each(|place| fates.retry(place, &reason, &mut changes));
            reason
        }
        Ending::Requeue { reason } => {
            let not_before = back_off::until(ctx, state.policy(), batch.failures);
            for place in &batch.payments {
                fates.again(place, place.failures, not_before, &reason, &mut changes);
            }
            reason
        }
    };
    fates.end(BatchStage::Abandoned { reason }, sequence, changes)
}

/// What can become of a payment of a batch.
pub(crate) struct Fates<'a, 'r, 'e> {
    pub(crate) state: &'a State,
    pub(crate) ctx: &'a Context<'r, 'e>,
    pub(crate) batch: &'a Batch,
}

impl Fates<'_, '_, '_> {
    /// Ends the batch: after the changes of its payments, the channel is free again with the last sequence the ledger
    /// used, and the book of fees knows what it cost.
    pub(crate) fn end(
        &self,
        stage: BatchStage,
        sequence: AccountSequence,
        mut changes: Vec<Change>,
    ) -> Decision {
        let Self { state, ctx, batch } = *self;
        let charge = match &stage {
            BatchStage::Settled {
                ledger: _,
                fee_charged,
            } => charge(state.policy(), batch.payments.len(), *fee_charged),
            // What failed is charged to nobody.
            BatchStage::RolledBack {
                ledger: _,
                fee_charged,
            } => Charge {
                cost: *fee_charged,
                ..Charge::default()
            },
            BatchStage::Building | BatchStage::InFlight | BatchStage::Abandoned { .. } => {
                Charge::default()
            }
        };
        if charge != Charge::default() {
            let hour = state
                .hour()
                .at(ctx.now)
                .with(batch, &stage, charge, ctx.now);
            changes.push(Change::PutFeeHour(Box::new(hour)));
        }
        changes.push(Change::EndBatch(Batch {
            stage,
            charge,
            ..batch.clone()
        }));
        changes.push(Change::PutAccount(Account {
            account: batch.channel,
            role: AccountRole::Channel,
            sequence,
            lent_to: None,
        }));
        changes.push(Change::RemoveEffect(Effect::SettleBatch(batch.id)));
        recorded(changes)
    }

    fn status(&self, place: &BatchPayment, failures: u16, stage: Stage) -> Change {
        let status = PaymentStatus {
            stage,
            at: self.ctx.now,
            failures,
        };
        Change::PutStatus(place.payment, status)
    }

    /// Paid.
    pub(crate) fn settled(&self, place: &BatchPayment, ledger: LedgerSeq) -> Change {
        let stage = Stage::Settled {
            batch: self.batch.id,
            ledger,
        };
        self.status(place, place.failures, stage)
    }

    /// Dead-lettered: the failure counts.
    pub(crate) fn failed(&self, place: &BatchPayment, reason: &str, changes: &mut Vec<Change>) {
        let stage = Stage::Failed {
            batch: Some(self.batch.id),
            reason: reason.to_string(),
        };
        changes.push(self.status(place, place.failures.saturating_add(1), stage));
    }

    /// Queued again with one failure more, after a back-off; dead-lettered past the limit.
    pub(crate) fn retry(&self, place: &BatchPayment, reason: &str, changes: &mut Vec<Change>) {
        let failures = place.failures.saturating_add(1);
        if failures > self.state.policy().retries_max {
            return self.failed(place, reason, changes);
        }
        let not_before = back_off::until(self.ctx, self.state.policy(), failures);
        self.again(place, failures, not_before, reason, changes);
    }

    /// Queued again at once, as if it had never left.
    pub(crate) fn at_once(&self, place: &BatchPayment, reason: &str, changes: &mut Vec<Change>) {
        self.again(place, place.failures, place.queued_at, reason, changes);
    }

    fn again(
        &self,
        place: &BatchPayment,
        failures: u16,
        not_before: UnixMs,
        reason: &str,
        changes: &mut Vec<Change>,
    ) {
        let BatchPayment {
            payment,
            queued_at,
            failures: _,
        } = *place;
        let group = self.batch.group.clone();
        let queued = Queued {
            group,
            queued_at,
            not_before,
            failures,
        };
        let reason = String::from(reason);
        let stage = Stage::Queued {
            not_before: not_before.max(self.ctx.now),
            reason,
        };
        changes.push(Change::Enqueue(payment, queued));
        changes.push(self.status(place, failures, stage));
    }
}
