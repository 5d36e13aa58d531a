//! What stands above the plot: the title, a legend of what is in the picture, and the axis of time.

use std::collections::BTreeSet;

use super::{Plan, TOP, calls};
use crate::timeline::picture::{Answered, MessageKind};
use crate::timeline::scene::{LEFT, Marks, RIGHT, escaped, grouped, step_ms, text_width};

pub(super) fn head(frame: &mut Marks, title: &str, subtitle: &str) {
    frame.put(format_args!(
        "<text class=\"title\" x=\"24\" y=\"36\">{}</text>",
        escaped(title)
    ));
    frame.put(format_args!(
        "<text class=\"muted\" x=\"24\" y=\"56\" font-size=\"13\">{}</text>",
        escaped(subtitle)
    ));
}

/// Only what is in the picture is explained.
pub(super) fn legend(frame: &mut Marks, plan: &Plan<'_>) {
    message_keys(frame, plan, 80.0);
    answer_keys(frame, plan, 102.0);
}

fn message_keys(frame: &mut Marks, plan: &Plan<'_>, y: f64) {
    let mut x = 24.0;
    let picture = plan.picture;
    let seen = |kind: MessageKind| {
        let mut shown = picture.messages.iter();
        shown.any(|one| one.kind == kind && plan.scale.shows(one.sent_at, one.sent_at))
    };
    for kind in MessageKind::ALL.into_iter().filter(|kind| seen(*kind)) {
        let (class, name) = (kind.class(), kind.name());
        frame.put(format_args!(
            "<g class=\"key m {class}\" data-of=\"{class}\"><line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>\
             <text x=\"{}\" y=\"{}\" style=\"text-anchor:start;font:inherit\">{name}</text></g>",
            x + 20.0,
            x + 26.0,
            y + 4.0
        ));
        x += 46.0 + text_width(name);
    }
    frame.put(format_args!(
        "<text x=\"{}\" y=\"{}\" class=\"muted\" font-size=\"15\" font-weight=\"700\">×</text><text x=\"{}\" y=\"{}\">lost</text>",
        x,
        y + 5.0,
        x + 14.0,
        y + 4.0
    ));
}

fn answer_keys(frame: &mut Marks, plan: &Plan<'_>, y: f64) {
    let mut x = 24.0;
    let calls = &plan.picture.calls;
    let used: BTreeSet<&str> = calls
        .iter()
        .filter_map(|call| call.answered.map(|(_, kind)| calls::class(kind)))
        .collect();
    for kind in [
        Answered::Acknowledged,
        Answered::Read,
        Answered::Refused,
        Answered::NotDone,
        Answered::Unknown,
    ] {
        let class = calls::class(kind);
        if !used.contains(class) {
            continue;
        }
        let name = calls::name(kind);
        frame.put(format_args!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{y}\" r=\"3.6\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            x + 4.0,
            x + 13.0,
            y + 4.0
        ));
        x += 30.0 + text_width(name);
    }
    frame.put(format_args!(
        "<path class=\"commit\" d=\"M{x} {}h8v-7h9\"/><text x=\"{}\" y=\"{}\">committed entries</text>\
         <path class=\"sync\" d=\"M{} {}v8\"/><text x=\"{}\" y=\"{}\">disk sync</text>",
        y + 4.0,
        x + 23.0,
        y + 4.0,
        x + 152.0,
        y - 4.0,
        x + 160.0,
        y + 4.0
    ));
}

pub(super) fn axis(frame: &mut Marks, plan: &Plan<'_>) {
    let (from, to) = plan.picture.window;
    let (from_ms, to_ms) = (plan.ms(from), plan.ms(to));
    let step = step_ms(to_ms - from_ms);
    let per_ms = (RIGHT - LEFT) / (to_ms - from_ms);
    let bottom = plan.bottom;
    frame.put(format_args!(
        "<text class=\"muted\" x=\"24\" y=\"{}\">ms since ready</text><g id=\"axis\">",
        TOP - 7.0
    ));
    let mut nth = (from_ms / step).ceil();
    while nth * step <= to_ms {
        let x = LEFT + (nth * step - from_ms) * per_ms;
        let label = grouped(nth * step);
        frame.put(format_args!(
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text class=\"muted mid\" x=\"{x:.1}\" y=\"{}\">{label}</text>\
             <text class=\"muted mid\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
            TOP - 7.0,
            bottom + 16.0
        ));
        nth += 1.0;
    }
    frame.put(format_args!("</g>"));
}
