//! A scene as an SVG document: styles and markers inside, nothing from elsewhere, no script.

use super::picture::MessageKind;
use super::scene::{LEFT, RIGHT, Scene, WIDTH, escaped};

const STYLE: &str = include_str!("assets/picture.css");

/// The whole document.
#[must_use]
pub fn document(scene: &Scene) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        element(scene)
    )
}

/// The `svg` element alone.
pub(super) fn element(scene: &Scene) -> String {
    let (top, bottom) = scene.plot;
    let height = scene.height;
    let mut markers = String::new();
    for kind in MessageKind::ALL {
        let class = kind.class();
        markers.push_str(&format!(
            "<marker id=\"to-{class}\" class=\"head {class}\" viewBox=\"0 0 6 6\" refX=\"5.4\" refY=\"3\" \
             markerWidth=\"6\" markerHeight=\"6\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
             <path d=\"M0 .4 6 3 0 5.6z\"/></marker>\n"
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"picture\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{label}\">\n<title>{label}</title>\n<style>\n{STYLE}</style>\n<defs>\n{markers}\
         <pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V6\"/></pattern>\n\
         <clipPath id=\"plot\"><rect x=\"{LEFT}\" y=\"{top}\" width=\"{plot_width}\" height=\"{plot_height}\"/></clipPath>\n\
         </defs>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"10\"/>\n{frame}\
         <g class=\"marks\" clip-path=\"url(#plot)\">\n{messages}</g>\n{cards}<g class=\"marks\" clip-path=\"url(#plot)\">\n{marks}</g>\n</svg>\n",
        label = escaped(&format!("{}: {}", scene.title, scene.subtitle)),
        plot_width = RIGHT - LEFT,
        plot_height = bottom - top,
        frame = scene.frame.as_str(),
        messages = scene.messages.as_str(),
        cards = scene.cards.as_str(),
        marks = scene.marks.as_str(),
    )
}
