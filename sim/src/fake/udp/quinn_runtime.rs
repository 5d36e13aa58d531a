//! quinn's tasks and timers on the simulation's runtime, and the time of day for TLS.
//!
//! quinn counts in the system's instants: one real reading is the origin, and only what virtual time adds to it is
//! ever looked at.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use openraft_rt::{AsyncRuntime as _, Instant as _};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::runtime::{SimInstant, SimRuntime, Sleep, wall_clock};

/// quinn's runtime on one node: its tasks are the node's, its clock is the node's.
#[derive(Clone, Copy, Debug)]
pub struct SimQuinn {
    origin: Instant,
    start: SimInstant,
}

impl SimQuinn {
    /// For the node whose code is running.
    #[must_use]
    pub fn here() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "an instant cannot be made from nothing; only differences from this one count"
        )]
        let origin = Instant::now();
        Self {
            origin,
            start: SimInstant::now(),
        }
    }

    fn sleep(&self, until: Instant) -> Sleep {
        let span = until.saturating_duration_since(self.origin);
        SimRuntime::sleep_until(self.start + span)
    }
}

impl Runtime for SimQuinn {
    fn new_timer(&self, until: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer {
            sleep: self.sleep(until),
            runtime: *self,
        })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(SimRuntime::spawn(future));
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let unsupported = io::ErrorKind::Unsupported;
        Err(io::Error::new(
            unsupported,
            "no real sockets in a simulation",
        ))
    }

    fn now(&self) -> Instant {
        self.origin + (SimInstant::now() - self.start)
    }
}

struct Timer {
    sleep: Sleep,
    runtime: SimQuinn,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, until: Instant) {
        self.sleep = self.runtime.sleep(until);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.sleep).poll(context)
    }
}

/// The wall clock of the node whose code is running, for certificates' dates.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimWall;

impl TimeProvider for SimWall {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::from_millis(wall_clock().0);
        Some(UnixTime::since_unix_epoch(since))
    }
}
