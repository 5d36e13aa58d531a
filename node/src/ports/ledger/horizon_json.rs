//! Horizon's JSON, parsed into the port's types: pure functions from bytes, exact to the stroop.
//!
//! Numbers come as strings or as JSON numbers, as in Horizon; whatever does not fit is an error with its field.

use serde::{Deserialize, Deserializer};
use stellara_machine::ids::{AccountId, Asset};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};

use super::decode::decode_result;
use super::{
    AccountState, Balance, FeeDistribution, FeeStats, FoundTransaction, Ingested, LedgerError,
};
use crate::ports::web::shortened;

/// What `transactions_async` answers in every status that is its own.
#[derive(Debug, Deserialize)]
pub(super) struct SubmitBody {
    pub(super) tx_status: TxStatus,
    #[serde(default)]
    pub(super) hash: String,
    #[serde(default, alias = "errorResultXdr")]
    pub(super) error_result_xdr: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum TxStatus {
    Pending,
    Duplicate,
    Error,
    TryAgainLater,
}

#[derive(Deserialize)]
struct TransactionBody {
    ledger: u32,
    successful: bool,
    result_xdr: String,
}

#[derive(Deserialize)]
struct LedgersBody {
    #[serde(rename = "_embedded")]
    embedded: Records,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<LedgerBody>,
}

#[derive(Deserialize)]
struct LedgerBody {
    sequence: u32,
    closed_at: String,
}

#[derive(Deserialize)]
struct AccountBody {
    #[serde(deserialize_with = "number")]
    sequence: i64,
    last_modified_ledger: u32,
    balances: Vec<BalanceBody>,
}

#[derive(Deserialize)]
struct BalanceBody {
    balance: String,
    asset_type: String,
    #[serde(default)]
    asset_code: String,
    #[serde(default)]
    asset_issuer: String,
}

#[derive(Deserialize)]
struct FeeStatsBody {
    #[serde(deserialize_with = "number")]
    last_ledger: i64,
    #[serde(deserialize_with = "number")]
    last_ledger_base_fee: i64,
    ledger_capacity_usage: String,
    fee_charged: DistributionBody,
    max_fee: DistributionBody,
}

#[derive(Deserialize)]
struct DistributionBody {
    #[serde(deserialize_with = "number")]
    min: i64,
    #[serde(deserialize_with = "number")]
    mode: i64,
    #[serde(deserialize_with = "number")]
    p50: i64,
    #[serde(deserialize_with = "number")]
    p70: i64,
    #[serde(deserialize_with = "number")]
    p90: i64,
    #[serde(deserialize_with = "number")]
    p95: i64,
    #[serde(deserialize_with = "number")]
    p99: i64,
    #[serde(deserialize_with = "number")]
    max: i64,
}

pub(super) fn transaction(bytes: &[u8]) -> Result<FoundTransaction, LedgerError> {
    let what = "a transaction";
    let body: TransactionBody = parse(what, bytes)?;
    let result = decode_result(&body.result_xdr).map_err(|error| bad(what, error.to_string()))?;
    if result.is_success() != body.successful {
        return Err(bad(
            what,
            format!(
                "successful is {} but result_xdr is {}",
                body.successful,
                result.code.name()
            ),
        ));
    }
    Ok(FoundTransaction {
        ledger: LedgerSeq(body.ledger),
        successful: body.successful,
        result,
    })
}

pub(super) fn latest_ledger(bytes: &[u8]) -> Result<Ingested, LedgerError> {
    let what = "the latest ledger";
    let body: LedgersBody = parse(what, bytes)?;
    let [latest] = &body.embedded.records[..] else {
        let count = body.embedded.records.len();
        return Err(bad(what, format!("{count} records, expected 1")));
    };
    let closed_at_s = timestamp_s(&latest.closed_at).ok_or_else(|| {
        bad(
            what,
            format!(
                "closed_at is {:?}, expected a UTC time",
                shortened(&latest.closed_at)
            ),
        )
    })?;
    Ok(Ingested {
        ledger: LedgerSeq(latest.sequence),
        closed_at_s,
    })
}

pub(super) fn account(bytes: &[u8]) -> Result<AccountState, LedgerError> {
    let what = "an account";
    let body: AccountBody = parse(what, bytes)?;
    let mut balances = Vec::with_capacity(body.balances.len());
    for balance in &body.balances {
        // Pool shares are no asset that a payment can carry.
        if balance.asset_type == "liquidity_pool_shares" {
            continue;
        }
        let asset = asset(balance).ok_or_else(|| {
            bad(
                what,
                format!("asset type {}", shortened(&balance.asset_type)),
            )
        })?;
        let amount = stroops(&balance.balance)
            .ok_or_else(|| bad(what, format!("balance {}", shortened(&balance.balance))))?;
        balances.push(Balance { asset, amount });
    }
    Ok(AccountState {
        sequence: AccountSequence(body.sequence),
        modified_at: LedgerSeq(body.last_modified_ledger),
        balances,
    })
}

pub(super) fn fee_stats(bytes: &[u8]) -> Result<FeeStats, LedgerError> {
    let what = "fee statistics";
    let body: FeeStatsBody = parse(what, bytes)?;
    let usage = &body.ledger_capacity_usage;
    Ok(FeeStats {
        last_ledger: LedgerSeq(
            u32::try_from(body.last_ledger).map_err(|error| bad(what, error.to_string()))?,
        ),
        base_fee: Stroops(body.last_ledger_base_fee),
        capacity_usage_permille: permille(usage).ok_or_else(|| {
            let usage = shortened(usage);
            bad(
                what,
                format!("ledger_capacity_usage is {usage:?}, expected a decimal"),
            )
        })?,
        fee_charged: distribution(&body.fee_charged),
        fee_bid: distribution(&body.max_fee),
    })
}

fn distribution(body: &DistributionBody) -> FeeDistribution {
    FeeDistribution {
        min: Stroops(body.min),
        mode: Stroops(body.mode),
        p50: Stroops(body.p50),
        p70: Stroops(body.p70),
        p90: Stroops(body.p90),
        p95: Stroops(body.p95),
        p99: Stroops(body.p99),
        max: Stroops(body.max),
    }
}

fn asset(body: &BalanceBody) -> Option<Asset> {
    if body.asset_type == "native" {
        return Some(Asset::Native);
    }
    let issuer = stellar_strkey::ed25519::PublicKey::from_string(&body.asset_issuer).ok()?;
    let issuer = AccountId(issuer.0);
    let code = body.asset_code.as_bytes();
    match (body.asset_type.as_str(), code.len()) {
        ("credit_alphanum4", 1..=4) => Some(Asset::Credit4 {
            code: padded(code),
            issuer,
        }),
        ("credit_alphanum12", 5..=12) => Some(Asset::Credit12 {
            code: padded(code),
            issuer,
        }),
        _ => None,
    }
}

fn padded<const N: usize>(code: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    padded[..code.len()].copy_from_slice(code);
    padded
}

/// `12.3456789` units as 123,456,789 stroops.
fn stroops(text: &str) -> Option<Stroops> {
    let (units, parts) = text.split_once('.')?;
    if parts.len() != 7 || !parts.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let units: i64 = units.parse().ok().filter(|units| *units >= 0)?;
    let parts: i64 = parts.parse().ok()?;
    units
        .checked_mul(10_000_000)?
        .checked_add(parts)
        .map(Stroops)
}

/// `0.97` as 970, `1` as 1,000; digits past the third are dropped.
fn permille(text: &str) -> Option<u16> {
    let (units, parts) = text.split_once('.').unwrap_or((text, "0"));
    if parts.is_empty() || !parts.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let units: u16 = units.parse().ok()?;
    let parts: u16 = format!("{parts:0<3}").get(..3)?.parse().ok()?;
    units.checked_mul(1_000)?.checked_add(parts)
}

/// `2026-01-02T03:04:05Z` as seconds since the Unix epoch; fractions of a second are dropped.
fn timestamp_s(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = fields(date.split('-'))?;
    let [hour, minute, second] = fields(time.split('.').next()?.split(':'))?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range {
        return None;
    }
    // Days from the civil date, with years that begin in March so that leap days come last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn fields<'a>(parts: impl Iterator<Item = &'a str>) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn parse<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|error| bad(what, error.to_string()))
}

pub(super) fn bad(what: &'static str, why: String) -> LedgerError {
    LedgerError::BadAnswer { what, why }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_times_are_read_exactly() {
        assert_eq!(stroops("922337203685.4775807"), Some(Stroops(i64::MAX)));
        assert_eq!(stroops("0.0000001"), Some(Stroops(1)));
        for wrong in [
            "1",
            "1.5",
            "-1.0000000",
            "1.000000x",
            "922337203685.4775808",
        ] {
            assert_eq!(stroops(wrong), None, "{wrong}");
        }
        assert_eq!(permille("0.97"), Some(970));
        assert_eq!(permille("1"), Some(1_000));
        assert_eq!(permille("0.0375"), Some(37));
        assert_eq!(permille("0,97"), None);
        assert_eq!(timestamp_s("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(timestamp_s("2024-02-29T12:00:00Z"), Some(1_709_208_000));
        assert_eq!(timestamp_s("2015-09-30T17:15:54.123Z"), Some(1_443_633_354));
        assert_eq!(timestamp_s("2015-09-30 17:15:54"), None);
    }

    #[test]
    fn an_account_tells_sequence_and_balances() {
        let issuer = stellar_strkey::ed25519::PublicKey([5; 32]).to_string();
        let body = format!(
            r#"{{"sequence":"4294967296","last_modified_ledger":77,"balances":[
            {{"balance":"3.0000000","asset_type":"credit_alphanum4","asset_code":"USD","asset_issuer":"{issuer}"}},
            {{"balance":"1.0000000","asset_type":"liquidity_pool_shares"}},
            {{"balance":"2.5000000","asset_type":"native"}}]}}"#
        );
        let state = account(body.as_bytes()).unwrap();
        assert_eq!(state.sequence, AccountSequence(4_294_967_296));
        assert_eq!(state.modified_at, LedgerSeq(77));
        let code = *b"USD\0";
        let issuer = AccountId([5; 32]);
        let expected = [
            (Asset::Credit4 { code, issuer }, 30_000_000),
            (Asset::Native, 25_000_000),
        ];
        let expected = expected.map(|(asset, amount)| Balance {
            asset,
            amount: Stroops(amount),
        });
        assert_eq!(state.balances, expected);
    }

    #[test]
    fn broken_answers_say_what_is_wrong() {
        let error = account(br#"{"sequence":"x"}"#).unwrap_err();
        assert!(matches!(
            error,
            LedgerError::BadAnswer {
                what: "an account",
                ..
            }
        ));
        let error = latest_ledger(br#"{"_embedded":{"records":[]}}"#).unwrap_err();
        assert!(error.to_string().contains("0 records, expected 1"));
    }
}
