//! Withdrawing a payment: only while it waits in a queue, back-off included.

use alloc::vec;

use crate::command::{CancelPayment, GroupKey};
use crate::decision::{Change, Decision, Payment, PaymentStatus, Rejection, Reply, Stage};
use crate::ids::DeveloperId;
use crate::state::State;
use crate::step::Context;

/// The operator of the cluster, who may withdraw any payment.
const OPERATOR: DeveloperId = DeveloperId(0);

/// Decides a cancellation.
///
/// # Errors
/// `PaymentUnknown`, also for a payment of somebody else; `PaymentNotQueued`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    cancel: &CancelPayment,
) -> Result<Decision, Rejection> {
    let CancelPayment {
        developer,
        payment: id,
    } = *cancel;
    let unknown = Rejection::PaymentUnknown { payment: id };
    let Some(payment) = ctx.rows().payments.get(&id) else {
        return Err(unknown);
    };
    if developer != OPERATOR && developer != payment.developer {
        return Err(unknown);
    }
    let group = group_of(payment);
    let place = group
        .as_ref()
        .and_then(|group| state.groups().get(group)?.get(id));
    if let (Some(group), Some(place)) = (group, place) {
        let status = PaymentStatus {
            stage: Stage::Cancelled,
            at: ctx.now,
            failures: place.failures,
        };
        return Ok(Decision {
            changes: vec![Change::Dequeue(id, group), Change::PutStatus(id, status)],
            reply: Reply::Cancelled,
        });
    }
    match ctx.rows().statuses.get(&id).map(|status| &status.stage) {
        Some(Stage::Cancelled) => Ok(Decision {
            changes: vec![],
            reply: Reply::Cancelled,
        }),
        stage => {
            let stage = stage.map_or("unknown", Stage::word);
            Err(Rejection::PaymentNotQueued { payment: id, stage })
        }
    }
}

/// Where an accepted payment waits, if it does; its treasury was filled in at acceptance.
pub(super) fn group_of(payment: &Payment) -> Option<GroupKey> {
    let body = &payment.body;
    let treasury = body.treasury?;
    Some(GroupKey {
        treasury,
        lane: body.lane,
        memo: body.memo.clone(),
        fee_cap: payment.body.fee_cap,
    })
}
