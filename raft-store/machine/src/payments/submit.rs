//! Accepting a payment: the same key answers as before for 7 days.
//!
//! The fingerprint covers the body as sent, before the default treasury is filled in, so a
//! retry matches although the default changed meanwhile. The key is looked up before the body
//! is checked and before room is: what was accepted stays accepted.

use alloc::string::String;
use alloc::vec;

use crate::canon::fingerprint;
use crate::command::{GroupKey, PaymentBody, Policy, SubmitPayment};
use crate::decision::{Acceptance, Change, Decision, KeyRecord, Payment, Queued, Rejection, Reply};
use crate::fields::{refused, text_within, within};
use crate::ids::{AccountId, Asset, IdempotencyKey, Memo, PaymentId};
use crate::limits::{
    AMOUNT_STROOPS_MAX, GROUPS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_MS, MEMO_TEXT_BYTES_MAX,
    QUEUED_PAYMENTS_MAX, REFERENCE_BYTES_MAX,
};
use crate::state::State;
use crate::step::Context;

/// Decides a submission.
///
/// # Errors
/// `KeyReused`, `Field`, `TreasuryUnknown`, `QueueFull`.
pub fn decide(
    state: &State,
    ctx: &Context<'_, '_>,
    submit: &SubmitPayment,
) -> Result<Decision, Rejection> {
    let SubmitPayment {
        developer,
        key,
        body,
    } = submit;
    check_key(key)?;
    let fingerprint = fingerprint(body);
    if let Some(known) = ctx.key(*developer, key)
        && ctx.now.since(known.accepted_at) < IDEMPOTENCY_MS
    {
        return known_key(known, fingerprint);
    }
    check_body(state.policy(), body)?;
    let treasury = treasury(state, body)?;
    if body.destination.account == treasury {
        return Err(refused(
            "destination",
            "the treasury",
            "an account other than the treasury",
        ));
    }
    let group = GroupKey {
        treasury,
        lane: body.lane,
        memo: body.memo.clone(),
        fee_cap: body.fee_cap,
    };
    check_room(state, &group)?;

    Ok(accept(ctx, submit, group, fingerprint))
}

/// The payment, its key and its place, all from one moment.
fn accept(
    ctx: &Context<'_, '_>,
    submit: &SubmitPayment,
    group: GroupKey,
    fingerprint: u128,
) -> Decision {
    let SubmitPayment {
        developer,
        key,
        body,
    } = submit;
    let id = PaymentId::fresh(ctx.index, ctx.offset);
    let accepted_at = ctx.now;
    let payment = Payment {
        id,
        developer: *developer,
        key: key.clone(),
        body: PaymentBody {
            treasury: Some(group.treasury),
            ..body.clone()
        },
        accepted_at,
    };
    let record = KeyRecord {
        payment: id,
        fingerprint,
        accepted_at,
    };
    let queued = Queued {
        group,
        queued_at: accepted_at,
        not_before: accepted_at,
        failures: 0,
    };
    Decision {
        changes: vec![
            Change::PutPayment(payment),
            Change::PutKey(*developer, key.clone(), record),
            Change::Enqueue(id, queued),
        ],
        reply: Reply::Submitted {
            payment: id,
            acceptance: Acceptance::New,
        },
    }
}

fn known_key(known: &KeyRecord, fingerprint: u128) -> Result<Decision, Rejection> {
    let payment = known.payment;
    if known.fingerprint == fingerprint {
        let acceptance = Acceptance::Repeated;
        Ok(Decision {
            changes: vec![],
            reply: Reply::Submitted {
                payment,
                acceptance,
            },
        })
    } else {
        Err(Rejection::KeyReused { payment })
    }
}

fn check_key(key: &IdempotencyKey) -> Result<(), Rejection> {
    const EXPECTED: &str = "1 to 128 bytes";
    if key.0.is_empty() {
        return Err(refused("idempotency_key", "", EXPECTED));
    }
    text_within(
        "idempotency_key",
        &key.0,
        IDEMPOTENCY_KEY_BYTES_MAX,
        EXPECTED,
    )
}

fn check_body(policy: &Policy, body: &PaymentBody) -> Result<(), Rejection> {
    let amounts = (1, AMOUNT_STROOPS_MAX);
    within(
        "amount",
        &body.amount.0,
        amounts,
        "1 to 10000000000000000 stroops",
    )?;
    text_within(
        "reference",
        &body.reference,
        REFERENCE_BYTES_MAX,
        "at most 1024 bytes",
    )?;
    if let Some(cap) = body.fee_cap {
        let caps = (policy.fee_base.0, policy.fee_cap.0);
        let expected = "the policy's fee_base_stroops to its fee_cap_stroops";
        within("fee_cap_stroops", &cap.0, caps, expected)?;
    }
    match &body.memo {
        Memo::Text(text) => text_within("memo", text, MEMO_TEXT_BYTES_MAX, "at most 28 bytes")?,
        Memo::None | Memo::Id(_) | Memo::Hash(_) | Memo::Return(_) => {}
    }
    match &body.asset {
        Asset::Native => Ok(()),
        Asset::Credit4 { code, issuer: _ } => check_code(code, (1, 4)),
        Asset::Credit12 { code, issuer: _ } => check_code(code, (5, 12)),
    }
}

/// A code is letters and digits, then zero bytes only (Stellar protocol).
fn check_code(code: &[u8], (len_min, len_max): (usize, usize)) -> Result<(), Rejection> {
    let len = code
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let padded = code.iter().skip(len).all(|byte| *byte == 0);
    if padded && (len_min..=len_max).contains(&len) {
        return Ok(());
    }
    let expected = "letters and digits: 1 to 4 of them, or 5 to 12 in the long form";
    Err(refused(
        "asset.code",
        &String::from_utf8_lossy(code),
        expected,
    ))
}

fn treasury(state: &State, body: &PaymentBody) -> Result<AccountId, Rejection> {
    let found = match body.treasury {
        Some(treasury) => state.treasuries().get(&treasury),
        None => state.treasuries().first(),
    };
    found.copied().ok_or(Rejection::TreasuryUnknown {
        treasury: body.treasury,
    })
}

/// Payments of live batches may all come back, each batch to a group of its own that is gone:
/// room is kept for them, so that a requeue never has to be refused.
pub(super) fn check_room(state: &State, group: &GroupKey) -> Result<(), Rejection> {
    let queued = state.queued();
    let limit = u64::try_from(QUEUED_PAYMENTS_MAX).unwrap_or(u64::MAX);
    if queued.saturating_add(state.batched()) >= limit {
        return Err(Rejection::QueueFull { queued, limit });
    }
    let groups = state.groups().len().saturating_add(state.batches().len());
    if groups >= GROUPS_MAX && !state.groups().contains_key(group) {
        return Err(Rejection::QueueFull { queued, limit });
    }
    Ok(())
}
