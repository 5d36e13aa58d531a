//! The Payments service: submit, get, list, cancel, watch.

use std::pin::Pin;

use futures_util::Stream;
use stellara_machine::command::{CancelPayment, Command, RetryPayment};
use stellara_machine::ids::{DeveloperId, PaymentId};
use stellara_proto::v1;
use stellara_proto::v1::payments_server::Payments;
use stellara_raft_store::engine::{Disk, EngineError};
use stellara_raft_store::view::{PaymentNow, View};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::errors::ApiError;
use super::parse::Listed;
use super::{format, meter, parse, reads, submit, too_large, watch};
use crate::gateway::{Failure, Freshness, Gateway};

/// Rows that one page of a filtered list looks at; then the page ends, with a cursor to go on.
const SCANNED_MAX: usize = 5_000;
/// Rows that one step of a filtered list reads.
const SCAN_STEP: usize = 500;

/// Who calls: the operator of the cluster.
const OPERATOR: DeveloperId = DeveloperId(0);

/// What an answer comes as when it comes bit by bit.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service over a gateway.
#[derive(Clone)]
pub struct PaymentsApi<G> {
    gateway: G,
    stop: CancellationToken,
}

impl<G: Gateway> PaymentsApi<G> {
    /// The service; its streams end once `stop` is cancelled.
    pub fn new(gateway: G, stop: CancellationToken) -> Self {
        Self { gateway, stop }
    }

    async fn list(
        &self,
        request: v1::ListPaymentsRequest,
    ) -> Result<v1::ListPaymentsResponse, ApiError> {
        let page_size = parse::page_size(request.page_size)?;
        let after = PaymentId(parse::page_cursor(Listed::Payments, &request.cursor)?);
        let stage = parse::stage_filter(request.stage)?;
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        reads::scan::<G, _>(view, move |view| match stage {
            None => page(view, after, page_size),
            Some(stage) => filtered_page(view, after, page_size, stage),
        })
        .await
    }

    async fn cancel(&self, request: v1::CancelPaymentRequest) -> Result<v1::Payment, ApiError> {
        let payment = parse::payment_id("payment_id", &request.payment_id)?;
        let command = Command::CancelPayment(CancelPayment {
            developer: OPERATOR,
            payment,
        });
        self.propose_and_read(command, payment).await
    }

    async fn retry(&self, request: v1::RetryPaymentRequest) -> Result<v1::Payment, ApiError> {
        let payment = parse::payment_id("payment_id", &request.payment_id)?;
        let command = Command::RetryPayment(RetryPayment {
            developer: OPERATOR,
            payment,
        });
        self.propose_and_read(command, payment).await
    }

    /// What a command made of a payment.
    async fn propose_and_read(
        &self,
        command: Command,
        payment: PaymentId,
    ) -> Result<v1::Payment, ApiError> {
        for result in self.gateway.propose(vec![command]).await {
            result?;
        }
        let read = reads::payment(&self.gateway, Freshness::Linearizable, payment).await;
        read.map_err(|error| match error {
            // The read's failures say that nothing was proposed, and this call did: asked again, it answers the same.
            ApiError::Failed(_) => ApiError::from(Failure::Unknown),
            ApiError::Invalid(_)
            | ApiError::PaymentUnknown(_)
            | ApiError::BatchUnknown(_)
            | ApiError::TooLarge { .. }
            | ApiError::Member(_)
            | ApiError::Internal { .. } => error,
        })
    }
}

fn cursor_after(last: Option<&PaymentNow>) -> String {
    last.map(|(payment, _)| format::page_cursor(Listed::Payments, payment.id.0))
        .unwrap_or_default()
}

fn page<D: Disk>(
    view: &View<D>,
    after: PaymentId,
    page_size: usize,
) -> Result<v1::ListPaymentsResponse, EngineError> {
    // One row more tells whether there is a next page.
    let mut rows = view.payments_after(after, page_size + 1)?;
    let full = rows.len() > page_size;
    rows.truncate(page_size);
    Ok(v1::ListPaymentsResponse {
        next_cursor: cursor_after(rows.last().filter(|_| full)),
        payments: rows
            .into_iter()
            .map(|(payment, status)| format::payment(payment, status))
            .collect(),
    })
}

fn filtered_page<D: Disk>(
    view: &View<D>,
    mut after: PaymentId,
    page_size: usize,
    stage: v1::PaymentStage,
) -> Result<v1::ListPaymentsResponse, EngineError> {
    let mut payments = Vec::new();
    for _ in 0..SCANNED_MAX / SCAN_STEP {
        let rows = view.payments_after(after, SCAN_STEP)?;
        let ended = rows.len() < SCAN_STEP;
        for row in rows {
            after = row.0.id;
            let payment = format::payment(row.0, row.1);
            if payment.stage() == stage {
                payments.push(payment);
            }
            if payments.len() == page_size {
                let next_cursor = format::page_cursor(Listed::Payments, after.0);
                return Ok(v1::ListPaymentsResponse {
                    payments,
                    next_cursor,
                });
            }
        }
        if ended {
            return Ok(v1::ListPaymentsResponse {
                payments,
                next_cursor: String::new(),
            });
        }
    }
    Ok(v1::ListPaymentsResponse {
        payments,
        next_cursor: format::page_cursor(Listed::Payments, after.0),
    })
}

#[tonic::async_trait]
impl<G: Gateway> Payments for PaymentsApi<G> {
    type SubmitPaymentStreamStream = Answers<v1::SubmitPaymentsResponse>;
    type WatchPaymentsStream = Answers<v1::PaymentEvent>;

    async fn submit_payment(
        &self,
        request: Request<v1::SubmitPaymentRequest>,
    ) -> Result<Response<v1::SubmitPaymentResponse>, Status> {
        let answer = submit::one(&self.gateway, OPERATOR, request.into_inner());
        meter::call::<G::Runtime, _>("SubmitPayment", answer).await
    }

    async fn submit_payments(
        &self,
        request: Request<v1::SubmitPaymentsRequest>,
    ) -> Result<Response<v1::SubmitPaymentsResponse>, Status> {
        let answer = submit::many(&self.gateway, OPERATOR, request.into_inner());
        meter::call::<G::Runtime, _>("SubmitPayments", answer).await
    }

    async fn submit_payment_stream(
        &self,
        request: Request<Streaming<v1::SubmitPaymentsRequest>>,
    ) -> Result<Response<Self::SubmitPaymentStreamStream>, Status> {
        let requests = too_large::named(request.into_inner());
        let answers = submit::stream(self.gateway.clone(), OPERATOR, requests, self.stop.clone());
        let answers: Self::SubmitPaymentStreamStream = Box::pin(answers);
        meter::call::<G::Runtime, _>("SubmitPaymentStream", async { Ok(answers) }).await
    }

    async fn get_payment(
        &self,
        request: Request<v1::GetPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        let request = request.into_inner();
        let answer = async {
            let id = parse::payment_id("payment_id", &request.payment_id)?;
            let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
            reads::payment(&self.gateway, freshness, id).await
        };
        meter::call::<G::Runtime, _>("GetPayment", answer).await
    }

    async fn list_payments(
        &self,
        request: Request<v1::ListPaymentsRequest>,
    ) -> Result<Response<v1::ListPaymentsResponse>, Status> {
        meter::call::<G::Runtime, _>("ListPayments", self.list(request.into_inner())).await
    }

    async fn retry_payment(
        &self,
        request: Request<v1::RetryPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        meter::call::<G::Runtime, _>("RetryPayment", self.retry(request.into_inner())).await
    }

    async fn cancel_payment(
        &self,
        request: Request<v1::CancelPaymentRequest>,
    ) -> Result<Response<v1::Payment>, Status> {
        meter::call::<G::Runtime, _>("CancelPayment", self.cancel(request.into_inner())).await
    }

    async fn watch_payments(
        &self,
        request: Request<v1::WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        let answer = async {
            let events = watch::open(&self.gateway, request.into_inner(), self.stop.clone());
            let events: Self::WatchPaymentsStream = Box::pin(events.await?);
            Ok(events)
        };
        meter::call::<G::Runtime, _>("WatchPayments", answer).await
    }
}
