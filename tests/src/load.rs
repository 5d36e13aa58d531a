//! Callers that submit payments one after the other, all the time, and remember what they were
//! told. Invariant: every payment meant is either acknowledged or listed with its error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use stellara_client::{Client, ClientError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::accounts::Meant;
use crate::wait::until;

/// How long the first acknowledgements may take.
const WARM_MS_MAX: u64 = 30_000;

/// Callers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged_len: Arc<AtomicUsize>,
    callers: JoinSet<Told>,
}

/// What the callers were told.
#[derive(Debug, Default)]
pub struct Told {
    /// Every payment that the cluster acknowledged, and when.
    pub acknowledged: Vec<(Meant, Instant)>,
    /// Every payment whose call ended with an error.
    pub failed: Vec<(Meant, ClientError)>,
}

impl Load {
    /// Starts this many callers; each waits `pause` between two payments, for a load that leaves
    /// the machine some air.
    pub fn start(client: &Client, callers_len: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged_len = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..callers_len {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            let acknowledged_len = Arc::clone(&acknowledged_len);
            callers.spawn(async move {
                let mut told = Told::default();
                while !stop.load(Ordering::Relaxed) {
                    told.submit(&client).await;
                    acknowledged_len.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
                told
            });
        }
        Self {
            stop,
            acknowledged_len,
            callers,
        }
    }

    /// Waits until this many more calls were answered.
    ///
    /// # Panics
    /// When they are not in time.
    pub async fn await_answers(&self, more: usize) {
        let enough = self.acknowledged_len.load(Ordering::Relaxed) + more;
        until(
            &format!("{more} more calls are answered"),
            WARM_MS_MAX,
            || {
                let answered = self.acknowledged_len.load(Ordering::Relaxed);
                async move { (answered >= enough).then_some(()) }
            },
        )
        .await;
    }

    /// Lets the callers end their last call; answers what they were told.
    pub async fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for told in self.callers.join_all().await {
            all.acknowledged.extend(told.acknowledged);
            all.failed.extend(told.failed);
        }
        all.acknowledged.sort_by_key(|(_, at)| *at);
        all
    }
}

impl Told {
    async fn submit(&mut self, client: &Client) {
        let meant = Meant::next();
        match client.submit_payment(&meant.request()).await {
            Ok(_) => self.acknowledged.push((meant, Instant::now())),
            Err(error) => self.failed.push((meant, error)),
        }
    }

    /// The longest time between two acknowledgements in a row of which the later came after
    /// `from`: what callers saw of a failure at that moment.
    pub fn longest_gap_after(&self, from: Instant) -> Duration {
        let pairs = self.acknowledged.windows(2);
        pairs
            .filter(|pair| pair[1].1 > from)
            .map(|pair| pair[1].1 - pair[0].1)
            .max()
            .unwrap_or_default()
    }

    /// Submits whatever ended with an error again, with the same keys, until it is acknowledged.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn insist(&mut self, client: &Client) {
        for (meant, earlier) in std::mem::take(&mut self.failed) {
            let answer = client.submit_payment(&meant.request()).await;
            if let Err(error) = answer {
                panic!("{}: {error}, after {earlier}", meant.reference);
            }
            self.acknowledged.push((meant, Instant::now()));
        }
    }

    /// Every payment acknowledged.
    pub fn meant(&self) -> Vec<Meant> {
        let meant = self.acknowledged.iter();
        meant.map(|(meant, _)| meant.clone()).collect()
    }
}
