//! A Python with pinned packages, in the build cache: made once for a list of requirements, then used without a network.
//!
//! Packages come from PyPI as wheels only, by the hashes of the list, so that nothing of a package runs while it is installed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, ShellError};
use crate::workspace;

/// Why there is no such Python.
#[derive(Debug)]
pub enum PythonError {
    /// No Python that can make an environment is installed.
    NoPython,
    /// The environment cannot be made.
    Venv(ShellError),
    /// The packages cannot be installed: no network, or other files than those of the list.
    Packages(ShellError),
    /// A file of the cache cannot be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        why: io::Error,
    },
}

impl fmt::Display for PythonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPython => f.write_str(
                "no python3 with venv is installed: `cargo xtask setup` installs Debian's python3-venv",
            ),
            Self::Venv(error) => write!(f, "no Python environment: {error}"),
            Self::Packages(error) => write!(f, "no Python packages from PyPI: {error}"),
            Self::File { path, why } => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for PythonError {}

/// Whether a Python is installed that can make environments: Debian's lacks a part of it without `python3-venv`.
pub fn is_installed() -> bool {
    let mut probe = Command::new("python3");
    probe.args(["-c", "import ensurepip, venv"]);
    shell::output(&mut probe).is_ok()
}

/// The Python of the environment `name` that has the packages of a list, made when the cache has none for this very list.
///
/// # Errors
/// When it must be made and cannot.
pub fn with_packages(name: &str, requirements: &Path) -> Result<PathBuf, PythonError> {
    let folder = workspace::cache_dir().join("python").join(name);
    let python = folder.join("bin/python");
    let list = fs::read_to_string(requirements).map_err(file(requirements))?;
    // Written last: what was left half made has none.
    let made_for = folder.join("requirements.txt");
    let is_made = fs::read_to_string(&made_for).is_ok_and(|text| text == list);
    // An upgrade of the system's Python leaves an environment whose own does not start.
    if is_made && shell::output(Command::new(&python).arg("--version")).is_ok() {
        return Ok(python);
    }
    if !is_installed() {
        return Err(PythonError::NoPython);
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    shell::output(&mut venv).map_err(PythonError::Venv)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-input"]);
    install.args(["--disable-pip-version-check", "--require-hashes"]);
    install.args(["--only-binary", ":all:", "--requirement"]);
    install.arg(requirements);
    eprintln!("$ {}", shell::line(&install));
    shell::output(&mut install).map_err(PythonError::Packages)?;
    fs::write(&made_for, list).map_err(file(&made_for))?;
    Ok(python)
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> PythonError {
    let path = path.to_owned();
    move |why| PythonError::File { path, why }
}
