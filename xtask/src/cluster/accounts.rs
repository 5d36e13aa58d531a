//! Accounts on the ledger: ours from the keyring, issuers, and recipients good and bad.

use serde_json::{Value, json};

use super::error::ClusterError;
use super::strkey;

/// Recipients that can be paid in every asset.
pub const RECIPIENTS: u8 = 60;
/// Codes of the assets beside the native one.
pub const CODES: [&str; 2] = ["USD", "EUR"];
/// What a treasury has of everything, in stroops: a hundred million units.
const TREASURY_STROOPS: u64 = 1_000_000_000_000_000;
/// What a channel or fee account has, in stroops.
const OTHER_STROOPS: u64 = 1_000_000_000_000;

/// Kinds of accounts that are made up. The kind is part of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Issues an asset.
    Issuer,
    /// Can be paid.
    Recipient,
    /// Is not on the ledger.
    Absent,
    /// Trusts no asset.
    WithoutTrust,
    /// Trusts, and the issuer did not authorise it.
    Unauthorised,
    /// Trusts up to less than any payment.
    Full,
}

impl Kind {
    /// The public key of the account with this number. Nobody holds a secret key to it.
    pub fn key(self, number: u8) -> [u8; 32] {
        let mut key = [0x5a; 32];
        key[0] = match self {
            Self::Issuer => 1,
            Self::Recipient => 2,
            Self::Absent => 3,
            Self::WithoutTrust => 4,
            Self::Unauthorised => 5,
            Self::Full => 6,
        };
        key[1] = number;
        key
    }

    /// Its address.
    pub fn address(self, number: u8) -> String {
        strkey::account(&self.key(number))
    }
}

/// `CODE:ISSUER`; each code has an issuer of its own.
pub fn asset(code: usize) -> String {
    let number = u8::try_from(code).expect("there are a few codes");
    format!("{}:{}", CODES[code], Kind::Issuer.address(number))
}

/// Our own accounts, by role.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    treasuries: Vec<String>,
    channels: Vec<String>,
    fees: Vec<String>,
}

impl Accounts {
    /// Reads `{"treasuries": ["G..."], "channels": ["G..."], "fee_accounts": ["G..."]}`, as
    /// `stellara-node keyring create --accounts-out` writes it.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn read(text: &str) -> Result<Self, ClusterError> {
        let told = |why: String| ClusterError::Answer {
            from: "stellara-node keyring create".to_owned(),
            why,
        };
        let json: Value = serde_json::from_str(text).map_err(|error| told(error.to_string()))?;
        let of_role = |role: &str| {
            let list = json[role].as_array();
            let list = list.ok_or_else(|| told(format!("{role} must be a list")))?;
            list.iter()
                .map(|address| {
                    let address = address.as_str();
                    address
                        .map(str::to_owned)
                        .ok_or_else(|| told(format!("{role} must hold text")))
                })
                .collect::<Result<Vec<String>, ClusterError>>()
        };
        Ok(Self {
            treasuries: of_role("treasuries")?,
            channels: of_role("channels")?,
            fees: of_role("fee_accounts")?,
        })
    }

    /// Whose money moves.
    pub fn treasuries(&self) -> &[String] {
        &self.treasuries
    }

    /// Whether this account pays our fees.
    pub fn pays_fees(&self, account: &str) -> bool {
        self.fees.iter().any(|fee| fee == account)
    }

    /// What the ledger starts with, as `stellara-sim ledger --accounts` takes it.
    pub fn ledger_setup(&self) -> Value {
        let mut accounts = Vec::new();
        for treasury in &self.treasuries {
            let line = |code| json!({ "asset": asset(code), "balance_stroops": TREASURY_STROOPS });
            accounts.push(account(treasury, TREASURY_STROOPS, lines(line)));
        }
        for other in self.channels.iter().chain(&self.fees) {
            accounts.push(account(other, OTHER_STROOPS, Vec::new()));
        }
        for number in 0..CODES.len() {
            let number = u8::try_from(number).expect("there are a few codes");
            let address = Kind::Issuer.address(number);
            accounts.push(account(&address, OTHER_STROOPS, Vec::new()));
        }
        for number in 0..RECIPIENTS {
            let line = |code| json!({ "asset": asset(code) });
            let address = Kind::Recipient.address(number);
            accounts.push(account(&address, OTHER_STROOPS, lines(line)));
        }
        let unauthorised = |code| json!({ "asset": asset(code), "authorized": false });
        let full = |code| json!({ "asset": asset(code), "limit_stroops": 1 });
        for (kind, lines) in [
            (Kind::WithoutTrust, Vec::new()),
            (Kind::Unauthorised, lines(unauthorised)),
            (Kind::Full, lines(full)),
        ] {
            accounts.push(account(&kind.address(0), OTHER_STROOPS, lines));
        }
        json!({ "accounts": accounts })
    }
}

fn lines(line: impl Fn(usize) -> Value) -> Vec<Value> {
    (0..CODES.len()).map(line).collect()
}

fn account(address: &str, balance_stroops: u64, trust_lines: Vec<Value>) -> Value {
    json!({ "id": address, "balance_stroops": balance_stroops, "trust_lines": trust_lines })
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Kind, RECIPIENTS};

    const TEXT: &str = r#"{"treasuries":["GA"],"channels":["GB"],"fee_accounts":["GC"]}"#;

    #[test]
    fn the_ledger_gets_everyone_but_the_absent() {
        let accounts = Accounts::read(TEXT).unwrap();
        assert_eq!(accounts.treasuries(), ["GA"]);
        assert!(accounts.pays_fees("GC") && !accounts.pays_fees("GB"));
        let setup = accounts.ledger_setup();
        let list = setup["accounts"].as_array().unwrap();
        assert_eq!(list.len(), 3 + 2 + usize::from(RECIPIENTS) + 3);
        let absent = Kind::Absent.address(0);
        assert!(list.iter().all(|entry| entry["id"] != absent.as_str()));
    }

    #[test]
    fn another_shape_is_told() {
        for text in [
            "",
            "{}",
            r#"{"treasuries":"GA","channels":[],"fee_accounts":[]}"#,
            r#"{"treasuries":[1],"channels":[],"fee_accounts":[]}"#,
        ] {
            Accounts::read(text).unwrap_err();
        }
    }
}
