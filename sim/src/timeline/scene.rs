//! A picture laid out: sizes, the scale of time, and the marks in the order in which they are painted.
//!
//! Marks are SVG elements whose horizontal places are linear in time, so that a page can stretch them.

use std::fmt::Write as _;

use super::Format;
use crate::runtime::SimTime;

/// Where the plot begins, from the left.
pub(super) const LEFT: f64 = 168.0;
/// Where it ends.
pub(super) const RIGHT: f64 = 1_256.0;
/// The picture's width.
pub(super) const WIDTH: f64 = 1_280.0;

/// A picture, ready to be written.
pub struct Scene {
    /// What it shows, in a line.
    pub title: String,
    /// Seed, window and size, in a line.
    pub subtitle: String,
    /// The height of the picture; its width is fixed.
    pub height: f64,
    /// Where the plot begins and ends, from the top.
    pub plot: (f64, f64),
    /// The window, in milliseconds since the cluster was ready.
    pub window_ms: (f64, f64),
    /// What is painted outside the plot.
    pub(super) frame: Marks,
    /// The messages, behind the lanes; stretched with time.
    pub(super) messages: Marks,
    /// The lanes, and what is written beside them.
    pub(super) cards: Marks,
    /// What is painted on the lanes, and stretched with time.
    pub(super) marks: Marks,
}

/// SVG elements.
#[derive(Default)]
pub(super) struct Marks {
    text: String,
}

impl Marks {
    /// Adds an element, or a part of one.
    pub(super) fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        self.text.write_fmt(element).ok();
        self.text.push('\n');
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The scale of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) from: SimTime,
    pub(super) to: SimTime,
}

impl Scale {
    /// Where a moment is, from the left; outside the plot for those outside the window.
    pub(super) fn x(self, at: SimTime) -> f64 {
        let ns = |at: SimTime| at.as_ns() as f64;
        let part = (ns(at) - ns(self.from)) / (ns(self.to) - ns(self.from)).max(1.0);
        LEFT + part * (RIGHT - LEFT)
    }

    /// The same, kept in the plot.
    pub(super) fn within(self, at: SimTime) -> f64 {
        self.x(at).clamp(LEFT, RIGHT)
    }

    pub(super) fn shows(self, from: SimTime, to: SimTime) -> bool {
        from <= self.to && to >= self.from
    }
}

/// Text as it may stand in an element or an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// What a mark says when it is pointed at; a still picture has no room for it.
pub(super) fn told(format: Format, text: impl FnOnce() -> String) -> String {
    match format {
        Format::Svg => String::new(),
        Format::Html => format!("<title>{}</title>", escaped(&text())),
    }
}

/// How wide a text is, about, at 12 pixels.
pub(super) fn text_width(text: &str) -> f64 {
    6.7 * text.chars().count() as f64
}

/// Milliseconds with commas between thousands.
pub(super) fn grouped(ms: f64) -> String {
    let whole = ms.abs().round() as u64;
    let digits = whole.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if ms < 0.0 && whole > 0 {
        text.insert(0, '-');
    }
    text
}

/// The step between two ticks of an axis: 1, 2 or 5 times a power of ten.
pub(super) fn step_ms(span_ms: f64) -> f64 {
    let rough = (span_ms / 10.0).max(0.001);
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let fitting = factors.into_iter().find(|factor| factor * power >= rough);
    fitting.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_steps_are_round() {
        let groups = [
            (0.0, "0"),
            (999.6, "1,000"),
            (-1_234.0, "-1,234"),
            (1e6, "1,000,000"),
        ];
        for (ms, expected) in groups {
            assert_eq!(grouped(ms), expected);
        }
        for (span_ms, expected) in [
            (4_000.0, 500.0),
            (1_000.0, 100.0),
            (120.0, 20.0),
            (9.0, 1.0),
        ] {
            assert_eq!(step_ms(span_ms), expected);
        }
    }

    #[test]
    fn text_is_safe() {
        assert_eq!(escaped("a<b>&\"c\"\n"), "a&lt;b&gt;&amp;&quot;c&quot; ");
    }
}
