//! The API over a state of one node, called as clients call it. Each bad input changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use stellara_machine::ids::{AccountId, Destination};
use stellara_proto::status::detail_of;
use stellara_proto::v1::payments_client::PaymentsClient;
use stellara_proto::v1::{self, ErrorCode, ErrorDetail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

use super::format;
use super::serve::{ApiOptions, ServeError, serve};

mod bad;
pub(crate) mod fake;
mod fees;
mod lists;
mod port;
mod streams;

use fake::Fake;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A served fake.
struct Served {
    fake: Fake,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ServeError>>,
    payments: PaymentsClient<Channel>,
    channel: Channel,
}

impl Served {
    async fn start() -> Self {
        let fake = Fake::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let options = ApiOptions::default();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(serve(listener, fake.clone(), options, stopped));
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            fake,
            address,
            stop,
            task,
            payments: PaymentsClient::new(channel.clone()),
            channel,
        }
    }

    async fn submit(&mut self, key: &str) -> String {
        let answer = self.payments.submit_payment(request(key)).await.unwrap();
        answer.into_inner().payment_id
    }

    async fn end(self) {
        drop((self.payments, self.channel));
        self.stop.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// A payment that holds.
fn request(key: &str) -> v1::SubmitPaymentRequest {
    v1::SubmitPaymentRequest {
        idempotency_key: key.to_owned(),
        destination: format::destination(Destination {
            account: AccountId([9; 32]),
            muxed_id: Some(4),
        }),
        asset: format!("EUR:{}", format::account(AccountId([3; 32]))),
        amount: "12.5".to_owned(),
        ..v1::SubmitPaymentRequest::default()
    }
}

fn detail(status: &Status) -> ErrorDetail {
    detail_of(status).unwrap_or_else(|| panic!("no detail in {status:?}"))
}

fn code(status: &Status) -> ErrorCode {
    detail(status).code()
}
