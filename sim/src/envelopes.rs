//! Signed envelopes for anyone to check: drawn batches, built and bumped by the code that ships, as lines of JSON.
//!
//! What a line says of its envelope is what was asked for, never what was read back from the bytes: whoever decodes them
//! compares two things. Equal seeds give equal lines, and a longer run begins with a shorter one's. No line holds a seed of a key.

use std::collections::VecDeque;

use futures_util::FutureExt as _;
use serde::Serialize;
use stellar_xdr::{FeeBumpTransactionInnerTx, Limits, ReadXdr, TransactionEnvelope, WriteXdr};
use stellara_node::executor::envelope::{
    EnvelopeError, Network, SignedEnvelope, build, bump_again,
};
use stellara_node::ports::signer::LocalSigner;

mod draw;
mod shown;
#[cfg(test)]
mod tests;

use draw::{Draws, Request};
pub use shown::{Number, ShownMemo, ShownOperation};

/// A signed envelope beside what it was asked to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The network that the signatures are for.
    pub passphrase: String,
    /// The signed inner transaction, as an envelope of its own: XDR in base64.
    pub inner_xdr: String,
    /// The signed fee bump, as it is sent: XDR in base64.
    pub fee_bump_xdr: String,
    /// Hash of the inner transaction, in hex.
    pub inner_hash: String,
    /// Hash of the fee bump, in hex.
    pub fee_bump_hash: String,
    /// The account that lends its sequence.
    pub channel: String,
    /// The account whose money moves.
    pub treasury: String,
    /// The account that pays.
    pub fee_account: String,
    /// The payments, in the transaction's order.
    pub operations: Vec<ShownOperation>,
    /// The transaction's memo.
    pub memo: ShownMemo,
    /// The most the fee account is charged.
    pub fee_stroops: Number,
}

/// Why a line could not be made: the code under test refused what it must take.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It built no envelope.
    #[error("envelope {at} is not built: {error}")]
    Envelope {
        /// Its place, from 0.
        at: u64,
        /// Why not.
        error: EnvelopeError,
    },
    /// It waited, as a signer in this process never does.
    #[error("envelope {at} is not built: the signer in this process waits")]
    Waits {
        /// Its place, from 0.
        at: u64,
    },
    /// What it built is not XDR of a fee bump.
    #[error("envelope {at} is not read back: {why}")]
    Unreadable {
        /// Its place, from 0.
        at: u64,
        /// The decoder's words.
        why: String,
    },
}

/// Endless lines of one seed.
#[derive(Debug)]
pub struct Lines {
    draws: Draws,
    at: u64,
    /// Of the inner transaction that was built last: the bumps that are still to come.
    bumps: VecDeque<Request>,
    last: Option<SignedEnvelope>,
}

impl Lines {
    /// The lines of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed),
            at: 0,
            bumps: VecDeque::new(),
            last: None,
        }
    }

    /// The first bump of a new inner transaction, or the next of the last one.
    fn line(&mut self) -> Result<Line, LineError> {
        let signer = self.draws.signer().clone();
        let (request, signed) = match (self.bumps.pop_front(), &self.last) {
            (Some(request), Some(last)) => {
                let signed = self.bumped(&signer, &request, &last.bytes)?;
                (request, signed)
            }
            (Some(_), None) | (None, _) => {
                let request = self.draws.request();
                self.bumps = self.draws.bumps(&request).into();
                let signed = self.built(&signer, &request)?;
                (request, signed)
            }
        };
        let line = self.shown(&request, &signed)?;
        self.last = Some(signed);
        Ok(line)
    }

    fn built(&self, signer: &LocalSigner, request: &Request) -> Result<SignedEnvelope, LineError> {
        let network = Network::from_passphrase(request.passphrase);
        let (batch, payments) = (&request.batch, &request.payments);
        let built = build(
            signer,
            &network,
            batch,
            payments,
            request.bounds,
            request.bump,
        );
        self.ended(built.now_or_never())
    }

    fn bumped(
        &self,
        signer: &LocalSigner,
        request: &Request,
        stored: &[u8],
    ) -> Result<SignedEnvelope, LineError> {
        let network = Network::from_passphrase(request.passphrase);
        self.ended(bump_again(signer, &network, stored, request.bump).now_or_never())
    }

    fn ended(
        &self,
        ended: Option<Result<SignedEnvelope, EnvelopeError>>,
    ) -> Result<SignedEnvelope, LineError> {
        let at = self.at;
        ended
            .ok_or(LineError::Waits { at })?
            .map_err(|error| LineError::Envelope { at, error })
    }

    fn shown(&self, request: &Request, signed: &SignedEnvelope) -> Result<Line, LineError> {
        let unreadable = |why: String| LineError::Unreadable { at: self.at, why };
        let xdr = |error: stellar_xdr::Error| unreadable(error.to_string());
        let outer = TransactionEnvelope::from_xdr(&signed.bytes, Limits::none()).map_err(xdr)?;
        let inner = match &outer {
            TransactionEnvelope::TxFeeBump(outer) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = outer.tx.inner_tx.clone();
                TransactionEnvelope::Tx(inner)
            }
            TransactionEnvelope::Tx(_) | TransactionEnvelope::TxV0(_) => {
                return Err(unreadable("it is no fee bump".to_owned()));
            }
        };
        Ok(Line {
            passphrase: request.passphrase.to_owned(),
            inner_xdr: inner.to_xdr_base64(Limits::none()).map_err(xdr)?,
            fee_bump_xdr: outer.to_xdr_base64(Limits::none()).map_err(xdr)?,
            inner_hash: shown::hex(&signed.inner_hash.0),
            fee_bump_hash: shown::hex(&signed.outer_hash.0),
            channel: shown::account(request.batch.channel),
            treasury: shown::account(request.batch.group.treasury),
            fee_account: shown::account(request.bump.fee_account),
            operations: request
                .payments
                .iter()
                .map(|payment| ShownOperation::of(&payment.body))
                .collect(),
            memo: ShownMemo::of(&request.batch.group.memo),
            fee_stroops: Number::signed(request.bump.fee_max.0),
        })
    }
}

impl Iterator for Lines {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.line();
        self.at += 1;
        Some(line)
    }
}
