//! One direction of a call: what is sent arrives in order, each piece after its time on the way.
//!
//! Bounded, as HTTP/2's windows are. An end is said; a sender that is gone without it went down with its machine, or
//! gave the call up.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{Either, poll_fn, select};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use http::response::Parts;
use http_body::{Body as _, Frame};
use tokio::sync::mpsc;
use tonic::body::Body;

use super::{Broken, Direction, Path};
use crate::runtime::{SimTime, now, sleep_until};

/// Pieces under way.
const PIECES_MAX: usize = 64;

/// What travels.
pub(super) enum Piece {
    /// The head of an answer.
    Head(Parts),
    /// A piece of a body.
    Frame(Frame<Bytes>),
    /// The body is whole.
    End,
    /// The other side does not know the call.
    Reset,
}

struct Sent {
    at: SimTime,
    piece: Piece,
}

/// Where pieces are sent.
pub(super) struct PipeTx {
    path: Path,
    direction: Direction,
    pieces: mpsc::Sender<Sent>,
    /// Nothing overtakes.
    last: SimTime,
}

/// Where pieces arrive.
pub(super) struct PipeRx {
    path: Path,
    direction: Direction,
    pieces: mpsc::Receiver<Sent>,
}

/// Why nothing more arrives.
pub(super) enum Lost {
    /// The sender is gone without a word.
    Silence,
    /// The path was cut for too long.
    Cut(Broken),
}

/// Whoever should receive is gone.
pub(super) struct Gone;

pub(super) fn pipe(path: &Path, direction: Direction) -> (PipeTx, PipeRx) {
    let (tx, rx) = mpsc::channel(PIECES_MAX);
    let sender = PipeTx {
        path: path.clone(),
        direction,
        pieces: tx,
        last: SimTime::ZERO,
    };
    let receiver = PipeRx {
        path: path.clone(),
        direction,
        pieces: rx,
    };
    (sender, receiver)
}

impl PipeTx {
    /// Sends a piece; waits while too many are under way.
    pub(super) async fn send(&mut self, piece: Piece) -> Result<(), Gone> {
        self.last = self.last.max(now() + self.path.transit(self.direction));
        let sent = Sent {
            at: self.last,
            piece,
        };
        self.pieces.send(sent).await.map_err(|_| Gone)
    }

    /// Resolves once nobody will receive any more.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let pieces = self.pieces.clone();
        async move { pieces.closed().await }
    }

    /// Sends a body to its end, or until nobody receives or its maker gives up.
    pub(super) async fn send_body(mut self, mut body: Body) {
        loop {
            let gone = std::pin::pin!(self.gone());
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match select(next, gone).await {
                Either::Left((frame, _)) => frame,
                Either::Right(((), _)) => return,
            };
            let piece = match frame {
                None => Piece::End,
                Some(Ok(frame)) => Piece::Frame(frame),
                // Its maker broke off: the other side hears no end.
                Some(Err(_)) => Piece::Reset,
            };
            let last = !matches!(piece, Piece::Frame(_));
            if self.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}

impl PipeRx {
    /// The next piece, when it has arrived.
    pub(super) async fn recv(&mut self) -> Result<Piece, Lost> {
        let Some(sent) = self.pieces.recv().await else {
            return Err(Lost::Silence);
        };
        sleep_until(sent.at).await;
        let whole = self.path.whole(self.direction).await;
        whole.map(|()| sent.piece).map_err(Lost::Cut)
    }

    /// What arrives as a body; `lost` turns the way it ended early into an error, in its own time.
    pub(super) fn into_body<L, F>(self, lost: L) -> Body
    where
        L: Fn(Lost) -> F + Send + 'static,
        F: Future<Output = Broken> + Send,
    {
        let pieces = unfold(Some((self, lost)), |arriving| async move {
            let (mut pipe, lost) = arriving?;
            match pipe.recv().await {
                Ok(Piece::Frame(frame)) => Some((Ok(frame), Some((pipe, lost)))),
                Ok(Piece::End) => None,
                Ok(Piece::Head(_) | Piece::Reset) => {
                    Some((Err(Broken::new("the call was reset")), None))
                }
                Err(why) => Some((Err(lost(why).await), None)),
            }
        });
        Body::new(Arriving {
            pieces: pieces.boxed(),
        })
    }
}

/// A body that arrives.
struct Arriving {
    pieces: BoxStream<'static, Result<Frame<Bytes>, Broken>>,
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.pieces.poll_next_unpin(cx)
    }
}
