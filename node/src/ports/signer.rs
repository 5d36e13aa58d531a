//! Who signs. Seeds never leave the adapter: the executor hands over a hash and gets a signature.
//!
//! Signing the same hash with the same account gives the same signature (Ed25519 is deterministic), which makes a
//! fee bump of the same inner transaction reproducible.

use std::future::Future;

use stellara_machine::command::AccountRole;
use stellara_machine::ids::{AccountId, Hash};

pub mod keyring;
pub mod local;

pub use local::LocalSigner;

/// Signs for the accounts it holds.
pub trait Signer: Clone + Send + Sync + 'static {
    /// Signs a transaction hash for an account.
    fn sign(
        &self,
        account: AccountId,
        hash: Hash,
    ) -> impl Future<Output = Result<AccountSignature, SignError>> + Send;

    /// The accounts it can sign for, in account order within a role.
    fn accounts(&self, role: AccountRole) -> Vec<AccountId>;
}

/// An Ed25519 signature and the account it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSignature {
    /// The last four bytes of the account's public key (Stellar's signature hint).
    pub hint: [u8; 4],
    /// The signature.
    pub signature: [u8; 64],
}

/// Why there is no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer does not hold the account.
    #[error("signer holds no key of account {}", hex::encode(account.0))]
    UnknownAccount {
        /// Which.
        account: AccountId,
    },
    /// The signer did not answer.
    #[error("signer does not answer: {why}")]
    Unavailable {
        /// What happened.
        why: String,
    },
}

/// The signature hint of an account: the last four bytes of its public key.
#[must_use]
pub const fn hint(account: AccountId) -> [u8; 4] {
    let [.., a, b, c, d] = account.0;
    [a, b, c, d]
}
