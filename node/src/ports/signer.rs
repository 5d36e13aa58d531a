//! Who signs. Seeds never leave the adapter: the executor hands over a hash and gets a signature.
//!
//! Signing the same hash with the same account gives the same signature (Ed25519 is deterministic), which makes a
//! fee bump of the same inner transaction reproducible.

use std::future::{Future, pending};

use ed25519_dalek::{Signature, VerifyingKey};
use stellara_machine::command::AccountRole;
use stellara_machine::ids::{AccountId, Hash};

pub mod chosen;
pub mod keyring;
pub mod local;
pub(crate) mod meter;
pub mod remote;

pub use chosen::ChosenSigner;
pub use local::LocalSigner;
pub use remote::RemoteSigner;

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

    /// Which list of accounts it answers from; grows when the list changes.
    fn listing(&self) -> u64 {
        0
    }

    /// Resolves once it answers from a list after `seen`; never for a signer whose accounts stay.
    fn listed_after(&self, seen: u64) -> impl Future<Output = ()> + Send {
        let _ = seen;
        pending()
    }
}

/// An Ed25519 signature and the account it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSignature {
    /// The last four bytes of the account's public key (Stellar's signature hint).
    pub hint: [u8; 4],
    /// The signature.
    pub signature: [u8; 64],
}

/// Why there is no signature. None of it ends a batch: the batch rests, and its signature is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer does not hold the account.
    #[error("signer holds no key of account {}", address(*account))]
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
    /// The signer answered that it does not sign this.
    #[error("signer refuses: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// The signer answered something that is no signature.
    #[error("signer's answer is not as described: {why}")]
    Unreadable {
        /// What does not fit.
        why: String,
    },
    /// The signature is not this account's of this hash; it was thrown away.
    #[error(
        "signer's signature does not verify for account {} and the hash asked for",
        address(*account)
    )]
    WrongSignature {
        /// Whose it should have been.
        account: AccountId,
    },
}

/// The signature hint of an account: the last four bytes of its public key.
#[must_use]
pub const fn hint(account: AccountId) -> [u8; 4] {
    let [.., a, b, c, d] = account.0;
    [a, b, c, d]
}

/// The account as people know it (SEP-23 `G…`).
fn address(account: AccountId) -> String {
    stellar_strkey::ed25519::PublicKey(account.0)
        .to_string()
        .to_string()
}

/// Whether a signature is this account's of this hash.
fn verifies(account: AccountId, hash: Hash, signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(&account.0).is_ok_and(|key| {
        let signature = Signature::from_bytes(signature);
        key.verify_strict(&hash.0, &signature).is_ok()
    })
}
