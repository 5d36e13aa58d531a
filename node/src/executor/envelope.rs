//! Signed envelopes: the inner transaction of a batch, its fee bump, their hashes and signatures.
//!
//! The inner transaction carries fee 0 and always travels in a fee bump. A new bid re-signs only the bump: the inner
//! bytes, and so the batch's identity on the ledger, stay. Whatever is returned was decoded again and every
//! signature of it verified; an envelope that fails this is never handed out.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    BytesM, DecoratedSignature, FeeBumpTransaction, FeeBumpTransactionEnvelope,
    FeeBumpTransactionExt, FeeBumpTransactionInnerTx, Limits, SignatureHint, Transaction,
    TransactionEnvelope, TransactionV1Envelope, VecM, WriteXdr,
};
use stellara_machine::decision::{Batch, Payment};
use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::limits::ENVELOPE_BYTES_MAX;
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};

use crate::ports::{SignError, Signer};

mod check;
mod inner;

pub use check::check;

/// The least fee per operation that the protocol takes.
pub const FEE_PER_OPERATION_MIN: Stroops = Stroops(100);

/// The network a signature is for: SHA-256 of its passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    id: [u8; 32],
}

impl Network {
    /// The network with this passphrase.
    #[must_use]
    pub fn from_passphrase(passphrase: &str) -> Self {
        Self {
            id: Sha256::digest(passphrase).into(),
        }
    }
}

/// The upper bounds of a transaction. Both are always set, so that its absence can be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Seconds since the Unix epoch; a ledger that closes later does not take it.
    pub time_bound_s: u64,
    /// Exclusive: this ledger does not take it.
    pub ledger_bound: LedgerSeq,
}

/// A signed fee bump, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEnvelope {
    /// The account that lends its sequence.
    pub channel: AccountId,
    /// The sequence it carries.
    pub sequence: AccountSequence,
    /// Hash of the inner transaction.
    pub inner_hash: Hash,
    /// Hash of the fee bump.
    pub outer_hash: Hash,
    /// Its upper bounds.
    pub bounds: Bounds,
    /// The most the fee account may be charged.
    pub fee_max: Stroops,
    /// Payments in it.
    pub operations: usize,
    /// The XDR bytes to send.
    pub bytes: Vec<u8>,
}

/// Why an envelope could not be made or is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The payments are not the batch's, in its order.
    #[error("payment at {at} does not match its batch: {why}")]
    PaymentMismatch {
        /// Its place in the batch.
        at: usize,
        /// What differs.
        why: &'static str,
    },
    /// The batch holds no payments, or more than a transaction can.
    #[error("batch holds {count} payments, expected 1 to 100")]
    PaymentCount {
        /// How many.
        count: usize,
    },
    /// The fee is out of the ledger's range.
    #[error("fee bid of {bid} stroops for {operations} operations overflows the ledger's range")]
    FeeOverflow {
        /// The bid per operation.
        bid: i64,
        /// Operations that pay, the bump included.
        operations: usize,
    },
    /// A part does not fit XDR.
    #[error("{part} does not fit a transaction: {why}")]
    Xdr {
        /// Which part.
        part: &'static str,
        /// What the encoder or decoder said.
        why: String,
    },
    /// The bytes are longer than an attempt may be.
    #[error("envelope has {len} bytes, expected at most {ENVELOPE_BYTES_MAX}")]
    TooLong {
        /// How many.
        len: usize,
    },
    /// A stored or freshly signed envelope is not of our form, or a signature of it does not verify.
    #[error("envelope fails its check: {why}")]
    Check {
        /// What does not fit.
        why: &'static str,
    },
    /// The signer gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The total fee of a bid: per operation, for `payments` operations and the bump itself.
///
/// # Errors
/// [`EnvelopeError::FeeOverflow`].
pub fn fee_of_bid(bid: Stroops, payments: usize) -> Result<Stroops, EnvelopeError> {
    let bid = bid.max(FEE_PER_OPERATION_MIN);
    let operations = payments + 1;
    i64::try_from(operations)
        .ok()
        .and_then(|operations| bid.0.checked_mul(operations))
        .map(Stroops)
        .ok_or(EnvelopeError::FeeOverflow {
            bid: bid.0,
            operations,
        })
}

/// Builds, signs and checks a batch's transaction in its first fee bump.
///
/// # Errors
/// See [`EnvelopeError`].
pub async fn build<S: Signer>(
    signer: &S,
    network: &Network,
    batch: &Batch,
    payments: &[Payment],
    bounds: Bounds,
    bump: Bump,
) -> Result<SignedEnvelope, EnvelopeError> {
    let transaction = inner::transaction(batch, payments, bounds)?;
    let hash = Hash(transaction.hash(network.id).map_err(xdr("transaction"))?);
    let mut signatures = vec![signed(signer, batch.channel, hash).await?];
    // An unused second signature of the same account would fail the transaction.
    if batch.group.treasury != batch.channel {
        signatures.push(signed(signer, batch.group.treasury, hash).await?);
    }
    let inner = TransactionV1Envelope {
        tx: transaction,
        signatures: signatures.try_into().map_err(xdr("signatures"))?,
    };
    wrap(signer, network, inner, bump).await
}

/// Puts the inner transaction of a stored envelope, unchanged, into a new fee bump.
///
/// # Errors
/// See [`EnvelopeError`]; the stored envelope is checked first.
pub async fn bump_again<S: Signer>(
    signer: &S,
    network: &Network,
    stored: &[u8],
    bump: Bump,
) -> Result<SignedEnvelope, EnvelopeError> {
    check(network, stored)?;
    let envelope = check::fee_bump(stored)?;
    let FeeBumpTransactionInnerTx::Tx(inner) = envelope.tx.inner_tx;
    wrap(signer, network, inner, bump).await
}

/// Who pays a fee bump, and the most it pays in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bump {
    /// The fee account.
    pub fee_account: AccountId,
    /// The total bid: see [`fee_of_bid`].
    pub fee_max: Stroops,
}

async fn wrap<S: Signer>(
    signer: &S,
    network: &Network,
    inner: TransactionV1Envelope,
    bump: Bump,
) -> Result<SignedEnvelope, EnvelopeError> {
    let tx = FeeBumpTransaction {
        fee_source: inner::account(bump.fee_account),
        fee: bump.fee_max.0,
        inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
        ext: FeeBumpTransactionExt::V0,
    };
    let hash = Hash(tx.hash(network.id).map_err(xdr("fee bump"))?);
    let signature = signed(signer, bump.fee_account, hash).await?;
    let signatures = VecM::try_from(vec![signature]).map_err(xdr("signatures"))?;
    let bytes = TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures })
        .to_xdr(Limits::none())
        .map_err(xdr("envelope"))?;
    check(network, &bytes)
}

async fn signed<S: Signer>(
    signer: &S,
    account: AccountId,
    hash: Hash,
) -> Result<DecoratedSignature, EnvelopeError> {
    let signed = signer.sign(account, hash).await?;
    let signature = BytesM::<64>::try_from(&signed.signature).map_err(xdr("signature"))?;
    Ok(DecoratedSignature {
        hint: SignatureHint(signed.hint),
        signature: signature.into(),
    })
}

fn xdr(part: &'static str) -> impl FnOnce(stellar_xdr::Error) -> EnvelopeError {
    move |error| EnvelopeError::Xdr {
        part,
        why: error.to_string(),
    }
}

/// The inner transaction's hash as the network knows it.
fn inner_hash(network: &Network, tx: &Transaction) -> Result<Hash, EnvelopeError> {
    tx.hash(network.id).map(Hash).map_err(xdr("transaction"))
}

#[cfg(test)]
mod tests;
