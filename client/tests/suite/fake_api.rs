//! The scripted node's services.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use stellara_client::api::batches_server::Batches;
use stellara_client::api::cluster_server::Cluster;
use stellara_client::api::payments_server::Payments;
use stellara_client::api::submit_payment_result::Result as Answer;
use stellara_client::api::{
    AddVoterRequest, Batch, BatchStage, CancelPaymentRequest, ClusterStatus, ErrorCode,
    ErrorDetail, GetBatchRequest, GetClusterStatusRequest, GetPaymentRequest, ListBatchesRequest,
    ListBatchesResponse, ListMembersRequest, ListMembersResponse, ListPaymentsRequest,
    ListPaymentsResponse, Member, MemberRole, Payment, PaymentEvent, PaymentStage,
    RemoveVoterRequest, RetryPaymentRequest, SubmitPaymentRequest, SubmitPaymentResponse,
    SubmitPaymentResult, SubmitPaymentsRequest, SubmitPaymentsResponse, Totals, VotersChanged,
    WatchPaymentsRequest,
};
use stellara_proto::status::to_status;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::fake::{Script, Service, detail};

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn status(detail: &ErrorDetail) -> Status {
    to_status("scripted", detail)
}

fn not_found(resource: String) -> Status {
    status(&ErrorDetail {
        resource,
        ..detail(ErrorCode::NotFound)
    })
}

impl Service {
    /// Serves one call as the script says.
    async fn play<T>(&self, serve: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
        match self.next_script() {
            None | Some(Script::CutAfter(_)) => serve(),
            Some(Script::Refuse(detail)) => Err(status(&detail)),
            Some(Script::Hang) => std::future::pending().await,
            Some(Script::ServeAndHang) => {
                serve()?;
                std::future::pending().await
            }
            Some(Script::ServeAndForget) => {
                serve()?;
                Err(status(&detail(ErrorCode::UnknownOutcome)))
            }
        }
    }

    fn submit_all(&self, request: SubmitPaymentsRequest) -> SubmitPaymentsResponse {
        let mut store = self.store.lock().unwrap();
        store.pack_max = store.pack_max.max(request.payments.len());
        let results = request.payments.into_iter().map(|payment| {
            let result = match store.submit(payment) {
                Ok(accepted) => Answer::Accepted(accepted),
                Err(refused) => Answer::Refused(refused),
            };
            SubmitPaymentResult {
                result: Some(result),
            }
        });
        SubmitPaymentsResponse {
            results: results.collect(),
        }
    }

    fn members(&self) -> Vec<Member> {
        let addresses = self.store.lock().unwrap().members.clone();
        (1..)
            .zip(addresses)
            .map(|(node_id, public_address)| Member {
                node_id,
                region: format!("region-{node_id}"),
                peer_address: format!("127.0.0.1:{}", 7_399 + node_id),
                public_address,
                role: if node_id == 1 {
                    MemberRole::Leader.into()
                } else {
                    MemberRole::Follower.into()
                },
                voter: true,
                matched_index: 41,
            })
            .collect()
    }
}

#[tonic::async_trait]
impl Payments for Service {
    async fn submit_payment(
        &self,
        request: Request<SubmitPaymentRequest>,
    ) -> Result<Response<SubmitPaymentResponse>, Status> {
        let request = request.into_inner();
        self.play(|| {
            self.store
                .lock()
                .unwrap()
                .submit(request)
                .map_err(|e| status(&e))
        })
        .await
        .map(Response::new)
    }

    async fn submit_payments(
        &self,
        request: Request<SubmitPaymentsRequest>,
    ) -> Result<Response<SubmitPaymentsResponse>, Status> {
        let request = request.into_inner();
        self.play(|| Ok(self.submit_all(request)))
            .await
            .map(Response::new)
    }

    type SubmitPaymentStreamStream = Events<SubmitPaymentsResponse>;

    async fn submit_payment_stream(
        &self,
        request: Request<Streaming<SubmitPaymentsRequest>>,
    ) -> Result<Response<Self::SubmitPaymentStreamStream>, Status> {
        let script = self.next_script();
        if let Some(Script::Refuse(detail)) = &script {
            return Err(status(detail));
        }
        let mut messages = request.into_inner();
        let (answers, receiver) = mpsc::unbounded_channel();
        let service = self.clone();
        tokio::spawn(async move {
            let mut served = 0;
            while let Ok(Some(message)) = messages.message().await {
                if matches!(script, Some(Script::Hang)) {
                    std::future::pending::<()>().await;
                }
                let answer = service.submit_all(message);
                if matches!(script, Some(Script::ServeAndHang)) {
                    std::future::pending::<()>().await;
                }
                served += 1;
                if matches!(script, Some(Script::CutAfter(count)) if served > count) {
                    return drop(answers.send(Err(Status::unavailable("cut"))));
                }
                if answers.send(Ok(answer)).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            receiver,
        ))))
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<Payment>, Status> {
        let id = request.into_inner().payment_id;
        self.play(|| {
            let store = self.store.lock().unwrap();
            let found = store.payments.values().find(|p| p.payment_id == id);
            found.cloned().ok_or_else(|| not_found(id))
        })
        .await
        .map(Response::new)
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let request = request.into_inner();
        self.play(|| {
            let from: usize = request.cursor.parse().unwrap_or(0);
            let size = match request.page_size {
                0 => 50,
                size => size as usize,
            };
            let wanted = request.stage();
            let payments: Vec<_> = self.store.lock().unwrap().in_order();
            let kept = |p: &Payment| wanted == PaymentStage::Unspecified || p.stage() == wanted;
            let all: Vec<_> = payments.into_iter().filter(kept).collect();
            let next_cursor = if from + size < all.len() {
                (from + size).to_string()
            } else {
                String::new()
            };
            Ok(ListPaymentsResponse {
                payments: all.into_iter().skip(from).take(size).collect(),
                next_cursor,
            })
        })
        .await
        .map(Response::new)
    }

    async fn cancel_payment(
        &self,
        request: Request<CancelPaymentRequest>,
    ) -> Result<Response<Payment>, Status> {
        let id = request.into_inner().payment_id;
        self.play(|| {
            let mut store = self.store.lock().unwrap();
            let found = store.payments.values_mut().find(|p| p.payment_id == id);
            let payment = found.ok_or_else(|| not_found(id))?;
            if payment.stage() == PaymentStage::Settled {
                return Err(status(&ErrorDetail {
                    resource: payment.payment_id.clone(),
                    ..detail(ErrorCode::WrongStage)
                }));
            }
            payment.stage = PaymentStage::Cancelled.into();
            Ok(payment.clone())
        })
        .await
        .map(Response::new)
    }

    async fn retry_payment(
        &self,
        request: Request<RetryPaymentRequest>,
    ) -> Result<Response<Payment>, Status> {
        let id = request.into_inner().payment_id;
        self.play(|| {
            let mut store = self.store.lock().unwrap();
            let found = store.payments.values_mut().find(|p| p.payment_id == id);
            let payment = found.ok_or_else(|| not_found(id))?;
            if payment.stage() == PaymentStage::Failed {
                payment.stage = PaymentStage::Queued.into();
            }
            Ok(payment.clone())
        })
        .await
        .map(Response::new)
    }

    type WatchPaymentsStream = Events<PaymentEvent>;

    async fn watch_payments(
        &self,
        request: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        let script = self.next_script();
        if let Some(Script::Refuse(detail)) = &script {
            return Err(status(detail));
        }
        let from: usize = request.into_inner().cursor.parse().unwrap_or(0);
        let events = self.store.lock().unwrap().events.clone();
        let later = stream::iter(events.into_iter().skip(from).map(Ok));
        Ok(Response::new(match script {
            Some(Script::CutAfter(count)) => Box::pin(
                later
                    .take(count)
                    .chain(stream::iter([Err(Status::unavailable("cut"))])),
            ),
            None
            | Some(
                Script::Refuse(_) | Script::Hang | Script::ServeAndHang | Script::ServeAndForget,
            ) => Box::pin(later.chain(stream::pending())),
        }))
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn get_cluster_status(
        &self,
        _request: Request<GetClusterStatusRequest>,
    ) -> Result<Response<ClusterStatus>, Status> {
        Ok(Response::new(ClusterStatus {
            cluster_id: "fake".into(),
            node_id: 1,
            region: "region-1".into(),
            version: "0.1.0".into(),
            term: 3,
            leader_id: 1,
            last_log_index: 42,
            committed_index: 42,
            applied_index: 42,
            members: self.members(),
            totals: Some(Totals {
                submitted: self.store.lock().unwrap().payments.len() as u64,
                ..Totals::default()
            }),
            ..ClusterStatus::default()
        }))
    }

    async fn list_members(
        &self,
        _request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        Ok(Response::new(ListMembersResponse {
            members: self.members(),
        }))
    }

    async fn add_voter(
        &self,
        request: Request<AddVoterRequest>,
    ) -> Result<Response<VotersChanged>, Status> {
        let node_id = request.into_inner().node_id;
        Ok(Response::new(VotersChanged {
            changed: true,
            membership_index: 43,
            voter_ids: vec![1, 2, node_id],
            learner_ids: Vec::new(),
        }))
    }

    async fn remove_voter(
        &self,
        request: Request<RemoveVoterRequest>,
    ) -> Result<Response<VotersChanged>, Status> {
        let node_id = request.into_inner().node_id;
        let detail = ErrorDetail {
            code: ErrorCode::WrongStage.into(),
            expected: "at least one voter that is left".into(),
            resource: format!("node {node_id}"),
            ..ErrorDetail::default()
        };
        Err(to_status("node 1 is the last voter", &detail))
    }
}

#[tonic::async_trait]
impl Batches for Service {
    async fn get_batch(
        &self,
        request: Request<GetBatchRequest>,
    ) -> Result<Response<Batch>, Status> {
        let batch_id = request.into_inner().batch_id;
        if batch_id != "bat_0000000000000001" {
            return Err(not_found(batch_id));
        }
        Ok(Response::new(Batch {
            batch_id,
            stage: BatchStage::Settled.into(),
            payment_ids: vec!["pay_0000000000000001".into()],
            ledger: 7,
            fee_charged_stroops: 200,
            ..Batch::default()
        }))
    }

    async fn list_batches(
        &self,
        _request: Request<ListBatchesRequest>,
    ) -> Result<Response<ListBatchesResponse>, Status> {
        let request = Request::new(GetBatchRequest {
            batch_id: "bat_0000000000000001".into(),
            ..GetBatchRequest::default()
        });
        let batch = self.get_batch(request).await?.into_inner();
        Ok(Response::new(ListBatchesResponse {
            batches: vec![batch],
            next_cursor: String::new(),
        }))
    }
}
