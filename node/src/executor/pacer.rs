//! Paces the operations that are offered to the network within one ledger's time.
//!
//! Offering more than a ledger's free capacity starts a fee auction against ourselves (measured: ten batches of 101
//! operations paid ten times the fee of nine).

use std::sync::Mutex;
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant as _};

#[derive(Debug)]
pub(super) struct Pacer<R: AsyncRuntime> {
    operations_max: u32,
    window: Duration,
    state: Mutex<Window<R>>,
}

#[derive(Debug)]
struct Window<R: AsyncRuntime> {
    opened_at: Option<R::Instant>,
    offered: u32,
}

impl<R: AsyncRuntime> Pacer<R> {
    pub(super) fn new(operations_max: u32, window_ms: u64) -> Self {
        Self {
            operations_max,
            window: Duration::from_millis(window_ms),
            state: Mutex::new(Window {
                opened_at: None,
                offered: 0,
            }),
        }
    }

    /// Waits until `operations` more may be offered. More than a window holds go alone.
    pub(super) async fn admit(&self, operations: u32) {
        while let Some(until) = self.try_admit(operations) {
            R::sleep_until(until).await;
        }
    }

    /// Takes the place, or tells when the next window opens.
    fn try_admit(&self, operations: u32) -> Option<R::Instant> {
        let now = R::Instant::now();
        let mut window = self.state.lock().expect("no holder of this lock can panic");
        let closes_at = window.opened_at.map(|opened_at| opened_at + self.window);
        match closes_at {
            Some(closes_at) if now < closes_at => {
                let offered = window.offered.saturating_add(operations);
                if offered > self.operations_max {
                    return Some(closes_at);
                }
                window.offered = offered;
            }
            Some(_) | None => {
                *window = Window {
                    opened_at: Some(now),
                    offered: operations,
                };
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft_rt_tokio::TokioRuntime;

    #[tokio::test(start_paused = true)]
    async fn nine_batches_go_at_once_and_the_tenth_waits_for_the_next_ledger() {
        let pacer = Pacer::<TokioRuntime>::new(909, 5_000);
        let start = tokio::time::Instant::now();
        for _ in 0..9 {
            pacer.admit(101).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pacer.admit(101).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
