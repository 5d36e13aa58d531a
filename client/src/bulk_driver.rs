//! The task behind a bulk submission: it owns the call and every payment without an answer.
//!
//! Payments are answered in the order sent, so those in flight are a queue whose front is due
//! next. Each ends with exactly one answer: the server's, or at its deadline what is known.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use stellara_proto::v1::SubmitPaymentsResponse;
use tokio::select;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::bulk::BulkOptions;
use crate::classify::{Cause, Failure, Fate, Verdict, of_status};
use crate::client::Client;
use crate::endpoints::EndpointId;
use crate::error::ClientError;
use crate::frame::FrameCodec;
use crate::payments::{Accepted, verdict_of};
use crate::retry::{Backoff, Rotation, Step};
use crate::transport::MESSAGE_BYTES_MAX;

const PATH: &str = "/stellara.v1.Payments/SubmitPaymentStream";
/// Messages handed to the connection and not yet written.
const MESSAGES_WAITING_MAX: usize = 16;

/// A payment without an answer.
#[derive(Debug)]
pub(crate) struct Item {
    pub frame: Vec<u8>,
    pub idempotency_key: String,
    pub answer: oneshot::Sender<Result<Accepted, ClientError>>,
    pub deadline: Instant,
    pub fate: Fate,
}

/// How a call over one connection ended.
enum Ended {
    /// Nothing is outstanding and nothing will come.
    Drained,
    /// What is outstanding goes elsewhere.
    Failed(Failure),
}

/// The state of a bulk submission.
pub(crate) struct Driver {
    client: Client,
    options: BulkOptions,
    /// Payments that callers hand in; `None` once they take no more.
    intake: Option<mpsc::Receiver<Item>>,
    taken: Vec<Item>,
    unsent: VecDeque<Item>,
    sent: VecDeque<Item>,
    /// The last answer, or the first send after everything was answered.
    progress_at: Instant,
    rotation: Rotation,
    /// The waits that refusals for the moment ask for.
    backoff: Backoff,
    pause: Option<BoxFuture<'static, ()>>,
}

impl Driver {
    pub fn new(client: Client, options: BulkOptions, intake: mpsc::Receiver<Item>) -> Self {
        Self {
            progress_at: client.now(),
            client,
            options,
            intake: Some(intake),
            taken: Vec::new(),
            unsent: VecDeque::new(),
            sent: VecDeque::new(),
            rotation: Rotation::default(),
            backoff: Backoff::default(),
            pause: None,
        }
    }

    pub async fn run(mut self) {
        let mut target = None;
        loop {
            if self.unsent.is_empty() && !self.take_first().await {
                return;
            }
            let endpoint = match target.take() {
                Some(endpoint) => endpoint,
                None => match self.client.begin(&mut self.rotation) {
                    Ok(endpoint) => endpoint,
                    Err(error) => {
                        self.answer_all(&error);
                        continue;
                    }
                },
            };
            let failure = match self.stream(endpoint).await {
                Ended::Drained => return,
                Ended::Failed(failure) => failure,
            };
            self.recall(&failure);
            match self.client.follow(&mut self.rotation, endpoint, &failure) {
                Step::Try(next) => target = Some(next),
                Step::Wait(wait) => self.client.sleep(self.until_deadline(wait)).await,
            }
            self.expire(&failure);
        }
    }

    /// Waits for the first payment of an idle submission; `false` when none will come.
    async fn take_first(&mut self) -> bool {
        let Some(intake) = self.intake.as_mut() else {
            return false;
        };
        let item = intake.recv().await;
        if item.is_none() {
            self.intake = None;
        }
        self.unsent.extend(item);
        !self.unsent.is_empty()
    }

    /// One call on one node, from its opening to its end.
    async fn stream(&mut self, endpoint: EndpointId) -> Ended {
        self.pause = None;
        let (outgoing, messages) = mpsc::channel(MESSAGES_WAITING_MAX);
        // The server may not answer at all before it has a message.
        self.send_ready(&outgoing);
        let limit = self.client.policy().attempt_timeout;
        let opening = open(&self.client, endpoint, ReceiverStream::new(messages));
        let mut answers = match self.client.timeout(limit, opening).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(verdict)) => return self.ended(verdict),
            Err(_) => return Ended::Failed(self.client.timed_out(endpoint, limit)),
        };
        self.client.worked(endpoint);
        self.progress_at = self.client.now();
        let mut tick = self.client.sleep(limit / 4);
        loop {
            if self.intake.is_none() && self.sent.is_empty() && self.unsent.is_empty() {
                return Ended::Drained;
            }
            let room = self
                .options
                .outstanding_max
                .saturating_sub(self.sent.len() + self.unsent.len());
            select! {
                biased;
                message = answers.message() => match message {
                    Ok(Some(message)) => if let Some(ended) = self.take_answers(message) {
                        return ended;
                    },
                    Ok(None) => return self.ended(Verdict::Retry(closed())),
                    Err(status) => return self.ended(of_status(&status)),
                },
                () = paused(&mut self.pause), if self.pause.is_some() => {
                    self.pause = None;
                    self.send_ready(&outgoing);
                }
                permit = outgoing.reserve(), if self.pause.is_none() && !self.unsent.is_empty() => {
                    let Ok(permit) = permit else {
                        return self.ended(Verdict::Retry(closed()));
                    };
                    permit.send(self.pack());
                }
                taken = take(&mut self.intake, &mut self.taken, room),
                    if self.intake.is_some() && room > 0 =>
                {
                    if taken == 0 {
                        self.intake = None;
                    }
                    self.unsent.extend(self.taken.drain(..));
                    if self.pause.is_none() {
                        self.send_ready(&outgoing);
                    }
                }
                () = &mut tick => {
                    let now = self.client.now();
                    tick = self.client.sleep(limit / 4);
                    if !self.sent.is_empty() && now >= self.progress_at + limit {
                        return Ended::Failed(self.client.timed_out(endpoint, limit));
                    }
                    self.expire(&Failure::new(Cause::Overloaded, "a queue is full".into()));
                }
            }
        }
    }

    /// Packs what is ready while the connection takes it.
    fn send_ready(&mut self, outgoing: &mpsc::Sender<Vec<u8>>) {
        while !self.unsent.is_empty() {
            match outgoing.try_reserve() {
                Ok(permit) => permit.send(self.pack()),
                Err(TrySendError::Full(()) | TrySendError::Closed(())) => return,
            }
        }
    }

    /// One message of the oldest unsent payments.
    fn pack(&mut self) -> Vec<u8> {
        if self.sent.is_empty() {
            self.progress_at = self.client.now();
        }
        let count = self.unsent.len().min(self.options.pack_max);
        let bytes = self.unsent.iter().take(count).map(|item| item.frame.len());
        let mut message = Vec::with_capacity(bytes.sum());
        for item in self.unsent.drain(..count) {
            message.extend_from_slice(&item.frame);
            self.sent.push_back(item);
        }
        message
    }

    /// Hands each result to its payment; says so when the call is to end for it.
    fn take_answers(&mut self, message: SubmitPaymentsResponse) -> Option<Ended> {
        self.progress_at = self.client.now();
        let mut ended = None;
        for result in message.results {
            let Some(mut item) = self.sent.pop_front() else {
                let message = "the node answered more payments than were sent".into();
                return Some(Ended::Failed(Failure::new(Cause::Connection, message)));
            };
            match verdict_of(result.result) {
                Ok(response) => {
                    self.rotation = Rotation::default();
                    self.backoff = Backoff::default();
                    let accepted = Accepted::new(response, item.idempotency_key);
                    // The caller may have stopped waiting.
                    let _unheard = item.answer.send(Ok(accepted));
                }
                Err(Verdict::Final(error)) => {
                    let _unheard = item.answer.send(Err(error));
                }
                Err(Verdict::Retry(failure)) => {
                    item.fate = item.fate.and(failure.fate);
                    self.unsent.push_back(item);
                    ended = self.postpone(failure).or(ended);
                }
            }
        }
        ended
    }

    /// A payment cannot be taken for the moment: wait on this node, or go to another.
    fn postpone(&mut self, failure: Failure) -> Option<Ended> {
        match failure.cause {
            Cause::Overloaded | Cause::UnknownOutcome | Cause::TimedOut => {
                if self.pause.is_none() {
                    let floor = Duration::from_millis(failure.retry_after_ms);
                    let random = self.client.surroundings().random_bits();
                    let wait = self.backoff.next(self.client.policy(), random, floor);
                    self.pause = Some(self.client.sleep(wait));
                }
                None
            }
            Cause::NoLeader | Cause::Unavailable | Cause::Connection => {
                Some(Ended::Failed(failure))
            }
        }
    }

    /// The call itself failed. When no other would do better, that is the answer to all that
    /// was sent on it.
    fn ended(&mut self, verdict: Verdict) -> Ended {
        match verdict {
            Verdict::Retry(failure) => Ended::Failed(failure),
            Verdict::Final(error) => {
                for item in self.sent.drain(..) {
                    let _unheard = item.answer.send(Err(error.clone()));
                }
                Ended::Failed(Failure {
                    fate: Fate::NotAccepted,
                    ..closed()
                })
            }
        }
    }

    fn answer_all(&mut self, error: &ClientError) {
        for item in self.unsent.drain(..) {
            let _unheard = item.answer.send(Err(error.clone()));
        }
    }

    /// What was sent and not answered goes first again.
    fn recall(&mut self, failure: &Failure) {
        for mut item in self.sent.drain(..).rev() {
            item.fate = item.fate.and(failure.fate);
            self.unsent.push_front(item);
        }
    }

    /// Payments whose deadline has passed end with what is known of them.
    fn expire(&mut self, failure: &Failure) {
        let now = self.client.now();
        if self.unsent.iter().all(|item| item.deadline > now) {
            return;
        }
        for item in std::mem::take(&mut self.unsent) {
            if item.deadline > now {
                self.unsent.push_back(item);
            } else {
                let error = failure.clone().give_up(item.fate, &item.idempotency_key);
                let _unheard = item.answer.send(Err(error));
            }
        }
    }

    /// No wait goes past the first deadline.
    fn until_deadline(&self, wait: Duration) -> Duration {
        let now = self.client.now();
        let first = self.unsent.iter().map(|item| item.deadline).min();
        first.map_or(wait, |at| wait.min(at.saturating_duration_since(now)))
    }
}

fn closed() -> Failure {
    Failure::new(Cause::Connection, "the node ended the call".into())
}

async fn open(
    client: &Client,
    endpoint: EndpointId,
    messages: ReceiverStream<Vec<u8>>,
) -> Result<Streaming<SubmitPaymentsResponse>, Verdict> {
    let limit = client.policy().attempt_timeout;
    let attempt = client.attempt(endpoint, limit).map_err(Verdict::Final)?;
    let mut grpc =
        tonic::client::Grpc::new(attempt.line()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = attempt.stream_request(messages);
    grpc.ready()
        .await
        .map_err(|error| of_status(&Status::from_error(error)))?;
    grpc.streaming(request, PathAndQuery::from_static(PATH), FrameCodec)
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| of_status(&status))
}

async fn take(
    intake: &mut Option<mpsc::Receiver<Item>>,
    taken: &mut Vec<Item>,
    room: usize,
) -> usize {
    match intake {
        Some(intake) => intake.recv_many(taken, room).await,
        None => std::future::pending().await,
    }
}

async fn paused(pause: &mut Option<BoxFuture<'static, ()>>) {
    match pause {
        Some(pause) => pause.await,
        None => std::future::pending().await,
    }
}
