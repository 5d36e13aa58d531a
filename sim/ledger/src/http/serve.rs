//! Accepting connections. axum's own server cannot break a connection in place of an answer, so
//! connections are driven here. Invariants: at most `CONNECTIONS_MAX` at once; when `serve`
//! returns, no connection is left.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::BreakConnection;

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 1_024;
/// How long answers may take to finish once the server stops.
const DRAIN_MS: u64 = 1_000;
/// Pause after a failed accept, such as when file handles ran out.
const ACCEPT_RETRY_MS: u64 = 50;

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not work any more.
    #[error("listener failed: {0}")]
    Listener(#[from] io::Error),
}

/// Serves the router on the listener until `stop` completes; then answers under way get a
/// second to finish and the rest are cut.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    listener.local_addr()?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = drive(stream, router.clone(), stopped.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await,
        }
    }
    drop(listener);
    drop(stopping);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_millis(DRAIN_MS), drained)
        .await
        .is_err()
    {
        connections.shutdown().await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

/// Serves one connection until either side ends it. Errors are the peer's: nobody else is told.
async fn drive(stream: TcpStream, router: Router, mut stopped: watch::Receiver<()>) {
    let service = service_fn(move |request| answer(router.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let answered: Result<Response<Body>, Infallible> = router.oneshot(request).await;
    let response = answered.unwrap_or_else(|never| match never {});
    // An error makes hyper drop the connection without a byte of an answer.
    match response.extensions().get::<BreakConnection>() {
        Some(BreakConnection) => Err(io::ErrorKind::ConnectionReset.into()),
        None => Ok(response),
    }
}
