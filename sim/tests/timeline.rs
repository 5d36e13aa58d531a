//! A recorded run as a picture: recording changes nothing, what happened is in the picture, and the picture is well-formed.

use stellara_node::gateway::Role;
use stellara_sim::record::{Record, RecordError};
use stellara_sim::run::{RunOptions, run};
use stellara_sim::scenario::Scenario;
use stellara_sim::timeline::picture::{Answered, MessageKind, Picture, Turn, Window};
use stellara_sim::timeline::recorder::Recording;
use stellara_sim::timeline::{Format, TimelineError, draw, replay, window};

fn recorded(scenario: &str, for_ms: u64) -> Record {
    let mut scenario = Scenario::named(scenario).expect("it is of the catalogue");
    scenario.for_ms = for_ms;
    let plan = scenario.plan(1);
    let outcome = run(&plan, &RunOptions::default()).outcome;
    Record::new(plan, outcome)
}

fn picture(record: &Record) -> Picture {
    let window = window(record, None, None).expect("there is a usual one");
    replay(record, window).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn recording_changes_no_history() {
    let record = recorded("chaos", 6_000);
    let window = Window::Ready {
        from_ms: 0,
        to_ms: 6_000,
    };
    let options = RunOptions {
        record: Recording::Picture(window),
        ..RunOptions::default()
    };
    let ran = run(&record.plan, &options);
    assert_eq!(ran.outcome.without_wall(), record.outcome.without_wall());
    let picture = ran.picture.expect("it was asked for");
    assert!(!picture.faults.is_empty() && !picture.syncs.is_empty());
    let again = run(&record.plan, &options)
        .picture
        .expect("it was asked for");
    assert_eq!(picture, again);
    // The next run of this thread is not recorded.
    assert_eq!(run(&record.plan, &RunOptions::default()).picture, None);
}

#[test]
fn a_lost_leader_is_in_its_picture() {
    let record = recorded("region-lost", 10_000);
    let picture = picture(&record);
    let regions: Vec<_> = picture
        .lanes
        .iter()
        .map(|lane| lane.region.as_str())
        .collect();
    assert_eq!(regions, ["us-east-1", "eu-west-1", "ap-southeast-1"]);
    let lost = picture.faults.first().expect("a region is lost");
    assert!(picture.window.0 < lost.begun_at && lost.begun_at < picture.window.1);
    let next = picture.changes.iter().find(|change| {
        let leads = matches!(
            change.turn,
            Turn::Role {
                role: Role::Leader,
                ..
            }
        );
        leads && change.at > lost.begun_at
    });
    let next = next.expect("another leads");
    assert!(!lost.nodes.contains(&next.node_id));
    for kind in [
        MessageKind::Vote,
        MessageKind::Append,
        MessageKind::Heartbeat,
    ] {
        let of = |found: bool| {
            let mut all = picture.messages.iter().filter(|one| one.kind == kind);
            all.any(|one| one.heard_at.is_some() == found)
        };
        assert!(of(true), "no {kind:?} was heard");
        assert!(
            kind == MessageKind::Vote || of(false),
            "no {kind:?} was lost"
        );
    }
    let acknowledged = picture
        .calls
        .iter()
        .filter(|call| matches!(call.answered, Some((at, Answered::Acknowledged)) if at > next.at));
    assert!(acknowledged.count() > 3);
    for format in [Format::Svg, Format::Html] {
        let text = draw(&record, &picture, format);
        for part in [
            "us-east-1",
            "ap-southeast-1",
            "region cut off",
            "leader · term",
            "class=\"m vote",
            "id=\"clients\"",
            "no acknowledgement for",
        ] {
            assert!(text.contains(part), "{format:?}: {part}");
        }
        assert!(
            !text.contains("href=\"http") && !text.contains("src="),
            "{format:?}"
        );
    }
    let svg = draw(&record, &picture, Format::Svg);
    assert!(!svg.contains("<script"));
    well_formed(&svg);
    let page = draw(&record, &picture, Format::Html);
    let (from, to) = (page.find("<svg").unwrap(), page.find("</svg>").unwrap() + 6);
    well_formed(&page[from..to]);
}

#[test]
fn a_violation_is_shown_with_its_words() {
    let mut record = recorded("calm", 3_000);
    let calm = picture(&record);
    let at = calm.ready_at + std::time::Duration::from_millis(1_500);
    record
        .outcome
        .violations
        .push(stellara_sim::invariants::Violation {
            invariant: "durability".into(),
            at_ns: at.as_ns(),
            node_id: Some(2),
            detail: "entry <7> is gone & \"lost\"".to_owned(),
        });
    let shown = picture(&record);
    assert!(shown.window.0 < at && at < shown.window.1);
    let svg = draw(&record, &shown, Format::Svg);
    well_formed(&svg);
    assert!(svg.contains("durability is broken by node 2: entry &lt;7&gt; is gone"));
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let record = recorded("calm", 500);
    let bad = window(&record, Some(3_000), Some(3_000));
    assert_eq!(
        bad,
        Err(TimelineError::Window {
            from_ms: 3_000,
            to_ms: 3_000
        })
    );
    let format = Format::of(std::path::Path::new("picture.png"));
    let words = format.expect_err("it is no format").to_string();
    assert_eq!(
        words,
        "output \"picture.png\": expected a file that ends in .html or .svg"
    );
    let missing = Record::read(std::path::Path::new("no-such-run.json"));
    assert!(matches!(missing, Err(RecordError::Io { .. })));
    let mut other = record;
    other.outcome.trace_hash = "0".repeat(16);
    let calm = window(&other, None, None).expect("the first seconds");
    let otherwise = replay(&other, calm);
    assert!(matches!(otherwise, Err(TimelineError::Otherwise { .. })));
}

/// Every element ends, attributes are quoted and once each, and no letter stands where it may not.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.trim();
    if let Some(after) = rest.strip_prefix("<?xml") {
        rest = &after[after.find("?>").expect("the head ends") + 2..];
    }
    let mut roots = 0;
    while let Some(at) = rest.find('<') {
        text(&rest[..at]);
        let end = rest[at..].find('>').expect("every tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "an element ends that did not begin last"
            );
            continue;
        }
        let empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        attributes_of(attributes);
        roots += usize::from(open.is_empty());
        if !empty {
            open.push(name);
        }
    }
    text(rest);
    assert!(open.is_empty(), "not ended: {open:?}");
    assert_eq!(roots, 1);
}

fn attributes_of(mut rest: &str) {
    let mut names = std::collections::BTreeSet::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return;
        }
        let (name, after) = rest.split_once("=\"").expect("an attribute has a value");
        assert!(names.insert(name), "{name} is there twice");
        let (value, after) = after.split_once('"').expect("a value ends");
        text(value);
        assert!(
            !value.contains("NaN") && !value.contains("inf"),
            "{name}={value}"
        );
        rest = after;
    }
}

fn text(text: &str) {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
        assert!(
            known.iter().any(|one| text[at..].starts_with(one)),
            "{text}"
        );
    }
}
