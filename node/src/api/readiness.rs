//! Whether a node should be sent traffic: one rule for the health service and the ops port.

use stellara_machine::command::AccountRole;
use stellara_machine::state::State;
use thiserror::Error;

use crate::gateway::{ClusterView, Freshness, Gateway, Joining};

/// Entries that a ready node may have committed and not applied.
pub const APPLY_LAG_MAX: u64 = 10_000;

/// Whether the node is to settle payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is: it waits until the cluster's first leader has registered the treasury.
    Configured,
    /// It is not: it serves without.
    Absent,
}

/// Why a node should not be sent traffic.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotReady {
    /// Its log is blank and it does not know yet whether it was a member before.
    #[error("the log is blank: asking the other members whether there is a cluster")]
    Asking,
    /// It lost its log and does not vote yet.
    #[error("rebuilding: {applied} of {until} entries")]
    Rebuilding {
        /// The last entry applied.
        applied: u64,
        /// The entry that ends the rebuild.
        until: u64,
    },
    /// Nobody leads, as far as it knows.
    #[error("no leader is known")]
    NoLeader,
    /// It has yet to apply what is committed.
    #[error("{entries} committed entries are not applied, at most {APPLY_LAG_MAX} may be")]
    Behind {
        /// How many.
        entries: u64,
    },
    /// It settles, and the state knows no treasury yet: every payment would be refused.
    #[error("no treasury is registered yet: the leader registers it from its signer")]
    NoTreasury,
    /// Its state cannot be read.
    #[error("the state cannot be read: {why}")]
    Unreadable {
        /// Why.
        why: String,
    },
    /// It takes no writes.
    #[error("takes no writes: {reason}")]
    ReadOnly {
        /// Why.
        reason: String,
    },
    /// It stops.
    #[error("the node is stopping")]
    Draining,
}

/// Whether the node is ready, as its own view of the cluster and its own state tell.
///
/// # Errors
/// `NotReady` says why not.
pub async fn check<G: Gateway>(gateway: &G, settlement: Settlement) -> Result<(), NotReady> {
    check_view(&gateway.status())?;
    match settlement {
        Settlement::Absent => return Ok(()),
        Settlement::Configured => {}
    }
    let anything = Freshness::Stale {
        staleness_max_ms: 0,
    };
    let view = gateway.read(anything).await;
    let view = view.map_err(|failure| NotReady::Unreadable {
        why: failure.to_string(),
    })?;
    view.state(knows_treasury)
        .then_some(())
        .ok_or(NotReady::NoTreasury)
}

fn knows_treasury(state: &State) -> bool {
    let mut accounts = state.accounts().values();
    accounts.any(|account| account.role == AccountRole::Treasury)
}

fn check_view(view: &ClusterView) -> Result<(), NotReady> {
    if let Some(reason) = &view.read_only_reason {
        let reason = reason.clone();
        return Err(NotReady::ReadOnly { reason });
    }
    match view.joining {
        None => {}
        Some(Joining::Asking) => return Err(NotReady::Asking),
        Some(Joining::Rebuilding { until }) => {
            let applied = view.applied_index;
            return Err(NotReady::Rebuilding { applied, until });
        }
    }
    if view.leader_id.is_none() {
        return Err(NotReady::NoLeader);
    }
    let entries = view.committed_index.saturating_sub(view.applied_index);
    if entries > APPLY_LAG_MAX {
        return Err(NotReady::Behind { entries });
    }
    Ok(())
}
