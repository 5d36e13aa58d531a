//! Where everything stands: the head and the legend, faults, clients, and a lane for each node, from top to bottom.

use stellara_raft_store::types::NodeId;

use super::Format;
use super::lanes::stretches;
use super::picture::{Lane, Picture};
use super::scene::{Marks, RIGHT, Scale, Scene, escaped, grouped, text_width, told};
use crate::record::Record;
use crate::runtime::SimTime;

mod calls;
mod head;
mod messages;
mod troubles;

/// Where the plot begins, from the top.
const TOP: f64 = 142.0;
/// A row of fault names or violations.
const ROW: f64 = 23.0;
/// A node's lane, and what is between two of them.
const LANE: f64 = 82.0;
const BETWEEN: f64 = 62.0;
/// How far a lane's card reaches beyond it, above and below.
const PAD: f64 = 6.0;
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
    let (bands, rows) = troubles::names(picture, scale);
    let clients_top = TOP + 8.0 + ROW * rows as f64;
    let clients_height = calls::height(picture);
    let first = clients_top + clients_height + 24.0;
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
    let (mut frame, mut cards) = (Marks::default(), Marks::default());
    let (mut arrows, mut marks) = (Marks::default(), Marks::default());
    let title = record.plan.scenario.clone();
    let subtitle = subtitle(record, &plan);
    head::head(&mut frame, &title, &subtitle);
    head::legend(&mut frame, &plan);
    head::axis(&mut frame, &plan);
    for lane in &picture.lanes {
        lane_frame(&mut cards, &plan, lane);
    }
    calls::frame(&mut cards, &plan);
    messages::paint(&mut arrows, &plan);
    troubles::fault_bands(&mut marks, &plan, &bands);
    for lane in &picture.lanes {
        log_steps(&mut marks, &plan, lane.node_id);
        syncs(&mut marks, &plan, lane.node_id);
    }
    for lane in &picture.lanes {
        roles(&mut marks, &plan, lane.node_id);
    }
    calls::paint(&mut marks, &plan);
    troubles::violations(&mut marks, &plan);
    Scene {
        title,
        subtitle,
        height: bottom + 30.0,
        plot: (TOP, bottom),
        window_ms: (plan.ms(from), plan.ms(to)),
        frame,
        messages: arrows,
        cards,
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
        text.push_str(&format!(
            " · writes were back after {} ms",
            grouped(span_ms as f64)
        ));
    }
    if picture.left_out > 0 {
        text.push_str(&format!(
            " · {} later messages are not shown",
            picture.left_out
        ));
    }
    text
}

fn lane_frame(frame: &mut Marks, plan: &Plan<'_>, lane: &Lane) {
    let Some(top) = plan.top(lane.node_id) else {
        return;
    };
    frame.put(format_args!(
        "<g id=\"node-{}\"><rect class=\"lane card\" x=\"12\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
         <text class=\"name\" x=\"24\" y=\"{}\">{}</text><text class=\"muted\" x=\"24\" y=\"{}\">node {}</text>",
        lane.node_id,
        top - PAD,
        RIGHT - 6.0,
        LANE + 2.0 * PAD,
        top + 16.0,
        escaped(&lane.region),
        top + 33.0,
        lane.node_id
    ));
    let own = plan.picture.indexes.iter();
    let mut own = own.filter(|index| index.node_id == lane.node_id);
    let ends = own.clone().next().zip(own.next_back());
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
            format!(
                "{long}\nfrom {}, for {span_ms:.3} ms",
                plan.told_ms(one.from)
            )
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
    let least = all
        .clone()
        .map(|index| index.committed.min(index.applied))
        .min();
    let most = all.map(|index| index.committed.max(index.applied)).max();
    let (Some(top), Some(least), Some(most)) = (plan.top(node_id), least, most) else {
        return;
    };
    let (high, low) = (top + STEPS.0, top + STEPS.1);
    let height =
        |index: u64| low - (low - high) * (index - least) as f64 / (most - least).max(1) as f64;
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
    for sync in plan
        .picture
        .syncs
        .iter()
        .filter(|one| one.node_id == node_id)
    {
        let ended_at = sync.ended_at.unwrap_or(plan.picture.ended_at);
        if !plan.scale.shows(sync.begun_at, ended_at) {
            continue;
        }
        let (x, end) = (
            plan.scale.within(sync.begun_at),
            plan.scale.within(ended_at),
        );
        let text = || {
            let span_ms = (ended_at - sync.begun_at).as_secs_f64() * 1e3;
            format!(
                "disk sync\nfrom {}, for {span_ms:.3} ms",
                plan.told_ms(sync.begun_at)
            )
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
