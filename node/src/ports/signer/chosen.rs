//! The signer that a configuration chose: in this process, or elsewhere.

use stellara_machine::command::AccountRole;
use stellara_machine::ids::{AccountId, Hash};

use super::{AccountSignature, LocalSigner, RemoteSigner, SignError, Signer};

/// One of the two.
#[derive(Clone, Debug)]
pub enum ChosenSigner {
    /// Keys in this process.
    Local(LocalSigner),
    /// A service elsewhere.
    Remote(RemoteSigner),
}

impl Signer for ChosenSigner {
    async fn sign(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        match self {
            Self::Local(signer) => signer.sign(account, hash).await,
            Self::Remote(signer) => signer.sign(account, hash).await,
        }
    }

    fn accounts(&self, role: AccountRole) -> Vec<AccountId> {
        match self {
            Self::Local(signer) => signer.accounts(role),
            Self::Remote(signer) => signer.accounts(role),
        }
    }

    fn listing(&self) -> u64 {
        match self {
            Self::Local(signer) => signer.listing(),
            Self::Remote(signer) => signer.listing(),
        }
    }

    async fn listed_after(&self, seen: u64) {
        match self {
            Self::Local(signer) => signer.listed_after(seen).await,
            Self::Remote(signer) => signer.listed_after(seen).await,
        }
    }
}
