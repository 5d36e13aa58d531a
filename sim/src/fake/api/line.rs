//! A caller's connection to one node: made by a handshake, kept until it breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::{Request, Response};
use openraft_rt::AsyncRuntime as _;
use stellara_client::surroundings::{Answer, Line, LineError};
use tonic::ConnectError;
use tonic::body::Body;

use super::pipe::{Lost, Piece, PipeRx, PipeTx, pipe};
use super::{Broken, Direction, LOOK_EVERY, Path, deadline};
use crate::runtime::{EventKind, NodeTag, SimRuntime, event, now, sleep, spawn_on};

const CONNECTED: EventKind = EventKind::new("caller-connected");
const REFUSED: EventKind = EventKind::new("caller-refused");
const BROKEN: EventKind = EventKind::new("caller-broken");

/// A connection with a life of a node. Clones are the same connection.
#[derive(Clone, Debug)]
pub(super) struct SimLine {
    path: Path,
    connect_within: Duration,
    life: Arc<Mutex<Option<u64>>>,
}

/// No connection was made, so nothing was sent.
fn not_connected(why: &str) -> LineError {
    ConnectError(why.into()).into()
}

impl Line for SimLine {
    fn carry(&self, request: Request<Body>) -> Answer {
        let line = self.clone();
        async move { line.ask(request).await }.boxed()
    }
}

/// A name that nobody has.
#[derive(Debug)]
pub(super) struct NoHost;

impl Line for NoHost {
    fn carry(&self, _request: Request<Body>) -> Answer {
        async { Err(not_connected("there is no such host")) }.boxed()
    }
}

impl SimLine {
    pub(super) fn new(path: Path, connect_within: Duration) -> Self {
        Self {
            path,
            connect_within,
            life: Arc::default(),
        }
    }

    fn life(&self) -> MutexGuard<'_, Option<u64>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is no more, if it is still the one with `life`.
    fn break_off(&self, life: u64) {
        let mut current = self.life();
        if *current == Some(life) {
            *current = None;
            event(BROKEN, self.path.node_id, life, String::new);
        }
    }

    /// The life of the node that is at the other end.
    async fn connect(&self) -> Result<u64, LineError> {
        let until = now() + self.connect_within;
        loop {
            if let Some(life) = *self.life() {
                return Ok(life);
            }
            if !self.path.is_cut() {
                let there = self.path.transit(Direction::ToNode);
                sleep(there + self.path.transit(Direction::ToCaller)).await;
                // The world may have changed during the handshake.
                if !self.path.is_cut() && now() <= until {
                    return self.admitted();
                }
            }
            if now() >= until {
                return Err(not_connected("the connection was not made in time"));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn admitted(&self) -> Result<u64, LineError> {
        let node_id = self.path.node_id;
        let Some(door) = self.path.network.door(node_id) else {
            event(REFUSED, node_id, 0, String::new);
            return Err(not_connected("connection refused"));
        };
        event(CONNECTED, node_id, door.life, String::new);
        *self.life() = Some(door.life);
        Ok(door.life)
    }

    async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, LineError> {
        let life = self.connect().await?;
        let (up, arriving) = pipe(&self.path, Direction::ToNode);
        let (down, mut answer) = pipe(&self.path, Direction::ToCaller);
        let (head, body) = request.into_parts();
        drop(SimRuntime::spawn(up.send_body(body)));
        let arrival = now() + self.path.transit(Direction::ToNode);
        let request = Request::from_parts(head, arriving);
        let line = self.clone();
        // On the node: a crash loses what its sockets hold.
        drop(spawn_on(NodeTag(self.path.node_id), async move {
            crate::runtime::sleep_until(arrival).await;
            line.arrive(life, request, down).await;
        }));
        match answer.recv().await {
            Ok(Piece::Head(head)) => {
                let line = self.clone();
                let body = answer.into_body(move |why| line.clone().lost(life, why));
                Ok(Response::from_parts(head, body))
            }
            Ok(Piece::Frame(_) | Piece::End | Piece::Reset) => {
                self.break_off(life);
                Err(Broken::new("the connection was reset by the peer").into())
            }
            Err(why) => Err(self.clone().lost(life, why).await.into()),
        }
    }

    /// The caller gives the connection up: at once when the path told so, after the idle time when nothing did.
    async fn lost(self, life: u64, why: Lost) -> Broken {
        let broken = match why {
            Lost::Cut(broken) => broken,
            Lost::Silence => {
                sleep(self.path.network.idle()).await;
                Broken::new("nothing was heard for the idle time")
            }
        };
        self.break_off(life);
        broken
    }

    /// A request at the node's machine.
    async fn arrive(self, life: u64, request: Request<PipeRx>, mut down: PipeTx) {
        if self.path.whole(Direction::ToNode).await.is_err() {
            return;
        }
        let door = self.path.network.door(self.path.node_id);
        let routes = match door {
            Some(door) if door.life == life => door.routes,
            // A machine that came back knows nothing of the connection, and says so.
            Some(_) => {
                down.send(Piece::Reset).await.ok();
                return;
            }
            None => {
                drop((request, down));
                // Keep-alive finds out, whether or not the caller still waits.
                sleep(self.path.network.idle()).await;
                self.break_off(life);
                return;
            }
        };
        let given_up = down.gone();
        let path = self.path.clone();
        let cancelled = async move {
            given_up.await;
            sleep(path.transit(Direction::ToNode)).await;
            if path.whole(Direction::ToNode).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let handled = handle(routes, request, down);
        // A caller that gives up resets the call, and the handler ends where it is.
        match select(Box::pin(handled), Box::pin(cancelled)).await {
            Either::Left(((), _)) | Either::Right(((), _)) => {}
        }
    }
}

/// Calls the node's services and sends back what they answer.
async fn handle(routes: tonic::service::Routes, request: Request<PipeRx>, mut down: PipeTx) {
    let request = request.map(|arriving| {
        // The caller's machine says nothing when it is gone; what it began is then reset by its connection's end.
        arriving.into_body(|why| async move {
            match why {
                Lost::Cut(broken) => broken,
                Lost::Silence => Broken::new("the caller is gone"),
            }
        })
    });
    let answer = deadline::within(routes, request).await;
    let (head, body) = answer.into_parts();
    if down.send(Piece::Head(head)).await.is_ok() {
        down.send_body(body).await;
    }
}
