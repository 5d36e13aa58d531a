//! Failures that were found and mended: each a plan that once broke a promise, made small, and holds from then on.
//!
//! A file of `seeds/` is the plan of a record that `stellara-sim shrink` wrote, named for what was wrong.

use std::path::Path;

use stellara_sim::plan::Plan;
use stellara_sim::run::{RunOptions, run};

#[test]
fn what_was_mended_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let plan: Plan = serde_json::from_str(&text).unwrap();
        let outcome = run(&plan, &RunOptions::default()).outcome;
        assert!(outcome.held(), "{}: {outcome:?}", file.display());
    }
}
