//! Connections of the public port: bounded in number, closed when silent, ended when the node is done.
//!
//! Nothing that a connection does, and no failure to accept one, stops the listener.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long a new connection may take to send its first bytes.
const FIRST_BYTES_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may send nothing. A live caller answers the server's HTTP/2 pings far more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long to wait after a connection could not be accepted, for file handles to become free.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The connections that arrive, at most `connections_max` at a time; more wait in the kernel's backlog.
pub(super) fn connections(
    listener: TcpListener,
    connections_max: usize,
    killed: CancellationToken,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let places = Arc::new(Semaphore::new(connections_max));
    futures_util::stream::unfold(
        (listener, places, killed),
        |(listener, places, killed)| async {
            let permit = Arc::clone(&places).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            let stream = accept(&listener).await;
            let connection = Connection {
                stream,
                killed: Box::pin(killed.clone().cancelled_owned()),
                silent: Box::pin(sleep(FIRST_BYTES_WITHIN)),
                _permit: permit,
            };
            Some((Ok(connection), (listener, places, killed)))
        },
    )
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it small answers wait for acknowledgements; a connection that refuses is dead anyway.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "connection could not be accepted");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// A connection that ends by itself when its caller is silent or the node is done.
pub(super) struct Connection {
    stream: TcpStream,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    silent: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.silent.as_mut().reset(Instant::now() + SILENCE_MAX);
            return read;
        }
        if this.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.silent.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
