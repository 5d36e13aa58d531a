//! What a picture needs of a run, kept while it goes on: of this thread's run, if it was asked for.
//!
//! Who records changes nothing: no spawn, no wake, no draw, no event. So a recorded run is the same history as one that
//! is not. What is kept is bounded: a window of time, and so many messages, calls and changes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use stellara_node::node::Vitals;
use stellara_node::ports::peer_link::StreamClass;
use stellara_raft_store::types::NodeId;

use super::picture::{
    Answered, ChangeAt, FaultBand, IndexAt, Lane, Leg, Life, Message, MessageKind, Picture, Sync,
    Turn, Window,
};
use crate::history::{Answer, Asked, History};
use crate::invariants::Violation;
use crate::runtime::{SimTime, now};
use crate::world::Inflicted;

/// Messages kept at most; those that come later are counted.
const MESSAGES_MAX: usize = 20_000;
/// Changes of nodes, syncs and faults kept at most, of each.
const CHANGES_MAX: usize = 20_000;
/// What began this much before the window may still reach into it.
const BEFORE: Duration = Duration::from_secs(1);

/// What a run keeps for a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Nothing: the fastest.
    #[default]
    Off,
    /// What a picture of this window needs.
    Picture(Window),
}

/// Names something that was noted, to say later how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note(u32);

impl Note {
    /// Nothing was noted.
    pub(crate) const NONE: Self = Self(u32::MAX);

    fn of(len: usize) -> Self {
        u32::try_from(len).map_or(Self::NONE, Self)
    }

    fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

struct Recorder {
    picture: Picture,
    window: Option<(SimTime, SimTime)>,
    asked: Window,
    /// What each node was last seen to be, before the window as well.
    turns: BTreeMap<NodeId, Turn>,
    indexes: BTreeMap<NodeId, IndexAt>,
    faults: BTreeMap<u32, usize>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

fn with<T>(note: impl FnOnce(&mut Recorder) -> T) -> Option<T> {
    if !is_on() {
        return None;
    }
    RECORDER.with_borrow_mut(|recorder| recorder.as_mut().map(note))
}

/// Whether this thread's run is recorded.
pub(crate) fn is_on() -> bool {
    ON.get()
}

/// This thread's next run is recorded as asked.
pub(crate) fn start(recording: Recording, regions: &[String]) {
    let recorder = match recording {
        Recording::Off => None,
        Recording::Picture(asked) => Some(Recorder::new(asked, regions)),
    };
    ON.set(recorder.is_some());
    RECORDER.set(recorder);
}

/// The cluster is ready: the moments of a plan count from here.
pub(crate) fn ready(at: SimTime) {
    with(|recorder| {
        recorder.picture.ready_at = at;
        recorder.window = Some(recorder.asked.from_ready(at));
    });
}

/// What comes later is not of the run any more.
pub(crate) fn close(history: &History) {
    with(|recorder| {
        recorder.calls(history);
        recorder.picture.ended_at = now();
    });
    ON.set(false);
}

/// What was recorded, with what did not hold.
pub(crate) fn take(at: SimTime, violations: &[Violation]) -> Option<Picture> {
    ON.set(false);
    let recorder = RECORDER.take()?;
    let mut picture = recorder.picture;
    picture.ended_at = picture.ended_at.max(at);
    picture.violations = violations.to_vec();
    (picture.window.0, picture.window.1) = recorder.window.unwrap_or((SimTime::ZERO, at));
    Some(picture)
}

/// A message leaves. It arrives at `due` if nothing happens to it on the way; it is lost on the way without one.
pub(crate) fn sent(
    (from, to): (NodeId, NodeId),
    kind: (MessageKind, Leg),
    bytes: usize,
    due: Option<SimTime>,
) -> Note {
    let noted = with(|recorder| {
        let at = now();
        if !recorder.wants(at) {
            return Note::NONE;
        }
        let messages = &mut recorder.picture.messages;
        if messages.len() >= MESSAGES_MAX {
            recorder.picture.left_out += 1;
            return Note::NONE;
        }
        messages.push(Message {
            from,
            to,
            kind: kind.0,
            leg: kind.1,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            sent_at: at,
            due,
            heard_at: None,
        });
        Note::of(messages.len() - 1)
    });
    noted.unwrap_or(Note::NONE)
}

/// A message of a stream leaves.
pub(crate) fn sent_on(
    class: StreamClass,
    leg: Leg,
    way: (NodeId, NodeId),
    bytes: usize,
    due: SimTime,
) -> Note {
    let kind = match class {
        StreamClass::Vote => MessageKind::Vote,
        StreamClass::Append => MessageKind::Append,
        StreamClass::ReadIndex => MessageKind::ReadIndex,
        StreamClass::Forward => MessageKind::Forward,
        StreamClass::Snapshot => MessageKind::Snapshot,
    };
    sent(way, (kind, leg), bytes, Some(due))
}

/// A message is heard.
pub(crate) fn heard(note: Note) {
    if note == Note::NONE {
        return;
    }
    with(|recorder| {
        if let Some(message) = recorder.picture.messages.get_mut(note.at()) {
            message.heard_at.get_or_insert(now());
        }
    });
}

/// A message arrives where nobody waits for it any more.
pub(crate) fn unread(note: Note) {
    if note == Note::NONE {
        return;
    }
    with(|recorder| {
        if let Some(message) = recorder.picture.messages.get_mut(note.at()) {
            message.heard_at = message.heard_at.or(message.due);
        }
    });
}

/// A sync of a node's disk begins.
pub(crate) fn sync_begins(node_id: NodeId) -> Note {
    let noted = with(|recorder| {
        let at = now();
        let syncs = &mut recorder.picture.syncs;
        if !recorder.window.is_some_and(|window| touches(window, at)) || syncs.len() >= CHANGES_MAX
        {
            return Note::NONE;
        }
        syncs.push(Sync {
            node_id,
            begun_at: at,
            ended_at: None,
        });
        Note::of(syncs.len() - 1)
    });
    noted.unwrap_or(Note::NONE)
}

/// A sync ends.
pub(crate) fn sync_ends(note: Note) {
    if note == Note::NONE {
        return;
    }
    with(|recorder| {
        if let Some(sync) = recorder.picture.syncs.get_mut(note.at()) {
            sync.ended_at = Some(now());
        }
    });
}

/// Something befalls a node's process or machine.
pub(crate) fn life(node_id: NodeId, life: Life) {
    with(|recorder| recorder.turn(node_id, Turn::Life(life)));
}

/// A node's place in its group is seen.
pub(crate) fn vitals(node_id: NodeId, vitals: &Vitals) {
    with(|recorder| {
        let turn = Turn::Role {
            role: vitals.role,
            term: vitals.term,
        };
        if recorder.turns.get(&node_id) != Some(&turn) {
            recorder.turn(node_id, turn);
        }
        let index = |point: Option<stellara_node::node::LogPoint>| point.map_or(0, |at| at.index);
        recorder.index(IndexAt {
            at: now(),
            node_id,
            committed: index(vitals.committed),
            applied: index(vitals.applied),
        });
    });
}

/// A fault begins; `number` names it.
pub(crate) fn fault_begins(number: u32, name: impl FnOnce() -> String, inflicted: &Inflicted) {
    with(|recorder| {
        let faults = &mut recorder.picture.faults;
        if inflicted.skipped.is_some() || faults.len() >= CHANGES_MAX {
            return;
        }
        let at = now();
        recorder.faults.insert(number, faults.len());
        faults.push(FaultBand {
            name: name(),
            nodes: inflicted.nodes.clone(),
            begun_at: at,
            ended_at: inflicted.relief.is_nothing().then_some(at),
        });
    });
}

/// A fault is over.
pub(crate) fn fault_ends(number: u32) {
    with(|recorder| {
        let at = recorder.faults.get(&number).copied();
        if let Some(fault) = at.and_then(|at| recorder.picture.faults.get_mut(at)) {
            fault.ended_at.get_or_insert(now());
        }
    });
}

fn touches((from, to): (SimTime, SimTime), at: SimTime) -> bool {
    at + BEFORE >= from && at <= to
}

impl Recorder {
    fn new(asked: Window, regions: &[String]) -> Self {
        let lanes = (1..).zip(regions).map(|(node_id, region)| Lane {
            node_id,
            region: region.clone(),
        });
        Self {
            picture: Picture {
                lanes: lanes.collect(),
                ..Picture::default()
            },
            window: asked.before_ready(),
            asked,
            turns: BTreeMap::new(),
            indexes: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    fn wants(&self, at: SimTime) -> bool {
        self.window.is_some_and(|window| touches(window, at))
    }

    fn turn(&mut self, node_id: NodeId, turn: Turn) {
        self.turns.insert(node_id, turn);
        let changes = &mut self.picture.changes;
        if changes.len() < CHANGES_MAX {
            changes.push(ChangeAt {
                at: now(),
                node_id,
                turn,
            });
        }
    }

    /// Of what was before the window only the last is kept.
    fn index(&mut self, seen: IndexAt) {
        let known = self.indexes.insert(seen.node_id, seen);
        let same = known.is_some_and(|known| {
            (known.committed, known.applied) == (seen.committed, seen.applied)
        });
        if same || self.window.is_some_and(|(_, to)| seen.at > to) {
            return;
        }
        let inside = self.window.is_some_and(|(from, _)| seen.at >= from);
        let indexes = &mut self.picture.indexes;
        if !inside {
            indexes.retain(|other| other.node_id != seen.node_id);
        }
        if indexes.len() < CHANGES_MAX {
            indexes.push(seen);
        }
    }

    fn calls(&mut self, history: &History) {
        let Some((from, to)) = self.window else {
            return;
        };
        let end = now();
        history.with(|calls| {
            let touching = calls.all().iter().filter(|call| {
                let ended_at = call.answer.as_ref().map_or(end, |(stamp, _)| stamp.at);
                call.asked_at.at <= to && ended_at >= from
            });
            self.picture
                .calls
                .extend(touching.take(CHANGES_MAX).map(answered));
        });
    }
}

fn answered(call: &crate::history::Call) -> super::picture::Call {
    let asked = match &call.asked {
        Asked::Submit(_) => "submit",
        Asked::Cancel { .. } => "cancel",
        Asked::Read { .. } => "read",
        Asked::Bad(_) => "bad request",
    };
    let answered = call.answer.as_ref().map(|(stamp, answer)| {
        let kind = match answer {
            Answer::Accepted { .. } | Answer::Cancelled => Answered::Acknowledged,
            Answer::Seen(_) => Answered::Read,
            Answer::Refused(_) => Answered::Refused,
            Answer::NotDone(_) => Answered::NotDone,
            Answer::Unknown => Answered::Unknown,
        };
        (stamp.at, kind)
    });
    super::picture::Call {
        client: call.client,
        node_id: call.node_id,
        asked,
        asked_at: call.asked_at.at,
        answered,
    }
}
