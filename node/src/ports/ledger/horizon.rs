//! Horizon over HTTP, from one or several endpoints.
//!
//! Only what surely reached no queue moves on to the next endpoint within one call; what may have been accepted is
//! told as unknown. Submission is `POST /transactions_async` and nothing else: the synchronous route answers late and
//! takes a full queue for success. Bodies are bounded, redirects are not followed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{Client, StatusCode, Url};
use stellara_machine::ids::{AccountId, Hash};
use tokio::time::Instant;

use super::horizon_json;
use super::{
    AccountState, FeeStats, Ingested, LatestLedger, Ledger, LedgerError, SubmitAnswer,
    TransactionLookup,
};
use crate::ports::web::{self, shortened};

mod call;

use call::{CallFailure, Called, call, read_submission};

/// Endpoints of one network.
const ENDPOINTS_MAX: usize = 16;

/// Where Horizon is and how long it may take.
#[derive(Clone, Debug)]
pub struct HorizonSettings {
    /// Base addresses, `http` or `https`, 1 to 16; the first is preferred until it fails.
    pub endpoints: Vec<String>,
    /// Time to open a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time for a whole call, in milliseconds.
    pub request_timeout_ms: u64,
    /// How old a reading of the latest ledger may be to serve several look-ups, in milliseconds.
    pub latest_reuse_ms: u64,
}

impl Default for HorizonSettings {
    fn default() -> Self {
        Self {
            endpoints: vec!["https://horizon.stellar.org".to_owned()],
            connect_timeout_ms: 3_000,
            request_timeout_ms: 15_000,
            latest_reuse_ms: 1_000,
        }
    }
}

/// Why the settings make no client.
#[derive(Debug, thiserror::Error)]
pub enum HorizonSettingsError {
    /// None or too many endpoints.
    #[error("ledger has {count} endpoints, expected 1 to {ENDPOINTS_MAX}")]
    EndpointCount {
        /// How many were given.
        count: usize,
    },
    /// Not an address of a web server.
    #[error("ledger endpoint is {endpoint:?}, expected an http or https address: {why}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What does not fit.
        why: String,
    },
    /// A time of zero would refuse every call.
    #[error("ledger {field} is 0, expected at least 1")]
    Zero {
        /// Which setting.
        field: &'static str,
    },
    /// The TLS or HTTP stack refused its settings.
    #[error("cannot set up the ledger client: {why}")]
    Client {
        /// What it said.
        why: String,
    },
}

/// The real ledger. Clones share connections and what was learnt of the endpoints.
#[derive(Clone, Debug)]
pub struct Horizon {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    endpoints: Vec<Endpoint>,
    /// Which endpoint is asked first.
    preferred: AtomicUsize,
    latest_reuse: Duration,
}

#[derive(Debug)]
struct Endpoint {
    base: Url,
    latest: Mutex<Option<(Instant, Ingested)>>,
}

impl Horizon {
    /// Makes a client; opens no connection yet.
    ///
    /// # Errors
    /// When an endpoint is no address, a time is zero or the TLS stack refuses.
    pub fn new(settings: &HorizonSettings) -> Result<Self, HorizonSettingsError> {
        let count = settings.endpoints.len();
        if !(1..=ENDPOINTS_MAX).contains(&count) {
            return Err(HorizonSettingsError::EndpointCount { count });
        }
        for (field, value) in [
            ("connect_timeout_ms", settings.connect_timeout_ms),
            ("request_timeout_ms", settings.request_timeout_ms),
        ] {
            if value == 0 {
                return Err(HorizonSettingsError::Zero { field });
            }
        }
        let endpoints = settings
            .endpoints
            .iter()
            .map(|endpoint| Endpoint::new(endpoint))
            .collect::<Result<Vec<_>, _>>()?;
        let client = web::client(settings.connect_timeout_ms, settings.request_timeout_ms)
            .map_err(|why| HorizonSettingsError::Client { why })?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                endpoints,
                preferred: AtomicUsize::new(0),
                latest_reuse: Duration::from_millis(settings.latest_reuse_ms),
            }),
        })
    }

    /// The endpoints, the preferred one first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.shared.preferred.load(Ordering::Relaxed);
        let count = self.shared.endpoints.len();
        (first..first + count).map(move |at| {
            let at = at % count;
            (at, &self.shared.endpoints[at])
        })
    }

    /// Asks another endpoint first from now on, unless somebody decided so already.
    fn leave(&self, at: usize) {
        let next = (at + 1) % self.shared.endpoints.len();
        // When another call moved on first, its choice stands.
        let preferred = &self.shared.preferred;
        let _ = preferred.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn submit_to(&self, at: usize, endpoint: &Endpoint, text: &str) -> SubmitAnswer {
        let request = self
            .shared
            .client
            .post(endpoint.url(&["transactions_async"]))
            .form(&[("tx", text)]);
        let answer = call(request).await.and_then(read_submission);
        match answer {
            Ok(answer) => answer,
            Err(CallFailure::NotSent {
                why,
                retry_after_ms,
            }) => {
                self.leave(at);
                SubmitAnswer::NotSent {
                    why,
                    retry_after_ms,
                }
            }
            Err(CallFailure::Unknown { why }) => {
                self.leave(at);
                SubmitAnswer::Unknown { why }
            }
        }
    }

    /// Runs a read on each endpoint until one answers.
    async fn read<T, F>(&self, read: impl Fn(usize) -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, ReadFailure>>,
    {
        let mut last = None;
        let mut wait_ms: Option<u64> = None;
        for (at, _) in self.in_order() {
            match read(at).await {
                Ok(value) => return Ok(value),
                Err(ReadFailure::Call(failure)) => {
                    self.leave(at);
                    let (why, retry_after_ms) = failure.told();
                    wait_ms = least(wait_ms, retry_after_ms);
                    last = Some(LedgerError::Unavailable {
                        why,
                        retry_after_ms: wait_ms,
                    });
                }
                Err(ReadFailure::Answer(error)) => {
                    self.leave(at);
                    last = Some(error);
                }
            }
        }
        Err(last.expect("there is at least one endpoint"))
    }

    async fn get(&self, at: usize, path: &[&str], query: &[(&str, &str)]) -> Called {
        let url = self.shared.endpoints[at].url(path);
        call(self.shared.client.get(url).query(query)).await
    }

    /// The latest ledger of one endpoint; a recent reading serves again, since an older one only proves less.
    async fn latest_of(&self, at: usize) -> Result<Ingested, ReadFailure> {
        let slot = &self.shared.endpoints[at].latest;
        let reuse = self.shared.latest_reuse;
        let known = *slot.lock().expect("no holder of this lock can panic");
        if let Some((_, ingested)) = known.filter(|(read_at, _)| read_at.elapsed() < reuse) {
            return Ok(ingested);
        }
        let query = [("order", "desc"), ("limit", "1")];
        let answer = self.get(at, &["ledgers"], &query).await?;
        let ingested = horizon_json::latest_ledger(answer.ok()?)?;
        *slot.lock().expect("no holder of this lock can panic") = Some((Instant::now(), ingested));
        Ok(ingested)
    }

    async fn transaction_of(
        &self,
        at: usize,
        hash: Hash,
    ) -> Result<TransactionLookup, ReadFailure> {
        // Read before the look-up: what the endpoint ingests in between can only make the absence weaker than told.
        let ingested = self.latest_of(at).await?;
        let hash = hex::encode(hash.0);
        let answer = self.get(at, &["transactions", &hash], &[]).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(TransactionLookup::NotFound(answer.lagging(ingested)));
        }
        Ok(TransactionLookup::Found(horizon_json::transaction(
            answer.ok()?,
        )?))
    }
}

impl Ledger for Horizon {
    async fn submit(&self, envelope: &[u8]) -> SubmitAnswer {
        let text = BASE64.encode(envelope);
        let mut wait_ms: Option<u64> = None;
        let mut reasons = String::new();
        for (at, endpoint) in self.in_order() {
            match self.submit_to(at, endpoint, &text).await {
                SubmitAnswer::NotSent {
                    why,
                    retry_after_ms,
                } => {
                    wait_ms = least(wait_ms, retry_after_ms);
                    if !reasons.is_empty() {
                        reasons.push_str("; ");
                    }
                    reasons.push_str(&why);
                }
                answer @ (SubmitAnswer::Pending { .. }
                | SubmitAnswer::Duplicate { .. }
                | SubmitAnswer::TryAgainLater
                | SubmitAnswer::Refused(_)
                | SubmitAnswer::Unknown { .. }) => return answer,
            }
        }
        SubmitAnswer::NotSent {
            why: reasons,
            retry_after_ms: wait_ms,
        }
    }

    async fn transaction(&self, hash: Hash) -> Result<TransactionLookup, LedgerError> {
        self.read(|at| self.transaction_of(at, hash)).await
    }

    async fn account(&self, account: AccountId) -> Result<Option<AccountState>, LedgerError> {
        let address = stellar_strkey::ed25519::PublicKey(account.0).to_string();
        let address = address.as_str();
        self.read(|at| async move {
            let answer = self.get(at, &["accounts", address], &[]).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            Ok(Some(horizon_json::account(answer.ok()?)?))
        })
        .await
    }

    async fn fee_stats(&self) -> Result<FeeStats, LedgerError> {
        self.read(|at| async move {
            let answer = self.get(at, &["fee_stats"], &[]).await?;
            Ok(horizon_json::fee_stats(answer.ok()?)?)
        })
        .await
    }

    async fn latest_ledger(&self) -> Result<LatestLedger, LedgerError> {
        self.read(|at| self.latest_of(at)).await
    }
}

enum ReadFailure {
    Call(CallFailure),
    Answer(LedgerError),
}

impl From<CallFailure> for ReadFailure {
    fn from(failure: CallFailure) -> Self {
        Self::Call(failure)
    }
}

impl From<LedgerError> for ReadFailure {
    fn from(error: LedgerError) -> Self {
        Self::Answer(error)
    }
}

impl Endpoint {
    fn new(text: &str) -> Result<Self, HorizonSettingsError> {
        let refused = |why: String| HorizonSettingsError::Endpoint {
            endpoint: shortened(text),
            why,
        };
        let base = web::base(text).map_err(refused)?;
        Ok(Self {
            base,
            latest: Mutex::new(None),
        })
    }

    fn url(&self, path: &[&str]) -> Url {
        web::url(&self.base, path)
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
