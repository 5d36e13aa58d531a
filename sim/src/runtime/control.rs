//! What a scenario and the fake ports call from inside a run.
//!
//! All of these panic outside a simulation. Effects on nodes are events of the
//! trace.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use super::clock::{DriftPpm, SimInstant, SimTime, UnixMs};
use super::core::with_core;
use super::nodes::NodeTag;
use super::rng::RandomStream;
use super::sleep::Sleep;
use super::tasks::{JoinHandle, task};
use super::trace::EventKind;

/// True virtual time.
pub fn now() -> SimTime {
    with_core(|core| core.now())
}

/// The node whose code is running.
pub fn current_node() -> NodeTag {
    with_core(|core| core.place().tag)
}

/// Whether the running code belongs to a node that has been killed: its
/// destructors, or the rest of the poll in which it killed itself. A fake port
/// ignores what such code asks of it.
pub fn is_killed() -> bool {
    with_core(|core| !core.is_live(core.place()))
}

/// Spawns a task that belongs to `node`, and so do the tasks it spawns.
///
/// If the running code is itself killed, the future is dropped at once.
pub fn spawn_on<F>(node: NodeTag, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (task, handle) = task(future);
    with_core(|core| {
        let index = core.nodes.borrow_mut().index(node);
        core.spawn(index, task);
    });
    handle
}

/// As [`spawn_on`], on the node whose code is running.
pub(super) fn spawn_here<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (task, handle) = task(future);
    with_core(|core| core.spawn(core.place().node, task));
    handle
}

/// A crash: drops all tasks of `node` and their timers; returns how many tasks.
///
/// A paused node is no longer paused. A task may kill its own node: it runs to
/// the end of its poll and is then dropped.
///
/// # Panics
///
/// If `node` is [`NodeTag::DRIVER`].
pub fn kill_node(node: NodeTag) -> usize {
    with_core(|core| core.kill(node))
}

/// The process of `node` stops being scheduled, as by SIGSTOP or a long pause
/// of its machine. Its clocks go on; what becomes due waits for [`resume_node`].
pub fn pause_node(node: NodeTag) {
    with_core(|core| core.pause(node));
}

/// The process of `node` is scheduled again.
pub fn resume_node(node: NodeTag) {
    with_core(|core| core.resume(node));
}

/// A random stream of `node` for `purpose`, independent of all others. Asked
/// again, it gives a new stream: a restarted node does not repeat itself.
pub fn stream(node: NodeTag, purpose: &str) -> RandomStream {
    with_core(|core| core.nodes.borrow_mut().stream(node, purpose))
}

/// Waits until `at`, in true time.
pub fn sleep_until(at: SimTime) -> Sleep {
    Sleep::until_true(at)
}

/// Waits for `span` of true time, whatever the drift of the running node: for
/// the network, the disks and the scenario.
pub fn sleep(span: Duration) -> Sleep {
    Sleep::until_true(now() + span)
}

/// Lets any other runnable task go first.
pub async fn yield_now() {
    let mut yielded = Yielded::NotYet;
    poll_fn(|context| match yielded {
        Yielded::Once => Poll::Ready(()),
        Yielded::NotYet => {
            yielded = Yielded::Once;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

enum Yielded {
    NotYet,
    Once,
}

/// What the monotonic clock of `node` reads.
pub fn monotonic_of(node: NodeTag) -> SimInstant {
    with_core(|core| core.nodes.borrow_mut().tagged(node).clock.local(core.now()))
}

/// What the wall clock of `node` shows.
pub fn wall_clock_of(node: NodeTag) -> UnixMs {
    with_core(|core| core.nodes.borrow_mut().tagged(node).clock.wall(core.now()))
}

/// What the wall clock of the running node shows.
pub fn wall_clock() -> UnixMs {
    with_core(|core| {
        core.nodes
            .borrow()
            .get(core.place().node)
            .clock
            .wall(core.now())
    })
}

/// From now on both clocks of `node` run at `drift`. Pending sleeps of the node
/// are met when its clock reads their deadline, at the new rate.
pub fn set_drift(node: NodeTag, drift: DriftPpm) {
    with_core(|core| {
        core.event(DRIFT, node.0, i64::from(drift.ppm()) as u64, String::new);
        let mut nodes = core.nodes.borrow_mut();
        let index = nodes.index(node);
        let clock = &mut nodes.get_mut(index).clock;
        clock.set_drift(core.now(), drift);
        core.timers
            .borrow_mut()
            .reschedule(index, |deadline| clock.true_time(deadline));
    });
}

/// The wall clock of `node` shows its monotonic time plus `offset_ms`.
pub fn set_wall_offset_ms(node: NodeTag, offset_ms: i64) {
    with_core(|core| {
        core.event(WALL_OFFSET, node.0, offset_ms as u64, String::new);
        core.nodes
            .borrow_mut()
            .tagged(node)
            .clock
            .set_wall_offset_ms(offset_ms);
    });
}

/// The wall clock of `node` jumps by `by_ms`, forward or back.
pub fn jump_wall_clock_ms(node: NodeTag, by_ms: i64) {
    with_core(|core| {
        core.event(WALL_JUMP, node.0, by_ms as u64, String::new);
        core.nodes
            .borrow_mut()
            .tagged(node)
            .clock
            .jump_wall_ms(by_ms);
    });
}

/// Adds an event to the trace. The text is made only if lines are kept, and is
/// not part of the hash.
pub fn event(kind: EventKind, a: u64, b: u64, text: impl FnOnce() -> String) {
    with_core(|core| core.event(kind, a, b, text));
}

/// Adds an event with a payload, all of it hashed.
pub fn event_bytes(kind: EventKind, a: u64, bytes: &[u8]) {
    with_core(|core| core.trace.borrow_mut().bytes(core.now(), kind, a, bytes));
}

const DRIFT: EventKind = EventKind::new("drift");
const WALL_OFFSET: EventKind = EventKind::new("wall-offset");
const WALL_JUMP: EventKind = EventKind::new("wall-jump");
