//! Signing with keys held in this process, opened from a keyring file.
//!
//! Seeds live in wiped memory only, and no formatting of the signer shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use stellara_machine::command::AccountRole;
use stellara_machine::ids::{AccountId, Hash};
use zeroize::Zeroizing;

use super::keyring::{Keyring, KeyringError, Seed};
use super::{AccountSignature, SignError, Signer, hint};

/// A signer whose keys are in memory. Clones share the keys.
#[derive(Clone)]
pub struct LocalSigner {
    // `SigningKey` wipes itself when dropped (feature `zeroize`).
    keys: Arc<BTreeMap<AccountId, Held>>,
}

struct Held {
    role: AccountRole,
    key: SigningKey,
}

impl LocalSigner {
    /// Opens a keyring file.
    ///
    /// # Errors
    /// See [`KeyringError`]: missing, wrong passphrase and damaged are told apart.
    pub fn open(path: &Path, passphrase: &Zeroizing<String>) -> Result<Self, KeyringError> {
        Ok(Self::from_keyring(&Keyring::open(path, passphrase)?))
    }

    /// Takes the keys of an opened keyring.
    #[must_use]
    pub fn from_keyring(keyring: &Keyring) -> Self {
        Self::from_seeds(keyring.seeds())
    }

    /// Takes seeds as they are.
    pub fn from_seeds<'a>(seeds: impl IntoIterator<Item = (AccountRole, &'a Seed)>) -> Self {
        let keys = seeds
            .into_iter()
            .map(|(role, seed)| {
                let key = seed.signing_key();
                (
                    AccountId(key.verifying_key().to_bytes()),
                    Held { role, key },
                )
            })
            .collect();
        Self {
            keys: Arc::new(keys),
        }
    }
}

impl Signer for LocalSigner {
    async fn sign(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        let held = self
            .keys
            .get(&account)
            .ok_or(SignError::UnknownAccount { account })?;
        Ok(AccountSignature {
            hint: hint(account),
            signature: held.key.sign(&hash.0).to_bytes(),
        })
    }

    fn accounts(&self, role: AccountRole) -> Vec<AccountId> {
        self.keys
            .iter()
            .filter(|(_, held)| held.role == role)
            .map(|(account, _)| *account)
            .collect()
    }
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSigner")
            .field("accounts", &self.keys.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signature, VerifyingKey};

    fn signer() -> LocalSigner {
        let seeds = [
            (AccountRole::Treasury, Seed::from_bytes([1; 32])),
            (AccountRole::Channel, Seed::from_bytes([2; 32])),
            (AccountRole::Channel, Seed::from_bytes([3; 32])),
        ];
        LocalSigner::from_seeds(seeds.iter().map(|(role, seed)| (*role, seed)))
    }

    #[tokio::test]
    async fn signatures_verify_and_unknown_accounts_are_refused() {
        let signer = signer();
        let [treasury] = signer.accounts(AccountRole::Treasury)[..] else {
            panic!("one treasury expected");
        };
        let signed = signer.sign(treasury, Hash([9; 32])).await.unwrap();
        assert_eq!(signed.hint, treasury.0[28..]);
        VerifyingKey::from_bytes(&treasury.0)
            .unwrap()
            .verify_strict(&[9; 32], &Signature::from_bytes(&signed.signature))
            .unwrap();
        let stranger = AccountId([0; 32]);
        assert_eq!(
            signer.sign(stranger, Hash([9; 32])).await,
            Err(SignError::UnknownAccount { account: stranger })
        );
        assert_eq!(signer.accounts(AccountRole::Channel).len(), 2);
        assert!(signer.accounts(AccountRole::Fee).is_empty());
    }

    #[test]
    fn debug_shows_no_seed() {
        assert_eq!(format!("{:?}", signer()), "LocalSigner { accounts: 3, .. }");
    }
}
