//! How a line shows accounts, assets, memos and numbers: as Stellar's own tools write them.

use serde::{Serialize, Serializer};
use stellar_strkey::ed25519::{MuxedAccount, PublicKey};
use stellara_machine::command::PaymentBody;
use stellara_machine::ids::{AccountId, Asset, Destination, Memo};

/// Every whole number up to here is a JSON number that every reader takes exactly.
const EXACT_MAX: u64 = 1 << 53;

/// A number, as JSON's own up to 2^53, as decimal digits in a string above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(u64);

impl Number {
    /// A number that is never below zero where it comes from.
    pub(super) fn signed(number: i64) -> Self {
        Self(u64::try_from(number).expect("amounts and fees that are drawn are above zero"))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= EXACT_MAX {
            serializer.serialize_u64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

/// One payment as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownOperation {
    /// `G…`, or `M…` for a multiplexed one (SEP-23).
    pub destination: String,
    /// `native` or `CODE:ISSUER`.
    pub asset: String,
    /// What is paid.
    pub amount_stroops: Number,
}

impl ShownOperation {
    pub(super) fn of(body: &PaymentBody) -> Self {
        Self {
            destination: destination(body.destination),
            asset: asset(body.asset),
            amount_stroops: Number::signed(body.amount.0),
        }
    }
}

/// A memo: `{"type": "text", "value": "invoice 7"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum ShownMemo {
    /// No memo; its value is null.
    None(()),
    /// Text.
    Text(String),
    /// A number.
    Id(Number),
    /// 32 bytes in hex.
    Hash(String),
    /// 32 bytes in hex.
    Return(String),
}

impl ShownMemo {
    pub(super) fn of(memo: &Memo) -> Self {
        match memo {
            Memo::None => Self::None(()),
            Memo::Text(text) => Self::Text(text.clone()),
            Memo::Id(id) => Self::Id(Number(*id)),
            Memo::Hash(hash) => Self::Hash(hex(hash)),
            Memo::Return(hash) => Self::Return(hex(hash)),
        }
    }
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    stellar_xdr::Hash(*hash).to_string()
}

pub(super) fn account(account: AccountId) -> String {
    PublicKey(account.0).to_string().to_string()
}

fn destination(to: Destination) -> String {
    match to.muxed_id {
        None => account(to.account),
        Some(id) => MuxedAccount {
            ed25519: to.account.0,
            id,
        }
        .to_string()
        .to_string(),
    }
}

fn asset(asset: Asset) -> String {
    let issued = |code: &[u8], issuer| {
        let code: String = code
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        format!("{code}:{}", account(issuer))
    };
    match asset {
        Asset::Native => "native".to_owned(),
        Asset::Credit4 { code, issuer } => issued(&code, issuer),
        Asset::Credit12 { code, issuer } => issued(&code, issuer),
    }
}
