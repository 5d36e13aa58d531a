//! Where everything stands: the head and the legend, faults, clients, and a lane for each node, from top to bottom.

use stellara_raft_store::types::NodeId;

use super::Format;
use super::lanes::stretches;
use super::picture::{Answered, Lane, MessageKind, Picture};
use super::scene::{
    LEFT, Marks, RIGHT, Scale, Scene, escaped, grouped, step_ms, text_width, told,
};
use crate::record::Record;
use crate::runtime::SimTime;

mod calls;
mod messages;

/// Where the plot begins, from the top.
const TOP: f64 = 132.0;
/// A row of fault names or violations.
const ROW: f64 = 23.0;
/// Rows of names at most; other faults are only bands.
const ROWS_MAX: usize = 6;
/// A node's lane, and what is between two of them.
const LANE: f64 = 84.0;
const BETWEEN: f64 = 30.0;
/// The bar that shows the role.
const BAR: f64 = 22.0;
/// The step line of the log, from the lane's top to its bottom.
const STEPS: (f64, f64) = (40.0, 78.0);

/// Everything that helps to place a mark.
struct Plan<'a> {
    picture: &'a Picture,
    format: Format,
    scale: Scale,
    /// The top of each node's lane.
    tops: Vec<(NodeId, f64)>,
    clients_top: f64,
    clients_height: f64,
    bottom: f64,
}

impl Plan<'_> {
    fn top(&self, node_id: NodeId) -> Option<f64> {
        let found = self.tops.iter().find(|(id, _)| *id == node_id);
        found.map(|(_, top)| *top)
    }

    /// Milliseconds since the cluster was ready.
    fn ms(&self, at: SimTime) -> f64 {
        (at.as_ns() as f64 - self.picture.ready_at.as_ns() as f64) / 1e6
    }

    fn told_ms(&self, at: SimTime) -> String {
        format!("{:.3} ms", self.ms(at))
    }
}

/// Lays a picture out.
pub(super) fn scene(record: &Record, picture: &Picture, format: Format) -> Scene {
    let (from, to) = picture.window;
    let scale = Scale { from, to };
    let (bands, rows) = names(picture, scale);
    let clients_top = TOP + 8.0 + ROW * rows as f64;
    let clients_height = calls::height(picture);
    let first = clients_top + clients_height + BETWEEN - 6.0;
    let tops = picture.lanes.iter().enumerate();
    let tops: Vec<_> = tops
        .map(|(nth, lane)| (lane.node_id, first + nth as f64 * (LANE + BETWEEN)))
        .collect();
    let bottom = tops.last().map_or(first, |(_, top)| top + LANE) + 10.0;
    let plan = Plan {
        picture,
        format,
        scale,
        tops,
        clients_top,
        clients_height,
        bottom,
    };
    let (mut frame, mut marks) = (Marks::default(), Marks::default());
    let title = record.plan.scenario.clone();
    let subtitle = subtitle(record, &plan);
    head(&mut frame, &title, &subtitle);
    legend(&mut frame, &plan);
    axis(&mut frame, &plan);
    for lane in &picture.lanes {
        lane_frame(&mut frame, &plan, lane);
    }
    calls::frame(&mut frame, &plan);
    fault_bands(&mut marks, &plan, &bands);
    for lane in &picture.lanes {
        log_steps(&mut marks, &plan, lane.node_id);
        syncs(&mut marks, &plan, lane.node_id);
    }
    messages::paint(&mut marks, &plan);
    for lane in &picture.lanes {
        roles(&mut marks, &plan, lane.node_id);
    }
    calls::paint(&mut marks, &plan);
    violations(&mut marks, &plan);
    Scene {
        title,
        subtitle,
        height: bottom + 30.0,
        plot: (TOP, bottom),
        window_ms: (plan.ms(from), plan.ms(to)),
        frame,
        marks,
    }
}

fn subtitle(record: &Record, plan: &Plan<'_>) -> String {
    let picture = plan.picture;
    let (from, to) = picture.window;
    let mut text = format!(
        "seed {} · {} nodes · {} to {} ms after the cluster was ready",
        record.plan.seed,
        picture.lanes.len(),
        grouped(plan.ms(from)),
        grouped(plan.ms(to)),
    );
    if let [span_ms] = record.outcome.failover_ms[..] {
        text.push_str(&format!(" · writes were back after {} ms", grouped(span_ms as f64)));
    }
    if picture.left_out > 0 {
        text.push_str(&format!(" · {} later messages are not shown", picture.left_out));
    }
    text
}

fn head(frame: &mut Marks, title: &str, subtitle: &str) {
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
fn legend(frame: &mut Marks, plan: &Plan<'_>) {
    let mut x = 24.0;
    let y = 84.0;
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
        x, y + 5.0, x + 14.0, y + 4.0
    ));
    x += 56.0;
    let used: std::collections::BTreeSet<&str> = picture
        .calls
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
        x += 32.0 + text_width(name);
    }
    frame.put(format_args!(
        "<path class=\"commit\" d=\"M{x} {}h8v-7h9\"/><text x=\"{}\" y=\"{}\">committed entries</text>\
         <path class=\"sync\" d=\"M{} {}v8\"/><text x=\"{}\" y=\"{}\">disk sync</text>",
        y + 4.0,
        x + 23.0,
        y + 4.0,
        x + 144.0,
        y - 4.0,
        x + 151.0,
        y + 4.0
    ));
}

fn axis(frame: &mut Marks, plan: &Plan<'_>) {
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

fn lane_frame(frame: &mut Marks, plan: &Plan<'_>, lane: &Lane) {
    let Some(top) = plan.top(lane.node_id) else {
        return;
    };
    frame.put(format_args!(
        "<g id=\"node-{}\"><rect class=\"lane\" x=\"12\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
         <text class=\"name\" x=\"24\" y=\"{}\">{}</text><text class=\"muted\" x=\"24\" y=\"{}\">node {}</text>",
        lane.node_id,
        top - 5.0,
        RIGHT - 6.0,
        LANE + 8.0,
        top + 16.0,
        escaped(&lane.region),
        top + 33.0,
        lane.node_id
    ));
    let own = plan.picture.indexes.iter();
    let own = own.filter(|index| index.node_id == lane.node_id);
    let ends = own.clone().next().zip(own.last());
    if let Some((first, last)) = ends {
        frame.put(format_args!(
            "<text class=\"muted\" x=\"24\" y=\"{}\">entries {} → {}</text>",
            top + STEPS.1 - 6.0,
            first.committed,
            last.committed
        ));
    }
    frame.put(format_args!("</g>"));
}

/// A fault with the row in which its name stands, if it has one.
type Band<'a> = (&'a super::picture::FaultBand, Option<usize>);

/// Gives each fault of the window a row for its name, the first that is free; answers how many rows there are.
fn names(picture: &Picture, scale: Scale) -> (Vec<Band<'_>>, usize) {
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

fn fault_bands(marks: &mut Marks, plan: &Plan<'_>, bands: &[Band<'_>]) {
    for (fault, row) in bands {
        let ended_at = fault.ended_at.unwrap_or(plan.picture.ended_at);
        let (x, end) = (plan.scale.within(fault.begun_at), plan.scale.within(ended_at));
        let width = (end - x).max(1.5);
        let name = escaped(&fault.name);
        let text = || {
            let until = fault.ended_at.map_or("the end".into(), |at| plan.told_ms(at));
            format!("{}\n{} to {until}", fault.name, plan.told_ms(fault.begun_at))
        };
        marks.put(format_args!("<g class=\"fault\">"));
        let hit = plan.tops.iter();
        let hit = hit.filter(|(id, _)| fault.nodes.is_empty() || fault.nodes.contains(id));
        for (_, top) in hit {
            marks.put(format_args!(
                "<rect class=\"band\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\">{}</rect>",
                top - 5.0,
                LANE + 8.0,
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

fn roles(marks: &mut Marks, plan: &Plan<'_>, node_id: NodeId) {
    let Some(top) = plan.top(node_id) else {
        return;
    };
    let end = plan.picture.ended_at;
    for one in stretches(&plan.picture.changes, node_id, end) {
        if !plan.scale.shows(one.from, one.to) {
            continue;
        }
        let (x, end) = (plan.scale.within(one.from), plan.scale.within(one.to));
        if end - x < 0.3 {
            continue;
        }
        let class = one.look.class();
        let (long, short) = one.look.words();
        let span = || {
            let span_ms = (one.to - one.from).as_secs_f64() * 1e3;
            format!("{long}\nfrom {}, for {span_ms:.3} ms", plan.told_ms(one.from))
        };
        marks.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"3\">{}</rect>",
            (end - x - 0.8).max(0.8),
            told(plan.format, span)
        ));
        let fits = |text: &&String| text_width(text) + 12.0 <= end - x;
        let label = [&long, &short].into_iter().find(fits);
        if label.is_some_and(|label| !label.is_empty()) || plan.format == Format::Html {
            marks.put(format_args!(
                "<text class=\"on-{class}\" x=\"{:.1}\" y=\"{}\" data-a=\"{x:.1}\" data-b=\"{end:.1}\" \
                 data-l=\"{long}\" data-s=\"{short}\">{}</text>",
                x + 6.0,
                top + 15.0,
                label.map_or("", String::as_str)
            ));
        }
    }
}

/// The step line of what is committed, over the area of what is applied; one scale for all nodes.
fn log_steps(marks: &mut Marks, plan: &Plan<'_>, node_id: NodeId) {
    let all = plan.picture.indexes.iter();
    let least = all.clone().map(|index| index.committed.min(index.applied)).min();
    let most = all.map(|index| index.committed.max(index.applied)).max();
    let (Some(top), Some(least), Some(most)) = (plan.top(node_id), least, most) else {
        return;
    };
    let (high, low) = (top + STEPS.0, top + STEPS.1);
    let height = |index: u64| low - (low - high) * (index - least) as f64 / (most - least).max(1) as f64;
    let own = plan.picture.indexes.iter();
    let own: Vec<_> = own.filter(|index| index.node_id == node_id).collect();
    let (mut committed, mut applied) = (String::new(), String::new());
    let mut before: Option<(f64, f64)> = None;
    for index in own {
        let x = plan.scale.within(index.at);
        let (done, sure) = (height(index.applied), height(index.committed));
        if let Some((done_before, sure_before)) = before {
            applied.push_str(&format!("{x:.1},{done_before:.1} "));
            committed.push_str(&format!("{x:.1},{sure_before:.1} "));
        } else {
            applied.push_str(&format!("{x:.1},{low} "));
        }
        applied.push_str(&format!("{x:.1},{done:.1} "));
        committed.push_str(&format!("{x:.1},{sure:.1} "));
        before = Some((done, sure));
    }
    let Some((done, sure)) = before else {
        return;
    };
    let end = plan.scale.within(plan.picture.ended_at);
    marks.put(format_args!(
        "<polygon class=\"applied\" points=\"{applied}{end:.1},{done:.1} {end:.1},{low}\"/>\
         <polyline class=\"commit\" points=\"{committed}{end:.1},{sure:.1}\"/>"
    ));
}

fn syncs(marks: &mut Marks, plan: &Plan<'_>, node_id: NodeId) {
    let Some(top) = plan.top(node_id) else {
        return;
    };
    let (y, low) = (top + BAR + 3.0, top + BAR + 9.0);
    for sync in plan.picture.syncs.iter().filter(|one| one.node_id == node_id) {
        let ended_at = sync.ended_at.unwrap_or(plan.picture.ended_at);
        if !plan.scale.shows(sync.begun_at, ended_at) {
            continue;
        }
        let (x, end) = (plan.scale.within(sync.begun_at), plan.scale.within(ended_at));
        let text = || {
            let span_ms = (ended_at - sync.begun_at).as_secs_f64() * 1e3;
            format!("disk sync\nfrom {}, for {span_ms:.3} ms", plan.told_ms(sync.begun_at))
        };
        let text = told(plan.format, text);
        if end - x > 3.0 {
            let mid = (y + low) / 2.0;
            marks.put(format_args!(
                "<line class=\"syncing\" x1=\"{x:.1}\" x2=\"{end:.1}\" y1=\"{mid}\" y2=\"{mid}\">{text}</line>"
            ));
        }
        marks.put(format_args!(
            "<line class=\"sync\" x1=\"{end:.1}\" x2=\"{end:.1}\" y1=\"{y}\" y2=\"{low}\">{text}</line>"
        ));
    }
}

fn violations_shown(
    picture: &Picture,
    scale: Scale,
) -> impl Iterator<Item = &crate::invariants::Violation> {
    let at = |ns: u64| SimTime::from_ns(ns);
    let mut all: Vec<_> = picture.violations.iter().collect();
    all.sort_by_key(|one| one.at_ns);
    all.into_iter()
        .filter(move |one| scale.shows(at(one.at_ns), at(one.at_ns)))
}

/// A red line for each, and the words of the first.
fn violations(marks: &mut Marks, plan: &Plan<'_>) {
    for (nth, one) in violations_shown(plan.picture, plan.scale).enumerate() {
        let x = plan.scale.x(SimTime::from_ns(one.at_ns));
        let by = one.node_id.map_or(String::new(), |id| format!(" by node {id}"));
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
