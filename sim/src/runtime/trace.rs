//! The trace: a running hash over all events, and on request their text.
//!
//! The hash covers time, kind and numbers of every event and never the text,
//! so it is the same with and without text. Each update is a bijection of the
//! 64-bit state: two histories that differ once do not fall together again
//! unless a later event differs too.

use std::collections::VecDeque;
use std::fmt;

use super::clock::SimTime;
use super::rng::name_hash;

/// What kind of thing happened; make it a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    name: &'static str,
    hash: u64,
}

impl EventKind {
    /// The kind called `name`, one word.
    pub const fn new(name: &'static str) -> Self {
        EventKind {
            name,
            hash: name_hash(name),
        }
    }

    /// The word given to [`EventKind::new`].
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// The state of the trace hash: equal for equal histories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TraceHash({self})")
    }
}

/// Which events are kept as lines of text. The oldest lines give way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceText {
    /// None: the fastest.
    #[default]
    Off,
    /// The events of the world and of the nodes.
    Events {
        /// Lines kept at most.
        lines_max: usize,
    },
    /// Also every poll of every task, to find where two runs part.
    Polls {
        /// Lines kept at most.
        lines_max: usize,
    },
}

pub(super) struct Trace {
    hash: u64,
    events: u64,
    text: TraceText,
    lines: VecDeque<String>,
}

const INITIAL: u64 = 0xa409_3822_299f_31d0;

impl Trace {
    pub(super) fn new(text: TraceText) -> Self {
        Trace {
            hash: INITIAL,
            events: 0,
            text,
            lines: VecDeque::new(),
        }
    }

    pub(super) fn hash(&self) -> TraceHash {
        TraceHash(self.hash)
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }

    fn mix(&mut self, value: u64) {
        let mixed = (self.hash ^ value).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.hash = mixed ^ (mixed >> 32);
    }

    fn record(&mut self, at: SimTime, kind: EventKind, a: u64, b: u64) {
        self.events += 1;
        self.mix(at.as_ns());
        self.mix(kind.hash);
        self.mix(a);
        self.mix(b);
    }

    /// A poll of task `task` of the node `node`: the hot path.
    pub(super) fn poll(&mut self, at: SimTime, task: u64, node: u64) {
        self.record(at, POLL, task, node);
        if let TraceText::Polls { lines_max } = self.text {
            self.push_line(lines_max, format!("{at} {} {task:#x} {node}", POLL.name));
        }
    }

    /// Whether the text of events is kept.
    pub(super) fn keeps_events(&self) -> bool {
        match self.text {
            TraceText::Off => false,
            TraceText::Events { .. } | TraceText::Polls { .. } => true,
        }
    }

    pub(super) fn event(
        &mut self,
        at: SimTime,
        kind: EventKind,
        a: u64,
        b: u64,
        text: Option<String>,
    ) {
        self.record(at, kind, a, b);
        match (self.text, text) {
            (TraceText::Events { lines_max } | TraceText::Polls { lines_max }, Some(text)) => {
                let gap = if text.is_empty() { "" } else { " " };
                self.push_line(lines_max, format!("{at} {} {a} {b}{gap}{text}", kind.name));
            }
            (TraceText::Off | TraceText::Events { .. } | TraceText::Polls { .. }, _) => {}
        }
    }

    pub(super) fn bytes(&mut self, at: SimTime, kind: EventKind, a: u64, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.event(
            at,
            kind,
            a,
            bytes.len() as u64,
            self.keeps_events().then(String::new),
        );
    }

    fn push_line(&mut self, lines_max: usize, line: String) {
        if lines_max == 0 {
            return;
        }
        while self.lines.len() >= lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

const POLL: EventKind = EventKind::new("poll");
