//! A cluster that keeps its payments in memory and misbehaves as it is told.
//!
//! All nodes share one store, so a payment accepted twice shows. Each node runs in a runtime of
//! its own: stopping it cuts its connections at once, as a crash does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stellara_client::api::batches_server::BatchesServer;
use stellara_client::api::cluster_server::ClusterServer;
use stellara_client::api::payments_server::PaymentsServer;
use stellara_client::api::{
    ErrorCode, ErrorDetail, Payment, PaymentEvent, PaymentStage, SubmitPaymentRequest,
    SubmitPaymentResponse,
};
use stellara_client::{Client, ClientBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// What a node does with one of its next calls.
#[derive(Debug, Clone)]
pub enum Script {
    /// Answers with this error.
    Refuse(ErrorDetail),
    /// Never answers and does nothing.
    Hang,
    /// Does what is asked and never answers.
    ServeAndHang,
    /// Does what is asked and says that it does not know.
    ServeAndForget,
    /// A watch ends with an error after so many events; a stream after so many messages.
    CutAfter(usize),
}

/// What all nodes share.
#[derive(Debug, Default)]
pub struct Store {
    /// By idempotency key.
    pub payments: BTreeMap<String, Payment>,
    pub submissions: usize,
    /// By a payment's reference: what it is refused with, one after the other.
    pub refusals: BTreeMap<String, VecDeque<ErrorDetail>>,
    pub events: Vec<PaymentEvent>,
    /// Public addresses, as members tell them.
    pub members: Vec<String>,
    /// The largest message seen, in payments.
    pub pack_max: usize,
}

pub type Shared = Arc<Mutex<Store>>;

impl Store {
    /// What the real cluster does: the same key gives the same payment.
    #[expect(clippy::result_large_err, reason = "the contract's own message")]
    pub fn submit(
        &mut self,
        request: SubmitPaymentRequest,
    ) -> Result<SubmitPaymentResponse, ErrorDetail> {
        self.submissions += 1;
        if let Some(refusals) = self.refusals.get_mut(&request.reference)
            && let Some(refusal) = refusals.pop_front()
        {
            return Err(refusal);
        }
        if let Some(known) = self.payments.get(&request.idempotency_key) {
            if known.amount != request.amount {
                return Err(ErrorDetail {
                    resource: known.payment_id.clone(),
                    ..detail(ErrorCode::KeyReused)
                });
            }
            return Ok(SubmitPaymentResponse {
                payment_id: known.payment_id.clone(),
                repeated: true,
            });
        }
        let payment_id = format!("pay_{:016x}", self.payments.len() + 1);
        self.payments.insert(
            request.idempotency_key.clone(),
            Payment {
                payment_id: payment_id.clone(),
                idempotency_key: request.idempotency_key,
                destination: request.destination,
                asset: request.asset,
                amount: request.amount,
                memo: request.memo,
                priority: request.priority,
                reference: request.reference,
                stage: PaymentStage::Queued.into(),
                accepted_at_ms: 1_700_000_000_000,
                stage_at_ms: 1_700_000_000_000,
                ..Payment::default()
            },
        );
        Ok(SubmitPaymentResponse {
            payment_id,
            repeated: false,
        })
    }

    /// In the order of acceptance.
    pub fn in_order(&self) -> Vec<Payment> {
        let mut payments: Vec<_> = self.payments.values().cloned().collect();
        payments.sort_by(|a, b| a.payment_id.cmp(&b.payment_id));
        payments
    }
}

/// An error with nothing but its code.
pub fn detail(code: ErrorCode) -> ErrorDetail {
    ErrorDetail {
        code: code.into(),
        ..ErrorDetail::default()
    }
}

/// A payment that is valid, with a key and a reference.
pub fn payment(key: &str, reference: &str) -> SubmitPaymentRequest {
    SubmitPaymentRequest {
        idempotency_key: key.into(),
        destination: "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H".into(),
        asset: "native".into(),
        amount: "1".into(),
        reference: reference.into(),
        ..SubmitPaymentRequest::default()
    }
}

/// A node's service.
#[derive(Debug, Clone)]
pub struct Service {
    pub store: Shared,
    pub scripts: Arc<Mutex<VecDeque<Script>>>,
    /// Calls that reached this node.
    pub calls: Arc<Mutex<usize>>,
}

impl Service {
    pub fn next_script(&self) -> Option<Script> {
        *self.calls.lock().unwrap() += 1;
        self.scripts.lock().unwrap().pop_front()
    }
}

/// One node of the cluster.
pub struct Node {
    pub url: String,
    address: SocketAddr,
    service: Service,
    runtime: Option<Runtime>,
}

impl Node {
    pub fn start(store: &Shared) -> Self {
        let service = Service {
            store: Arc::clone(store),
            scripts: Arc::default(),
            calls: Arc::default(),
        };
        let mut node = Self {
            url: String::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            service,
            runtime: None,
        };
        node.restart();
        node
    }

    /// Begins to serve, on the same port as before.
    pub fn restart(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = self.address;
        let listener = std::thread::scope(|scope| {
            let bound = scope.spawn(|| runtime.block_on(TcpListener::bind(address)));
            bound.join().unwrap().unwrap()
        });
        self.address = listener.local_addr().unwrap();
        self.url = format!("http://{}", self.address);
        let service = self.service.clone();
        runtime.spawn(
            Server::builder()
                .add_service(PaymentsServer::new(service.clone()))
                .add_service(ClusterServer::new(service.clone()))
                .add_service(BatchesServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        self.runtime = Some(runtime);
    }

    /// Dies: connections break, new ones are refused.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            while std::net::TcpStream::connect(self.address).is_ok() {
                std::thread::yield_now();
            }
        }
    }

    pub fn script(&self, scripts: impl IntoIterator<Item = Script>) {
        self.service.scripts.lock().unwrap().extend(scripts);
    }

    pub fn calls(&self) -> usize {
        *self.service.calls.lock().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nodes over one store.
pub struct Cluster {
    pub store: Shared,
    pub nodes: Vec<Node>,
}

impl Cluster {
    pub fn start(nodes: usize) -> Self {
        let store = Shared::default();
        let nodes: Vec<_> = (0..nodes).map(|_| Node::start(&store)).collect();
        store.lock().unwrap().members = nodes.iter().map(|node| node.url.clone()).collect();
        Self { store, nodes }
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    /// A client of all nodes, with short times so that tests are.
    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder()
            .endpoints(self.urls())
            .attempt_timeout(Duration::from_millis(300))
            .backoff(Duration::from_millis(5), Duration::from_millis(50))
            .deadline(Duration::from_secs(5))
    }

    pub fn accepted(&self) -> usize {
        self.store.lock().unwrap().payments.len()
    }
}
