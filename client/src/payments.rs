//! Payments: submit, read, list, withdraw.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::Stream;
use stellara_proto::v1::submit_payment_result::Result as Answer;
use stellara_proto::v1::{
    CancelPaymentRequest, GetPaymentRequest, ListPaymentsRequest, ListPaymentsResponse, Payment,
    RetryPaymentRequest, SubmitPaymentRequest, SubmitPaymentResponse, SubmitPaymentResult,
    SubmitPaymentsRequest,
};

use crate::classify::{Failure, Fate, Verdict, of_detail};
use crate::client::{Call, Client};
use crate::entropy;
use crate::error::ClientError;
use crate::paging;
use crate::retry::Backoff;
use crate::surroundings::Surroundings;

/// The most payments that one call takes.
pub(crate) const PAYMENTS_PER_CALL_MAX: usize = 1_000;

/// A payment that the cluster holds on the disks of a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// `pay_` and 16 hexadecimal digits.
    pub payment_id: String,
    /// An earlier call with the same key and body made it.
    pub repeated: bool,
    /// The key it was submitted with: the caller's, or the one made up for it.
    pub idempotency_key: String,
}

impl Accepted {
    pub(crate) fn new(response: SubmitPaymentResponse, idempotency_key: String) -> Self {
        Self {
            payment_id: response.payment_id,
            repeated: response.repeated,
            idempotency_key,
        }
    }
}

impl Client {
    /// Submits one payment. Without an idempotency key it gets a random one, the same for
    /// every attempt.
    ///
    /// # Errors
    /// A refusal of the cluster; `Unknown` when the deadline passed and the payment may have
    /// been accepted; `Overloaded`, `NoLeader` or `Unavailable` when it was not.
    pub async fn submit_payment(
        &self,
        payment: &SubmitPaymentRequest,
    ) -> Result<Accepted, ClientError> {
        let payment = with_key(payment, self.surroundings());
        let call = Call::Write {
            idempotency_key: &payment.idempotency_key,
        };
        let response = self
            .call(call, |attempt| {
                let request = attempt.request(SubmitPaymentRequest::clone(&payment));
                let mut payments = attempt.payments();
                async move { payments.submit_payment(request).await }
            })
            .await?;
        Ok(Accepted::new(
            response,
            payment.into_owned().idempotency_key,
        ))
    }

    /// Submits up to 1,000 payments in one call: one result for each, in order. Those that
    /// the cluster could not take for the moment are sent again until the deadline.
    ///
    /// # Errors
    /// What keeps the whole call from an answer, as for `submit_payment`; with `Unknown`, any
    /// of the payments may have been accepted, so give them keys of your own.
    pub async fn submit_payments(
        &self,
        payments: &[SubmitPaymentRequest],
    ) -> Result<Vec<Result<Accepted, ClientError>>, ClientError> {
        if payments.len() > PAYMENTS_PER_CALL_MAX {
            return Err(ClientError::InvalidField {
                field: "payments".into(),
                value: format!("{} payments", payments.len()),
                expected: format!("at most {PAYMENTS_PER_CALL_MAX}"),
            });
        }
        let deadline = self.now() + self.deadline();
        let mut batch = Batch::new(payments, self.surroundings());
        let mut backoff = Backoff::default();
        while !batch.open.is_empty() {
            let left = deadline.saturating_duration_since(self.now());
            let response = self
                .with_deadline(left)
                .call(
                    Call::Write {
                        idempotency_key: "",
                    },
                    |attempt| {
                        let request = attempt.request(batch.request());
                        let mut payments = attempt.payments();
                        async move { payments.submit_payments(request).await }
                    },
                )
                .await;
            let results = match response {
                Ok(response) => response.results,
                Err(error) if batch.is_untouched() => return Err(error),
                Err(error) => {
                    batch.close_all(&error);
                    break;
                }
            };
            let retry_after = batch.take(results);
            let random = self.surroundings().random_bits();
            let wait = backoff.next(self.policy(), random, retry_after);
            let left = deadline.saturating_duration_since(self.now());
            if wait >= left {
                break;
            }
            if !batch.open.is_empty() {
                self.sleep(wait).await;
            }
        }
        Ok(batch.finish())
    }

    /// One payment and where it stands.
    ///
    /// # Errors
    /// `NotFound`, or what keeps the cluster from answering.
    pub async fn get_payment(&self, request: &GetPaymentRequest) -> Result<Payment, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(request.clone());
            let mut payments = attempt.payments();
            async move { payments.get_payment(request).await }
        })
        .await
    }

    /// One page of payments, in the order of acceptance.
    ///
    /// # Errors
    /// `InvalidField` for a cursor that no answer gave, or what keeps the cluster from
    /// answering.
    pub async fn list_payments(
        &self,
        request: &ListPaymentsRequest,
    ) -> Result<ListPaymentsResponse, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(request.clone());
            let mut payments = attempt.payments();
            async move { payments.list_payments(request).await }
        })
        .await
    }

    /// All payments from the request's cursor on, page after page as they are read. After an
    /// error the stream ends.
    pub fn payments(
        &self,
        request: ListPaymentsRequest,
    ) -> impl Stream<Item = Result<Payment, ClientError>> + Send + 'static {
        let client = self.clone();
        paging::stream(request.cursor.clone(), move |cursor| {
            let client = client.clone();
            let request = ListPaymentsRequest {
                cursor,
                ..request.clone()
            };
            async move {
                let page = client.list_payments(&request).await?;
                Ok((page.payments, page.next_cursor))
            }
        })
    }

    /// Lets a payment that failed wait again. Again is fine.
    ///
    /// # Errors
    /// `NotFound`; `WrongStage` when it was withdrawn; `Unknown` when the deadline passed and it may wait again.
    pub async fn retry_payment(&self, payment_id: &str) -> Result<Payment, ClientError> {
        let call = Call::Write {
            idempotency_key: "",
        };
        self.call(call, |attempt| {
            let request = attempt.request(RetryPaymentRequest {
                payment_id: payment_id.to_owned(),
            });
            let mut payments = attempt.payments();
            async move { payments.retry_payment(request).await }
        })
        .await
    }

    /// Withdraws a payment that still waits in a queue. Again is fine.
    ///
    /// # Errors
    /// `NotFound`; `WrongStage` when it is past its queue; `Unknown` when the deadline passed
    /// and it may have been withdrawn.
    pub async fn cancel_payment(&self, payment_id: &str) -> Result<Payment, ClientError> {
        self.call(
            Call::Write {
                idempotency_key: "",
            },
            |attempt| {
                let request = attempt.request(CancelPaymentRequest {
                    payment_id: payment_id.to_owned(),
                });
                let mut payments = attempt.payments();
                async move { payments.cancel_payment(request).await }
            },
        )
        .await
    }
}

/// The payment as it will be sent every time.
fn with_key<'a>(
    payment: &'a SubmitPaymentRequest,
    surroundings: &dyn Surroundings,
) -> Cow<'a, SubmitPaymentRequest> {
    if payment.idempotency_key.is_empty() {
        Cow::Owned(SubmitPaymentRequest {
            idempotency_key: entropy::idempotency_key(surroundings),
            ..payment.clone()
        })
    } else {
        Cow::Borrowed(payment)
    }
}

/// A call of many payments and what is known of each.
struct Batch<'a> {
    payments: Vec<Cow<'a, SubmitPaymentRequest>>,
    results: Vec<Option<Result<Accepted, ClientError>>>,
    /// By payment: how its last attempt failed, for when no time is left.
    failures: Vec<Option<(Failure, Fate)>>,
    /// Those without a final result, in order.
    open: Vec<usize>,
}

impl<'a> Batch<'a> {
    fn new(payments: &'a [SubmitPaymentRequest], surroundings: &dyn Surroundings) -> Self {
        let keyed = payments.iter();
        Self {
            payments: keyed
                .map(|payment| with_key(payment, surroundings))
                .collect(),
            results: vec![None; payments.len()],
            failures: vec![None; payments.len()],
            open: (0..payments.len()).collect(),
        }
    }

    fn request(&self) -> SubmitPaymentsRequest {
        SubmitPaymentsRequest {
            payments: self
                .open
                .iter()
                .map(|at| SubmitPaymentRequest::clone(&self.payments[*at]))
                .collect(),
        }
    }

    fn is_untouched(&self) -> bool {
        self.open.len() == self.payments.len() && self.failures.iter().all(Option::is_none)
    }

    /// Files the results of the open payments; says how long the server asks to wait before
    /// those that stay open are sent again.
    fn take(&mut self, results: Vec<SubmitPaymentResult>) -> Duration {
        let mut retry_after_ms = 0;
        let mut results = results.into_iter();
        let open = std::mem::take(&mut self.open);
        for at in open {
            let answer = results.next().and_then(|result| result.result);
            self.results[at] = match verdict_of(answer) {
                Ok(response) => {
                    let key = self.payments[at].idempotency_key.clone();
                    Some(Ok(Accepted::new(response, key)))
                }
                Err(Verdict::Final(error)) => Some(Err(error)),
                Err(Verdict::Retry(failure)) => {
                    retry_after_ms = retry_after_ms.max(failure.retry_after_ms);
                    let earlier = self.failures[at]
                        .take()
                        .map_or(Fate::NotAccepted, |(_, fate)| fate);
                    let fate = earlier.and(failure.fate);
                    self.failures[at] = Some((failure, fate));
                    self.open.push(at);
                    None
                }
            };
        }
        Duration::from_millis(retry_after_ms)
    }

    /// The call failed as a whole: that is the result of all that are open.
    fn close_all(&mut self, error: &ClientError) {
        for at in std::mem::take(&mut self.open) {
            let mut error = error.clone();
            if let ClientError::Unknown {
                idempotency_key, ..
            } = &mut error
            {
                idempotency_key.clone_from(&self.payments[at].idempotency_key);
            }
            self.results[at] = Some(Err(error));
        }
    }

    fn finish(self) -> Vec<Result<Accepted, ClientError>> {
        let rows = self.results.into_iter().zip(self.failures);
        rows.zip(self.payments)
            .map(|((result, failure), payment)| {
                result.unwrap_or_else(|| {
                    let (failure, fate) = failure.expect("an open payment has failed before");
                    Err(failure.give_up(fate, &payment.idempotency_key))
                })
            })
            .collect()
    }
}

/// One result of many: the answer, or what its error means.
pub(crate) fn verdict_of(answer: Option<Answer>) -> Result<SubmitPaymentResponse, Verdict> {
    match answer {
        Some(Answer::Accepted(response)) => Ok(response),
        Some(Answer::Refused(detail)) => Err(of_detail(&detail, "")),
        None => Err(Verdict::Final(ClientError::Unexpected {
            code: "NO_RESULT".into(),
            message: "the server answered without a result".into(),
        })),
    }
}
