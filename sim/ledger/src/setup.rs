//! Set-up outside the network's rules: accounts, trust lines and issuers in bulk, and a faucet.
//! Invariant: a set-up is written whole or not at all.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, de};
use stellar_xdr::AccountId;

use crate::account::{Account, TrustLine};
use crate::apply;
use crate::asset::{self, AssetError, parse_asset};
use crate::network::Network;

/// What the faucet gives: 10,000 units of the native asset.
const FAUCET_STROOPS: i64 = 100_000_000_000;
/// Most accounts in one set-up.
const ACCOUNTS_MAX: usize = 100_000;

/// Accounts to create or replace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The accounts; an issuer is an account like any other. At most 100,000.
    pub accounts: Vec<AccountSetup>,
}

/// One account. An existing one is replaced, but keeps its sequence unless one is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSetup {
    /// Address (G...).
    pub id: String,
    /// Native balance in stroops, as number or digits; 10,000 units by default.
    #[serde(default = "faucet_stroops", deserialize_with = "number_or_digits")]
    pub balance_stroops: i64,
    /// Sequence number; by default what a new account starts with.
    #[serde(default, deserialize_with = "optional_number_or_digits")]
    pub sequence: Option<i64>,
    /// Trust lines.
    #[serde(default)]
    pub trust_lines: Vec<TrustLineSetup>,
    /// Data entries, values in base64 (`config.memo_required`: `MQ==` asks for a memo, SEP-29).
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

/// One trust line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustLineSetup {
    /// `CODE:ISSUER`.
    pub asset: String,
    /// Balance in stroops, as number or digits; 0 by default.
    #[serde(default, deserialize_with = "number_or_digits")]
    pub balance_stroops: i64,
    /// Limit in stroops, as number or digits; the largest by default.
    #[serde(default = "largest_stroops", deserialize_with = "number_or_digits")]
    pub limit_stroops: i64,
    /// Whether the issuer allows it; true by default.
    #[serde(default = "authorized")]
    pub authorized: bool,
}

fn faucet_stroops() -> i64 {
    FAUCET_STROOPS
}

fn largest_stroops() -> i64 {
    i64::MAX
}

fn authorized() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a whole number, or its digits as a string"
)]
enum NumberOrDigits {
    Number(i64),
    Digits(String),
}

impl NumberOrDigits {
    fn value<E: de::Error>(self) -> Result<i64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Digits(digits) => digits
                .parse()
                .map_err(|_| E::custom(format!("{digits:?} is not a whole number of 64 bits"))),
        }
    }
}

fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    NumberOrDigits::deserialize(deserializer)?.value()
}

fn optional_number_or_digits<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    Option::<NumberOrDigits>::deserialize(deserializer)?
        .map(NumberOrDigits::value)
        .transpose()
}

/// Which field of a set-up cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Too many accounts at once.
    #[error("accounts has {0} entries, at most 100000 are accepted")]
    TooMany(usize),
    /// Not an address.
    #[error("accounts[{0}].id {1:?} is not an account address (G...)")]
    Id(usize, String),
    /// A balance below zero or a sequence below zero.
    #[error("accounts[{0}].{1} must not be negative")]
    Negative(usize, &'static str),
    /// A trust line to something that is not an issued asset.
    #[error("accounts[{0}].trust_lines[{1}].asset: {2}")]
    Asset(usize, usize, AssetError),
    /// A balance below zero or above the limit.
    #[error("accounts[{0}].trust_lines[{1}].balance_stroops must be 0 to limit_stroops")]
    Balance(usize, usize),
    /// A data value that is not base64, or not 1 to 64 bytes.
    #[error("accounts[{0}].data.{1} is not base64 of 1 to 64 bytes")]
    Data(usize, String),
    /// The faucet gives once.
    #[error("account {0} exists")]
    Exists(String),
}

impl Network {
    /// Creates or replaces accounts; answers how many. Nothing is written on an error.
    pub fn set_up(&mut self, setup: &Setup) -> Result<usize, SetupError> {
        if setup.accounts.len() > ACCOUNTS_MAX {
            return Err(SetupError::TooMany(setup.accounts.len()));
        }
        let mut ready = Vec::with_capacity(setup.accounts.len());
        for (index, account) in setup.accounts.iter().enumerate() {
            ready.push(self.read_account(index, account)?);
        }
        let count = ready.len();
        for (id, account) in ready {
            self.book.set_up(id, account);
        }
        Ok(count)
    }

    /// Creates an account with 10,000 units of the native asset.
    pub fn fund(&mut self, id: &AccountId) -> Result<&Account, SetupError> {
        if self.book.get(id).is_some() {
            return Err(SetupError::Exists(id.to_string()));
        }
        let ledger = self.latest().sequence;
        let account = Account {
            balance_stroops: FAUCET_STROOPS,
            sequence: apply::first_sequence(ledger),
            last_modified_ledger: ledger,
            ..Account::default()
        };
        self.book.set_up(id.clone(), account);
        Ok(self.book.get(id).expect("it was written just now"))
    }

    fn read_account(
        &self,
        index: usize,
        setup: &AccountSetup,
    ) -> Result<(AccountId, Account), SetupError> {
        let id: AccountId = setup
            .id
            .parse()
            .map_err(|_| SetupError::Id(index, setup.id.clone()))?;
        let ledger = self.latest().sequence;
        let old_sequence = self.book.get(&id).map(|account| account.sequence);
        let sequence = setup
            .sequence
            .or(old_sequence)
            .unwrap_or_else(|| apply::first_sequence(ledger));
        for (name, value) in [
            ("balance_stroops", setup.balance_stroops),
            ("sequence", sequence),
        ] {
            if value < 0 {
                return Err(SetupError::Negative(index, name));
            }
        }
        let mut account = Account {
            balance_stroops: setup.balance_stroops,
            sequence,
            last_modified_ledger: ledger,
            ..Account::default()
        };
        for (place, line) in setup.trust_lines.iter().enumerate() {
            let asset = parse_asset(&line.asset).map_err(|e| SetupError::Asset(index, place, e))?;
            if asset::code_and_issuer(&asset).is_none() {
                let error = AssetError::Form(line.asset.clone());
                return Err(SetupError::Asset(index, place, error));
            }
            if !(0..=line.limit_stroops).contains(&line.balance_stroops) {
                return Err(SetupError::Balance(index, place));
            }
            let line = TrustLine {
                balance_stroops: line.balance_stroops,
                limit_stroops: line.limit_stroops,
                authorized: line.authorized,
            };
            account.trust_lines.insert(asset, line);
        }
        for (name, value) in &setup.data {
            let bytes = BASE64.decode(value).unwrap_or_default();
            if !(1..=64).contains(&bytes.len()) {
                return Err(SetupError::Data(index, name.clone()));
            }
            account.data.insert(name.clone(), bytes);
        }
        Ok((id, account))
    }
}
