//! Envelopes as the network reads them: parsed once, hashed, and their signatures checked.
//! Invariant: the inner hash is the same whatever bump carries the transaction.

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, DecoratedSignature, FeeBumpTransactionInnerTx, Limits, MuxedAccount, PublicKey,
    ReadXdr, Transaction, TransactionEnvelope, Uint256,
};

/// Longest envelope that is read, in bytes: 100 operations fit many times.
const ENVELOPE_BYTES_MAX: usize = 128 * 1024;

/// The hash of a transaction on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxHash(pub [u8; 32]);

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for TxHash {
    type Err = hex::FromHexError;

    /// Reads 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// What a fee bump adds.
#[derive(Clone, Debug)]
pub(crate) struct Bump {
    pub(crate) fee_source: MuxedAccount,
    pub(crate) fee_stroops: i64,
    pub(crate) signatures: Vec<DecoratedSignature>,
}

/// A parsed envelope. `tx` and `signatures` are those of the inner transaction of a bump.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) xdr: Vec<u8>,
    pub(crate) outer_hash: TxHash,
    pub(crate) inner_hash: TxHash,
    pub(crate) tx: Transaction,
    pub(crate) signatures: Vec<DecoratedSignature>,
    pub(crate) bump: Option<Bump>,
}

/// The id of a network: SHA-256 of its passphrase.
pub(crate) fn network_id(passphrase: &str) -> [u8; 32] {
    Sha256::digest(passphrase.as_bytes()).into()
}

impl Parsed {
    /// Reads an envelope and hashes it; the error says what is malformed.
    pub(crate) fn read(xdr: &[u8], network_id: [u8; 32]) -> Result<Self, String> {
        let limits = Limits {
            depth: 200,
            len: ENVELOPE_BYTES_MAX,
        };
        let envelope = TransactionEnvelope::from_xdr(xdr, limits)
            .map_err(|error| format!("not a transaction envelope: {error}"))?;
        let hash = |result: Result<[u8; 32], stellar_xdr::Error>| {
            result
                .map(TxHash)
                .map_err(|error| format!("cannot be hashed: {error}"))
        };
        let outer_hash = hash(envelope.hash(network_id))?;
        let (tx, signatures, bump) = match envelope {
            TransactionEnvelope::TxV0(v0) => {
                (Transaction::from(&v0.tx), v0.signatures.to_vec(), None)
            }
            TransactionEnvelope::Tx(v1) => (v1.tx, v1.signatures.to_vec(), None),
            TransactionEnvelope::TxFeeBump(outer) => {
                let bump = Bump {
                    fee_source: outer.tx.fee_source,
                    fee_stroops: outer.tx.fee,
                    signatures: outer.signatures.to_vec(),
                };
                let FeeBumpTransactionInnerTx::Tx(inner) = outer.tx.inner_tx;
                (inner.tx, inner.signatures.to_vec(), Some(bump))
            }
        };
        let inner_hash = match bump {
            Some(_) => hash(tx.hash(network_id))?,
            None => outer_hash,
        };
        let xdr = xdr.to_vec();
        Ok(Self {
            xdr,
            outer_hash,
            inner_hash,
            tx,
            signatures,
            bump,
        })
    }

    /// The account whose sequence number is used.
    pub(crate) fn source(&self) -> AccountId {
        self.tx.source_account.clone().account_id()
    }

    /// The account that pays the fee.
    pub(crate) fn fee_source(&self) -> AccountId {
        self.bump.as_ref().map_or_else(
            || self.source(),
            |bump| bump.fee_source.clone().account_id(),
        )
    }

    /// The most that may be charged, in stroops.
    pub(crate) fn fee_max_stroops(&self) -> i64 {
        self.bump
            .as_ref()
            .map_or(i64::from(self.tx.fee), |bump| bump.fee_stroops)
    }

    /// Operations of the inner transaction.
    pub(crate) fn inner_ops(&self) -> u32 {
        u32::try_from(self.tx.operations.len()).unwrap_or(u32::MAX)
    }

    /// Operations that count for space and fee: a bump is one more. At least 1.
    pub(crate) fn ops(&self) -> u32 {
        let bump_ops = u32::from(self.bump.is_some());
        (self.inner_ops() + bump_ops).max(1)
    }
}

/// Signatures of one hash, remembering which of them some account needed.
pub(crate) struct Signatures<'a> {
    hash: TxHash,
    all: &'a [DecoratedSignature],
    used: Vec<bool>,
    /// The accounts asked for, with the answer: every operation asks for its source, and most name the same one.
    asked: Vec<(AccountId, bool)>,
}

impl<'a> Signatures<'a> {
    pub(crate) fn new(hash: TxHash, all: &'a [DecoratedSignature]) -> Self {
        Self {
            hash,
            all,
            used: vec![false; all.len()],
            asked: Vec::new(),
        }
    }

    /// Whether the account's master key signed.
    pub(crate) fn cover(&mut self, account: &AccountId) -> bool {
        let known = self.asked.iter().find(|(asked, _)| asked == account);
        if let Some((_, covered)) = known {
            return *covered;
        }
        let covered = self.find(account);
        self.asked.push((account.clone(), covered));
        covered
    }

    fn find(&mut self, account: &AccountId) -> bool {
        let PublicKey::PublicKeyTypeEd25519(Uint256(key_bytes)) = &account.0;
        let Ok(key) = VerifyingKey::from_bytes(key_bytes) else {
            return false;
        };
        for (signature, used) in self.all.iter().zip(&mut self.used) {
            if signature.hint.0 != key_bytes[28..] {
                continue;
            }
            let Ok(bytes) = <[u8; 64]>::try_from(signature.signature.0.as_slice()) else {
                continue;
            };
            let valid = key.verify_strict(&self.hash.0, &Signature::from_bytes(&bytes));
            if valid.is_ok() {
                *used = true;
                return true;
            }
        }
        false
    }

    pub(crate) fn all_used(&self) -> bool {
        self.used.iter().all(|used| *used)
    }
}
