//! Signing by a service elsewhere: this process holds no key, it asks over HTTP and believes no answer.
//!
//! Every signature is verified for its account and hash before it is handed out. Signing the same hash again gives the
//! same signature, so a request whose answer was lost is safe to repeat. The request is described in docs/operations/signing.md.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use stellara_machine::command::AccountRole;
use stellara_machine::ids::{AccountId, Hash};
use stellara_machine::limits::ACCOUNTS_MAX;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{AccountSignature, SignError, Signer, address, hint, meter, verifies};
use crate::ports::web;

mod call;
mod token;

use call::{Failure, failed};
pub use token::TokenError;
use token::{Token, scrubbed};

/// Tries of one request, at most.
pub const TRIES_MAX: u32 = 10;
/// How long accounts that were listed are good before they are asked for again.
const LISTED_FOR: Duration = Duration::from_secs(60);
/// The first wait after a listing that failed; doubles up to the longest.
const LIST_AGAIN_MS: u64 = 1_000;
const LIST_AGAIN_MAX_MS: u64 = 30_000;

/// Where the service is, and how long it may take.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// Its address: https, or http on this machine. `/sign` and `/accounts` lie under it.
    pub url: String,
    /// The file of the bearer token, which only its owner may read; none is sent when absent.
    pub token_file: Option<PathBuf>,
    /// Time for one call, in milliseconds.
    pub call_timeout_ms: u64,
    /// Tries of one request while the service does not answer, 1 to [`TRIES_MAX`].
    pub tries_max: u32,
    /// The network that signatures are for, told to the service.
    pub network_passphrase: String,
    /// The accounts it signs for; when empty, the service is asked.
    pub accounts: BTreeMap<AccountId, AccountRole>,
}

/// Why the settings make no signer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteSettingsError {
    /// Not an address that a request for a signature may go to.
    #[error("signer.url is {url:?}, expected an https address, or http on this machine: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What does not fit.
        why: String,
    },
    /// A number is out of its bounds.
    #[error("signer.{field} is {value}, expected {least} to {most}")]
    Bounds {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// There is no usable token.
    #[error("signer.token_file: {0}")]
    Token(#[from] TokenError),
    /// The TLS or HTTP stack refused its settings.
    #[error("cannot set up the signer's client: {why}")]
    Client {
        /// What it said.
        why: String,
    },
}

/// The address of a signing service, if a request may go there.
///
/// # Errors
/// What does not fit.
pub fn url_of(text: &str) -> Result<Url, String> {
    let url = web::base(text)?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() == "http" && !is_here {
        return Err("its scheme is http, and its host is another machine".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user or a password: the token has a file of its own".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".to_owned());
    }
    Ok(url)
}

/// A signer elsewhere. Clones share its connections and what it listed.
#[derive(Clone)]
pub struct RemoteSigner {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    base: Url,
    tries_max: u32,
    network: String,
    token_file: Option<PathBuf>,
    token: Mutex<Option<Token>>,
    /// Whether the service is asked for its accounts.
    asks: bool,
    listed: watch::Sender<Listing>,
}

/// The accounts that the service signs for, as of one moment.
#[derive(Debug, Default)]
struct Listing {
    /// Grows with each change; 0 while nothing is known.
    number: u64,
    accounts: BTreeMap<AccountId, AccountRole>,
}

#[derive(Serialize)]
struct SignRequest<'a> {
    account: &'a str,
    hash: &'a str,
    network: &'a str,
}

#[derive(Deserialize)]
struct SignAnswer {
    signature: String,
}

#[derive(Deserialize)]
struct AccountsAnswer {
    accounts: Vec<ListedAccount>,
}

#[derive(Deserialize)]
struct ListedAccount {
    account: String,
    role: String,
}

impl RemoteSigner {
    /// Prepares a signer; asks nothing yet. With no accounts in the settings, [`RemoteSigner::keep_listed`] asks for them.
    ///
    /// # Errors
    /// When a setting is out of its form or bounds, or the token's file cannot be read.
    pub fn new(settings: RemoteSettings) -> Result<Self, RemoteSettingsError> {
        let base = url_of(&settings.url).map_err(|why| RemoteSettingsError::Url {
            url: web::shortened(&settings.url),
            why,
        })?;
        let call_timeout_ms = settings.call_timeout_ms;
        for (field, value, least, most) in [
            ("timeout_ms", call_timeout_ms, 100, 60_000),
            (
                "tries_max",
                u64::from(settings.tries_max),
                1,
                u64::from(TRIES_MAX),
            ),
        ] {
            if !(least..=most).contains(&value) {
                return Err(RemoteSettingsError::Bounds {
                    field,
                    value,
                    least,
                    most,
                });
            }
        }
        let token = settings
            .token_file
            .as_deref()
            .map(Token::read)
            .transpose()?;
        let client = web::client(call_timeout_ms, call_timeout_ms)
            .map_err(|why| RemoteSettingsError::Client { why })?;
        let asks = settings.accounts.is_empty();
        let listing = Listing {
            number: u64::from(!asks),
            accounts: settings.accounts,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                base,
                tries_max: settings.tries_max,
                network: settings.network_passphrase,
                token_file: settings.token_file,
                token: Mutex::new(token),
                asks,
                listed: watch::Sender::new(listing),
            }),
        })
    }

    /// Asks for the accounts until the service tells them, and again from time to time; asks nothing when the settings
    /// told them. Run it as a task: it ends only when dropped.
    pub async fn keep_listed(self) {
        if !self.shared.asks {
            return pending().await;
        }
        let mut again_ms = LIST_AGAIN_MS;
        loop {
            match self.list().await {
                Ok(accounts) => {
                    again_ms = LIST_AGAIN_MS;
                    self.take(accounts);
                    tokio::time::sleep(LISTED_FOR).await;
                }
                Err(error) => {
                    warn!(%error, again_ms, "signer does not list its accounts");
                    call::wait(again_ms).await;
                    again_ms = (again_ms * 2).min(LIST_AGAIN_MAX_MS);
                }
            }
        }
    }

    fn take(&self, accounts: BTreeMap<AccountId, AccountRole>) {
        let count = accounts.len();
        let changed = self.shared.listed.send_if_modified(|listing| {
            let changed = listing.number == 0 || listing.accounts != accounts;
            if changed {
                listing.number += 1;
                listing.accounts = accounts;
            }
            changed
        });
        if changed {
            info!(accounts = count, "signer lists its accounts");
        }
    }

    async fn list(&self) -> Result<BTreeMap<AccountId, AccountRole>, SignError> {
        let url = web::url(&self.shared.base, &["accounts"]);
        let body = self
            .ask(|| self.shared.client.get(url.clone()))
            .await
            .map_err(|failure| failed(failure, "GET /accounts"))?;
        listed(&body).map_err(|why| SignError::Unreadable { why })
    }

    async fn signed(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        {
            let listing = self.shared.listed.borrow();
            if listing.number == 0 {
                let why = "it has not listed its accounts yet".to_owned();
                return Err(SignError::Unavailable { why });
            }
            if !listing.accounts.contains_key(&account) {
                return Err(SignError::UnknownAccount { account });
            }
        }
        let url = web::url(&self.shared.base, &["sign"]);
        let (shown, hash_hex) = (address(account), hex::encode(hash.0));
        let request = SignRequest {
            account: &shown,
            hash: &hash_hex,
            network: &self.shared.network,
        };
        let body = self
            .ask(|| self.shared.client.post(url.clone()).json(&request))
            .await
            .map_err(|failure| failed(failure, "POST /sign"))?;
        let signature = call::signature(&body).map_err(|why| SignError::Unreadable { why })?;
        if !verifies(account, hash, &signature) {
            return Err(SignError::WrongSignature { account });
        }
        Ok(AccountSignature {
            hint: hint(account),
            signature,
        })
    }

    /// Tries until the service answers with success or a refusal, as often as may be.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<Vec<u8>, Failure> {
        let mut tried = 0;
        let mut again_ms = call::AGAIN_MS;
        let mut token_is_fresh = false;
        loop {
            tried += 1;
            let token = self.token();
            let mut failure = match call::once(request(), token.as_ref()).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if failure.status() == Some(401) && !token_is_fresh {
                token_is_fresh = true;
                // It may have been replaced since it was read: that costs no try.
                if self.read_token_again(token.as_ref()).await {
                    tried -= 1;
                    continue;
                }
            }
            failure.scrub(|text| scrubbed(text, token.as_ref()));
            match failure {
                Failure::Again { why, wait_ms } if tried < self.shared.tries_max => {
                    let wait_ms = wait_ms.unwrap_or(again_ms).min(call::AGAIN_MAX_MS);
                    warn!(why, tried, wait_ms, "signer is asked again");
                    call::wait(wait_ms).await;
                    again_ms = (again_ms * 2).min(call::AGAIN_MAX_MS);
                }
                Failure::Again { why, .. } => {
                    let why = format!("{why} ({tried} of {} tries)", self.shared.tries_max);
                    return Err(Failure::Again { why, wait_ms: None });
                }
                Failure::Refused { .. } | Failure::Unreadable { .. } => return Err(failure),
            }
        }
    }

    fn token(&self) -> Option<Token> {
        let token = self.shared.token.lock();
        token.expect("no holder of this lock can panic").clone()
    }

    /// Whether the file holds another token than the one that was refused.
    async fn read_token_again(&self, refused: Option<&Token>) -> bool {
        let Some(path) = self.shared.token_file.clone() else {
            return false;
        };
        let read = tokio::task::spawn_blocking(move || Token::read(&path)).await;
        match read {
            Ok(Ok(token)) if Some(&token) != refused => {
                info!("signer's token was replaced");
                let held = self.shared.token.lock();
                *held.expect("no holder of this lock can panic") = Some(token);
                true
            }
            Ok(Ok(_)) => false,
            Ok(Err(error)) => {
                warn!(%error, "signer's token cannot be read again");
                false
            }
            Err(_) => false,
        }
    }
}

impl Signer for RemoteSigner {
    async fn sign(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        let started = Instant::now();
        let signed = self.signed(account, hash).await;
        meter::call(&signed, started.elapsed());
        signed
    }

    fn accounts(&self, role: AccountRole) -> Vec<AccountId> {
        let listing = self.shared.listed.borrow();
        let each = listing.accounts.iter();
        each.filter(|(_, of)| **of == role)
            .map(|(account, _)| *account)
            .collect()
    }

    fn listing(&self) -> u64 {
        self.shared.listed.borrow().number
    }

    async fn listed_after(&self, seen: u64) {
        let mut listed = self.shared.listed.subscribe();
        if listed
            .wait_for(|listing| listing.number > seen)
            .await
            .is_err()
        {
            // Its sender is ours: this cannot be, and would change nothing more.
            pending().await
        }
    }
}

impl std::fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteSigner")
            .field("url", &self.shared.base.as_str())
            .field("accounts", &self.shared.listed.borrow().accounts.len())
            .finish_non_exhaustive()
    }
}

/// The accounts of an answer to `GET /accounts`.
fn listed(body: &[u8]) -> Result<BTreeMap<AccountId, AccountRole>, String> {
    // The parser's own words may repeat a value.
    let answer: AccountsAnswer = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("its list of accounts is not as described (line {line}, column {column})")
    })?;
    if answer.accounts.len() > ACCOUNTS_MAX {
        let count = answer.accounts.len();
        return Err(format!(
            "it lists {count} accounts, expected at most {ACCOUNTS_MAX}"
        ));
    }
    let mut accounts = BTreeMap::new();
    for (at, ListedAccount { account, role }) in answer.accounts.iter().enumerate() {
        let key = stellar_strkey::ed25519::PublicKey::from_string(account).map_err(|_| {
            let shown = web::shortened(&scrubbed(account, None));
            format!("accounts[{at}].account is {shown:?}, expected G… of 56 characters")
        })?;
        let role = match role.as_str() {
            "treasury" => AccountRole::Treasury,
            "channel" => AccountRole::Channel,
            "fee" => AccountRole::Fee,
            other => {
                let shown = web::shortened(&scrubbed(other, None));
                return Err(format!(
                    "accounts[{at}].role is {shown:?}, expected treasury, channel or fee"
                ));
            }
        };
        if accounts.insert(AccountId(key.0), role).is_some() {
            return Err(format!(
                "accounts[{at}].account is listed before, expected it once"
            ));
        }
    }
    Ok(accounts)
}

#[cfg(test)]
mod tests;
