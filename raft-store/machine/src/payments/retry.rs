//! Taking a payment that failed out of the dead letters: it waits again, as if it were new.
//!
//! A payment fails only when nothing that was sent for it can apply any more, so paying it again cannot pay it twice.

use alloc::string::ToString;
use alloc::vec;

use super::cancel::group_of;
use super::submit::check_room;
use crate::command::RetryPayment;
use crate::decision::{Change, Decision, PaymentStatus, Queued, Rejection, Reply, Stage};
use crate::ids::DeveloperId;
use crate::state::State;
use crate::step::Context;

/// The operator of the cluster, who may retry any payment.
const OPERATOR: DeveloperId = DeveloperId(0);

/// Decides a retry. A payment that waits, is in a batch or is paid is answered as retried, so that asking again is fine.
///
/// # Errors
/// `PaymentUnknown`, also for a payment of somebody else; `PaymentNotFailed` when it was withdrawn; `QueueFull`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    retry: &RetryPayment,
) -> Result<Decision, Rejection> {
    let RetryPayment {
        developer,
        payment: id,
    } = *retry;
    let unknown = Rejection::PaymentUnknown { payment: id };
    let Some(payment) = ctx.rows().payments.get(&id) else {
        return Err(unknown);
    };
    if developer != OPERATOR && developer != payment.developer {
        return Err(unknown);
    }
    let status = ctx.rows().statuses.get(&id);
    let done = Decision {
        changes: vec![],
        reply: Reply::Retried,
    };
    match status.map(|status| &status.stage) {
        Some(Stage::Failed { .. }) => {}
        None | Some(Stage::Queued { .. } | Stage::Batched { .. } | Stage::Settled { .. }) => {
            return Ok(done);
        }
        Some(Stage::Cancelled) => {
            let stage = Stage::Cancelled.word();
            return Err(Rejection::PaymentNotFailed { payment: id, stage });
        }
    }
    let group = group_of(payment).ok_or(unknown)?;
    check_room(state, &group)?;
    let queued = Queued {
        group,
        queued_at: ctx.now,
        not_before: ctx.now,
        failures: 0,
    };
    let status = PaymentStatus {
        stage: Stage::Queued {
            not_before: ctx.now,
            reason: "retried".to_string(),
        },
        at: ctx.now,
        failures: 0,
    };
    Ok(Decision {
        changes: vec![
            Change::LeaveDeadLetters(id),
            Change::Enqueue(id, queued),
            Change::PutStatus(id, status),
        ],
        reply: Reply::Retried,
    })
}
