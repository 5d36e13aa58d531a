//! Waiting for a condition, within a bound. Invariant: this is the only place of the tests that
//! sleeps, and only between two looks at a condition.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Time between two looks at a condition.
const POLL_MS: u64 = 20;

/// Looks again and again until `look` gives something, at most `limit_ms`.
///
/// # Panics
/// When the time is over; `what` says what was waited for.
pub async fn until<T, F>(what: &str, limit_ms: u64, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let limit = Duration::from_millis(limit_ms);
    loop {
        let left = limit.saturating_sub(started.elapsed());
        // A look that hangs is bounded as well, so the last one may end by the limit.
        if let Ok(Some(found)) = timeout(left, look()).await {
            return found;
        }
        assert!(
            started.elapsed() < limit,
            "waited {limit_ms} ms in vain until {what}"
        );
        sleep(Duration::from_millis(POLL_MS)).await;
    }
}

/// Runs a part of a test within `limit_ms`.
///
/// # Panics
/// When the time is over.
pub async fn bounded<T>(limit_ms: u64, part: impl Future<Output = T>) -> T {
    match timeout(Duration::from_millis(limit_ms), part).await {
        Ok(value) => value,
        Err(_) => panic!("not done within {limit_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bounded, until};

    #[tokio::test]
    async fn a_condition_that_holds_ends_the_wait() {
        let mut looks = 0;
        let found = until("the third look", 10_000, || {
            looks += 1;
            let seen = looks;
            async move { (seen == 3).then_some(seen) }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "waited 1 ms in vain until the sun rises")]
    async fn a_wait_ends() {
        until("the sun rises", 1, || async { None::<()> }).await;
    }

    #[tokio::test]
    #[should_panic(expected = "not done within 1 ms")]
    async fn a_part_that_hangs_is_cut() {
        bounded(1, std::future::pending::<()>()).await;
    }
}
