//! One account as the ledger keeps it: native balance, sequence, trust lines, data entries.
//! Only the master key signs, with weight 1, so thresholds and signers are not kept.

use std::collections::BTreeMap;

use stellar_xdr::Asset;

/// What an account holds of one issued asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustLine {
    /// Balance in stroops (1 unit = 10,000,000 stroops), never above the limit.
    pub balance_stroops: i64,
    /// The most the account accepts, in stroops.
    pub limit_stroops: i64,
    /// Whether the issuer lets the account send and receive the asset.
    pub authorized: bool,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Native balance in stroops.
    pub balance_stroops: i64,
    /// The sequence number of the last transaction; the next one must be one more.
    pub sequence: i64,
    /// The ledger in which `sequence` last changed.
    pub sequence_ledger: u32,
    /// The close time of that ledger, in Unix seconds.
    pub sequence_time_s: u64,
    /// Trust lines by asset; never the native asset.
    pub trust_lines: BTreeMap<Asset, TrustLine>,
    /// Data entries by name, as raw bytes (SEP-29 uses `config.memo_required`).
    pub data: BTreeMap<String, Vec<u8>>,
    /// The ledger that last touched the account.
    pub last_modified_ledger: u32,
}

impl Account {
    /// Entries that raise the reserve: trust lines and data entries.
    pub fn subentry_count(&self) -> u32 {
        let count = self.trust_lines.len() + self.data.len();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The native balance that may leave the account: what is above (2 + subentries) reserves.
    pub fn available_stroops(&self, base_reserve_stroops: i64) -> i64 {
        let reserve = base_reserve_stroops.saturating_mul(2 + i64::from(self.subentry_count()));
        self.balance_stroops.saturating_sub(reserve).max(0)
    }
}
