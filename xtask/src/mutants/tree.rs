//! The copy of the tree in which mutants are built. It stays between runs, so that only what a mutant changes is
//! compiled again; a file that is as it was keeps its time.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::shell::{self, ShellError};
use crate::workspace;

/// A copy of the tracked files.
pub struct Tree {
    root: PathBuf,
    files: Vec<PathBuf>,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum TreeError {
    /// The files cannot be listed.
    List(ShellError),
    /// One cannot be copied.
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(error) => error.fmt(f),
            Self::Io { path, why } => write!(f, "{}: {why}", path.display()),
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> TreeError {
    let path = path.to_owned();
    move |why| TreeError::Io {
        path: path.clone(),
        why,
    }
}

impl Tree {
    /// Makes the copy, or brings an earlier one up to date.
    pub fn copy() -> Result<Self, TreeError> {
        let mut list = shell::git(workspace::root());
        list.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
        let listed = shell::output(&mut list).map_err(TreeError::List)?;
        let files: Vec<PathBuf> = listed
            .lines()
            .map(PathBuf::from)
            .filter(|file| workspace::root().join(file).is_file())
            .collect();
        let tree = Self {
            root: workspace::cache_dir().join("mutants/tree"),
            files,
        };
        tree.restore()?;
        tree.remove_others()?;
        Ok(tree)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes every file as it is in the tree.
    pub fn restore(&self) -> Result<(), TreeError> {
        for file in &self.files {
            let (from, to) = (workspace::root().join(file), self.root.join(file));
            let wanted = fs::read(&from).map_err(at(&from))?;
            if fs::read(&to).is_ok_and(|found| found == wanted) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(at(folder))?;
            }
            fs::write(&to, wanted).map_err(at(&to))?;
        }
        Ok(())
    }

    /// Sources that the tree no longer has must not be built.
    fn remove_others(&self) -> Result<(), TreeError> {
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(at(&folder))? {
                let path = entry.map_err(at(&folder))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let known = path
                    .strip_prefix(&self.root)
                    .is_ok_and(|file| self.files.iter().any(|known| known == file));
                if !known {
                    fs::remove_file(&path).map_err(at(&path))?;
                }
            }
        }
        Ok(())
    }

    /// Builds the simulator of the copy, and gives its file.
    pub fn build(&self) -> Result<PathBuf, ShellError> {
        let target = workspace::cache_dir().join("mutants/target");
        let mut build = workspace::cargo();
        build.current_dir(&self.root);
        build.env("CARGO_TARGET_DIR", &target);
        // A few lines differ from one mutant to the next: the compiler's own cache does better here than one of crates.
        build.env("CARGO_INCREMENTAL", "1").env("RUSTC_WRAPPER", "");
        build.args(["build", "--quiet", "--locked", "--profile", "sim"]);
        build.args(["--package", "stellara-sim", "--bin", "stellara-sim"]);
        shell::output(&mut build)?;
        Ok(target.join("sim/stellara-sim"))
    }

    /// An empty folder for the records of a mutant.
    pub fn records(&self, mutant: &str) -> Result<PathBuf, TreeError> {
        let folder = workspace::cache_dir().join("mutants/records").join(mutant);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(folder)
    }
}
