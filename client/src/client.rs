//! The client: one loop that every call runs through, and what the calls share.
//!
//! The loop does what `retry`, `endpoints` and `classify` decide: try, move to another node at
//! once, or wait, until an answer or the deadline.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
use stellara_proto::v1::ListMembersRequest;
use stellara_proto::v1::batches_client::BatchesClient;
use stellara_proto::v1::cluster_client::ClusterClient;
use stellara_proto::v1::fees_client::FeesClient;
use stellara_proto::v1::payments_client::PaymentsClient;
use stellara_proto::v1::policies_client::PoliciesClient;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::builder::{ClientBuilder, Config, Discovery};
use crate::classify::{Cause, Failure, Fate, Verdict, of_status};
use crate::endpoints::{EndpointId, EndpointTable};
use crate::error::ClientError;
use crate::retry::{RetryPolicy, Rotation, Step};
use crate::surroundings::{Surroundings, Wire};
use crate::transport::{MESSAGE_BYTES_MAX, Pool, check_address};

/// How often the members are asked for anew.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// And after a failure, so that a new member is known soon.
const DISCOVERY_PERIOD_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// With less than this left of the deadline, an attempt would only cloud the outcome.
const ATTEMPT_MIN: Duration = Duration::from_millis(5);

/// The cluster, as its callers see it. Cheap to clone: clones share connections and what is
/// known of the endpoints.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    /// What the surroundings' time counts from.
    origin: Instant,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    table: EndpointTable,
    /// By endpoint; made when first used.
    pools: Vec<Option<Pool>>,
    discover_at: Option<Instant>,
    discovery: Discovering,
}

/// Whether the members are being asked for. The task holds a guard of it, so that it is over
/// however the task ends.
#[derive(Debug, Clone, Default)]
struct Discovering(Arc<AtomicBool>);

impl Discovering {
    fn begin(&self) -> Option<DiscoveryGuard> {
        let running = self.0.swap(true, Ordering::AcqRel);
        (!running).then(|| DiscoveryGuard(self.clone()))
    }
}

struct DiscoveryGuard(Discovering);

impl Drop for DiscoveryGuard {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Whether a call changes something: only then can its outcome be unknown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call<'a> {
    Read,
    Write { idempotency_key: &'a str },
}

/// One attempt of a call: where, and for how long.
pub(crate) struct Attempt<'a> {
    line: Wire,
    limit: Duration,
    config: &'a Config,
}

impl Attempt<'_> {
    /// The message with the metadata that every call carries.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.stream_request(message);
        request.set_timeout(self.limit);
        request
    }

    /// The same without a time limit, for calls that stay open.
    pub fn stream_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.config.authorization {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        request
    }

    pub fn line(&self) -> Wire {
        self.line.clone()
    }

    pub fn payments(&self) -> PaymentsClient<Wire> {
        PaymentsClient::new(self.line()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn batches(&self) -> BatchesClient<Wire> {
        BatchesClient::new(self.line()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn policies(&self) -> PoliciesClient<Wire> {
        PoliciesClient::new(self.line()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn fees(&self) -> FeesClient<Wire> {
        FeesClient::new(self.line()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub fn cluster(&self) -> ClusterClient<Wire> {
        ClusterClient::new(self.line()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl Client {
    /// Sets up a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn new(config: Config) -> Self {
        let table = EndpointTable::new(&config.endpoints, config.home_region.clone());
        Self {
            deadline: config.retry.deadline,
            shared: Arc::new(Shared {
                config,
                origin: Instant::now(),
                known: Mutex::new(Known {
                    table,
                    pools: Vec::new(),
                    discover_at: None,
                    discovery: Discovering::default(),
                }),
            }),
        }
    }

    /// The same client with another deadline for each of its calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            deadline,
        }
    }

    /// The addresses the client knows: those it was given, then those it discovered.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let known = self.known();
        known.table.addresses().map(str::to_owned).collect()
    }

    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.shared.config.retry
    }

    pub(crate) fn surroundings(&self) -> &dyn Surroundings {
        &*self.shared.config.surroundings
    }

    pub(crate) fn now(&self) -> Instant {
        self.shared.origin + self.surroundings().now()
    }

    pub(crate) fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.surroundings().sleep(span)
    }

    /// What `future` gives within `limit`; it is asked first, so one that is ready at its limit
    /// wins.
    pub(crate) async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        match select(pin!(future), self.sleep(limit)).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed),
        }
    }

    /// Runs one call to its end.
    pub(crate) async fn call<T, A, F>(
        &self,
        call: Call<'_>,
        mut attempt: A,
    ) -> Result<T, ClientError>
    where
        A: FnMut(Attempt<'_>) -> F,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = self.now() + self.deadline;
        let mut rotation = Rotation::default();
        let mut fate = Fate::NotAccepted;
        let mut target = self.begin(&mut rotation)?;
        loop {
            let left = deadline.saturating_duration_since(self.now());
            let limit = left.min(self.policy().attempt_timeout);
            let future = attempt(self.attempt(target, limit)?);
            let failure = match self.timeout(limit, future).await {
                Ok(Ok(response)) => {
                    self.worked(target);
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => match of_status(&status) {
                    Verdict::Final(error) => {
                        self.worked(target);
                        return Err(error);
                    }
                    Verdict::Retry(failure) => failure,
                },
                Err(Elapsed) => self.timed_out(target, limit),
            };
            fate = fate.and(match call {
                Call::Read => Fate::NotAccepted,
                Call::Write { .. } => failure.fate,
            });
            target = match self.follow(&mut rotation, target, &failure) {
                Step::Try(next) if self.time_left(deadline) => next,
                Step::Wait(wait) if self.wait_fits(&failure, wait, deadline) => {
                    let left = deadline.saturating_duration_since(self.now());
                    self.sleep(wait.min(left / 2)).await;
                    self.begin(&mut rotation)?
                }
                Step::Try(_) | Step::Wait(_) => {
                    let key = match call {
                        Call::Read => "",
                        Call::Write { idempotency_key } => idempotency_key,
                    };
                    return Err(failure.give_up(fate, key));
                }
            };
        }
    }

    fn time_left(&self, deadline: Instant) -> bool {
        deadline.saturating_duration_since(self.now()) > ATTEMPT_MIN
    }

    /// A wait that the server asked for is kept whole; one of our own is cut to the deadline.
    fn wait_fits(&self, failure: &Failure, wait: Duration, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(self.now());
        left > ATTEMPT_MIN * 2 && (failure.retry_after_ms == 0 || wait <= left / 2)
    }

    pub(crate) fn timed_out(&self, target: EndpointId, limit: Duration) -> Failure {
        let address = self.known().table.address(target).to_owned();
        let message = format!("{address} did not answer within {} ms", limit.as_millis());
        Failure::new(Cause::TimedOut, message)
    }

    /// The endpoint to begin a round with.
    pub(crate) fn begin(&self, rotation: &mut Rotation) -> Result<EndpointId, ClientError> {
        rotation
            .begin(&self.known().table, self.now())
            .ok_or_else(|| ClientError::InvalidEndpoint {
                endpoint: String::new(),
                expected: "at least one endpoint".into(),
            })
    }

    /// A line to an endpoint, with what its requests carry.
    pub(crate) fn attempt(
        &self,
        target: EndpointId,
        limit: Duration,
    ) -> Result<Attempt<'_>, ClientError> {
        let config = &self.shared.config;
        let mut known = self.known();
        self.discover_when_due(&mut known);
        let Known { table, pools, .. } = &mut *known;
        if pools.len() <= target.0 {
            pools.resize_with(target.0 + 1, || None);
        }
        let pool = match &mut pools[target.0] {
            Some(pool) => pool,
            vacant => vacant.insert(Pool::new(
                self.surroundings(),
                table.address(target),
                config.connections_per_endpoint,
                config.retry.attempt_timeout / 2,
            )?),
        };
        Ok(Attempt {
            line: pool.line(),
            limit,
            config,
        })
    }

    /// Notes that an endpoint answered.
    pub(crate) fn worked(&self, target: EndpointId) {
        self.known().table.worked(target);
    }

    /// Notes what a failure tells, and says what to do next.
    pub(crate) fn follow(
        &self,
        rotation: &mut Rotation,
        target: EndpointId,
        failure: &Failure,
    ) -> Step {
        let now = self.now();
        let mut known = self.known();
        if failure.cause.blames_the_node() {
            known.table.failed(target, now);
            let soon = now + DISCOVERY_PERIOD_AFTER_FAILURE;
            known.discover_at = known.discover_at.map(|at| at.min(soon));
        } else {
            known.table.worked(target);
        }
        let hinted = failure
            .leader_hint
            .as_deref()
            .filter(|address| check_address(address).is_ok())
            .and_then(|address| known.table.learn(address, ""));
        if let Some(leader) = hinted {
            known.table.lead(leader);
        }
        let random = self.surroundings().random_bits();
        rotation.after(failure, &known.table, now, random, self.policy())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change of the table is complete by itself, so a panic elsewhere leaves it sound.
        self.shared
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn discover_when_due(&self, known: &mut Known) {
        let now = self.now();
        let due = known.discover_at.is_none_or(|at| at <= now);
        if self.shared.config.discovery == Discovery::Off || !due {
            return;
        }
        let Some(guard) = known.discovery.begin() else {
            return;
        };
        known.discover_at = Some(now + DISCOVERY_PERIOD);
        let asking = discover(Arc::downgrade(&self.shared), self.deadline);
        let task = async move {
            asking.await;
            drop(guard);
        };
        self.surroundings().spawn(task.boxed());
    }
}

/// The time limit passed.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Asks for the members once and remembers them; a failure only means that nothing is learnt.
async fn discover(weak: Weak<Shared>, deadline: Duration) {
    let Some(shared) = weak.upgrade() else {
        return;
    };
    let client = Client { shared, deadline };
    let answer = client
        .call(Call::Read, |attempt| {
            let request = attempt.request(ListMembersRequest {});
            let mut cluster = attempt.cluster();
            async move { cluster.list_members(request).await }
        })
        .await;
    let Ok(answer) = answer else {
        return;
    };
    let mut known = client.known();
    for member in &answer.members {
        if check_address(&member.public_address).is_ok() {
            known.table.learn(&member.public_address, &member.region);
        }
    }
}
