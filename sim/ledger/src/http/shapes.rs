//! Horizon's JSON shapes. Numbers that may outgrow a double are strings, as in Horizon.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use stellar_xdr::{
    AccountId, Asset, DecoratedSignature, Limits, Memo, Preconditions, TimeBounds, WriteXdr,
};

use crate::account::{Account, TrustLine};
use crate::asset;
use crate::envelope::TxHash;
use crate::fee_stats::{Distribution, FeeStats};
use crate::network::{LedgerRecord, Network, TransactionRecord};

/// A record and its place among others.
pub(super) struct Paged {
    pub(super) token: u64,
    pub(super) body: Value,
}

/// Stroops as units with seven decimals.
pub(super) fn amount(stroops: i64) -> String {
    let sign = if stroops < 0 { "-" } else { "" };
    let stroops = stroops.unsigned_abs();
    format!("{sign}{}.{:07}", stroops / 10_000_000, stroops % 10_000_000)
}

/// Unix ms as `2015-09-30T17:15:54Z` (days to civil date after Howard Hinnant's algorithm).
pub(super) fn timestamp(unix_ms: u64) -> String {
    let unix_s = unix_ms / 1_000;
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    let second = second % 60;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn token(ledger: u32, place: u64) -> u64 {
    (u64::from(ledger) << 32) + place
}

fn signatures(all: &[DecoratedSignature]) -> Value {
    all.iter()
        .map(|s| BASE64.encode(s.signature.0.as_slice()))
        .collect()
}

/// A transaction, as found under `asked`: its outer or its inner hash.
pub(super) fn transaction(record: &TransactionRecord, asked: TxHash) -> Value {
    let parsed = &record.parsed;
    let result_xdr = record
        .result
        .to_xdr_base64(Limits::none())
        .expect("a result has a bounded size");
    let outer_signatures = match (&parsed.bump, asked == record.outer_hash) {
        (Some(bump), true) => &bump.signatures,
        (Some(_), false) | (None, _) => &parsed.signatures,
    };
    let place = token(record.ledger, 4_096).to_string();
    let mut body = json!({
        "id": asked.to_string(),
        "paging_token": place,
        "successful": record.successful,
        "hash": asked.to_string(),
        "ledger": record.ledger,
        "created_at": timestamp(record.closed_at_ms),
        "source_account": parsed.source().to_string(),
        "source_account_sequence": parsed.tx.seq_num.0.to_string(),
        "fee_account": parsed.fee_source().to_string(),
        "fee_charged": record.fee_charged_stroops.to_string(),
        "max_fee": parsed.fee_max_stroops().to_string(),
        "operation_count": parsed.inner_ops(),
        "envelope_xdr": BASE64.encode(&parsed.xdr),
        "result_xdr": result_xdr,
        "signatures": signatures(outer_signatures),
    });
    add_memo(&mut body, &parsed.tx.memo);
    add_preconditions(&mut body, &parsed.tx.cond);
    if let Some(bump) = &parsed.bump {
        body["fee_bump_transaction"] = json!({
            "hash": record.outer_hash.to_string(),
            "signatures": signatures(&bump.signatures),
        });
        body["inner_transaction"] = json!({
            "hash": record.inner_hash.to_string(),
            "signatures": signatures(&parsed.signatures),
            "max_fee": parsed.tx.fee.to_string(),
        });
    }
    body
}

fn add_memo(body: &mut Value, memo: &Memo) {
    let memo_type = match memo {
        Memo::None => "none",
        Memo::Text(text) => {
            body["memo"] = json!(String::from_utf8_lossy(text.as_slice()));
            body["memo_bytes"] = json!(BASE64.encode(text.as_slice()));
            "text"
        }
        Memo::Id(id) => {
            body["memo"] = json!(id.to_string());
            "id"
        }
        Memo::Hash(hash) => {
            body["memo"] = json!(BASE64.encode(hash.0));
            "hash"
        }
        Memo::Return(hash) => {
            body["memo"] = json!(BASE64.encode(hash.0));
            "return"
        }
    };
    body["memo_type"] = json!(memo_type);
}

fn add_preconditions(body: &mut Value, conditions: &Preconditions) {
    let (time_bounds, ledger_bounds) = match conditions {
        Preconditions::None => return,
        Preconditions::Time(bounds) => (Some(bounds), None),
        Preconditions::V2(v2) => (v2.time_bounds.as_ref(), v2.ledger_bounds.as_ref()),
    };
    let mut preconditions = Map::new();
    if let Some(TimeBounds { min_time, max_time }) = time_bounds {
        let mut bounds = json!({ "min_time": min_time.0.to_string() });
        body["valid_after"] = json!(timestamp(min_time.0.saturating_mul(1_000)));
        if max_time.0 != 0 {
            bounds["max_time"] = json!(max_time.0.to_string());
            body["valid_before"] = json!(timestamp(max_time.0.saturating_mul(1_000)));
        }
        preconditions.insert("timebounds".to_owned(), bounds);
    }
    if let Some(bounds) = ledger_bounds {
        let mut shape = json!({ "min_ledger": bounds.min_ledger });
        if bounds.max_ledger != 0 {
            shape["max_ledger"] = json!(bounds.max_ledger);
        }
        preconditions.insert("ledgerbounds".to_owned(), shape);
    }
    body["preconditions"] = Value::Object(preconditions);
}

pub(super) fn account(network: &Network, id: &AccountId, account: &Account) -> Value {
    let modified = account.last_modified_ledger;
    let modified_ms = network
        .ledgers()
        .find(|ledger| ledger.sequence <= modified)
        .map_or(0, |ledger| ledger.closed_at_ms);
    let mut balances: Vec<Value> = account
        .trust_lines
        .iter()
        .map(|(asset, line)| trust_line(asset, line, modified))
        .collect();
    balances.push(json!({
        "balance": amount(account.balance_stroops),
        "buying_liabilities": amount(0),
        "selling_liabilities": amount(0),
        "asset_type": "native",
    }));
    let data: Map<String, Value> = account
        .data
        .iter()
        .map(|(name, value)| (name.clone(), json!(BASE64.encode(value))))
        .collect();
    json!({
        "id": id.to_string(),
        "account_id": id.to_string(),
        "sequence": account.sequence.to_string(),
        "sequence_ledger": account.sequence_ledger,
        "sequence_time": account.sequence_time_s.to_string(),
        "subentry_count": account.subentry_count(),
        "last_modified_ledger": modified,
        "last_modified_time": timestamp(modified_ms),
        "thresholds": { "low_threshold": 0, "med_threshold": 0, "high_threshold": 0 },
        "flags": {
            "auth_required": false,
            "auth_revocable": false,
            "auth_immutable": false,
            "auth_clawback_enabled": false,
        },
        "balances": balances,
        "signers": [{ "weight": 1, "key": id.to_string(), "type": "ed25519_public_key" }],
        "data": data,
        "num_sponsoring": 0,
        "num_sponsored": 0,
        "paging_token": id.to_string(),
    })
}

fn trust_line(asset: &Asset, line: &TrustLine, modified_ledger: u32) -> Value {
    let (code, issuer) = asset::code_and_issuer(asset)
        .map_or_else(Default::default, |(code, issuer)| {
            (code, issuer.to_string())
        });
    let asset_type = if code.len() <= 4 {
        "credit_alphanum4"
    } else {
        "credit_alphanum12"
    };
    json!({
        "balance": amount(line.balance_stroops),
        "limit": amount(line.limit_stroops),
        "buying_liabilities": amount(0),
        "selling_liabilities": amount(0),
        "last_modified_ledger": modified_ledger,
        "is_authorized": line.authorized,
        "is_authorized_to_maintain_liabilities": line.authorized,
        "asset_type": asset_type,
        "asset_code": code,
        "asset_issuer": issuer,
    })
}

pub(super) fn fee_stats(stats: &FeeStats) -> Value {
    let usage = stats.capacity_usage_percent;
    json!({
        "last_ledger": stats.last_ledger.to_string(),
        "last_ledger_base_fee": stats.last_ledger_base_fee_stroops.to_string(),
        "ledger_capacity_usage": format!("{}.{:02}", usage / 100, usage % 100),
        "fee_charged": distribution(&stats.fee_charged),
        "max_fee": distribution(&stats.max_fee),
    })
}

fn distribution(distribution: &Distribution) -> Value {
    let mut body = json!({
        "max": distribution.max.to_string(),
        "min": distribution.min.to_string(),
        "mode": distribution.mode.to_string(),
    });
    for (percent, value) in &distribution.percentiles {
        body[format!("p{percent}")] = json!(value.to_string());
    }
    body
}

pub(super) fn ledger(network: &Network, ledger: &LedgerRecord) -> Paged {
    let config = network.config();
    let token = token(ledger.sequence, 0);
    let hash = hex::encode(ledger.hash);
    let body = json!({
        "id": hash,
        "paging_token": token.to_string(),
        "hash": hash,
        "prev_hash": hex::encode(ledger.prev_hash),
        "sequence": ledger.sequence,
        "successful_transaction_count": ledger.successful,
        "failed_transaction_count": ledger.failed,
        "operation_count": ledger.ops,
        "tx_set_operation_count": ledger.ops,
        "closed_at": timestamp(ledger.closed_at_ms),
        "fee_pool": amount(ledger.fee_pool_stroops),
        "base_fee_in_stroops": config.base_fee_stroops,
        "base_reserve_in_stroops": config.base_reserve_stroops,
        "max_tx_set_size": config.ledger_ops_max,
        "protocol_version": 23,
    });
    Paged { token, body }
}

pub(super) fn root(network: &Network) -> Value {
    let visible = network.visible();
    let oldest = network.ledgers().last().map_or(0, |ledger| ledger.sequence);
    json!({
        "horizon_version": concat!("stellara-ledger-", env!("CARGO_PKG_VERSION")),
        "core_version": concat!("stellara-ledger-", env!("CARGO_PKG_VERSION")),
        "ingest_latest_ledger": visible.sequence,
        "history_latest_ledger": visible.sequence,
        "history_latest_ledger_closed_at": timestamp(visible.closed_at_ms),
        "history_elder_ledger": oldest,
        "core_latest_ledger": network.latest().sequence,
        "network_passphrase": network.config().passphrase,
        "current_protocol_version": 23,
        "supported_protocol_version": 23,
        "core_supported_protocol_version": 23,
    })
}

#[cfg(test)]
mod tests {
    use super::{amount, timestamp};

    #[test]
    fn amounts_and_times_print_as_in_horizon() {
        assert_eq!(amount(1), "0.0000001");
        assert_eq!(amount(-15_000_000), "-1.5000000");
        assert_eq!(amount(i64::MAX), "922337203685.4775807");
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_443_633_354_000), "2015-09-30T17:15:54Z");
        assert_eq!(timestamp(1_709_208_000_000), "2024-02-29T12:00:00Z");
        assert_eq!(timestamp(4_102_444_799_999), "2099-12-31T23:59:59Z");
    }
}
