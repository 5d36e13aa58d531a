//! The check of an envelope: decoded again, of our own form, and every signature of it verified.
//!
//! The form is narrow on purpose: both upper bounds, inner fee 0, payments of one treasury, one signature of each
//! account that must sign and none more (an unused signature fails a transaction on the ledger).

use ed25519_dalek::{Signature, VerifyingKey};
use stellar_xdr::{
    DecoratedSignature, FeeBumpTransactionEnvelope, FeeBumpTransactionInnerTx, Limits,
    MuxedAccount, OperationBody, Preconditions, ReadXdr, Transaction, TransactionEnvelope,
    WriteXdr,
};
use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::limits::ENVELOPE_BYTES_MAX;
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};

use super::{Bounds, EnvelopeError, Network, SignedEnvelope, fee_of_bid, inner_hash, xdr};
use crate::ports::signer::hint;

/// Nesting of a fee bump of payments stays far below this.
const ENVELOPE_DEPTH_MAX: u32 = 64;

/// Decodes an envelope and verifies all of it; returns what it says.
///
/// # Errors
/// When it is not a fee bump of our form or a signature does not verify.
pub fn check(network: &Network, bytes: &[u8]) -> Result<SignedEnvelope, EnvelopeError> {
    let outer = fee_bump(bytes)?;
    let FeeBumpTransactionInnerTx::Tx(inner) = &outer.tx.inner_tx;
    let channel = plain(&inner.tx.source_account)?;
    let treasury = treasury(&inner.tx)?;
    let bounds = bounds(&inner.tx)?;
    ensure(inner.tx.fee == 0, "the inner fee is not 0")?;
    let operations = inner.tx.operations.len();
    let floor = fee_of_bid(Stroops(0), operations)?;
    ensure(
        outer.tx.fee >= floor.0,
        "the fee is below the protocol's least",
    )?;
    let inner_hash = inner_hash(network, &inner.tx)?;
    let outer_hash = Hash(outer.tx.hash(network.id).map_err(xdr("fee bump"))?);
    let inner_signers: &[AccountId] = if channel == treasury {
        &[channel]
    } else {
        &[channel, treasury]
    };
    verify(inner_signers, inner_hash, &inner.signatures)?;
    verify(
        &[plain(&outer.tx.fee_source)?],
        outer_hash,
        &outer.signatures,
    )?;
    Ok(SignedEnvelope {
        channel,
        sequence: AccountSequence(inner.tx.seq_num.0),
        inner_hash,
        outer_hash,
        bounds,
        fee_max: Stroops(outer.tx.fee),
        operations,
        bytes: bytes.to_owned(),
    })
}

/// Decodes a fee bump whose bytes are its one canonical encoding.
pub(super) fn fee_bump(bytes: &[u8]) -> Result<FeeBumpTransactionEnvelope, EnvelopeError> {
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::TooLong { len: bytes.len() });
    }
    let limits = Limits {
        depth: ENVELOPE_DEPTH_MAX,
        len: ENVELOPE_BYTES_MAX,
    };
    let envelope = TransactionEnvelope::from_xdr(bytes, limits).map_err(xdr("envelope"))?;
    let again = envelope.to_xdr(Limits::none()).map_err(xdr("envelope"))?;
    ensure(again == bytes, "it does not encode to the same bytes")?;
    match envelope {
        TransactionEnvelope::TxFeeBump(envelope) => Ok(envelope),
        TransactionEnvelope::Tx(_) | TransactionEnvelope::TxV0(_) => Err(EnvelopeError::Check {
            why: "it is not a fee bump",
        }),
    }
}

/// The one source of all operations, each a payment.
fn treasury(tx: &Transaction) -> Result<AccountId, EnvelopeError> {
    let mut treasury = None;
    for operation in tx.operations.iter() {
        let is_payment = matches!(operation.body, OperationBody::Payment(_));
        ensure(is_payment, "an operation is not a payment")?;
        let source = operation
            .source_account
            .as_ref()
            .ok_or(EnvelopeError::Check {
                why: "an operation has no source of its own",
            })?;
        let source = plain(source)?;
        ensure(
            *treasury.get_or_insert(source) == source,
            "operations have several sources",
        )?;
    }
    treasury.ok_or(EnvelopeError::PaymentCount { count: 0 })
}

fn bounds(tx: &Transaction) -> Result<Bounds, EnvelopeError> {
    let unbounded = EnvelopeError::Check {
        why: "it lacks an upper bound",
    };
    let Preconditions::V2(conditions) = &tx.cond else {
        return Err(unbounded);
    };
    match (&conditions.time_bounds, &conditions.ledger_bounds) {
        // Zero means no bound in the protocol.
        (Some(time), Some(ledger)) if time.max_time.0 != 0 && ledger.max_ledger != 0 => {
            Ok(Bounds {
                time_bound_s: time.max_time.0,
                ledger_bound: LedgerSeq(ledger.max_ledger),
            })
        }
        (_, _) => Err(unbounded),
    }
}

fn verify(
    signers: &[AccountId],
    hash: Hash,
    signatures: &[DecoratedSignature],
) -> Result<(), EnvelopeError> {
    ensure(
        signatures.len() == signers.len(),
        "it has too few or too many signatures",
    )?;
    for (signer, decorated) in signers.iter().zip(signatures) {
        ensure(
            decorated.hint.0 == hint(*signer),
            "a signature hints at another account",
        )?;
        let verified = VerifyingKey::from_bytes(&signer.0).and_then(|key| {
            let signature = Signature::from_slice(decorated.signature.0.as_slice())?;
            key.verify_strict(&hash.0, &signature)
        });
        ensure(verified.is_ok(), "a signature does not verify")?;
    }
    Ok(())
}

fn plain(account: &MuxedAccount) -> Result<AccountId, EnvelopeError> {
    match account {
        MuxedAccount::Ed25519(key) => Ok(AccountId(key.0)),
        MuxedAccount::MuxedEd25519(_) => Err(EnvelopeError::Check {
            why: "an account of ours is multiplexed",
        }),
    }
}

fn ensure(holds: bool, why: &'static str) -> Result<(), EnvelopeError> {
    if holds {
        Ok(())
    } else {
        Err(EnvelopeError::Check { why })
    }
}
