//! The ledger over HTTP: Horizon's subset under `/`, control for tests and demos under
//! `/_stellara`. Invariants: the network is locked only between awaits; bodies, connections and
//! pages are bounded; the core decides every fault and this layer only acts it out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::faults::Fault;
use crate::network::Network;

mod admin;
mod horizon;
mod problem;
mod serve;
mod shapes;

pub use serve::{ServeError, serve};

use problem::Problem;

/// Largest body of a submission, in bytes.
const SUBMIT_BODY_BYTES_MAX: usize = 256 * 1024;
/// Largest body of a control request, in bytes: a check of many intents.
const ADMIN_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the server takes Unix time in ms from.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the served ledger meets real time"
)]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A network shared by all connections.
pub struct LedgerServer {
    network: Mutex<Network>,
    clock: Clock,
}

impl LedgerServer {
    /// Serves this network under this clock.
    pub fn new(network: Network, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            network: Mutex::new(network),
            clock,
        })
    }

    /// Runs `f` on the network at the present time, with every due ledger closed.
    pub fn with<R>(&self, f: impl FnOnce(&mut Network, u64) -> R) -> R {
        let now_ms = (self.clock)();
        let mut network = self
            .network
            .lock()
            .expect("no request panics while it holds the network");
        network.advance(now_ms);
        f(&mut network, now_ms)
    }

    /// Up to `len_max` journal entries from place `from`, as JSON lines, and the place after.
    pub fn journal_lines(&self, from: usize, len_max: usize) -> (String, usize) {
        let entries = self.with(|network, _| {
            let journal = network.journal();
            let start = from.min(journal.len());
            let end = start.saturating_add(len_max).min(journal.len());
            journal[start..end].to_vec()
        });
        let mut lines = String::new();
        for entry in &entries {
            let line = serde_json::to_string(entry).expect("a journal entry is plain data");
            lines.push_str(&line);
            lines.push('\n');
        }
        (lines, from + entries.len())
    }
}

/// Every route. Give it to [`serve`], which also acts out broken connections.
pub fn router(server: Arc<LedgerServer>) -> Router {
    let queries = Router::new()
        .route("/", get(horizon::root))
        .route("/transactions/{hash}", get(horizon::transaction))
        .route("/accounts/{id}", get(horizon::account))
        .route("/fee_stats", get(horizon::fee_stats))
        .route("/ledgers", get(horizon::ledgers))
        .layer(middleware::from_fn_with_state(
            server.clone(),
            horizon::query_faults,
        ));
    let submissions = Router::new()
        .route("/transactions_async", post(horizon::submit))
        .route("/friendbot", get(horizon::friendbot))
        .layer(DefaultBodyLimit::max(SUBMIT_BODY_BYTES_MAX));
    let control = Router::new()
        .route(
            "/_stellara/faults",
            get(admin::faults).post(admin::set_faults),
        )
        .route(
            "/_stellara/foreign",
            get(admin::foreign).post(admin::set_foreign),
        )
        .route("/_stellara/journal", get(admin::journal))
        .route("/_stellara/accounts", post(admin::accounts))
        .route("/_stellara/check", post(admin::check))
        .route("/_stellara/close", post(admin::close))
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX));
    queries
        .merge(submissions)
        .merge(control)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(server)
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("nothing is served at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::wrong_method(format!("{method} is not served at {}", uri.path()))
}

/// Marks a response in whose place the connection is broken.
#[derive(Clone, Copy, Debug)]
struct BreakConnection;

/// Acts a fault out. `Some` is what the caller gets instead of the true answer.
async fn act_out(fault: Option<Fault>) -> Option<Response> {
    match fault? {
        Fault::Timeout { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Some(Problem::timeout().into_response())
        }
        Fault::Slow { delay_ms } => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            None
        }
        // The answer itself is the fault.
        Fault::InternalError => None,
        Fault::Status(status) => Some(Problem::injected(status).into_response()),
        Fault::Reset => {
            let mut response = Problem::timeout().into_response();
            response.extensions_mut().insert(BreakConnection);
            Some(response)
        }
    }
}
