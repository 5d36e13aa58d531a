//! Many SDK callers over time, spread over regions, each with a payment of its own.
//!
//! A caller does what the SDK's documentation tells it: it asks again, with the same key, while the cluster could not
//! take the payment or nobody knows whether it did.

use std::time::Duration;

use stellara_client::{Accepted as Answer, ClientError};
use stellara_machine::command::SubmitPayment;
use stellara_machine::ids::DeveloperId;

use super::{SdkClient, accepted_of, request_of};
use crate::runtime::{JoinHandle, NodeTag, RandomStream, sleep, spawn_on, stream};
use crate::world::World;
use crate::world::load::{Accepted, LoadOptions, payment};

/// Waits after a call that ended without an answer.
const PAUSE: Duration = Duration::from_millis(150);

/// Callers at work.
pub struct SdkLoad {
    callers: Vec<(SubmitPayment, JoinHandle<Result<Accepted, ClientError>>)>,
}

/// Why a load did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdkLoadError {
    /// The SDK says that asking again would end the same.
    #[error("payment {key:?}: {error}")]
    Refused {
        /// Its key.
        key: String,
        /// What the SDK said.
        error: ClientError,
    },
    /// The caller itself failed.
    #[error("the caller of payment {key:?} failed: {why}")]
    Caller {
        /// The key of its payment.
        key: String,
        /// How.
        why: String,
    },
}

impl SdkLoad {
    /// Sets the callers to work: one client per region, and the payments to each in turn.
    ///
    /// # Errors
    /// The SDK's, for a client that cannot be made.
    pub fn start(
        world: &World,
        regions: &[&str],
        options: LoadOptions,
    ) -> Result<Self, ClientError> {
        let clients = (1..)
            .zip(regions)
            .map(|(seed, region)| world.sdk_client(region, seed))
            .collect::<Result<Vec<_>, _>>()?;
        let mut draws = stream(NodeTag::DRIVER, "sdk-load");
        let over_ns = u64::try_from(options.over.as_nanos()).unwrap_or(u64::MAX);
        let callers = (0..options.payments)
            .zip(clients.iter().cycle())
            .map(|(nth, client)| {
                let asked = payment(world, nth, &mut draws);
                let asked = SubmitPayment {
                    // The API's one caller.
                    developer: DeveloperId(0),
                    ..asked
                };
                let first = Duration::from_nanos(draws.below(over_ns));
                let own = RandomStream::derive(&[draws.next_bits()]);
                let caller = submit(client.clone(), asked.clone(), first, own);
                (asked, spawn_on(NodeTag::DRIVER, caller))
            });
        Ok(Self {
            callers: callers.collect(),
        })
    }

    /// Waits until all are answered.
    ///
    /// # Errors
    /// The first payment that was refused.
    pub async fn finish(self) -> Result<Vec<Accepted>, SdkLoadError> {
        let mut accepted = Vec::with_capacity(self.callers.len());
        for (asked, caller) in self.callers {
            let key = asked.key.0;
            match caller.await {
                Ok(Ok(answer)) => accepted.push(answer),
                Ok(Err(error)) => return Err(SdkLoadError::Refused { key, error }),
                Err(error) => {
                    let why = error.to_string();
                    return Err(SdkLoadError::Caller { key, why });
                }
            }
        }
        Ok(accepted)
    }
}

async fn submit(
    client: SdkClient,
    asked: SubmitPayment,
    first: Duration,
    mut draws: RandomStream,
) -> Result<Accepted, ClientError> {
    sleep(first).await;
    let request = request_of(&asked);
    let mut calls = 0;
    loop {
        calls += 1;
        let answer = client.submit(&request).await;
        match answer {
            Ok(answer) => return named(asked, &answer, calls),
            Err(
                ClientError::Unknown { .. }
                | ClientError::Overloaded { .. }
                | ClientError::NoLeader { .. }
                | ClientError::Unavailable { .. },
            ) => {}
            Err(error) => return Err(error),
        }
        let pause_ns = u64::try_from(PAUSE.as_nanos()).unwrap_or(u64::MAX);
        sleep(Duration::from_nanos(draws.below(pause_ns))).await;
    }
}

fn named(asked: SubmitPayment, answer: &Answer, calls: u32) -> Result<Accepted, ClientError> {
    accepted_of(asked, answer, calls).ok_or_else(|| ClientError::Unexpected {
        code: "NO_PAYMENT".to_owned(),
        message: format!("the answer names {:?}, no payment", answer.payment_id),
    })
}
