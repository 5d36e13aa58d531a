//! Step `doc`: the examples in the documentation compile and hold.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::{Done, StepError};
use crate::{shell, workspace};

/// Folders that hold no source of ours.
const SKIPPED: [&str; 3] = ["target", "node_modules", ".git"];

/// Skipped while no documentation holds an example: linking an empty test for every crate costs
/// a minute.
pub fn run() -> Result<Done, StepError> {
    if !has_examples(workspace::root()) {
        return Ok(Done::Skipped(
            "no documentation holds an example".to_owned(),
        ));
    }
    shell::run(workspace::cargo().args(["test", "--locked", "--workspace", "--doc"]))?;
    Ok(Done::Passed)
}

fn has_examples(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        // A link could lead out of the workspace, or around in a circle.
        let Ok(kind) = entry.file_type() else {
            return false;
        };
        if kind.is_dir() {
            return !SKIPPED
                .iter()
                .any(|name| path.file_name() == Some(OsStr::new(name)))
                && has_examples(&path);
        }
        kind.is_file()
            && path.extension() == Some(OsStr::new("rs"))
            && fs::read_to_string(&path).is_ok_and(|text| holds_example(&text))
    })
}

/// A fenced block of Rust in a doc comment: no language, or one of rustdoc's own words.
fn holds_example(source: &str) -> bool {
    let mut is_inside = false;
    for line in source.lines().map(str::trim_start) {
        let Some(text) = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
        else {
            is_inside = false;
            continue;
        };
        let Some(language) = text.trim().strip_prefix("```") else {
            continue;
        };
        let first = language.split(',').next().unwrap_or_default();
        let runs = matches!(
            first,
            "" | "rust" | "no_run" | "should_panic" | "compile_fail"
        );
        if !is_inside && runs {
            return true;
        }
        is_inside = !is_inside;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::holds_example;

    fn check(source: &str, expected: bool) {
        assert_eq!(holds_example(source), expected, "{source}");
    }

    #[test]
    fn examples_are_told_from_other_blocks() {
        check("/// ```\n/// f();\n/// ```\nfn f() {}", true);
        check("//! ```no_run\n//! f();\n//! ```", true);
        check("/// ```text\n/// a -> b\n/// ```\nfn f() {}", false);
        check("/// ```ignore\n/// f();\n/// ```\nfn f() {}", false);
        check("let fence = \"```\";", false);
    }
}
