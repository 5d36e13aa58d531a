//! A scene as a page: the SVG, and a script to stretch time, to move, to hide classes of messages, and to tell of marks.

use super::scene::{LEFT, RIGHT, Scene, escaped};
use super::svg;

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// The whole page.
#[must_use]
pub fn page(scene: &Scene) -> String {
    let (from_ms, to_ms) = scene.window_ms;
    let (top, bottom) = scene.plot;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · Stellara</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{picture}\
         <p id=\"help\">Wheel: zoom in time · drag: move · double click: everything again · click a message in the legend: hide it</p>\n\
         <div id=\"tip\" hidden></div>\n<script>\nconst VIEW = {{left: {LEFT}, right: {RIGHT}, top: {top}, bottom: {bottom}, \
         from: {from_ms}, to: {to_ms}}};\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escaped(&scene.title),
        picture = svg::element(scene),
    )
}
