//! What a client takes from its surroundings: time, tasks, randomness, and the way to a node.
//!
//! Tokio and tonic's channels are the default; a simulation brings its own. Whatever the rest of
//! the SDK waits for, starts or draws comes through here, so one seed can be one history.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, poll_fn};
use rand::RngExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};

use crate::error::ClientError;
use crate::transport;

/// What went wrong on the way. A `tonic::ConnectError` in its chain of sources says that the
/// request never left.
pub type LineError = Box<dyn std::error::Error + Send + Sync>;

/// The answer to a request, on its way.
pub type Answer = BoxFuture<'static, Result<http::Response<Body>, LineError>>;

/// The surroundings of a client. Shared by its clones and their tasks.
pub trait Surroundings: Debug + Send + Sync + 'static {
    /// Time since a start of its own; it never runs backwards.
    fn now(&self) -> Duration;

    /// Resolves after `span`.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;

    /// Starts a task. Nobody awaits it: it ends by itself, or with the surroundings.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// 64 random bits.
    fn random_bits(&self) -> u64;

    /// A way to `address`, as `http://host:port`, that connects when first used; an attempt to
    /// connect ends after `connect_within`.
    ///
    /// # Errors
    /// `InvalidEndpoint` for an address that cannot be used.
    fn line(&self, address: &str, connect_within: Duration) -> Result<Arc<dyn Line>, ClientError>;
}

/// The way to one endpoint: carries requests and their answers, many at a time.
pub trait Line: Debug + Send + Sync + 'static {
    /// Carries one request. Dropping the answer cancels the call.
    fn carry(&self, request: http::Request<Body>) -> Answer;
}

/// A line as tonic's generated clients take it.
#[derive(Debug, Clone)]
pub(crate) struct Wire(pub Arc<dyn Line>);

impl GrpcService<Body> for Wire {
    type ResponseBody = Body;
    type Error = LineError;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), LineError>> {
        // A line that has no room waits in `carry`.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        self.0.carry(request)
    }
}

/// Real time, tokio's tasks, the process's randomness, and HTTP/2 over TCP.
#[derive(Debug)]
pub(crate) struct Tokio {
    started: Instant,
}

impl Default for Tokio {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Surroundings for Tokio {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(span).boxed()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn random_bits(&self) -> u64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the port that the rest of the SDK draws from"
        )]
        rand::rng().random()
    }

    fn line(&self, address: &str, connect_within: Duration) -> Result<Arc<dyn Line>, ClientError> {
        let endpoint: Endpoint = transport::endpoint(address, connect_within)?;
        Ok(Arc::new(endpoint.connect_lazy()))
    }
}

impl Line for Channel {
    fn carry(&self, request: http::Request<Body>) -> Answer {
        let mut channel = self.clone();
        async move {
            poll_fn(|cx| GrpcService::<Body>::poll_ready(&mut channel, cx)).await?;
            Ok(GrpcService::call(&mut channel, request).await?)
        }
        .boxed()
    }
}
