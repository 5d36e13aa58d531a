//! A batch as a transaction: one payment operation each, in the batch's order, from the treasury, on the channel's
//! sequence.

use stellar_xdr::{
    AlphaNum4, AlphaNum12, Asset as AssetXdr, AssetCode4, AssetCode12, Hash as HashXdr,
    LedgerBounds, Memo as MemoXdr, MuxedAccount, MuxedAccountMed25519, Operation, OperationBody,
    PaymentOp, Preconditions, PreconditionsV2, PublicKey, SequenceNumber, TimeBounds, TimePoint,
    Transaction, TransactionExt, Uint256, VecM,
};
use stellara_machine::decision::{Batch, Payment};
use stellara_machine::ids::{AccountId, Asset, Destination, Memo};
use stellara_machine::limits::BATCH_PAYMENTS_MAX;

use super::{Bounds, EnvelopeError, xdr};

pub(super) fn transaction(
    batch: &Batch,
    payments: &[Payment],
    bounds: Bounds,
) -> Result<Transaction, EnvelopeError> {
    matches_batch(batch, payments)?;
    let operations: Vec<Operation> = payments
        .iter()
        .map(|payment| operation(batch.group.treasury, payment))
        .collect();
    Ok(Transaction {
        source_account: account(batch.channel),
        // The fee bump pays.
        fee: 0,
        seq_num: SequenceNumber(batch.sequence.0),
        cond: preconditions(bounds),
        memo: memo(&batch.group.memo)?,
        operations: operations.try_into().map_err(xdr("operations"))?,
        ext: TransactionExt::V0,
    })
}

fn matches_batch(batch: &Batch, payments: &[Payment]) -> Result<(), EnvelopeError> {
    let count = payments.len();
    if !(1..=BATCH_PAYMENTS_MAX).contains(&count) || count != batch.payments.len() {
        return Err(EnvelopeError::PaymentCount { count });
    }
    for (at, (payment, place)) in payments.iter().zip(&batch.payments).enumerate() {
        let why = if payment.id != place.payment {
            "it is another payment"
        } else if payment.body.treasury != Some(batch.group.treasury) {
            "its treasury is another"
        } else if payment.body.memo != batch.group.memo {
            "its memo is another"
        } else if payment.body.amount.0 <= 0 {
            "its amount is not positive"
        } else {
            continue;
        };
        return Err(EnvelopeError::PaymentMismatch { at, why });
    }
    Ok(())
}

fn operation(treasury: AccountId, payment: &Payment) -> Operation {
    Operation {
        source_account: Some(account(treasury)),
        body: OperationBody::Payment(PaymentOp {
            destination: destination(payment.body.destination),
            asset: asset(payment.body.asset),
            amount: payment.body.amount.0,
        }),
    }
}

fn preconditions(bounds: Bounds) -> Preconditions {
    Preconditions::V2(PreconditionsV2 {
        time_bounds: Some(TimeBounds {
            min_time: TimePoint(0),
            max_time: TimePoint(bounds.time_bound_s),
        }),
        ledger_bounds: Some(LedgerBounds {
            min_ledger: 0,
            max_ledger: bounds.ledger_bound.0,
        }),
        min_seq_num: None,
        min_seq_age: stellar_xdr::Duration(0),
        min_seq_ledger_gap: 0,
        extra_signers: VecM::default(),
    })
}

pub(super) const fn account(account: AccountId) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(account.0))
}

const fn destination(destination: Destination) -> MuxedAccount {
    match destination.muxed_id {
        None => account(destination.account),
        Some(id) => MuxedAccount::MuxedEd25519(MuxedAccountMed25519 {
            id,
            ed25519: Uint256(destination.account.0),
        }),
    }
}

const fn asset(asset: Asset) -> AssetXdr {
    match asset {
        Asset::Native => AssetXdr::Native,
        Asset::Credit4 { code, issuer } => AssetXdr::CreditAlphanum4(AlphaNum4 {
            asset_code: AssetCode4(code),
            issuer: issuing(issuer),
        }),
        Asset::Credit12 { code, issuer } => AssetXdr::CreditAlphanum12(AlphaNum12 {
            asset_code: AssetCode12(code),
            issuer: issuing(issuer),
        }),
    }
}

const fn issuing(account: AccountId) -> stellar_xdr::AccountId {
    stellar_xdr::AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(account.0)))
}

fn memo(memo: &Memo) -> Result<MemoXdr, EnvelopeError> {
    Ok(match memo {
        Memo::None => MemoXdr::None,
        Memo::Text(text) => MemoXdr::Text(text.as_str().try_into().map_err(xdr("memo"))?),
        Memo::Id(id) => MemoXdr::Id(*id),
        Memo::Hash(hash) => MemoXdr::Hash(HashXdr(*hash)),
        Memo::Return(hash) => MemoXdr::Return(HashXdr(*hash)),
    })
}
