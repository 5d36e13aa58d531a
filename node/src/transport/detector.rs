//! The failure detector: when each peer was last heard, and heard leading, how far away it is, and whether it is
//! suspected.
//!
//! Pure: callers give the time, on their own monotonic clock. Bounded: at most [`PEERS_MAX`] peers, the stalest goes.
//! The suspicion only starts an early election, where Raft's votes decide; a wrong one costs time, never safety.

use std::collections::BTreeMap;
use std::time::Duration;

use stellara_raft_store::types::NodeId;

/// The most peers it remembers.
pub const PEERS_MAX: usize = 64;

/// When a silent peer is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectorOptions {
    /// How often a leader beats.
    pub beat_interval: Duration,
    /// Suspected after this many intervals of silence, plus four deviations of the round trip.
    pub beats_missed_max: u32,
    /// Never suspected before this silence.
    pub suspect_after_min: Duration,
    /// Raft's lease: for how long an append protects its leader from the votes of others.
    pub lease: Duration,
}

/// Beats in one of Raft's heartbeat intervals: datagrams are cheap, and a fine beat tells silence from loss early.
const BEATS_PER_HEARTBEAT: u32 = 4;
/// No finer beat than this: a busy machine's timers are no better.
const BEAT_INTERVAL_MIN: Duration = Duration::from_millis(5);

impl DetectorOptions {
    /// What follows from Raft's timers: four beats a heartbeat, suspicion after four missed beats but never before
    /// the least election timeout, and the longest election timeout for the lease.
    #[must_use]
    pub fn for_timers(
        heartbeat: Duration,
        election_timeout_min: Duration,
        election_timeout_max: Duration,
    ) -> Self {
        Self {
            beat_interval: (heartbeat / BEATS_PER_HEARTBEAT).max(BEAT_INTERVAL_MIN),
            beats_missed_max: 4,
            suspect_after_min: election_timeout_min,
            lease: election_timeout_max,
        }
    }
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            beat_interval: Duration::from_millis(100),
            beats_missed_max: 4,
            suspect_after_min: Duration::from_millis(300),
            lease: Duration::from_millis(600),
        }
    }
}

/// A moment on the monotonic clock of one process, since its start.
pub type Elapsed = Duration;

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerPulse {
    /// When it was last heard.
    pub heard_at: Elapsed,
    /// When it was last heard leading, by a beat or an append; `None` when it never was.
    pub led_at: Option<Elapsed>,
    /// When its last append arrived: what Raft's lease counts from.
    pub appended_at: Option<Elapsed>,
    /// The term of its last beat.
    pub term: u64,
    /// Whether its last beat said that it leads.
    pub leads: Leads,
    /// The leader of `term` that its last beat said it suspects.
    pub suspects: Option<NodeId>,
    /// The smoothed round trip (RFC 6298: weight 1/8), once measured.
    pub round_trip: Option<Duration>,
    /// The smoothed deviation of the round trip (RFC 6298: weight 1/4).
    pub round_trip_deviation: Duration,
}

/// Whether a beat's sender led when it sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// It led.
    Yes,
    /// It followed, listened or was a candidate.
    No,
}

/// Tracks the peers' beats.
#[derive(Clone, Debug)]
pub struct Detector {
    options: DetectorOptions,
    peers: BTreeMap<NodeId, PeerPulse>,
    /// The latest term that a beat told of, and when a leader of it was last heard.
    latest_term: u64,
    in_touch_at: Option<Elapsed>,
}

impl Detector {
    /// A detector that has heard nobody.
    #[must_use]
    pub const fn new(options: DetectorOptions) -> Self {
        Self {
            options,
            peers: BTreeMap::new(),
            latest_term: 0,
            in_touch_at: None,
        }
    }

    /// A peer's beat arrived.
    pub fn beat(&mut self, from: NodeId, term: u64, leads: Leads, now: Elapsed) {
        self.beat_with(from, term, leads, None, now);
    }

    /// A peer's beat arrived, that says whether the peer suspects the leader of `term`.
    pub fn beat_with(
        &mut self,
        from: NodeId,
        term: u64,
        leads: Leads,
        suspects: Option<NodeId>,
        now: Elapsed,
    ) {
        self.latest_term = self.latest_term.max(term);
        // A leader of an earlier term was deposed, and may not know it yet.
        if leads == Leads::Yes && term == self.latest_term {
            self.in_touch_at = self.in_touch_at.max(Some(now));
        }
        let pulse = self.pulse(from, now);
        pulse.heard_at = pulse.heard_at.max(now);
        // Datagrams overtake each other: an older term says nothing new about who leads.
        if term >= pulse.term {
            pulse.term = term;
            pulse.leads = leads;
            pulse.suspects = suspects;
            if leads == Leads::Yes {
                pulse.led_at = pulse.led_at.max(Some(now));
            }
        }
    }

    /// A leader's append arrived, with entries or without.
    pub fn append(&mut self, from: NodeId, now: Elapsed) {
        let pulse = self.pulse(from, now);
        pulse.heard_at = pulse.heard_at.max(now);
        pulse.led_at = pulse.led_at.max(Some(now));
        pulse.appended_at = pulse.appended_at.max(Some(now));
    }

    /// A peer answered the beat that this node sent at `sent_at`. An answer from the future or from before a
    /// minute is dropped: its clock is not this process's.
    pub fn answer(&mut self, from: NodeId, sent_at: Elapsed, now: Elapsed) {
        let Some(sample) = now.checked_sub(sent_at) else {
            return;
        };
        if sample > Duration::from_secs(60) {
            return;
        }
        let pulse = self.pulse(from, now);
        pulse.heard_at = pulse.heard_at.max(now);
        match pulse.round_trip {
            None => {
                pulse.round_trip = Some(sample);
                pulse.round_trip_deviation = sample / 2;
            }
            Some(smoothed) => {
                let off = smoothed.abs_diff(sample);
                pulse.round_trip_deviation = (pulse.round_trip_deviation * 3 + off) / 4;
                pulse.round_trip = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// What is known of a peer.
    #[must_use]
    pub fn peer(&self, node_id: NodeId) -> Option<&PeerPulse> {
        self.peers.get(&node_id)
    }

    /// When a peer last said that it leads, in the latest term heard of by then; `None` when none ever did.
    #[must_use]
    pub const fn in_touch_at(&self) -> Option<Elapsed> {
        self.in_touch_at
    }

    /// For how long a silent peer is not yet suspected.
    #[must_use]
    pub fn patience(&self, node_id: NodeId) -> Duration {
        let deviation = self
            .peers
            .get(&node_id)
            .map_or(Duration::ZERO, |pulse| pulse.round_trip_deviation);
        let beats = self.options.beat_interval * self.options.beats_missed_max;
        (beats + deviation * 4).max(self.options.suspect_after_min)
    }

    /// Whether `leader` has given no sign of leading for longer than its [`Detector::patience`]. Answers do not count:
    /// a process that was started again answers, and leads no more. One that was never heard leading is not
    /// suspected: the election timeout is there for it.
    #[must_use]
    pub fn suspects(&self, leader: NodeId, now: Elapsed) -> bool {
        self.peers
            .get(&leader)
            .and_then(|pulse| pulse.led_at)
            .is_some_and(|led_at| now.saturating_sub(led_at) > self.patience(leader))
    }

    /// How much longer `leader` may be silent before it is suspected; `None` when it never was heard leading.
    #[must_use]
    pub fn patience_left(&self, leader: NodeId, now: Elapsed) -> Option<Duration> {
        let led_at = self.peers.get(&leader)?.led_at?;
        let silence = now.saturating_sub(led_at);
        Some(self.patience(leader).saturating_sub(silence))
    }

    /// Whether `peer` said of late that it suspects `leader` in `term`.
    #[must_use]
    pub fn told_suspicion(&self, peer: NodeId, leader: NodeId, term: u64, now: Elapsed) -> bool {
        self.peers.get(&peer).is_some_and(|pulse| {
            let of_late = now.saturating_sub(pulse.heard_at) <= self.options.lease;
            of_late && (pulse.term, pulse.suspects) == (term, Some(leader))
        })
    }

    /// Whether Raft's lease still protects `leader`: an append of it arrived within the lease, and it is not
    /// suspected.
    #[must_use]
    pub fn protects(&self, leader: NodeId, now: Elapsed) -> bool {
        let appended_at = self.peers.get(&leader).and_then(|pulse| pulse.appended_at);
        let within = appended_at.is_some_and(|at| now.saturating_sub(at) <= self.options.lease);
        within && !self.suspects(leader, now)
    }

    /// Forgets a peer, as after its removal from the group.
    pub fn forget(&mut self, node_id: NodeId) {
        self.peers.remove(&node_id);
    }

    fn pulse(&mut self, node_id: NodeId, now: Elapsed) -> &mut PeerPulse {
        if !self.peers.contains_key(&node_id) && self.peers.len() >= PEERS_MAX {
            let stalest = self
                .peers
                .iter()
                .min_by_key(|(_, pulse)| pulse.heard_at)
                .map(|(id, _)| *id);
            if let Some(stalest) = stalest {
                self.peers.remove(&stalest);
            }
        }
        self.peers.entry(node_id).or_insert(PeerPulse {
            heard_at: now,
            led_at: None,
            appended_at: None,
            term: 0,
            leads: Leads::No,
            suspects: None,
            round_trip: None,
            round_trip_deviation: Duration::ZERO,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn detector() -> Detector {
        Detector::new(DetectorOptions::default())
    }

    #[test]
    fn a_silent_leader_is_suspected_after_its_patience_and_not_before() {
        let mut detector = detector();
        detector.beat(1, 7, Leads::Yes, ms(1_000));
        assert!(!detector.suspects(1, ms(1_400)));
        assert!(detector.suspects(1, ms(1_401)));
        detector.beat(1, 7, Leads::Yes, ms(1_402));
        assert!(!detector.suspects(1, ms(1_500)));
    }

    #[test]
    fn an_unheard_leader_is_not_suspected() {
        let mut detector = detector();
        assert!(!detector.suspects(9, ms(1_000_000)));
        detector.beat(9, 1, Leads::No, ms(0));
        assert!(!detector.suspects(9, ms(1_000_000)));
    }

    #[test]
    fn a_leader_that_lives_and_leads_no_more_is_suspected() {
        let mut detector = detector();
        detector.beat(1, 7, Leads::Yes, ms(1_000));
        for beat in 1..=5 {
            detector.beat(1, 7, Leads::No, ms(1_000 + beat * 100));
            detector.answer(1, ms(1_000 + beat * 100), ms(1_000 + beat * 100));
        }
        assert!(detector.suspects(1, ms(1_501)));
    }

    #[test]
    fn an_append_is_a_sign_of_leading_and_protects_for_the_lease() {
        let mut detector = detector();
        assert!(!detector.protects(1, ms(0)));
        detector.append(1, ms(1_000));
        assert!(!detector.suspects(1, ms(1_400)) && detector.protects(1, ms(1_400)));
        // Suspected before the lease is over: not protected any more.
        assert!(detector.suspects(1, ms(1_401)) && !detector.protects(1, ms(1_401)));
        // Beats alone do not protect a leader whose appends have stopped.
        for beat in 0..10 {
            detector.beat(1, 7, Leads::Yes, ms(1_000 + beat * 100));
        }
        assert!(detector.protects(1, ms(1_600)) && !detector.protects(1, ms(1_601)));
    }

    #[test]
    fn the_options_follow_from_the_timers() {
        let options = |heartbeat, least, most| {
            let DetectorOptions {
                beat_interval,
                beats_missed_max,
                suspect_after_min,
                lease,
            } = DetectorOptions::for_timers(ms(heartbeat), ms(least), ms(most));
            let beats = beat_interval * beats_missed_max;
            (beat_interval, beats.max(suspect_after_min), lease)
        };
        assert_eq!(options(60, 200, 400), (ms(15), ms(200), ms(400)));
        assert_eq!(options(200, 260, 480), (ms(50), ms(260), ms(480)));
        assert_eq!(options(400, 300, 900), (ms(100), ms(400), ms(900)));
        assert_eq!(options(10, 50, 60), (ms(5), ms(50), ms(60)));
    }

    #[test]
    fn jitter_of_the_round_trip_lengthens_the_patience() {
        let mut detector = detector();
        detector.answer(1, ms(0), ms(80));
        assert_eq!(detector.peer(1).unwrap().round_trip, Some(ms(80)));
        assert_eq!(detector.patience(1), ms(400 + 4 * 40));
        for beat in 1..100 {
            detector.answer(1, ms(beat * 100), ms(beat * 100 + 80));
        }
        assert!(detector.patience(1) < ms(405));
    }

    #[test]
    fn answers_of_another_clock_are_dropped() {
        let mut detector = detector();
        detector.answer(1, ms(500), ms(400));
        detector.answer(1, ms(0), ms(61_000));
        assert!(detector.peer(1).is_none());
    }

    #[test]
    fn a_late_beat_of_an_older_term_does_not_change_who_leads() {
        let mut detector = detector();
        detector.beat(1, 8, Leads::No, ms(10));
        detector.beat(1, 7, Leads::Yes, ms(11));
        let pulse = detector.peer(1).unwrap();
        assert_eq!((pulse.term, pulse.leads), (8, Leads::No));
    }

    #[test]
    fn only_beats_of_a_leader_of_the_latest_term_are_word_of_the_group() {
        let mut detector = detector();
        detector.beat(1, 7, Leads::No, ms(10));
        assert_eq!(detector.in_touch_at(), None);
        detector.beat(1, 7, Leads::Yes, ms(20));
        detector.answer(1, ms(25), ms(30));
        assert_eq!(detector.in_touch_at(), Some(ms(20)));
        detector.beat(2, 8, Leads::No, ms(40));
        detector.beat(1, 7, Leads::Yes, ms(50));
        assert_eq!(detector.in_touch_at(), Some(ms(20)));
        detector.beat(2, 8, Leads::Yes, ms(60));
        assert_eq!(detector.in_touch_at(), Some(ms(60)));
    }

    #[test]
    fn memory_is_bounded_and_the_stalest_peer_goes() {
        let mut detector = detector();
        for peer in 0..1_000 {
            detector.beat(peer, 1, Leads::No, ms(peer));
        }
        assert_eq!(detector.peers.len(), PEERS_MAX);
        assert!(detector.peer(999).is_some() && detector.peer(0).is_none());
    }
}
