//! Callers with the shipped Rust SDK: its retries, its choice of nodes, its meaning of errors, in virtual time.
//!
//! What they call are the nodes' own API services, over the network of [`PublicNetwork`]. Every answer is an event of
//! the trace.

use std::sync::Arc;
use std::time::Duration;

use stellara_client::api::{
    GetPaymentRequest, ListPaymentsRequest, ListPaymentsResponse, Payment, SubmitPaymentRequest,
};
use stellara_client::{Accepted, Client, ClientBuilder, ClientError};
use stellara_machine::command::SubmitPayment;
use stellara_machine::decision::Acceptance;
use stellara_node::api::{format, parse};

use super::client::Acknowledged;
use super::load::Accepted as LoadAccepted;
use super::{Roster, World, WorldOptions};
use crate::fake::api::{PublicNetwork, PublicOptions};
use crate::runtime::{EventKind, event_bytes};

mod answer;
mod load;

pub use answer::ask;
pub use load::{SdkLoad, SdkLoadError};

const ANSWERED: EventKind = EventKind::new("sdk-answered");
const FAILED: EventKind = EventKind::new("sdk-failed");

/// The way inside a region.
const NEAR: Duration = Duration::from_micros(500);
/// When the SDK's keep-alive gives a connection up: it asks after 5 s and waits 2 s.
const IDLE: Duration = Duration::from_secs(7);

/// A caller with the SDK. Clones share its connections and what it knows.
#[derive(Clone, Debug)]
pub struct SdkClient {
    client: Client,
    /// For the trace.
    seed: u64,
}

impl World {
    /// The network between callers and the nodes' public ports.
    #[must_use]
    pub const fn public_network(&self) -> &PublicNetwork {
        &self.public
    }

    /// A caller in `region` that knows all nodes, those of its region first. `seed` decides what it draws.
    ///
    /// # Errors
    /// None of the world's addresses is refused, so none is known.
    pub fn sdk_client(&self, region: &str, seed: u64) -> Result<SdkClient, ClientError> {
        let members = self.members().into_values();
        let (own, others): (Vec<_>, Vec<_>) = members.partition(|member| member.region == region);
        let addresses = own.into_iter().chain(others);
        let builder = self
            .sdk_builder(region, seed)
            .endpoints(addresses.map(|member| member.public_address));
        SdkClient::build(builder, seed)
    }

    /// The SDK's settings for a caller in `region`, without endpoints: see [`public_address`](super::public_address).
    #[must_use]
    pub fn sdk_builder(&self, region: &str, seed: u64) -> ClientBuilder {
        let surroundings = self
            .public
            .surroundings(region, self.options.seed ^ seed.rotate_left(17));
        Client::builder()
            .home_region(region)
            .surroundings(Arc::new(surroundings))
    }
}

/// Where the nodes' public ports are, and how callers reach them.
pub(super) fn public_network(options: &WorldOptions, roster: &Roster) -> PublicNetwork {
    let regions = (1..).zip(options.regions.iter().cloned());
    let options = PublicOptions {
        regions: regions.collect(),
        addresses: (1..)
            .zip(&options.regions)
            .map(|(node_id, _)| (super::public_address(node_id), node_id))
            .collect(),
        latency: options.network.latency.clone(),
        near: NEAR,
        jitter_permille: options.network.jitter_permille,
        loss_ppm: options.network.loss_ppm,
        idle: IDLE,
    };
    PublicNetwork::new(options, roster.clone())
}

impl SdkClient {
    /// A caller of these settings; `seed` names it in the trace.
    ///
    /// # Errors
    /// The SDK's, for a setting out of its bounds.
    pub fn build(builder: ClientBuilder, seed: u64) -> Result<Self, ClientError> {
        let client = builder.build()?;
        Ok(Self { client, seed })
    }

    /// The SDK's client itself: batches, the cluster, watching, bulk submission.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The same caller with another deadline for each of its calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            client: self.client.with_deadline(deadline),
            seed: self.seed,
        }
    }

    fn told<T>(
        &self,
        answer: Result<T, ClientError>,
        tell: impl FnOnce(&T) -> String,
    ) -> Result<T, ClientError> {
        match &answer {
            Ok(value) => event_bytes(ANSWERED, self.seed, tell(value).as_bytes()),
            Err(error) => event_bytes(FAILED, self.seed, error.to_string().as_bytes()),
        }
        answer
    }

    /// Submits a payment; an empty idempotency key is made up.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn submit(&self, payment: &SubmitPaymentRequest) -> Result<Accepted, ClientError> {
        let answer = self.client.submit_payment(payment).await;
        self.told(answer, |accepted| accepted.payment_id.clone())
    }

    /// A payment and where it stands.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn get(&self, request: &GetPaymentRequest) -> Result<Payment, ClientError> {
        let answer = self.client.get_payment(request).await;
        self.told(answer, |payment| {
            format!("{} {}", payment.payment_id, payment.stage)
        })
    }

    /// Withdraws a payment.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn cancel(&self, payment_id: &str) -> Result<Payment, ClientError> {
        let answer = self.client.cancel_payment(payment_id).await;
        self.told(answer, |payment| {
            format!("{} {}", payment.payment_id, payment.stage)
        })
    }

    /// One page of payments.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn list(
        &self,
        request: &ListPaymentsRequest,
    ) -> Result<ListPaymentsResponse, ClientError> {
        let answer = self.client.list_payments(request).await;
        self.told(answer, |page| {
            format!("{} {}", page.payments.len(), page.next_cursor)
        })
    }
}

/// A payment of the machine as callers ask for it; who asks is the node's to say.
#[must_use]
pub fn request_of(payment: &SubmitPayment) -> SubmitPaymentRequest {
    let body = &payment.body;
    SubmitPaymentRequest {
        idempotency_key: payment.key.0.clone(),
        destination: format::destination(body.destination),
        asset: format::asset(&body.asset),
        amount: format::amount(body.amount),
        treasury: body.treasury.map(format::account).unwrap_or_default(),
        memo: format::memo(&body.memo),
        priority: format::priority(body.lane).into(),
        reference: body.reference.clone(),
        fee_cap_stroops: body.fee_cap.map_or(0, |cap| cap.0),
    }
}

/// What the SDK answered after so many calls, for the load's checks; `None` when it named no payment.
#[must_use]
pub fn accepted_of(payment: SubmitPayment, answer: &Accepted, calls: u32) -> Option<LoadAccepted> {
    let id = parse::payment_id("payment_id", &answer.payment_id).ok()?;
    Some(LoadAccepted {
        payment,
        acknowledged: Acknowledged {
            payment: id,
            acceptance: match answer.repeated {
                true => Acceptance::Repeated,
                false => Acceptance::New,
            },
            calls,
        },
    })
}
