//! The bulk path: many payments outstanding on one call, an answer for each.
//!
//! Whatever is ready travels in one message, nothing waits to fill one. A lost connection costs
//! a re-send of what was not answered, with the same keys, on another node. Bounded: `submit`
//! waits when enough is outstanding.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::stream::{Stream, StreamExt};
use stellara_proto::v1::SubmitPaymentRequest;
use tokio::sync::{mpsc, oneshot};

use crate::bulk_driver::{Driver, Item};
use crate::classify::Fate;
use crate::client::Client;
use crate::entropy;
use crate::error::ClientError;
use crate::frame;
use crate::payments::{Accepted, PAYMENTS_PER_CALL_MAX};

/// How much a bulk submission keeps under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkOptions {
    /// Payments sent or ready that have no answer yet; as many again may wait to be taken.
    pub outstanding_max: usize,
    /// Payments in one message, 1 to 1,000.
    pub pack_max: usize,
}

impl Default for BulkOptions {
    fn default() -> Self {
        Self {
            outstanding_max: 1_024,
            pack_max: 128,
        }
    }
}

/// Takes payments one by one and submits them over one call.
#[derive(Debug)]
pub struct BulkSubmitter {
    client: Client,
    items: mpsc::Sender<Item>,
    /// Closes when the driver is gone.
    ended: oneshot::Receiver<()>,
}

/// The answer to one payment, when it comes.
#[derive(Debug)]
pub struct BulkAnswer {
    answer: oneshot::Receiver<Result<Accepted, ClientError>>,
}

impl Future for BulkAnswer {
    type Output = Result<Accepted, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(ClientError::Closed)))
    }
}

impl Client {
    /// Begins a bulk submission. Connects when the first payment comes.
    #[must_use]
    pub fn bulk(&self, options: BulkOptions) -> BulkSubmitter {
        let outstanding_max = options.outstanding_max.max(1);
        let options = BulkOptions {
            outstanding_max,
            pack_max: options.pack_max.clamp(1, PAYMENTS_PER_CALL_MAX),
        };
        let (items, intake) = mpsc::channel(outstanding_max);
        let driver = Driver::new(self.clone(), options, intake).run();
        let (running, ended) = oneshot::channel();
        let task = async move {
            driver.await;
            drop(running);
        };
        self.surroundings().spawn(task.boxed());
        BulkSubmitter {
            client: self.clone(),
            items,
            ended,
        }
    }

    /// Submits all payments of a stream over the bulk path: an answer for each, in order.
    pub fn submit_stream<S>(
        &self,
        payments: S,
        options: BulkOptions,
    ) -> impl Stream<Item = Result<Accepted, ClientError>> + Send + use<S>
    where
        S: Stream<Item = SubmitPaymentRequest> + Send,
    {
        let submitter = std::sync::Arc::new(self.bulk(options));
        payments
            .then(move |payment| {
                let submitter = std::sync::Arc::clone(&submitter);
                async move { submitter.submit(&payment).await }
            })
            .map(|taken| async move { taken?.await })
            .buffered(options.outstanding_max.max(1))
    }
}

impl BulkSubmitter {
    /// Takes a payment, when there is room, and gives the future of its answer. Its deadline
    /// begins now. Without an idempotency key it gets a random one.
    ///
    /// # Errors
    /// `Closed` when the submitter's runtime is gone.
    pub async fn submit(&self, payment: &SubmitPaymentRequest) -> Result<BulkAnswer, ClientError> {
        let made_up = payment
            .idempotency_key
            .is_empty()
            .then(|| entropy::idempotency_key(self.client.surroundings()));
        let frame = frame::encode(payment, made_up.as_deref());
        let (answer, receiver) = oneshot::channel();
        let item = Item {
            frame,
            idempotency_key: made_up.unwrap_or_else(|| payment.idempotency_key.clone()),
            answer,
            deadline: self.client.now() + self.client.deadline(),
            fate: Fate::NotAccepted,
        };
        self.items
            .send(item)
            .await
            .map_err(|_| ClientError::Closed)?;
        Ok(BulkAnswer { answer: receiver })
    }

    /// Takes no more, and waits until everything taken has its answer.
    pub async fn finish(self) {
        drop(self.items);
        // The driver ends by itself; it cannot be cancelled and does not panic on any answer.
        let _closed = self.ended.await;
    }
}
