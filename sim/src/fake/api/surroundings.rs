//! What the Rust SDK's client finds around it in a run: the time of its node, tasks of the run, a stream of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openraft_rt::{AsyncRuntime as _, Instant as _};
use stellara_client::ClientError;
use stellara_client::surroundings::{Line, Surroundings};

use super::line::{NoHost, SimLine};
use super::{Path, PublicNetwork};
use crate::runtime::{RandomStream, SimInstant, SimRuntime};

/// The surroundings of a caller in a region. Its tasks and its time are those of the node whose code calls: let one
/// node's tasks call, since clocks of several are not comparable.
#[derive(Debug)]
pub struct SimSurroundings {
    network: PublicNetwork,
    region: Arc<str>,
    started: SimInstant,
    draws: Mutex<RandomStream>,
}

impl SimSurroundings {
    pub(super) fn new(network: PublicNetwork, region: &str, seed: u64) -> Self {
        Self {
            network,
            region: region.into(),
            started: SimInstant::now(),
            draws: Mutex::new(RandomStream::derive(&[seed])),
        }
    }
}

impl Surroundings for SimSurroundings {
    fn now(&self) -> Duration {
        SimInstant::now() - self.started
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        SimRuntime::sleep(span).boxed()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(SimRuntime::spawn(task));
    }

    fn random_bits(&self) -> u64 {
        let draws = self.draws.lock();
        draws.unwrap_or_else(PoisonError::into_inner).next_bits()
    }

    fn line(&self, address: &str, connect_within: Duration) -> Result<Arc<dyn Line>, ClientError> {
        let addresses = &self.network.shared.options.addresses;
        let Some(node_id) = addresses.get(address).copied() else {
            return Ok(Arc::new(NoHost));
        };
        let path = Path {
            network: self.network.clone(),
            region: Arc::clone(&self.region),
            node_id,
        };
        Ok(Arc::new(SimLine::new(path, connect_within)))
    }
}
