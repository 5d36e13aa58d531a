//! Watching: one stream of events over many connections.
//!
//! The cursor of the last event is all that is needed to go on elsewhere, so nothing is lost
//! or told twice when a node fails.

use std::time::Duration;

use futures_util::stream::{self, Stream};
use stellara_proto::v1::payment_event::Event;
use stellara_proto::v1::{PaymentEvent, WatchPaymentsRequest};
use tokio::time::Instant;
use tonic::Streaming;

use crate::classify::{Cause, Failure, Fate, Verdict, of_status};
use crate::client::Client;
use crate::endpoints::EndpointId;
use crate::error::ClientError;
use crate::retry::{Rotation, Step};

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The cursor of the last event seen; empty for what happens from now on, `0` for all
    /// that is kept. With an empty one, "now" is when a node first answers: until its first
    /// event or progress there is nothing to resume from.
    pub cursor: String,
    /// Only these payments; all when empty.
    pub payment_ids: Vec<String>,
    /// How long to look for a node that answers before the watch ends with an error.
    pub patience: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            cursor: String::new(),
            payment_ids: Vec::new(),
            patience: Duration::from_secs(60),
        }
    }
}

/// A watch under way.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    options: WatchOptions,
    open: Option<(EndpointId, Streaming<PaymentEvent>)>,
    target: Option<EndpointId>,
    rotation: Rotation,
    /// When a node was last heard; before that, when the first was asked.
    heard_at: Option<Instant>,
    ended: Option<Ended>,
}

/// An error was told; nothing follows.
#[derive(Debug, Clone, Copy)]
struct Ended;

impl Client {
    /// Watches payments and batches. Connects when the first event is asked for.
    #[must_use]
    pub fn watch_payments(&self, options: WatchOptions) -> Watch {
        Watch {
            client: self.clone(),
            options,
            open: None,
            target: None,
            rotation: Rotation::default(),
            heard_at: None,
            ended: None,
        }
    }
}

impl Watch {
    /// Where to resume: after the last event told, or later when nothing happened since.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.options.cursor
    }

    /// The next event of a payment or a batch, or an error after which the watch is over.
    /// Safe to drop and call again: no event is lost.
    pub async fn next(&mut self) -> Option<Result<PaymentEvent, ClientError>> {
        if self.ended.is_some() {
            return None;
        }
        loop {
            let failure = match self.read().await {
                Ok(event) => match self.take(event) {
                    Some(event) => return Some(Ok(event)),
                    None => continue,
                },
                Err(Verdict::Retry(failure)) => failure,
                Err(Verdict::Final(error)) => return Some(Err(self.end(error))),
            };
            if let Err(error) = self.move_on(failure).await {
                return Some(Err(self.end(error)));
            }
        }
    }

    /// The events as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<PaymentEvent, ClientError>> + Send {
        stream::unfold(self, |mut watch| async move {
            let event = watch.next().await?;
            Some((event, watch))
        })
    }

    /// Files an event; `None` for one that says nothing new.
    fn take(&mut self, event: PaymentEvent) -> Option<PaymentEvent> {
        self.heard_at = Some(self.client.now());
        self.rotation = Rotation::default();
        let again = event.cursor == self.options.cursor;
        event.cursor.clone_into(&mut self.options.cursor);
        match event.event {
            Some(Event::Payment(_) | Event::Batch(_)) if !again => Some(event),
            Some(Event::Payment(_) | Event::Batch(_) | Event::Progress(_)) | None => None,
        }
    }

    async fn read(&mut self) -> Result<PaymentEvent, Verdict> {
        if self.open.is_none() {
            self.connect().await?;
        }
        let (target, stream) = self.open.as_mut().expect("it was just connected");
        match stream.message().await {
            Ok(Some(event)) => {
                self.client.worked(*target);
                Ok(event)
            }
            Ok(None) => Err(Verdict::Retry(Failure::new(
                Cause::Connection,
                "the node ended the watch".into(),
            ))),
            Err(status) => Err(of_status(&status)),
        }
    }

    async fn connect(&mut self) -> Result<(), Verdict> {
        let target = match self.target {
            Some(target) => target,
            None => self
                .client
                .begin(&mut self.rotation)
                .map_err(Verdict::Final)?,
        };
        self.target = Some(target);
        self.heard_at.get_or_insert_with(|| self.client.now());
        let limit = self.client.policy().attempt_timeout;
        let attempt = self.client.attempt(target, limit).map_err(Verdict::Final)?;
        let request = attempt.stream_request(WatchPaymentsRequest {
            cursor: self.options.cursor.clone(),
            payment_ids: self.options.payment_ids.clone(),
        });
        let mut payments = attempt.payments();
        let opening = payments.watch_payments(request);
        match self.client.timeout(limit, opening).await {
            Ok(Ok(response)) => {
                self.open = Some((target, response.into_inner()));
                Ok(())
            }
            Ok(Err(status)) => Err(of_status(&status)),
            Err(_) => Err(Verdict::Retry(self.client.timed_out(target, limit))),
        }
    }

    async fn move_on(&mut self, failure: Failure) -> Result<(), ClientError> {
        self.open = None;
        let Some(target) = self.target.take() else {
            return Ok(());
        };
        let now = self.client.now();
        let unheard = self
            .heard_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if unheard >= self.options.patience {
            return Err(failure.give_up(Fate::NotAccepted, ""));
        }
        match self.client.follow(&mut self.rotation, target, &failure) {
            Step::Try(next) => self.target = Some(next),
            Step::Wait(wait) => self.client.sleep(wait).await,
        }
        Ok(())
    }

    fn end(&mut self, error: ClientError) -> ClientError {
        self.open = None;
        self.ended = Some(Ended);
        error
    }
}
