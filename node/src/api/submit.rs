//! Submissions: parsed one by one, proposed together, answered in order.
//!
//! The bulk stream reads on while earlier messages are decided, within two bounds; at a bound it stops reading,
//! which pushes back on the caller through HTTP/2's windows.

use std::future::ready;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use stellara_machine::command::Command;
use stellara_machine::decision::{Acceptance, Reply};
use stellara_machine::ids::DeveloperId;
use stellara_proto::v1;
use stellara_proto::v1::submit_payment_result::Result as Answer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::errors::ApiError;
use super::{format, meter, parse};
use crate::gateway::{Failure, Gateway};

/// Messages of one stream that wait for their answer.
const MESSAGES_IN_FLIGHT_MAX: usize = 256;
/// Payments of one stream that wait for their answer.
const PAYMENTS_IN_FLIGHT_MAX: usize = 8_192;

/// One payment.
pub(super) async fn one<G: Gateway>(
    gateway: &G,
    developer: DeveloperId,
    request: v1::SubmitPaymentRequest,
) -> Result<v1::SubmitPaymentResponse, ApiError> {
    let command = parse::submission(developer, request).map(Command::SubmitPayment)?;
    let mut results = gateway.propose(vec![command]).await;
    accepted(results.pop())
}

/// The payments of one message; each is accepted or refused on its own.
pub(super) async fn many<G: Gateway>(
    gateway: &G,
    developer: DeveloperId,
    request: v1::SubmitPaymentsRequest,
) -> Result<v1::SubmitPaymentsResponse, ApiError> {
    parse::items("payments", request.payments.len())?;
    let mut commands = Vec::with_capacity(request.payments.len());
    let mut parsed = Vec::with_capacity(request.payments.len());
    for payment in request.payments {
        parsed.push(match parse::submission(developer, payment) {
            Ok(submission) => {
                commands.push(Command::SubmitPayment(submission));
                Ok(())
            }
            Err(invalid) => Err(ApiError::from(invalid)),
        });
    }
    let results = match commands.is_empty() {
        true => Vec::new(),
        false => gateway.propose(commands).await,
    };
    let mut results = results.into_iter();
    let answers = parsed
        .into_iter()
        .map(|parsed| parsed.and_then(|()| accepted(results.next())));
    Ok(response(answers))
}

/// What the gateway answered to one submission.
fn accepted(result: Option<Result<Reply, Failure>>) -> Result<v1::SubmitPaymentResponse, ApiError> {
    match result {
        Some(Ok(Reply::Submitted {
            payment,
            acceptance,
        })) => Ok(v1::SubmitPaymentResponse {
            payment_id: format::payment_id(payment),
            repeated: match acceptance {
                Acceptance::New => false,
                Acceptance::Repeated => true,
            },
        }),
        Some(Err(failure)) => Err(failure.into()),
        // The payment may have been accepted: the caller must not take this for a refusal.
        Some(Ok(
            Reply::Cancelled
            | Reply::Retried
            | Reply::BatchFormed { .. }
            | Reply::AttemptRecorded
            | Reply::OutcomeRecorded
            | Reply::AccountRegistered
            | Reply::PolicySet { .. }
            | Reply::FeesRecorded,
        ))
        | None => {
            tracing::error!("a submission was answered with no reply of its own");
            Err(Failure::Unknown.into())
        }
    }
}

fn response(
    answers: impl Iterator<Item = Result<v1::SubmitPaymentResponse, ApiError>>,
) -> v1::SubmitPaymentsResponse {
    let (mut taken, mut refused) = (0, 0);
    let results = answers
        .enumerate()
        .map(|(index, answer)| {
            let result = match answer {
                Ok(response) => {
                    taken += 1;
                    Answer::Accepted(response)
                }
                Err(error) => {
                    refused += 1;
                    Answer::Refused(error.detail_of_item(index))
                }
            };
            v1::SubmitPaymentResult {
                result: Some(result),
            }
        })
        .collect();
    meter::payments(taken, refused);
    v1::SubmitPaymentsResponse { results }
}

/// The bulk stream: one answer per message, in order. It ends at the first message that is no list of 1 to 1,000
/// payments, and when the node stops; what was read before is answered first.
pub(super) fn stream<G: Gateway>(
    gateway: G,
    developer: DeveloperId,
    requests: impl Stream<Item = Result<v1::SubmitPaymentsRequest, Status>> + Send + 'static,
    stop: CancellationToken,
) -> impl Stream<Item = Result<v1::SubmitPaymentsResponse, Status>> + Send + 'static {
    let room = Arc::new(Semaphore::new(PAYMENTS_IN_FLIGHT_MAX));
    let stopped = stop.clone();
    let end = futures_util::stream::once(async move { stopped.is_cancelled() })
        .filter_map(|stopped| ready(stopped.then(|| Err(ApiError::stopping().into()))));
    requests
        .take_until(stop.cancelled_owned())
        .map(|message| {
            let request = message?;
            parse::items("payments", request.payments.len()).map_err(ApiError::from)?;
            Ok(request)
        })
        .scan(Reading::On, |reading, message| {
            let item = match *reading {
                Reading::On => Some(message),
                Reading::Ended => None,
            };
            if let Some(Err(_)) = item {
                *reading = Reading::Ended;
            }
            ready(item)
        })
        .then(move |message: Result<v1::SubmitPaymentsRequest, Status>| {
            let room = Arc::clone(&room);
            async move {
                let request = message?;
                let payments = u32::try_from(request.payments.len()).unwrap_or(u32::MAX);
                let permit = room.acquire_many_owned(payments).await;
                Ok((request, permit.expect("the semaphore is never closed")))
            }
        })
        .map(move |admitted: Result<_, Status>| {
            let gateway = gateway.clone();
            async move {
                let (request, permit) = admitted?;
                let answer = many(&gateway, developer, request).await;
                drop(permit);
                Ok(answer?)
            }
        })
        .buffered(MESSAGES_IN_FLIGHT_MAX)
        .chain(end)
}

/// Whether a stream's messages are still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    On,
    Ended,
}
