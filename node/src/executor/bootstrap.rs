//! Makes the signer's accounts known to the machine: treasuries and fee accounts at once, channels with the sequence
//! that the ledger tells.
//!
//! A ledger that does not answer delays the channels only: payments are accepted meanwhile. A signer elsewhere may tell
//! its accounts late, and more of them later.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft_rt::AsyncRuntime;
use stellara_machine::command::{AccountRole, Command, RegisterAccount};
use stellara_machine::ids::AccountId;
use stellara_machine::units::AccountSequence;
use tracing::{info, warn};

use super::{Backoff, Cluster, Ended, Executor, ProposeError};
use crate::ports::{Clock, Ledger, Signer};

enum Registered {
    /// Known now, or refused by the machine for good.
    Settled,
    /// Not yet.
    Later,
    Ended(Ended),
}

impl<R, K, L, S, C> Executor<R, K, L, S, C>
where
    R: AsyncRuntime,
    K: Cluster,
    L: Ledger,
    S: Signer,
    C: Clock,
{
    pub(super) async fn register_accounts(&self) -> Ended {
        let mut backoff = Backoff::new(&self.settings);
        let mut settled = self.known_accounts();
        loop {
            let listing = self.signer.listing();
            let mut later = false;
            // Treasuries first: without one, no payment is accepted.
            for role in [
                AccountRole::Treasury,
                AccountRole::Fee,
                AccountRole::Channel,
            ] {
                for account in self.signer.accounts(role) {
                    if settled.contains(&account) {
                        continue;
                    }
                    match self.register(account, role).await {
                        Registered::Settled => drop(settled.insert(account)),
                        Registered::Later => later = true,
                        Registered::Ended(ended) => return ended,
                    }
                }
            }
            if !later {
                self.signer.listed_after(listing).await;
                backoff = Backoff::new(&self.settings);
                continue;
            }
            self.pause(backoff.next()).await;
        }
    }

    fn known_accounts(&self) -> BTreeSet<AccountId> {
        let accounts = self.cluster.accounts();
        accounts.iter().map(|account| account.account).collect()
    }

    async fn register(&self, account: AccountId, role: AccountRole) -> Registered {
        let sequence = match role {
            AccountRole::Treasury | AccountRole::Fee => AccountSequence(0),
            AccountRole::Channel => match self.sequence_on_ledger(account).await {
                Some(sequence) => sequence,
                None => return Registered::Later,
            },
        };
        let shown = hex::encode(account.0);
        let command = Command::RegisterAccount(RegisterAccount {
            account,
            role,
            sequence,
        });
        match self.cluster.propose(command).await {
            Ok(_) => {
                info!(account = shown, ?role, "account registered");
                Registered::Settled
            }
            Err(ProposeError::Rejected(rejection)) => {
                warn!(account = shown, ?role, ?rejection, "account refused");
                Registered::Settled
            }
            Err(ProposeError::Unknown | ProposeError::Overloaded) => Registered::Later,
            Err(ProposeError::NotLeader) => Registered::Ended(Ended::NotLeader),
            Err(ProposeError::Stopped) => Registered::Ended(Ended::Stopped),
        }
    }

    async fn sequence_on_ledger(&self, account: AccountId) -> Option<AccountSequence> {
        let shown = hex::encode(account.0);
        let timeout = Duration::from_millis(self.settings.request_timeout_ms);
        match R::timeout(timeout, self.ledger.account(account)).await {
            Ok(Ok(Some(state))) => Some(state.sequence),
            Ok(Ok(None)) => {
                warn!(account = shown, "channel is not on the ledger");
                None
            }
            Ok(Err(error)) => {
                warn!(account = shown, %error, "channel cannot be read");
                None
            }
            Err(_) => {
                warn!(account = shown, "ledger gave no answer in time");
                None
            }
        }
    }
}
