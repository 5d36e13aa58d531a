//! Messages as arrows between lanes: from the sender's when it left to the receiver's when it was heard.

use std::collections::BTreeMap;

use stellara_raft_store::types::NodeId;

use super::{LANE, PAD, Plan};
use crate::runtime::SimTime;
use crate::timeline::picture::{Leg, Message, MessageKind};
use crate::timeline::scene::{Marks, told};

/// What is heard this much later than it was due was held up: by a cut, or by who should have read it.
const HELD_UP_NS: u64 = 300_000_000;
/// How far a lost message is drawn, from its sender's lane: no other lane hides its end.
const LOST_AT: f64 = 30.0;
/// Of a way on which nothing ever arrived.
const WAY_NS: u64 = 80_000_000;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Heard then, or still on its way.
    Arrives(SimTime),
    /// Lost; or held up, and heard then.
    Lost(Option<SimTime>),
}

fn fate(message: &Message, end: SimTime) -> Fate {
    let late =
        |heard: SimTime, due: SimTime| heard.as_ns() > due.as_ns().saturating_add(HELD_UP_NS);
    match (message.heard_at, message.due) {
        (Some(heard), Some(due)) if late(heard, due) => Fate::Lost(Some(heard)),
        (Some(heard), Some(_) | None) => Fate::Arrives(heard),
        (None, Some(due)) if due >= end => Fate::Arrives(due),
        (None, Some(_) | None) => Fate::Lost(None),
    }
}

/// The least time that a message took on each way.
fn ways(messages: &[Message]) -> BTreeMap<(NodeId, NodeId), u64> {
    let mut ways = BTreeMap::new();
    for message in messages {
        if let Some(due) = message.due {
            let span_ns = due.as_ns().saturating_sub(message.sent_at.as_ns());
            let least: &mut u64 = ways.entry((message.from, message.to)).or_insert(span_ns);
            *least = span_ns.min(*least);
        }
    }
    ways
}

/// Paints them, the most frequent first.
pub(super) fn paint(marks: &mut Marks, plan: &Plan<'_>) {
    let ways = ways(&plan.picture.messages);
    for kind in MessageKind::ALL.into_iter().rev() {
        let mut whole = Marks::default();
        let mut lost = Marks::default();
        for message in plan.picture.messages.iter().filter(|one| one.kind == kind) {
            let way_ns = ways.get(&(message.from, message.to)).copied();
            arrow(
                (&mut whole, &mut lost),
                plan,
                message,
                way_ns.unwrap_or(WAY_NS),
            );
        }
        let class = kind.class();
        if !whole.as_str().is_empty() {
            marks.put(format_args!(
                "<g class=\"m {class}\">\n{}</g>",
                whole.as_str()
            ));
        }
        if !lost.as_str().is_empty() {
            marks.put(format_args!(
                "<g class=\"m {class} lost\">\n{}</g>",
                lost.as_str()
            ));
        }
    }
}

fn arrow((whole, lost): (&mut Marks, &mut Marks), plan: &Plan<'_>, message: &Message, way_ns: u64) {
    let tops = plan.top(message.from).zip(plan.top(message.to));
    let Some((from, to)) = tops else {
        return;
    };
    let (y1, y2) = match from < to {
        true => (from + LANE + PAD, to - PAD),
        false => (from - PAD, to + LANE + PAD),
    };
    let fate = fate(message, plan.picture.ended_at);
    let sent_at = message.sent_at;
    let due_ns = message
        .due
        .map_or(way_ns, |due| due.as_ns() - sent_at.as_ns());
    let arrives = match fate {
        Fate::Arrives(at) => at,
        Fate::Lost(_) => SimTime::from_ns(sent_at.as_ns() + due_ns),
    };
    if !plan.scale.shows(sent_at, arrives) {
        return;
    }
    let text = told(plan.format, || words(plan, message, fate));
    let leg = match message.leg {
        Leg::There => "",
        Leg::Back => " class=\"b\"",
    };
    let (x1, x2) = (plan.scale.x(sent_at), plan.scale.x(arrives));
    match fate {
        Fate::Arrives(_) => whole.put(format_args!(
            "<line{leg} x1=\"{x1:.1}\" y1=\"{y1}\" x2=\"{x2:.1}\" y2=\"{y2}\">{text}</line>"
        )),
        Fate::Lost(_) => {
            let part = LOST_AT / (y2 - y1).abs().max(LOST_AT);
            let (x, y) = (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part);
            lost.put(format_args!(
                "<line x1=\"{x1:.1}\" y1=\"{y1}\" x2=\"{x:.1}\" y2=\"{y:.1}\">{text}</line>\
                 <text x=\"{x:.1}\" y=\"{:.1}\">×</text>",
                y + 5.0
            ));
        }
    }
}

fn words(plan: &Plan<'_>, message: &Message, fate: Fate) -> String {
    let what = match (message.kind, message.leg) {
        (MessageKind::Heartbeat, _) => "heartbeat",
        (kind, Leg::There) => kind.name(),
        (kind, Leg::Back) => &format!("answer to {}", kind.name()),
    };
    let span_ms = |at: SimTime| (at - message.sent_at).as_secs_f64() * 1e3;
    let became = match fate {
        Fate::Arrives(at) => format!("heard after {:.3} ms", span_ms(at)),
        Fate::Lost(None) => "lost".to_owned(),
        Fate::Lost(Some(at)) => format!("held up, heard after {:.3} ms", span_ms(at)),
    };
    format!(
        "{what}, {} bytes\nnode {} → node {}\nsent at {}\n{became}",
        message.bytes,
        message.from,
        message.to,
        plan.told_ms(message.sent_at)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_is_lost_or_held_up() {
        let at = SimTime::from_ms;
        let message = |due: Option<u64>, heard: Option<u64>| Message {
            from: 1,
            to: 2,
            kind: MessageKind::Append,
            leg: Leg::There,
            bytes: 9,
            sent_at: at(10),
            due: due.map(at),
            heard_at: heard.map(at),
        };
        let cases = [
            (message(Some(40), Some(41)), Fate::Arrives(at(41))),
            (message(Some(40), None), Fate::Lost(None)),
            (message(None, None), Fate::Lost(None)),
            (message(Some(4_000), None), Fate::Arrives(at(4_000))),
            (message(Some(40), Some(900)), Fate::Lost(Some(at(900)))),
        ];
        for (message, expected) in cases {
            assert_eq!(fate(&message, at(1_000)), expected);
        }
    }
}
