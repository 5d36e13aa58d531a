//! A mutant's file: words above, a diff below.
//!
//! ```text
//! about: what it puts back, in a sentence
//! seen-in: where it broke another system
//! scenarios: chaos, region-lost
//!
//! diff --git a/… b/…
//! ```

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::workspace;

/// A mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The name of its file.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it puts back.
    pub about: String,
    /// The scenarios to look in.
    pub scenarios: Vec<String>,
}

/// Why there is no mutant.
#[derive(Debug)]
pub enum PatchError {
    /// A file or the folder cannot be read.
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
    /// A line is missing above the diff.
    Missing {
        /// In which file.
        path: PathBuf,
        /// Which line.
        line: &'static str,
    },
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Missing { path, line } => {
                write!(
                    f,
                    "{}: expected a line `{line}: …` above the diff",
                    path.display()
                )
            }
        }
    }
}

impl Patch {
    /// All of `sim/mutants`, by name.
    pub fn all() -> Result<Vec<Self>, PatchError> {
        let folder = workspace::root().join("sim/mutants");
        let io = |why| PatchError::Io {
            path: folder.clone(),
            why,
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "patch")
            {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Result<Self, PatchError> {
        let text = fs::read_to_string(path).map_err(|why| PatchError::Io {
            path: path.to_owned(),
            why,
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PatchError> {
        let words = text.split("diff --git").next().unwrap_or_default();
        let told = |line: &'static str| {
            let mut lines = words.lines().filter_map(|text| text.split_once(": "));
            let found = lines.find(|(name, _)| *name == line);
            found
                .map(|(_, told)| told.trim().to_owned())
                .ok_or(PatchError::Missing {
                    path: path.to_owned(),
                    line,
                })
        };
        Ok(Self {
            name: path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path: path.to_owned(),
            about: told("about")?,
            scenarios: told("scenarios")?
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_above_the_diff_are_read() {
        let text = "about: a vote is not durable\nscenarios: chaos, single-voter\n\ndiff --git a/x b/x\nabout: no\n";
        let patch = Patch::parse(Path::new("sim/mutants/vote.patch"), text).unwrap();
        assert_eq!(patch.name, "vote");
        assert_eq!(patch.about, "a vote is not durable");
        assert_eq!(patch.scenarios, ["chaos", "single-voter"]);
        let error = Patch::parse(Path::new("x.patch"), "diff --git a/x b/x\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.patch: expected a line `about: …` above the diff"
        );
    }
}
