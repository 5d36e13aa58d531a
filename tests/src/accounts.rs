//! Accounts on the tests' ledger: the cluster's own, from its keyring, and recipients that can
//! be paid. Invariant: no two payments made here have the same recipient and amount, so the
//! ledger's checker tells each of them apart.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use stellar_strkey::ed25519::PublicKey;
use stellara_client::api::{Priority, SubmitPaymentRequest};
use stellara_ledger::{AccountSetup, Intent, Setup};

/// Recipients that exist on the ledger.
const RECIPIENTS: u8 = 50;
/// What each of the cluster's own accounts has: a hundred million units.
const OWN_STROOPS: i64 = 1_000_000_000_000_000;
/// What a recipient begins with.
const RECIPIENT_STROOPS: i64 = 100_000_000_000;

/// The cluster's accounts that hold the money.
#[derive(Debug, Clone)]
pub struct Accounts {
    treasuries: Vec<String>,
    all: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    treasuries: Vec<String>,
    channels: Vec<String>,
    fee_accounts: Vec<String>,
}

impl Accounts {
    /// Reads what `stellara-node keyring create --accounts-out` wrote.
    ///
    /// # Panics
    /// When the file says something else.
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let listed: Listed = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let lists = [&listed.treasuries, &listed.channels, &listed.fee_accounts];
        Self {
            all: lists.into_iter().flatten().cloned().collect(),
            treasuries: listed.treasuries,
        }
    }

    /// Whose money moves.
    pub fn treasuries(&self) -> &[String] {
        &self.treasuries
    }

    /// What the ledger starts with.
    pub fn ledger_setup(&self) -> Setup {
        let own = self.all.iter().map(|id| account(id.clone(), OWN_STROOPS));
        let paid = (0..RECIPIENTS).map(|number| account(recipient(number), RECIPIENT_STROOPS));
        Setup {
            accounts: own.chain(paid).collect(),
        }
    }
}

/// The address of a recipient. Nobody holds a secret key to it.
pub fn recipient(number: u8) -> String {
    let mut key = [0x5a; 32];
    key[0] = number % RECIPIENTS;
    PublicKey(key).to_string().as_str().to_owned()
}

/// One payment that somebody means to make once.
#[derive(Debug, Clone)]
pub struct Meant {
    /// Also the idempotency key.
    pub reference: String,
    destination: String,
    amount_stroops: i64,
}

impl Meant {
    /// The next payment, unlike every other of this test process.
    pub fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = u8::try_from(number % u32::from(RECIPIENTS)).expect("it is below a byte");
        Self {
            reference: format!("intent-{number}"),
            destination: recipient(place),
            amount_stroops: 10_000_000 + i64::from(number),
        }
    }

    /// What a client submits. It leaves at once: tests do not wait for a batch to fill.
    pub fn request(&self) -> SubmitPaymentRequest {
        SubmitPaymentRequest {
            idempotency_key: self.reference.clone(),
            destination: self.destination.clone(),
            asset: "native".to_owned(),
            amount: self.amount(),
            priority: Priority::High.into(),
            ..SubmitPaymentRequest::default()
        }
    }

    /// What the ledger's checker is told.
    pub fn intent(&self) -> Intent {
        Intent {
            reference: self.reference.clone(),
            destination: self.destination.clone(),
            asset: "native".to_owned(),
            amount_stroops: self.amount_stroops,
            memo: None,
        }
    }

    /// A row of a file for `stellara payment submit --file`, under [`csv_header`].
    pub fn csv_row(&self) -> String {
        let (key, to, amount) = (&self.reference, &self.destination, self.amount());
        format!("{key},{to},native,{amount},high\n")
    }

    fn amount(&self) -> String {
        let (units, rest) = (
            self.amount_stroops / 10_000_000,
            self.amount_stroops % 10_000_000,
        );
        format!("{units}.{rest:07}")
    }
}

/// The columns of [`Meant::csv_row`].
pub const fn csv_header() -> &'static str {
    "idempotency_key,destination,asset,amount,priority\n"
}

fn account(id: String, balance_stroops: i64) -> AccountSetup {
    AccountSetup {
        id,
        balance_stroops,
        sequence: None,
        trust_lines: Vec::new(),
        data: std::collections::BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Meant};

    #[test]
    fn the_keyring_s_accounts_and_the_recipients_are_on_the_ledger() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"treasuries":["GA"],"channels":["GB","GC"],"fee_accounts":[]}"#;
        std::fs::write(file.path(), text).unwrap();
        let accounts = Accounts::read(file.path());
        assert_eq!(accounts.treasuries(), ["GA"]);
        assert_eq!(accounts.ledger_setup().accounts.len(), 3 + 50);
    }

    #[test]
    fn the_amount_is_written_in_units() {
        let meant = Meant {
            reference: "r".to_owned(),
            destination: "G".to_owned(),
            amount_stroops: 10_000_042,
        };
        assert_eq!(meant.request().amount, "1.0000042");
        assert_eq!(meant.intent().amount_stroops, 10_000_042);
    }
}
