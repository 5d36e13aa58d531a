//! From the strings of callers to the machine's values; every refusal says field, value and expected form.
//!
//! Pure, without floats or regular expressions: it runs for every payment that comes in.

use std::borrow::Cow;
use std::fmt;

use stellar_strkey::ed25519::{MuxedAccount, PublicKey};
use stellara_machine::command::{PaymentBody, SubmitPayment};
use stellara_machine::ids::{
    AccountId, Asset, BatchId, Destination, DeveloperId, IdempotencyKey, Memo, PaymentId,
};
use stellara_machine::limits::{
    AMOUNT_STROOPS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, MEMO_TEXT_BYTES_MAX, REFERENCE_BYTES_MAX,
};
use stellara_machine::units::{Lane, Stroops};
use stellara_proto::v1;
use stellara_raft_store::types::NodeId;

mod asked;
mod policy;
#[cfg(test)]
mod tests;

pub use asked::{
    ITEMS_MAX, Listed, PAGE_SIZE_MAX, Place, WatchFrom, freshness, hours, items, page_cursor,
    page_size, quoted, stage_filter, watch_cursor,
};
pub use policy::policy;

/// Characters of a value that a refusal repeats.
const VALUE_CHARS_MAX: usize = 64;
/// Characters of a Stellar secret seed (SEP-23 `S…`).
const SEED_CHARS: usize = 56;
/// Decimals of an amount: a stroop is 10^-7 of a unit (Stellar protocol).
const DECIMALS_MAX: usize = 7;

/// A field that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its path in the request.
    pub field: Cow<'static, str>,
    /// What it holds, shortened to 64 characters.
    pub value: String,
    /// What it should.
    pub expected: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            expected,
        } = self;
        write!(f, "{field} is \"{value}\", expected {expected}")
    }
}

impl std::error::Error for Invalid {}

impl Invalid {
    /// The refusal under the path of the payment at `index`.
    #[must_use]
    pub fn of_item(self, index: usize) -> Self {
        Self {
            field: format!("payments[{index}].{}", self.field).into(),
            ..self
        }
    }
}

/// The refusal of a field. A secret seed in it, pasted by mistake, is not repeated to logs and answers.
fn refused(field: impl Into<Cow<'static, str>>, value: &str, expected: &'static str) -> Invalid {
    let seed = value.len() == SEED_CHARS && value.starts_with('S');
    Invalid {
        field: field.into(),
        value: if seed {
            "a secret seed, not repeated here".to_owned()
        } else {
            value.chars().take(VALUE_CHARS_MAX).collect()
        },
        expected,
    }
}

/// A whole submission of the developer.
///
/// # Errors
/// The first field that does not hold.
pub fn submission(
    developer: DeveloperId,
    request: v1::SubmitPaymentRequest,
) -> Result<SubmitPayment, Invalid> {
    let v1::SubmitPaymentRequest {
        idempotency_key: key,
        destination: to,
        asset: what,
        amount: how_much,
        treasury: from,
        memo: note,
        priority,
        reference: text,
        fee_cap_stroops,
    } = request;
    Ok(SubmitPayment {
        developer,
        key: idempotency_key(key)?,
        body: PaymentBody {
            destination: destination("destination", &to)?,
            asset: asset("asset", &what)?,
            amount: amount("amount", &how_much)?,
            treasury: treasury("treasury", &from)?,
            memo: memo(note)?,
            lane: lane("priority", priority)?,
            fee_cap: fee_cap(fee_cap_stroops)?,
            reference: reference(text)?,
        },
    })
}

/// A cap for a bid per operation, in stroops; 0 for the lane's own.
///
/// # Errors
/// `Invalid`.
pub fn fee_cap(stroops: i64) -> Result<Option<Stroops>, Invalid> {
    match stroops {
        0 => Ok(None),
        1.. => Ok(Some(Stroops(stroops))),
        ..0 => Err(refused(
            "fee_cap_stroops",
            &stroops.to_string(),
            "0, or the most to bid for an operation in stroops",
        )),
    }
}

/// An idempotency key: 1 to 128 bytes without control characters.
///
/// # Errors
/// `Invalid`.
pub fn idempotency_key(key: String) -> Result<IdempotencyKey, Invalid> {
    const EXPECTED: &str = "1 to 128 bytes without control characters";
    let printable = || !key.chars().any(char::is_control);
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && printable() {
        Ok(IdempotencyKey(key))
    } else {
        Err(refused("idempotency_key", &key, EXPECTED))
    }
}

/// A receiver: `G…`, or `M…` with its sub-account (SEP-23).
///
/// # Errors
/// `Invalid`.
pub fn destination(field: &'static str, text: &str) -> Result<Destination, Invalid> {
    const EXPECTED: &str =
        "an account G… of 56 characters or M… of 69 characters, with a valid checksum";
    let found = match text.as_bytes().first() {
        Some(b'G') => PublicKey::from_string(text)
            .ok()
            .map(|PublicKey(key)| Destination {
                account: AccountId(key),
                muxed_id: None,
            }),
        Some(b'M') => MuxedAccount::from_string(text)
            .ok()
            .map(|MuxedAccount { ed25519, id }| Destination {
                account: AccountId(ed25519),
                muxed_id: Some(id),
            }),
        Some(_) | None => None,
    };
    found.ok_or_else(|| refused(field, text, EXPECTED))
}

/// An account: `G…` (SEP-23).
///
/// # Errors
/// `Invalid`.
pub fn account(field: &'static str, text: &str) -> Result<AccountId, Invalid> {
    const EXPECTED: &str = "an account G… of 56 characters, with a valid checksum";
    PublicKey::from_string(text)
        .map(|PublicKey(key)| AccountId(key))
        .map_err(|_| refused(field, text, EXPECTED))
}

fn treasury(field: &'static str, text: &str) -> Result<Option<AccountId>, Invalid> {
    (!text.is_empty()).then(|| account(field, text)).transpose()
}

/// An asset: `native`, or `CODE:ISSUER` (SEP-11).
///
/// # Errors
/// `Invalid`.
pub fn asset(field: &'static str, text: &str) -> Result<Asset, Invalid> {
    const EXPECTED: &str =
        "\"native\", or CODE:ISSUER with a code of 1 to 12 letters and digits and an issuer G…";
    if text == "native" {
        return Ok(Asset::Native);
    }
    let bad = || refused(field, text, EXPECTED);
    let (code, issuer) = text.split_once(':').ok_or_else(bad)?;
    if !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad());
    }
    let PublicKey(key) = PublicKey::from_string(issuer).map_err(|_| bad())?;
    let issuer = AccountId(key);
    match code.len() {
        1..=4 => Ok(Asset::Credit4 {
            code: padded(code),
            issuer,
        }),
        5..=12 => Ok(Asset::Credit12 {
            code: padded(code),
            issuer,
        }),
        _ => Err(bad()),
    }
}

/// The code and zero bytes after it; the caller checked that it fits.
fn padded<const N: usize>(code: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(code.bytes()) {
        *to = from;
    }
    bytes
}

/// A node's number.
///
/// # Errors
/// `Invalid` when it is 0, which no node has.
pub fn node_id(field: &'static str, number: u64) -> Result<NodeId, Invalid> {
    match number {
        0 => Err(refused(field, "0", "a node's number, from 1")),
        node_id => Ok(node_id),
    }
}

/// An amount: a decimal number above zero with at most seven decimals, up to 10^9 units.
///
/// # Errors
/// `Invalid`, telling which of these does not hold.
pub fn amount(field: &'static str, text: &str) -> Result<Stroops, Invalid> {
    const NUMBER: &str = "a decimal number, as 12.5";
    const POSITIVE: &str = "an amount above zero";
    let bad = |expected| refused(field, text, expected);
    let (whole, decimals) = match text.split_once('.') {
        Some((_, "")) => return Err(bad(NUMBER)),
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = whole.strip_prefix('-')
        && !rest.is_empty()
        && digits(rest)
        && digits(decimals)
    {
        return Err(bad(POSITIVE));
    }
    if whole.is_empty() || !digits(whole) || !digits(decimals) {
        return Err(bad(NUMBER));
    }
    if decimals.len() > DECIMALS_MAX {
        return Err(bad("at most seven decimals"));
    }
    let zeros = std::iter::repeat_n(b'0', DECIMALS_MAX - decimals.len());
    let stroops = whole
        .bytes()
        .chain(decimals.bytes())
        .chain(zeros)
        .try_fold(0_i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        });
    match stroops {
        Some(0) => Err(bad(POSITIVE)),
        Some(stroops) if stroops <= AMOUNT_STROOPS_MAX => Ok(Stroops(stroops)),
        Some(_) | None => Err(bad("at most 1000000000")),
    }
}

/// A memo; an absent one and one without a kind are none.
///
/// # Errors
/// `Invalid`.
pub fn memo(memo: Option<v1::Memo>) -> Result<Memo, Invalid> {
    use v1::memo::Memo as Kind;
    Ok(match memo.and_then(|memo| memo.memo) {
        None => Memo::None,
        Some(Kind::Text(text)) if text.len() <= MEMO_TEXT_BYTES_MAX => Memo::Text(text),
        Some(Kind::Text(text)) => return Err(refused("memo.text", &text, "at most 28 bytes")),
        Some(Kind::Id(id)) => Memo::Id(id),
        Some(Kind::Hash(text)) => Memo::Hash(hash("memo.hash", &text)?),
        Some(Kind::ReturnHash(text)) => Memo::Return(hash("memo.return_hash", &text)?),
    })
}

fn hash(field: &'static str, text: &str) -> Result<[u8; 32], Invalid> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(refused(field, text, "64 hexadecimal digits")),
    }
}

/// The lane of a priority; the unset one is medium.
///
/// # Errors
/// `Invalid` for a number without a name.
pub fn lane(field: &'static str, priority: i32) -> Result<Lane, Invalid> {
    match v1::Priority::try_from(priority) {
        Ok(v1::Priority::Low) => Ok(Lane::Low),
        Ok(v1::Priority::Unspecified | v1::Priority::Medium) => Ok(Lane::Medium),
        Ok(v1::Priority::High) => Ok(Lane::High),
        Ok(v1::Priority::Critical) => Ok(Lane::Critical),
        Err(_) => Err(refused(
            field,
            &priority.to_string(),
            "PRIORITY_LOW, PRIORITY_MEDIUM, PRIORITY_HIGH or PRIORITY_CRITICAL",
        )),
    }
}

fn reference(text: String) -> Result<String, Invalid> {
    if text.len() <= REFERENCE_BYTES_MAX {
        Ok(text)
    } else {
        Err(refused("reference", &text, "at most 1024 bytes"))
    }
}

/// A payment's identity: `pay_` and 16 hexadecimal digits.
///
/// # Errors
/// `Invalid`.
pub fn payment_id(field: impl Into<Cow<'static, str>>, text: &str) -> Result<PaymentId, Invalid> {
    id("pay_", text)
        .map(PaymentId)
        .ok_or_else(|| refused(field, text, "pay_ and 16 hexadecimal digits"))
}

/// A batch's identity: `bat_` and 16 hexadecimal digits.
///
/// # Errors
/// `Invalid`.
pub fn batch_id(field: &'static str, text: &str) -> Result<BatchId, Invalid> {
    id("bat_", text)
        .map(BatchId)
        .ok_or_else(|| refused(field, text, "bat_ and 16 hexadecimal digits"))
}

fn id(prefix: &str, text: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(text.strip_prefix(prefix)?, &mut bytes).ok()?;
    Some(u64::from_be_bytes(bytes))
}
