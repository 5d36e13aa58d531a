//! Making an account known, or correcting a channel's sequence while nothing uses it.
//!
//! A correction may also go back: a sequence below the ledger's pays nothing, its transaction
//! is refused and the batch moves on by `SequenceLost`.

use alloc::string::ToString;
use alloc::vec;

use crate::command::RegisterAccount;
use crate::decision::{Account, Change, Decision, Rejection, Reply};
use crate::fields::refused;
use crate::limits::ACCOUNTS_MAX;
use crate::state::State;
use crate::step::Context;

/// Decides a registration.
///
/// # Errors
/// `Field`, `RoleConflict`, `ChannelLent`, `AccountsFull`.
pub fn decide(
    state: &State,
    _ctx: &Context<'_, '_>,
    register: &RegisterAccount,
) -> Result<Decision, Rejection> {
    let RegisterAccount {
        account,
        role,
        sequence,
    } = *register;
    if sequence.0 < 0 {
        return Err(refused("sequence", &sequence.0.to_string(), "0 or more"));
    }
    match state.accounts().get(&account) {
        Some(known) if known.role != role => {
            return Err(Rejection::RoleConflict { role: known.role });
        }
        Some(known) if known.sequence == sequence => {
            return Ok(Decision {
                changes: vec![],
                reply: Reply::AccountRegistered,
            });
        }
        Some(known) => {
            if let Some(batch) = known.lent_to {
                return Err(Rejection::ChannelLent { batch });
            }
        }
        None if state.accounts().len() >= ACCOUNTS_MAX => {
            let limit = u64::try_from(ACCOUNTS_MAX).unwrap_or(u64::MAX);
            return Err(Rejection::AccountsFull { limit });
        }
        None => {}
    }
    let account = Account {
        account,
        role,
        sequence,
        lent_to: None,
    };
    Ok(Decision {
        changes: vec![Change::PutAccount(account)],
        reply: Reply::AccountRegistered,
    })
}
