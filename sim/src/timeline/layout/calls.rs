//! What clients asked: a line for the wait, a dot for the answer, and the longest time without an acknowledgement.

use super::Plan;
use crate::runtime::SimTime;
use crate::timeline::picture::{Answered, Call, Picture};
use crate::timeline::scene::{LEFT, Marks, RIGHT, grouped, told};

/// The height of a client's row, and what is above and below all of them.
const ROW: f64 = 9.0;
const HEAD: f64 = 20.0;
const FOOT: f64 = 6.0;
/// Clients with a row of their own; those after them share the rows.
const CLIENTS_MAX: u8 = 8;
/// A wait is worth telling when it is this long, and this many times the usual one.
const GAP_MS: f64 = 200.0;
const GAP_TIMES: f64 = 3.0;

pub(super) const fn class(kind: Answered) -> &'static str {
    match kind {
        Answered::Acknowledged => "ack",
        Answered::Read => "read",
        Answered::Refused => "refused",
        Answered::NotDone => "notdone",
        Answered::Unknown => "unknown",
    }
}

pub(super) const fn name(kind: Answered) -> &'static str {
    match kind {
        Answered::Acknowledged => "acknowledged",
        Answered::Read => "read",
        Answered::Refused => "refused",
        Answered::NotDone => "not done",
        Answered::Unknown => "fate unknown",
    }
}

fn rows(picture: &Picture) -> u8 {
    let most = picture.calls.iter().map(|call| call.client).max();
    most.map_or(1, |most| most.saturating_add(1).min(CLIENTS_MAX))
}

/// The height of the lane.
pub(super) fn height(picture: &Picture) -> f64 {
    HEAD + FOOT + ROW * f64::from(rows(picture))
}

pub(super) fn frame(frame: &mut Marks, plan: &Plan<'_>) {
    let top = plan.clients_top;
    frame.put(format_args!(
        "<g id=\"clients\"><rect class=\"lane\" x=\"12\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
         <text class=\"name\" x=\"24\" y=\"{}\">clients</text>\
         <text class=\"muted\" x=\"24\" y=\"{}\">asked — answered</text></g>",
        RIGHT - 6.0,
        plan.clients_height,
        top + 20.0,
        top + 37.0
    ));
}

pub(super) fn paint(marks: &mut Marks, plan: &Plan<'_>) {
    let rows = rows(plan.picture);
    for call in &plan.picture.calls {
        let row = f64::from(call.client % rows);
        let y = plan.clients_top + HEAD + ROW * row + ROW / 2.0;
        let ended_at = call.answered.map_or(plan.picture.ended_at, |(at, _)| at);
        if !plan.scale.shows(call.asked_at, ended_at) {
            continue;
        }
        let (x1, x2) = (
            plan.scale.within(call.asked_at),
            plan.scale.within(ended_at),
        );
        marks.put(format_args!(
            "<line class=\"wait\" x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y}\" y2=\"{y}\"/>"
        ));
        let Some((at, kind)) = call.answered else {
            continue;
        };
        if plan.scale.shows(at, at) {
            marks.put(format_args!(
                "<circle class=\"{}\" cx=\"{x2:.1}\" cy=\"{y}\" r=\"3\">{}</circle>",
                class(kind),
                told(plan.format, || words(plan, call, at, kind))
            ));
        }
    }
    gap(marks, plan);
}

fn words(plan: &Plan<'_>, call: &Call, at: SimTime, kind: Answered) -> String {
    format!(
        "{}: {}\nclient {} through node {}\nasked at {}\nanswered after {:.3} ms",
        call.asked,
        name(kind),
        call.client,
        call.node_id,
        plan.told_ms(call.asked_at),
        (at - call.asked_at).as_secs_f64() * 1e3
    )
}

/// The longest time of the window between two acknowledgements.
fn longest(picture: &Picture, shows: impl Fn(SimTime) -> bool) -> Option<(SimTime, SimTime)> {
    let acknowledged = picture.calls.iter().filter_map(|call| match call.answered {
        Some((at, Answered::Acknowledged)) if shows(at) => Some(at),
        Some(_) | None => None,
    });
    let mut times: Vec<SimTime> = acknowledged.collect();
    times.sort_unstable();
    let mut gaps: Vec<_> = times.windows(2).map(|pair| (pair[0], pair[1])).collect();
    gaps.sort_by_key(|(from, to)| *to - *from);
    let ms = |(from, to): (SimTime, SimTime)| (to - from).as_secs_f64() * 1e3;
    let usual = gaps.get(gaps.len() / 2).copied().map_or(0.0, ms);
    let longest = *gaps.last()?;
    (ms(longest) >= GAP_MS.max(GAP_TIMES * usual)).then_some(longest)
}

fn gap(marks: &mut Marks, plan: &Plan<'_>) {
    let Some((from, to)) = longest(plan.picture, |at| plan.scale.shows(at, at)) else {
        return;
    };
    let (x1, x2) = (plan.scale.x(from).max(LEFT), plan.scale.x(to).min(RIGHT));
    let ms = (to - from).as_secs_f64() * 1e3;
    let (y, high, low) = (
        plan.clients_top + 11.0,
        plan.clients_top + 6.0,
        plan.clients_top + 16.0,
    );
    let text = format!("no acknowledgement for {} ms", grouped(ms));
    let short = format!("{} ms", grouped(ms));
    let label = match crate::timeline::scene::text_width(&text) + 20.0 <= x2 - x1 {
        true => &text,
        false => &short,
    };
    marks.put(format_args!(
        "<g id=\"gap\"><line class=\"gap\" x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
         <line class=\"gap\" x1=\"{x1:.1}\" x2=\"{x1:.1}\" y1=\"{high}\" y2=\"{low}\"/>\
         <line class=\"gap\" x1=\"{x2:.1}\" x2=\"{x2:.1}\" y1=\"{high}\" y2=\"{low}\"/>\
         <text class=\"on-gap\" x=\"{:.1}\" y=\"{}\" data-a=\"{:.1}\" data-b=\"{x2:.1}\" data-l=\"{text}\" data-s=\"{short}\">{label}</text></g>",
        x1 + 12.0,
        y + 4.0,
        x1 + 6.0
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unusual_gap_is_told() {
        let call = |ms: u64| Call {
            client: 0,
            node_id: 1,
            asked: "submit",
            asked_at: SimTime::ZERO,
            answered: Some((SimTime::from_ms(ms), Answered::Acknowledged)),
        };
        let of = |times: &[u64]| Picture {
            calls: times.iter().copied().map(call).collect(),
            ..Picture::default()
        };
        let at = SimTime::from_ms;
        let outage = of(&[100, 150, 1_250, 1_300, 1_350]);
        assert_eq!(longest(&outage, |_| true), Some((at(150), at(1_250))));
        assert_eq!(longest(&of(&[0, 250, 500, 800]), |_| true), None);
        assert_eq!(longest(&of(&[5]), |_| true), None);
    }
}
