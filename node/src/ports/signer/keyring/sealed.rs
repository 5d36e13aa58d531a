//! The keyring's text form, version 1: what is derived, encrypted and checked, and in which order.
//!
//! `checksum` finds damage without the passphrase; `check` tells a wrong passphrase from a right one without touching
//! the cipher; the cipher's tag, over header and content, finds tampering by one who repaired the checksum.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stellara_machine::command::AccountRole;
use zeroize::Zeroizing;

use super::{KEYS_MAX, KeyringError, Seed, fill_random};

/// The version this code writes and reads.
pub(super) const VERSION: u64 = 1;
const FORMAT: &str = "stellara-keyring";
/// One key in the clear: its role and its seed.
const ENTRY_BYTES: usize = 33;
const MEMORY_KIB_MAX: u32 = 1_048_576;
const PASSES_MAX: u32 = 16;

/// What it costs to try one passphrase (argon2id, one lane).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfCost {
    /// Memory in KiB, 8 to 1,048,576.
    pub memory_kib: u32,
    /// Passes over the memory, 1 to 16.
    pub passes: u32,
}

impl Default for KdfCost {
    /// 64 MiB and 3 passes (RFC 9106, second recommended option, with one lane).
    fn default() -> Self {
        Self {
            memory_kib: 65_536,
            passes: 3,
        }
    }
}

impl KdfCost {
    pub(super) fn checked(self) -> Result<Self, KeyringError> {
        let Self { memory_kib, passes } = self;
        if (8..=MEMORY_KIB_MAX).contains(&memory_kib) && (1..=PASSES_MAX).contains(&passes) {
            Ok(self)
        } else {
            Err(KeyringError::Cost { memory_kib, passes })
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u64,
    kdf: String,
    cost: KdfCost,
    salt: String,
    check: String,
    cipher: String,
    nonce: String,
    sealed: String,
    checksum: String,
}

#[derive(Deserialize)]
struct Stated {
    version: u64,
}

struct Derived {
    key: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

/// Encrypts the keys under a fresh salt and nonce.
pub(super) fn seal<'a>(
    cost: KdfCost,
    passphrase: &Zeroizing<String>,
    seeds: impl Iterator<Item = (AccountRole, &'a Seed)>,
    count: usize,
) -> Result<String, KeyringError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    fill_random(&mut salt)?;
    fill_random(&mut nonce)?;
    let derived = derive(cost, passphrase, &salt)?;
    // Reserved whole, so that no grown-out-of copy of a seed stays behind unwiped.
    let mut clear = Zeroizing::new(Vec::with_capacity(count * ENTRY_BYTES));
    for (role, seed) in seeds {
        clear.push(role_number(role));
        clear.extend_from_slice(seed.bytes());
    }
    let mut file = File {
        format: FORMAT.to_owned(),
        version: VERSION,
        kdf: "argon2id".to_owned(),
        cost,
        salt: hex::encode(salt),
        check: hex::encode(derived.check),
        cipher: "xchacha20poly1305".to_owned(),
        nonce: hex::encode(nonce),
        sealed: String::new(),
        checksum: String::new(),
    };
    let header = header(&file);
    let payload = Payload {
        msg: &clear,
        aad: header.as_bytes(),
    };
    let sealed = XChaCha20Poly1305::new(derived.key.as_slice().into())
        .encrypt(XNonce::from_slice(&nonce), payload)
        .expect("the cipher takes messages of up to 256 GiB");
    file.sealed = hex::encode(sealed);
    file.checksum = checksum(&file);
    let text = serde_json::to_string_pretty(&file).expect("strings and numbers are JSON");
    Ok(text + "\n")
}

/// Decrypts a keyring's text.
pub(super) fn open(
    path: &Path,
    text: &str,
    passphrase: &Zeroizing<String>,
) -> Result<(KdfCost, Vec<(AccountRole, Seed)>), KeyringError> {
    let damaged = |why: &str| KeyringError::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let stated: Stated = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
    if stated.version != VERSION {
        return Err(KeyringError::Version {
            path: path.to_owned(),
            version: stated.version,
        });
    }
    let file: File = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
    if checksum(&file) != file.checksum {
        return Err(damaged("its checksum does not fit its content"));
    }
    if (
        file.format.as_str(),
        file.kdf.as_str(),
        file.cipher.as_str(),
    ) != (FORMAT, "argon2id", "xchacha20poly1305")
    {
        return Err(damaged("its format, kdf or cipher is not version 1's"));
    }
    let field = |name: &str, value: &str| {
        hex::decode(value).map_err(|_| damaged(&format!("{name} is not hexadecimal")))
    };
    let salt = field("salt", &file.salt)?;
    let nonce: [u8; 24] = field("nonce", &file.nonce)?
        .try_into()
        .map_err(|_| damaged("nonce has not 24 bytes"))?;
    let sealed = field("sealed", &file.sealed)?;
    let cost = file
        .cost
        .checked()
        .map_err(|error| damaged(&error.to_string()))?;
    if salt.len() != 16 {
        return Err(damaged("salt has not 16 bytes"));
    }
    let derived = derive(cost, passphrase, &salt)?;
    if hex::encode(derived.check) != file.check {
        return Err(KeyringError::WrongPassphrase {
            path: path.to_owned(),
        });
    }
    let header = header(&file);
    let payload = Payload {
        msg: &sealed,
        aad: header.as_bytes(),
    };
    let clear = XChaCha20Poly1305::new(derived.key.as_slice().into())
        .decrypt(XNonce::from_slice(&nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| damaged("its content was changed after it was written"))?;
    entries(&clear)
        .map(|entries| (cost, entries))
        .ok_or_else(|| damaged("its content is not a list of keys"))
}

fn entries(clear: &[u8]) -> Option<Vec<(AccountRole, Seed)>> {
    let (entries, rest) = clear.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() || entries.len() > KEYS_MAX {
        return None;
    }
    entries
        .iter()
        .map(|[role, seed @ ..]| Some((role_from_number(*role)?, Seed::from_bytes(*seed))))
        .collect()
}

fn derive(
    cost: KdfCost,
    passphrase: &Zeroizing<String>,
    salt: &[u8],
) -> Result<Derived, KeyringError> {
    if passphrase.is_empty() {
        return Err(KeyringError::EmptyPassphrase);
    }
    let KdfCost { memory_kib, passes } = cost;
    let refused = |_| KeyringError::Cost { memory_kib, passes };
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(refused)?;
    let mut root = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, root.as_mut_slice())
        .map_err(refused)?;
    // Two values that tell nothing of each other: the check is stored, the key never is.
    let branch = |label: &[u8]| -> [u8; 32] {
        Sha256::new()
            .chain_update(label)
            .chain_update(root.as_slice())
            .finalize()
            .into()
    };
    Ok(Derived {
        key: Zeroizing::new(branch(b"stellara-keyring/1/key")),
        check: branch(b"stellara-keyring/1/check"),
    })
}

fn header(file: &File) -> String {
    format!(
        "{}/{}/{}/{}/{}/{}/{}/{}",
        file.format,
        file.version,
        file.kdf,
        file.cost.memory_kib,
        file.cost.passes,
        file.salt,
        file.check,
        file.cipher
    )
}

fn checksum(file: &File) -> String {
    let digest = Sha256::new()
        .chain_update(header(file))
        .chain_update("/")
        .chain_update(&file.nonce)
        .chain_update("/")
        .chain_update(&file.sealed)
        .finalize();
    hex::encode(digest)
}

const fn role_number(role: AccountRole) -> u8 {
    match role {
        AccountRole::Treasury => 1,
        AccountRole::Channel => 2,
        AccountRole::Fee => 3,
    }
}

const fn role_from_number(number: u8) -> Option<AccountRole> {
    match number {
        1 => Some(AccountRole::Treasury),
        2 => Some(AccountRole::Channel),
        3 => Some(AccountRole::Fee),
        _ => None,
    }
}
