//! The ledger's values in the port's types.

use stellar_xdr::{AccountId as AccountIdXdr, Asset as AssetXdr, PublicKey, Uint256};
use stellara_ledger::{Account, Distribution, FeeStats as FeeStatsTold};
use stellara_machine::ids::{AccountId, Asset};
use stellara_machine::units::{AccountSequence, LedgerSeq, Stroops};
use stellara_node::ports::ledger::{AccountState, Balance, FeeDistribution, FeeStats};

pub(super) fn account_id(account: AccountId) -> AccountIdXdr {
    AccountIdXdr(PublicKey::PublicKeyTypeEd25519(Uint256(account.0)))
}

fn issuer(account: &AccountIdXdr) -> AccountId {
    let PublicKey::PublicKeyTypeEd25519(Uint256(bytes)) = &account.0;
    AccountId(*bytes)
}

fn asset(asset: &AssetXdr) -> Asset {
    match asset {
        AssetXdr::Native => Asset::Native,
        AssetXdr::CreditAlphanum4(credit) => Asset::Credit4 {
            code: credit.asset_code.0,
            issuer: issuer(&credit.issuer),
        },
        AssetXdr::CreditAlphanum12(credit) => Asset::Credit12 {
            code: credit.asset_code.0,
            issuer: issuer(&credit.issuer),
        },
    }
}

pub(super) fn account(account: &Account) -> AccountState {
    let native = Balance {
        asset: Asset::Native,
        amount: Stroops(account.balance_stroops),
    };
    let issued = account.trust_lines.iter().map(|(held, line)| Balance {
        asset: asset(held),
        amount: Stroops(line.balance_stroops),
    });
    AccountState {
        sequence: AccountSequence(account.sequence),
        modified_at: LedgerSeq(account.last_modified_ledger),
        balances: issued.chain([native]).collect(),
    }
}

pub(super) fn fee_stats(told: &FeeStatsTold) -> FeeStats {
    let permille = told.capacity_usage_percent.saturating_mul(10);
    FeeStats {
        last_ledger: LedgerSeq(told.last_ledger),
        base_fee: Stroops(told.last_ledger_base_fee_stroops),
        capacity_usage_permille: u16::try_from(permille).unwrap_or(u16::MAX),
        fee_charged: distribution(&told.fee_charged),
        fee_bid: distribution(&told.max_fee),
    }
}

fn distribution(told: &Distribution) -> FeeDistribution {
    let percentile = |percent: u8| {
        let found = told.percentiles.iter().find(|(named, _)| *named == percent);
        Stroops(found.map_or(told.max, |(_, fee_stroops)| *fee_stroops))
    };
    FeeDistribution {
        min: Stroops(told.min),
        mode: Stroops(told.mode),
        p50: percentile(50),
        p70: percentile(70),
        p90: percentile(90),
        p95: percentile(95),
        p99: percentile(99),
        max: Stroops(told.max),
    }
}
