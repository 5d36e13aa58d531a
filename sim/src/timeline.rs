//! A run as a picture: who led and when, what was sent and lost, how far each node was, what clients had to wait for.
//!
//! A recorded run is run again, with its picture kept, and drawn into one file that needs no other: SVG, or HTML that
//! can be zoomed.

use std::path::Path;

use crate::record::Record;
use crate::run::{RunOptions, run};

pub mod html;
mod lanes;
mod layout;
pub mod picture;
pub mod recorder;
mod scene;
pub mod svg;

use picture::{Picture, Window};
use recorder::Recording;

/// Shown before and after what a picture is about, in milliseconds.
const BEFORE_MS: u64 = 1_000;
const AFTER_MS: u64 = 3_000;
/// Shown of a run in which nothing happens, in milliseconds.
const CALM_MS: u64 = 5_000;
/// The longest window, in milliseconds.
const WINDOW_MS_MAX: u64 = 600_000;

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A still picture, small enough for a page.
    Svg,
    /// A page of its own, to zoom into.
    Html,
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// The file's name says nothing that is known.
    #[error("output {0:?}: expected a file that ends in .html or .svg")]
    Format(String),
    /// The window has no length, or too much of it.
    #[error(
        "window from {from_ms} ms to {to_ms} ms: expected 1 to {WINDOW_MS_MAX} ms, the start first"
    )]
    Window {
        /// Its start, after the cluster was ready.
        from_ms: u64,
        /// Its end.
        to_ms: u64,
    },
    /// The run went otherwise this time.
    #[error(
        "the run went otherwise: trace {found}, recorded {recorded}: the program is not the one that recorded it"
    )]
    Otherwise {
        /// This time.
        found: String,
        /// As recorded.
        recorded: String,
    },
}

impl Format {
    /// The format of a file, by the end of its name.
    ///
    /// # Errors
    /// `Format`.
    pub fn of(path: &Path) -> Result<Self, TimelineError> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("html" | "htm") => Ok(Self::Html),
            Some(_) | None => Err(TimelineError::Format(path.display().to_string())),
        }
    }
}

/// The window of a run: as asked, in milliseconds after the cluster was ready, or around its first violation, else around its first fault, else its
/// first seconds.
///
/// # Errors
/// `Window`.
pub fn window(
    record: &Record,
    from_ms: Option<u64>,
    to_ms: Option<u64>,
) -> Result<Window, TimelineError> {
    let (from_ms, to_ms) = match (from_ms, to_ms) {
        (None, None) => return Ok(usual(record)),
        (Some(from_ms), None) => (from_ms, from_ms.saturating_add(CALM_MS)),
        (None, Some(to_ms)) => (to_ms.saturating_sub(CALM_MS), to_ms),
        (Some(from_ms), Some(to_ms)) => (from_ms, to_ms),
    };
    if from_ms >= to_ms || to_ms - from_ms > WINDOW_MS_MAX {
        return Err(TimelineError::Window { from_ms, to_ms });
    }
    Ok(Window::Ready { from_ms, to_ms })
}

fn usual(record: &Record) -> Window {
    let first = record.outcome.violations.iter().map(|one| one.at_ns).min();
    if let Some(at_ns) = first {
        let ns = |ms: u64| ms * 1_000_000;
        let at = crate::runtime::SimTime::from_ns;
        return Window::Absolute {
            from: at(at_ns.saturating_sub(ns(BEFORE_MS))),
            to: at(at_ns.saturating_add(ns(AFTER_MS))),
        };
    }
    let fault = record.plan.faults.iter().map(|fault| fault.at_ms).min();
    match fault {
        Some(at_ms) => Window::Ready {
            from_ms: at_ms.saturating_sub(BEFORE_MS),
            to_ms: at_ms + AFTER_MS,
        },
        None => Window::Ready {
            from_ms: 0,
            to_ms: CALM_MS,
        },
    }
}

/// Runs a recorded run again and keeps its picture.
///
/// # Errors
/// `Otherwise`.
///
/// # Panics
/// Never: a picture that is asked for is kept.
pub fn replay(record: &Record, window: Window) -> Result<Picture, TimelineError> {
    let options = RunOptions {
        record: Recording::Picture(window),
        ..RunOptions::default()
    };
    let ran = run(&record.plan, &options);
    let (found, recorded) = (ran.outcome.trace_hash, &record.outcome.trace_hash);
    if found != *recorded {
        return Err(TimelineError::Otherwise {
            found,
            recorded: recorded.clone(),
        });
    }
    let mut picture = ran.picture.expect("a picture was asked for");
    picture.violations.clone_from(&record.outcome.violations);
    Ok(picture)
}

/// Draws a picture.
#[must_use]
pub fn draw(record: &Record, picture: &Picture, format: Format) -> String {
    let scene = layout::scene(record, picture, format);
    match format {
        Format::Svg => svg::document(&scene),
        Format::Html => html::page(&scene),
    }
}
