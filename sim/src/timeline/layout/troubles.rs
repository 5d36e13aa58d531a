//! What went wrong: faults as bands over the lanes that they hit, with their names above, and violations as red lines.

use super::{LANE, PAD, Plan, ROW, TOP};
use crate::invariants::Violation;
use crate::runtime::SimTime;
use crate::timeline::picture::{FaultBand, Picture};
use crate::timeline::scene::{LEFT, Marks, RIGHT, Scale, escaped, text_width, told};

/// Rows of names at most; other faults are only bands.
const ROWS_MAX: usize = 6;

/// A fault with the row in which its name stands, if it has one.
pub(super) type Band<'a> = (&'a FaultBand, Option<usize>);

/// Gives each fault of the window a row for its name, the first that is free; answers how many rows there are.
pub(super) fn names(picture: &Picture, scale: Scale) -> (Vec<Band<'_>>, usize) {
    let mut free = Vec::new();
    let mut bands = Vec::new();
    if violations_shown(picture, scale).next().is_some() {
        free.push(f64::INFINITY);
    }
    for fault in &picture.faults {
        let ended_at = fault.ended_at.unwrap_or(picture.ended_at);
        if !scale.shows(fault.begun_at, ended_at) {
            continue;
        }
        let x = scale.within(fault.begun_at);
        let end = scale.within(ended_at).max(x + chip_width(&fault.name));
        let row = free.iter().position(|until| *until <= x);
        let row = row.unwrap_or(free.len());
        if row >= ROWS_MAX {
            bands.push((fault, None));
            continue;
        }
        match free.get_mut(row) {
            Some(until) => *until = end + 4.0,
            None => free.push(end + 4.0),
        }
        bands.push((fault, Some(row)));
    }
    (bands, free.len())
}

fn chip_width(text: &str) -> f64 {
    text_width(text) + 16.0
}

pub(super) fn fault_bands(marks: &mut Marks, plan: &Plan<'_>, bands: &[Band<'_>]) {
    for (fault, row) in bands {
        let ended_at = fault.ended_at.unwrap_or(plan.picture.ended_at);
        let (x, end) = (
            plan.scale.within(fault.begun_at),
            plan.scale.within(ended_at),
        );
        let width = (end - x).max(1.5);
        let name = escaped(&fault.name);
        let text = || {
            let until = fault
                .ended_at
                .map_or("the end".into(), |at| plan.told_ms(at));
            format!(
                "{}\n{} to {until}",
                fault.name,
                plan.told_ms(fault.begun_at)
            )
        };
        marks.put(format_args!("<g class=\"fault\">"));
        let hit = plan.tops.iter();
        let hit = hit.filter(|(id, _)| fault.nodes.is_empty() || fault.nodes.contains(id));
        for (_, top) in hit {
            marks.put(format_args!(
                "<rect class=\"band\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\">{}</rect>",
                top - PAD,
                LANE + 2.0 * PAD,
                told(plan.format, text)
            ));
        }
        if let Some(row) = row {
            let y = TOP + 4.0 + ROW * *row as f64;
            let chip = width.max(chip_width(&fault.name));
            marks.put(format_args!(
                "<line class=\"edge\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\"/>\
                 <rect class=\"chip\" x=\"{x:.1}\" y=\"{y}\" width=\"{chip:.1}\" height=\"{}\" rx=\"4\">{}</rect>\
                 <text class=\"on-chip\" x=\"{:.1}\" y=\"{}\" data-a=\"{x:.1}\" data-b=\"{:.1}\" data-l=\"{name}\">{name}</text>",
                plan.bottom,
                ROW - 4.0,
                told(plan.format, text),
                x + 6.0,
                y + 14.0,
                x + chip + 12.0
            ));
        }
        marks.put(format_args!("</g>"));
    }
}

fn violations_shown(picture: &Picture, scale: Scale) -> impl Iterator<Item = &Violation> {
    let at = |ns: u64| SimTime::from_ns(ns);
    let mut all: Vec<_> = picture.violations.iter().collect();
    all.sort_by_key(|one| one.at_ns);
    all.into_iter()
        .filter(move |one| scale.shows(at(one.at_ns), at(one.at_ns)))
}

/// A red line for each, and the words of the first.
pub(super) fn violations(marks: &mut Marks, plan: &Plan<'_>) {
    for (nth, one) in violations_shown(plan.picture, plan.scale).enumerate() {
        let x = plan.scale.x(SimTime::from_ns(one.at_ns));
        let by = one
            .node_id
            .map_or(String::new(), |id| format!(" by node {id}"));
        let text = format!("{} is broken{by}: {}", one.invariant, one.detail);
        marks.put(format_args!(
            "<line class=\"broken\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\">{}</line>",
            plan.bottom,
            told(plan.format, || text.clone())
        ));
        if nth > 0 {
            continue;
        }
        let letters_max = 120;
        let mut short: String = text.chars().take(letters_max).collect();
        if text.chars().count() > letters_max {
            short.push('…');
        }
        let width = chip_width(&short);
        let left = (x - 8.0).min(RIGHT - width).max(LEFT);
        let short = escaped(&short);
        marks.put(format_args!(
            "<g class=\"violation\"><rect class=\"broken-chip\" x=\"{left:.1}\" y=\"{}\" width=\"{width:.1}\" \
             height=\"{}\" rx=\"4\">{}</rect><text class=\"on-broken\" x=\"{:.1}\" y=\"{}\" data-a=\"{left:.1}\" \
             data-b=\"{RIGHT}\" data-l=\"{short}\" data-s=\"{}\">{short}</text></g>",
            TOP + 3.0,
            ROW - 4.0,
            told(plan.format, || text.clone()),
            left + 6.0,
            TOP + 17.0,
            one.invariant
        ));
    }
}
