//! A keyring file: Ed25519 seeds with their roles, encrypted at rest (argon2id, XChaCha20-Poly1305, versioned JSON).
//!
//! Opening tells apart what an operator must do differently: the file is missing, readable by others, damaged, of
//! another version, or the passphrase is wrong. Every save takes a fresh salt and nonce and replaces the file
//! atomically with mode 0600. Seeds and derived keys live in wiped memory only.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ring::rand::{SecureRandom, SystemRandom};
use stellara_machine::command::AccountRole;
use stellara_machine::ids::AccountId;
use zeroize::Zeroizing;

mod disk;
mod sealed;

pub use sealed::KdfCost;

/// Keys of one keyring: as many as the cluster can know accounts.
const KEYS_MAX: usize = stellara_machine::limits::ACCOUNTS_MAX;

/// Bytes of a key file.
const KEY_FILE_BYTES: usize = 32;

/// Why a keyring cannot be opened, changed or saved.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no such file.
    #[error("keyring {} does not exist, expected a file made by `keyring create`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is there already: creating never replaces keys.
    #[error("keyring {} exists already, expected no file there", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others than the owner may read it.
    #[error("keyring {} has mode {mode:o}, expected 600", path.display())]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file was made by another version.
    #[error("keyring {} has version {version}, expected {}", path.display(), sealed::VERSION)]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version it states.
        version: u64,
    },
    /// The file is not what was written: cut, edited or corrupt.
    #[error("keyring {} is damaged: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The file is whole, but this passphrase does not open it.
    #[error("passphrase does not open keyring {}", path.display())]
    WrongPassphrase {
        /// Which file.
        path: PathBuf,
    },
    /// The passphrase is empty or its file holds none.
    #[error("passphrase is empty, expected at least one character")]
    EmptyPassphrase,
    /// A key file is not as long as a key.
    #[error("key file {} has {len} bytes, expected {KEY_FILE_BYTES}", path.display())]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: usize,
    },
    /// The account has a role already.
    #[error("account {} is in the keyring already", hex::encode(account.0))]
    Duplicate {
        /// Which.
        account: AccountId,
    },
    /// No more keys fit.
    #[error("keyring holds {KEYS_MAX} keys, expected fewer before another is added")]
    Full,
    /// The text is no Stellar secret seed.
    #[error("secret seed is not valid, expected 56 characters that begin with S")]
    BadSeed,
    /// The cost of the key derivation is out of bounds.
    #[error(
        "key derivation cost is {memory_kib} KiB and {passes} passes, expected 8 to 1048576 KiB and 1 to 16 passes"
    )]
    Cost {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
    },
    /// The operating system gave no random bytes.
    #[error("operating system gives no random bytes")]
    NoRandomness,
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A secret Ed25519 seed, wiped when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Takes the bytes of a seed.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a seed from the operating system.
    ///
    /// # Errors
    /// [`KeyringError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyringError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Reads Stellar's text form (SEP-23 `S…`).
    ///
    /// # Errors
    /// [`KeyringError::BadSeed`]; the error never repeats the text.
    pub fn from_strkey(text: &str) -> Result<Self, KeyringError> {
        let key = stellar_strkey::ed25519::PrivateKey::from_string(text.trim())
            .map_err(|_| KeyringError::BadSeed)?;
        Ok(Self::from_bytes(key.0))
    }

    /// The account that the seed signs for.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId(self.signing_key().verifying_key().to_bytes())
    }

    /// The key pair; it wipes itself when dropped.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }

    fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(redacted)")
    }
}

/// An opened keyring. Changes are in memory until [`Keyring::save`].
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    cost: KdfCost,
    keys: BTreeMap<AccountId, (AccountRole, Seed)>,
}

impl Keyring {
    /// Makes an empty keyring file.
    ///
    /// # Errors
    /// [`KeyringError::Exists`] when something is there, [`KeyringError::Cost`] or what the file system says.
    pub fn create(
        path: &Path,
        passphrase: &Zeroizing<String>,
        cost: KdfCost,
    ) -> Result<Self, KeyringError> {
        let keyring = Self {
            path: path.to_owned(),
            cost: cost.checked()?,
            keys: BTreeMap::new(),
        };
        let sealed = keyring.sealed(passphrase)?;
        disk::write_new(path, sealed.as_bytes())?;
        Ok(keyring)
    }

    /// Opens a keyring file.
    ///
    /// # Errors
    /// Missing, permissions, version, damaged and wrong passphrase are told apart: see [`KeyringError`].
    pub fn open(path: &Path, passphrase: &Zeroizing<String>) -> Result<Self, KeyringError> {
        let text = disk::read_private(path)?;
        let (cost, entries) = sealed::open(path, &text, passphrase)?;
        let mut keyring = Self {
            path: path.to_owned(),
            cost,
            keys: BTreeMap::new(),
        };
        for (role, seed) in entries {
            keyring.add(role, seed)?;
        }
        Ok(keyring)
    }

    /// Adds a key; returns its account.
    ///
    /// # Errors
    /// [`KeyringError::Duplicate`] and [`KeyringError::Full`].
    pub fn add(&mut self, role: AccountRole, seed: Seed) -> Result<AccountId, KeyringError> {
        let account = seed.account();
        if self.keys.contains_key(&account) {
            return Err(KeyringError::Duplicate { account });
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeyringError::Full);
        }
        self.keys.insert(account, (role, seed));
        Ok(account)
    }

    /// Replaces the file by the keys in memory, atomically.
    ///
    /// # Errors
    /// What the file system says; the old file then stays.
    pub fn save(&self, passphrase: &Zeroizing<String>) -> Result<(), KeyringError> {
        disk::replace(&self.path, self.sealed(passphrase)?.as_bytes())
    }

    /// The accounts and what they are for, in account order.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, AccountRole)> {
        self.keys
            .iter()
            .map(|(account, (role, _))| (*account, *role))
    }

    /// The seeds and what they are for.
    pub fn seeds(&self) -> impl Iterator<Item = (AccountRole, &Seed)> {
        self.keys.values().map(|(role, seed)| (*role, seed))
    }

    fn sealed(&self, passphrase: &Zeroizing<String>) -> Result<String, KeyringError> {
        sealed::seal(self.cost, passphrase, self.seeds(), self.keys.len())
    }
}

/// Reads the text of a file that only its owner may read.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<String>, KeyringError> {
    disk::read_private(path).map(Zeroizing::new)
}

/// Reads a passphrase from a file: its text without the line end.
///
/// # Errors
/// When the file cannot be read, others may read it, or it is empty.
pub fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, KeyringError> {
    let text = Zeroizing::new(disk::read_private(path)?);
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() {
        return Err(KeyringError::EmptyPassphrase);
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}

/// Reads a key file: 32 random bytes, which open a keyring as a passphrase does.
///
/// # Errors
/// When the file cannot be read, others may read it, or it has another length.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<String>, KeyringError> {
    let bytes = Zeroizing::new(disk::read_private_bytes(path)?);
    if bytes.len() != KEY_FILE_BYTES {
        return Err(KeyringError::KeyFile {
            path: path.to_owned(),
            len: bytes.len(),
        });
    }
    // As text, so that one form of keyring serves both.
    Ok(Zeroizing::new(hex::encode(bytes.as_slice())))
}

pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), KeyringError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| KeyringError::NoRandomness)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyringError {
    let path = path.to_owned();
    move |source| KeyringError::Io {
        action,
        path,
        source,
    }
}

fn remove_quietly(path: &Path) {
    // The caller reports what went wrong before; a leftover temporary file is only clutter.
    drop(fs::remove_file(path));
}

#[cfg(test)]
mod tests;
