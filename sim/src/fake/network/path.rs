//! One way from one node to another: how long a packet takes on it now, and whether it arrives at all.
//!
//! All draws come from the path's own stream, so that what happens on one path shifts nothing on another. Slow changes
//! (routes, bursts) are looked at when a packet passes; no task or timer is needed for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::ailment::{Bursts, Hold};
use super::options::NetworkOptions;
use crate::runtime::{RandomStream, SimTime};

/// Losses of one packet in a row before it surely arrives: QUIC's probes go on until then.
const LOSSES_MAX: u32 = 6;
/// What a packet carries beside its payload.
const OVERHEAD_BYTES: u64 = 60;
const ALWAYS_PPM: u32 = 1_000_000;
/// How long another route is kept.
const OTHER_ROUTE: Duration = Duration::from_secs(30);

/// Who goes first when a path is narrow: the first rank never waits for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank(usize);

impl Rank {
    /// Datagrams, handshakes and votes.
    pub(super) const FIRST: Self = Self(0);
    const COUNT: usize = 5;

    pub(super) fn of(class: stellara_node::ports::peer_link::StreamClass) -> Self {
        let all = stellara_node::ports::peer_link::StreamClass::ALL;
        let at = all.iter().position(|other| *other == class);
        Self(at.unwrap_or_default().min(Self::COUNT - 1))
    }

    /// The class of streams of this rank.
    pub(super) fn class(self) -> Option<stellara_node::ports::peer_link::StreamClass> {
        let all = stellara_node::ports::peer_link::StreamClass::ALL;
        all.get(self.0).copied()
    }
}

/// A path on which nothing arrives now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) since: SimTime,
    /// What was sent since then is lost, and sent again later; else it is only held.
    pub(super) lossy: Lossy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lossy {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug)]
struct Slow {
    add_permille: u32,
    bytes_per_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    Bad,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    bursts: Bursts,
    mood: Mood,
    until: SimTime,
}

#[derive(Debug)]
pub(super) struct Path {
    draws: RandomStream,
    latency: Duration,
    route_add_permille: u32,
    route_until: Option<SimTime>,
    bursts: BTreeMap<Hold, Burst>,
    slow: BTreeMap<Hold, Slow>,
    cuts: BTreeSet<Hold>,
    clogs: BTreeSet<Hold>,
    stall: Option<Stall>,
    /// Told when a clog ends.
    released: Arc<Notify>,
    /// Until when each rank's packets leave.
    busy: [SimTime; Rank::COUNT],
}

impl Path {
    pub(super) fn new(draws: RandomStream, latency: Duration) -> Self {
        Self {
            draws,
            latency,
            route_add_permille: 0,
            route_until: None,
            bursts: BTreeMap::new(),
            slow: BTreeMap::new(),
            cuts: BTreeSet::new(),
            clogs: BTreeSet::new(),
            stall: None,
            released: Arc::default(),
            busy: [SimTime::ZERO; Rank::COUNT],
        }
    }

    /// What a packet takes at least now: the route, and what slows the path.
    pub(super) fn latency(&mut self, now: SimTime, options: &NetworkOptions) -> Duration {
        self.turn_route(now, options);
        let slow = self
            .slow
            .values()
            .map(|slow| slow.add_permille)
            .sum::<u32>();
        scaled(self.latency, 1_000 + self.route_add_permille + slow)
    }

    fn turn_route(&mut self, now: SimTime, options: &NetworkOptions) {
        let Some(routes) = options.routes else {
            return;
        };
        let mut until = match self.route_until {
            Some(until) => until,
            None => now + exponential(&mut self.draws, routes.every),
        };
        while until <= now {
            let (add_permille, mean) = match self.route_add_permille {
                0 => {
                    let most = u64::from(routes.add_permille);
                    let drawn = self.draws.between(most / 4, most).max(1);
                    (u32::try_from(drawn).unwrap_or(u32::MAX), OTHER_ROUTE)
                }
                _ => (0, routes.every),
            };
            self.route_add_permille = add_permille;
            until = until + exponential(&mut self.draws, mean);
        }
        self.route_until = Some(until);
    }

    /// The time that one packet takes, with its jitter and its turn.
    fn span(
        &mut self,
        now: SimTime,
        options: &NetworkOptions,
        rank: Rank,
        bytes: usize,
    ) -> Duration {
        let latency = self.latency(now, options);
        let most = ns(latency) / 1_000 * u64::from(options.jitter_permille);
        let jitter = Duration::from_nanos(self.draws.below(most + 1));
        self.turn(now, options, rank, bytes) + latency + jitter
    }

    /// How long a packet waits until all of it has left.
    fn turn(
        &mut self,
        now: SimTime,
        options: &NetworkOptions,
        rank: Rank,
        bytes: usize,
    ) -> Duration {
        let narrowed = self.slow.values().filter_map(|slow| slow.bytes_per_s);
        let Some(bytes_per_s) = narrowed.chain(options.bytes_per_s).min() else {
            return Duration::ZERO;
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let bytes = u128::from(bytes.saturating_add(OVERHEAD_BYTES));
        let leaving = bytes * 1_000_000_000 / u128::from(bytes_per_s.max(1));
        let leaving = Duration::from_nanos(u64::try_from(leaving).unwrap_or(u64::MAX));
        let before = self.busy[..=rank.0].iter().max().copied();
        let left = before.unwrap_or(now).max(now) + leaving;
        self.busy[rank.0] = left;
        left - now
    }

    /// How long a packet takes that is sent until it arrives: a probe's wait for each loss.
    pub(super) fn transit(
        &mut self,
        now: SimTime,
        net: &Weather,
        rank: Rank,
        bytes: usize,
    ) -> Duration {
        let span = self.span(now, &net.options, rank, bytes);
        let mut waited = Duration::ZERO;
        let mut probe = self.probe(now, &net.options);
        for _ in 0..LOSSES_MAX {
            let loss_ppm = self.loss_ppm(now, now + waited, net);
            if !self.draws.chance_ppm(loss_ppm) {
                break;
            }
            waited += probe;
            probe *= 2;
        }
        span + waited
    }

    /// A probe after a loss waits this long (RFC 9002: more than a round trip, and the peer's delay of
    /// acknowledgements). The way back is taken to be as long.
    pub(super) fn probe(&mut self, now: SimTime, options: &NetworkOptions) -> Duration {
        self.latency(now, options) * 5 / 2 + Duration::from_millis(25)
    }

    /// When a datagram sent now arrives, and when it arrives again, if it does.
    pub(super) fn datagram(
        &mut self,
        now: SimTime,
        net: &Weather,
        bytes: usize,
    ) -> [Option<Duration>; 2] {
        let first = self.span(now, &net.options, Rank::FIRST, bytes);
        let loss_ppm = self.loss_ppm(now, now, net);
        let lost = self.draws.chance_ppm(loss_ppm);
        let twice = net.duplicate_ppm > 0 && self.draws.chance_ppm(net.duplicate_ppm);
        if lost || !self.cuts.is_empty() {
            return [None, None];
        }
        let second = twice.then(|| self.span(now, &net.options, Rank::FIRST, 0));
        [Some(first), second]
    }

    /// As `datagram`, on a path whose queue is bounded: a packet that would leave later than `queue_max` finds no room.
    pub(super) fn packet(
        &mut self,
        now: SimTime,
        net: &Weather,
        bytes: usize,
        queue_max: Duration,
    ) -> [Option<Duration>; 2] {
        if self.busy[Rank::FIRST.0] > now + queue_max {
            return [None, None];
        }
        self.datagram(now, net, bytes)
    }

    fn loss_ppm(&mut self, now: SimTime, at: SimTime, net: &Weather) -> u32 {
        let mut loss_ppm = net.loss_ppm;
        for burst in self.bursts.values_mut() {
            while burst.until <= now {
                let (mood, mean_ms) = match burst.mood {
                    Mood::Good => (Mood::Bad, burst.bursts.bad_ms),
                    Mood::Bad => (Mood::Good, burst.bursts.good_ms),
                };
                let mean = Duration::from_millis(mean_ms.max(1));
                burst.mood = mood;
                burst.until = burst.until + exponential(&mut self.draws, mean);
            }
            if burst.mood == Mood::Bad && at < burst.until {
                loss_ppm = loss_ppm.saturating_add(burst.bursts.bad_ppm);
            }
        }
        loss_ppm.min(ALWAYS_PPM)
    }

    pub(super) fn begin_bursts(&mut self, hold: Hold, bursts: Bursts, now: SimTime) {
        let mean = Duration::from_millis(bursts.good_ms.max(1));
        let until = now + exponential(&mut self.draws, mean);
        let mood = Mood::Good;
        let burst = Burst {
            bursts,
            mood,
            until,
        };
        self.bursts.insert(hold, burst);
    }

    pub(super) fn end_bursts(&mut self, hold: Hold) {
        self.bursts.remove(&hold);
    }

    pub(super) fn slow_down(&mut self, hold: Hold, add_permille: u32, bytes_per_s: Option<u64>) {
        let slow = Slow {
            add_permille,
            bytes_per_s,
        };
        self.slow.insert(hold, slow);
    }

    /// What queued is let go.
    pub(super) fn speed_up(&mut self, hold: Hold, now: SimTime) {
        self.slow.remove(&hold);
        for busy in &mut self.busy {
            *busy = (*busy).min(now);
        }
    }

    /// Cuts the path; answers the stall if it begins with this.
    pub(super) fn cut(&mut self, hold: Hold, now: SimTime) -> Option<Stall> {
        self.cuts.insert(hold);
        self.stalled(now, Lossy::Yes)
    }

    /// As `cut`, but nothing is lost.
    pub(super) fn clog(&mut self, hold: Hold, now: SimTime) -> Option<Stall> {
        self.clogs.insert(hold);
        self.stalled(now, Lossy::No)
    }

    fn stalled(&mut self, now: SimTime, lossy: Lossy) -> Option<Stall> {
        if let Some(stall) = &mut self.stall {
            if lossy == Lossy::Yes {
                stall.lossy = Lossy::Yes;
            }
            return None;
        }
        self.stall = Some(Stall { since: now, lossy });
        self.stall
    }

    /// Ends a cut or a clog; answers the stall if it ends with this.
    pub(super) fn free(&mut self, hold: Hold) -> Option<Stall> {
        let was_cut = self.cuts.remove(&hold);
        let was_clogged = self.clogs.remove(&hold);
        if !(was_cut || was_clogged) || !self.cuts.is_empty() || !self.clogs.is_empty() {
            return None;
        }
        self.released.notify_waiters();
        self.stall.take()
    }

    pub(super) const fn stall(&self) -> Option<Stall> {
        self.stall
    }

    /// Whether what arrives now is lost, or waits, and for what.
    pub(super) fn gate(&self) -> Gate {
        match (self.cuts.is_empty(), self.clogs.is_empty()) {
            (false, _) => Gate::Lost,
            (true, false) => Gate::Held(Arc::clone(&self.released)),
            (true, true) => Gate::Open,
        }
    }
}

/// What becomes of a datagram at the end of its path.
#[derive(Debug)]
pub(in crate::fake) enum Gate {
    Open,
    Lost,
    Held(Arc<Notify>),
}

/// What holds on all paths.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) options: NetworkOptions,
    pub(super) loss_ppm: u32,
    pub(super) duplicate_ppm: u32,
}

fn ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn scaled(span: Duration, permille: u32) -> Duration {
    match permille {
        1_000 => span,
        _ => {
            let scaled = span.as_nanos() * u128::from(permille) / 1_000;
            Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
        }
    }
}

/// A time drawn from an exponential distribution: the logarithm is Mitchell's approximation (1962) in integers, so that
/// all machines agree; the mean is 4 % above `mean`.
pub(super) fn exponential(draws: &mut RandomStream, mean: Duration) -> Duration {
    let bits = draws.next_bits();
    let zeros = bits.leading_zeros();
    let fraction = (bits.checked_shl(zeros).unwrap_or(0) << 1) >> 32;
    // The negated binary logarithm of bits / 2^64, with 32 binary digits.
    let log2 = (u128::from(zeros + 1) << 32) - u128::from(fraction);
    let natural = log2 * 693_147 / 1_000_000;
    let span = (mean.as_nanos() * natural) >> 32;
    Duration::from_nanos(u64::try_from(span).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
