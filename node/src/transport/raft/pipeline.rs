//! Pipelined replication over one stream: requests go out without waiting, answers come back in order.
//!
//! No task: the returned stream sends and receives while it is polled, so dropping it drops openraft's input at
//! once, which a new stream needs. What is in flight is bounded; the deadline is the time without an answer.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use openraft_rt::AsyncRuntime;
use prost::Message;
use stellara_proto::v1::peer;
use stellara_raft_store::types::Types;

use super::RaftLinkOptions;
use super::convert::stream_result_from_wire;
use super::split::{Place, split};
use crate::ports::peer_link::{FrameRx, FrameTx, LinkError};

/// What was sent and not yet answered, oldest first.
#[derive(Default)]
struct Flight {
    sent: VecDeque<(Place, usize)>,
    bytes: usize,
}

type SharedFlight = Arc<Mutex<Flight>>;

fn with<T>(flight: &SharedFlight, act: impl FnOnce(&mut Flight) -> T) -> T {
    act(&mut flight.lock().expect("no holder panics"))
}

/// A stream of results, one for each request of `input`, in order; it ends after the first failure.
pub(super) fn pipeline<R, S, Tx, Rx>(
    input: S,
    (tx, rx): (Tx, Rx),
    options: RaftLinkOptions,
    idle: Duration,
) -> BoxStream<'static, Result<StreamAppendResult<Types<R>>, LinkError>>
where
    R: AsyncRuntime + 'static,
    S: Stream<Item = AppendEntriesRequest<Types<R>>> + Send + Unpin + 'static,
    Tx: FrameTx,
    Rx: FrameRx,
{
    let flight = SharedFlight::default();
    let mut state = Pipeline::<R> {
        pump: Some(Box::pin(pump::<R, S, Tx>(
            input,
            tx,
            Arc::clone(&flight),
            options,
        ))),
        send_error: None,
        answers: answers(rx),
        flight,
        idle,
        deadline: None,
        phase: Phase::Running,
    };
    Box::pin(stream::poll_fn(move |cx| state.poll_next(cx)))
}

async fn pump<R, S, Tx>(
    mut input: S,
    mut tx: Tx,
    flight: SharedFlight,
    options: RaftLinkOptions,
) -> Result<(), LinkError>
where
    R: AsyncRuntime + 'static,
    S: Stream<Item = AppendEntriesRequest<Types<R>>> + Send + Unpin + 'static,
    Tx: FrameTx,
{
    while let Some(request) = input.next().await {
        for part in split::<R>(&request, options.append_frame_bytes_max) {
            let frame = part.frame();
            room(&flight, frame.len(), options).await;
            with(&flight, |flight| {
                flight.bytes += frame.len();
                flight.sent.push_back((part.place, frame.len()));
            });
            tx.send(frame).await?;
        }
    }
    tx.finish().await
}

// Registers no waker: an answer makes room, and after an answer the pump is polled again by its owner.
async fn room(flight: &SharedFlight, bytes: usize, options: RaftLinkOptions) {
    poll_fn(|_| {
        let fits = with(flight, |flight| {
            flight.sent.is_empty()
                || (flight.sent.len() < options.appends_in_flight_max
                    && flight.bytes + bytes <= options.append_bytes_in_flight_max)
        });
        if fits { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn answers<Rx: FrameRx>(rx: Rx) -> BoxStream<'static, Result<Bytes, LinkError>> {
    Box::pin(stream::unfold(Some(rx), |rx| async move {
        let mut rx = rx?;
        match rx.recv().await {
            Ok(Some(frame)) => Some((Ok(frame), Some(rx))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

enum Phase {
    Running,
    Ended,
}

struct Pipeline<R: AsyncRuntime + 'static> {
    pump: Option<BoxFuture<'static, Result<(), LinkError>>>,
    send_error: Option<LinkError>,
    answers: BoxStream<'static, Result<Bytes, LinkError>>,
    flight: SharedFlight,
    idle: Duration,
    deadline: Option<Pin<Box<R::Sleep>>>,
    phase: Phase,
}

type Item<R> = Result<StreamAppendResult<Types<R>>, LinkError>;

impl<R: AsyncRuntime + 'static> Pipeline<R> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<R>>> {
        loop {
            match self.phase {
                Phase::Running => {}
                Phase::Ended => return Poll::Ready(None),
            }
            self.poll_pump(cx);
            match self.answers.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.deadline = None;
                    match self.take_answer(frame) {
                        // The request goes on: openraft hears of it when its last part is answered.
                        Ok((Ok(_), Place::Within)) => {}
                        Ok((result, _)) => {
                            if result.is_err() {
                                self.phase = Phase::Ended;
                            }
                            return Poll::Ready(Some(Ok(result)));
                        }
                        Err(error) => return self.fail(error),
                    }
                }
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(None) => return self.peer_finished(),
                Poll::Pending => return self.poll_waiting(cx),
            }
        }
    }

    fn poll_pump(&mut self, cx: &mut Context<'_>) {
        let Some(pump) = &mut self.pump else { return };
        if let Poll::Ready(result) = pump.as_mut().poll(cx) {
            self.pump = None;
            self.send_error = result.err();
        }
    }

    fn take_answer(
        &self,
        frame: Bytes,
    ) -> Result<(StreamAppendResult<Types<R>>, Place), LinkError> {
        let closed = |detail: String| LinkError::Closed { detail };
        let sent = with(&self.flight, |flight| {
            let sent = flight.sent.pop_front();
            flight.bytes -= sent.map_or(0, |(_, bytes)| bytes);
            sent
        });
        let (place, _) = sent.ok_or_else(|| closed("an answer to nothing".into()))?;
        let wire =
            peer::AppendResponse::decode(frame).map_err(|error| closed(error.to_string()))?;
        let result =
            stream_result_from_wire::<R>(wire).map_err(|error| closed(error.to_string()))?;
        Ok((result, place))
    }

    // The peer's answers may still be on their way after a failed send (a conflict ends the stream from its side),
    // so that failure is told only when no more answers come.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<R>>> {
        let unanswered = with(&self.flight, |flight| flight.sent.len());
        if unanswered == 0 {
            self.deadline = None;
            if self.pump.is_some() {
                return Poll::Pending;
            }
            return self.end();
        }
        let idle = self.idle;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(R::sleep(idle)));
        if deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let error = LinkError::TimedOut { limit: idle };
        let error = self.send_error.take().unwrap_or(error);
        self.fail(error)
    }

    fn peer_finished(&mut self) -> Poll<Option<Item<R>>> {
        let unanswered = with(&self.flight, |flight| flight.sent.len());
        if unanswered == 0 && self.pump.is_none() {
            return self.end();
        }
        let detail = format!("the peer ended the stream, {unanswered} requests unanswered");
        let error = self.send_error.take();
        self.fail(error.unwrap_or(LinkError::Closed { detail }))
    }

    fn end(&mut self) -> Poll<Option<Item<R>>> {
        self.phase = Phase::Ended;
        Poll::Ready(self.send_error.take().map(Err))
    }

    fn fail(&mut self, error: LinkError) -> Poll<Option<Item<R>>> {
        self.phase = Phase::Ended;
        Poll::Ready(Some(Err(error)))
    }
}
