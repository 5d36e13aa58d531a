//! One direction of a stream: frames in order, each with the moment at which it arrives.
//!
//! Nothing here is a task: the reader waits for the next arrival. A cut stalls what had not arrived; healing sends
//! it again; the end of the connection breaks both ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft_rt::AsyncRuntime;
use stellara_node::ports::peer_link::{FRAME_BYTES_MAX, FrameRx, FrameTx, LinkError};
use tokio::sync::Notify;

use super::path::Rank;
use super::state::{SharedState, Way};
use crate::runtime::{EventKind, SimRuntime, SimTime, event_bytes, is_killed, now, sleep_until};
use crate::timeline::picture::Leg;
use crate::timeline::recorder::{self, Note};

/// Bytes under way on one stream before its sender waits.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;

const FRAME: EventKind = EventKind::new("frame");

/// What travels on a stream.
#[derive(Debug)]
pub(super) enum Item {
    /// With what was noted of it for a picture.
    Frame(Bytes, Note),
    /// The service refuses the call, with its reason.
    Refused(String),
    Finished,
    /// The sender is gone without having finished.
    Reset,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Item::Frame(frame, _) => frame.len(),
            Item::Refused(reason) => reason.len(),
            Item::Finished | Item::Reset => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) way: Way,
    leg: Leg,
    rank: Rank,
    flow: Mutex<Flow>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug)]
struct Flow {
    under_way: VecDeque<(SimTime, Item)>,
    bytes: usize,
    last_due: SimTime,
    broken: Option<String>,
    /// When the sender learns that nobody reads any more.
    unread_from: Option<SimTime>,
}

enum Wait {
    Until(SimTime),
    Notified,
}

impl Pipe {
    pub(super) fn new(way: Way, leg: Leg, rank: Rank) -> Arc<Self> {
        Arc::new(Self {
            way,
            leg,
            rank,
            flow: Mutex::new(Flow {
                under_way: VecDeque::new(),
                bytes: 0,
                last_due: SimTime::ZERO,
                broken: None,
                unread_from: None,
            }),
            readable: Notify::new(),
            writable: Notify::new(),
        })
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both ends fail from now on.
    pub(super) fn break_off(&self, why: &str) {
        self.flow().broken.get_or_insert_with(|| why.to_owned());
        self.readable.notify_one();
        self.writable.notify_one();
    }

    /// Nothing arrived from `cut_since` to now: what had not arrived arrives no earlier than `again`.
    pub(super) fn resume(&self, cut_since: SimTime, again: SimTime) {
        let mut flow = self.flow();
        for (due, _) in &mut flow.under_way {
            if *due > cut_since {
                *due = (*due).max(again);
            }
        }
        if flow.last_due > cut_since {
            flow.last_due = flow.last_due.max(again);
        }
        drop(flow);
        self.readable.notify_one();
    }

    /// The way is fast again: what is under way arrives by `by`.
    pub(super) fn hasten(&self, by: SimTime) {
        let mut flow = self.flow();
        for (due, _) in &mut flow.under_way {
            *due = (*due).min(by);
        }
        flow.last_due = flow.last_due.min(by);
        drop(flow);
        self.readable.notify_one();
    }

    fn push(&self, state: &SharedState, mut item: Item) {
        let due = now() + state.transit(self.way, self.rank, item.bytes());
        let cut_since = recorder::is_on().then(|| state.stalled_since(self.way));
        let cut_since = cut_since.flatten();
        let mut flow = self.flow();
        let due = due.max(flow.last_due);
        if let Item::Frame(frame, note) = &mut item
            && let Some(class) = self.rank.class()
        {
            let way = (self.way.from, self.way.to);
            *note = recorder::sent_on(class, self.leg, way, frame.len(), due);
            if flow.unread_from.is_some() && cut_since.is_none() {
                recorder::unread(*note);
            }
        }
        flow.last_due = due;
        flow.bytes += item.bytes();
        flow.under_way.push_back((due, item));
        // Behind others it changes nothing for the reader, who waits for the first.
        let first = flow.under_way.len() == 1;
        drop(flow);
        if first {
            self.readable.notify_one();
        }
    }

    async fn pull(&self, state: &SharedState) -> Result<Item, LinkError> {
        loop {
            let wait = {
                let cut_since = state.stalled_since(self.way);
                let mut flow = self.flow();
                if let Some(why) = &flow.broken {
                    return Err(LinkError::Closed {
                        detail: why.clone(),
                    });
                }
                let due = flow.under_way.front().map(|(due, _)| *due);
                let arrives = due.filter(|due| cut_since.is_none_or(|cut| *due <= cut));
                match arrives {
                    Some(due) if due <= now() => {
                        if let Some((_, item)) = flow.under_way.pop_front() {
                            flow.bytes -= item.bytes();
                            drop(flow);
                            self.writable.notify_one();
                            return Ok(item);
                        }
                        Wait::Notified
                    }
                    Some(due) => Wait::Until(due),
                    None => Wait::Notified,
                }
            };
            match wait {
                Wait::Notified => self.readable.notified().await,
                Wait::Until(due) => {
                    SimRuntime::select2(sleep_until(due), self.readable.notified()).await;
                }
            }
        }
    }
}

/// The sending half of a simulated stream.
#[derive(Debug)]
pub struct SimTx {
    pipe: Arc<Pipe>,
    state: Arc<SharedState>,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

impl SimTx {
    pub(super) fn new(pipe: Arc<Pipe>, state: Arc<SharedState>) -> Self {
        let ended = Ended::No;
        Self { pipe, state, ended }
    }

    /// Refuses a call.
    pub(super) fn refuse(&mut self, reason: String) {
        self.pipe.push(&self.state, Item::Refused(reason));
    }

    async fn room(&self, bytes: usize) -> Result<(), LinkError> {
        let closed = |detail: &str| LinkError::Closed {
            detail: detail.to_owned(),
        };
        loop {
            let unread_from = {
                let flow = self.pipe.flow();
                if let Some(why) = &flow.broken {
                    return Err(closed(why));
                }
                if flow.unread_from.is_some_and(|from| from <= now()) {
                    return Err(closed("the peer stopped reading"));
                }
                if flow.under_way.is_empty() || flow.bytes + bytes <= WINDOW_BYTES {
                    return Ok(());
                }
                flow.unread_from
            };
            match unread_from {
                Some(from) => sleep_until(from).await,
                None => self.pipe.writable.notified().await,
            }
        }
    }
}

impl FrameTx for SimTx {
    async fn send(&mut self, frame: Bytes) -> Result<(), LinkError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(LinkError::TooLarge {
                bytes: frame.len(),
                bytes_max: FRAME_BYTES_MAX,
            });
        }
        self.room(frame.len()).await?;
        self.pipe.push(&self.state, Item::Frame(frame, Note::NONE));
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), LinkError> {
        self.room(0).await?;
        if self.ended == Ended::No {
            self.ended = Ended::Yes;
            self.pipe.push(&self.state, Item::Finished);
        }
        Ok(())
    }
}

impl Drop for SimTx {
    fn drop(&mut self) {
        // A process that died tells nobody.
        if self.ended == Ended::No && !is_killed() {
            self.pipe.push(&self.state, Item::Reset);
        }
    }
}

/// The receiving half of a simulated stream.
#[derive(Debug)]
pub struct SimRx {
    pipe: Arc<Pipe>,
    state: Arc<SharedState>,
}

impl SimRx {
    pub(super) fn new(pipe: Arc<Pipe>, state: Arc<SharedState>) -> Self {
        Self { pipe, state }
    }
}

impl FrameRx for SimRx {
    async fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        match self.pipe.pull(&self.state).await? {
            Item::Frame(frame, note) => {
                recorder::heard(note);
                event_bytes(FRAME, self.pipe.way.code(), &frame);
                Ok(Some(frame))
            }
            Item::Finished => Ok(None),
            Item::Refused(reason) => Err(LinkError::Refused { reason }),
            Item::Reset => Err(LinkError::Closed {
                detail: "the peer gave the stream up".to_owned(),
            }),
        }
    }
}

impl Drop for SimRx {
    fn drop(&mut self) {
        if is_killed() {
            return;
        }
        let span = self.state.transit(self.pipe.way.back(), self.pipe.rank, 0);
        let learns_at = now() + span;
        let cut_since = recorder::is_on().then(|| self.state.stalled_since(self.pipe.way));
        let cut_since = cut_since.flatten();
        let mut flow = self.pipe.flow();
        flow.unread_from = Some(learns_at);
        if recorder::is_on() {
            for (due, item) in &flow.under_way {
                if let Item::Frame(_, note) = item
                    && cut_since.is_none_or(|cut| *due <= cut)
                {
                    recorder::unread(*note);
                }
            }
        }
        drop(flow);
        self.pipe.writable.notify_one();
    }
}
