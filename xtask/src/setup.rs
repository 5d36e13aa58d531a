//! `cargo xtask setup`: what the build needs of the system.
//!
//! Looks before it installs: with everything in place nothing is asked of the network. Root
//! installs with apt; anyone else is told the exact command.

mod needs;

use std::fmt;
use std::process::Command;

use crate::shell::{self, ShellError};
use crate::workspace;
use needs::Need;

/// The cargo-deny that `--with-deny` installs.
const DENY_VERSION: &str = "0.20.2";

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Also install cargo-deny; takes minutes
    #[arg(long, env = "XTASK_WITH_DENY")]
    with_deny: bool,
}

/// Why the build cannot start.
#[derive(Debug)]
pub enum SetupError {
    /// Something is missing and we may not install it.
    Missing {
        /// What, with the reason it is needed.
        what: Vec<String>,
        /// The command that installs it.
        command: String,
    },
    /// It was installed and still is not there.
    StillMissing(Vec<String>),
    /// An installer failed.
    Install(ShellError),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, command } => write!(
                f,
                "the build needs what is not installed:\n  {}\ninstall it with\n  {command}\nand run this again",
                what.join("\n  ")
            ),
            Self::StillMissing(what) => write!(
                f,
                "apt-get succeeded, yet this is still missing:\n  {}",
                what.join("\n  ")
            ),
            Self::Install(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetupError {}

/// Prepares the system, and cargo-deny when asked for.
///
/// # Errors
/// When something is missing and cannot be installed from here.
pub fn run(args: &Args) -> Result<(), SetupError> {
    ensure()?;
    if args.with_deny && !shell::is_installed("cargo-deny") {
        let mut command = workspace::cargo();
        command.args([
            "install",
            "--locked",
            "cargo-deny",
            "--version",
            DENY_VERSION,
        ]);
        shell::run(&mut command).map_err(SetupError::Install)?;
    }
    Ok(())
}

/// Makes sure that the build has what it needs of the system.
///
/// # Errors
/// When something is missing and cannot be installed from here.
pub fn ensure() -> Result<(), SetupError> {
    let missing = needs::missing();
    if missing.is_empty() {
        eprintln!("everything the build needs is installed");
        return Ok(());
    }
    if !is_root() || !shell::is_installed("apt-get") {
        return ask(&missing);
    }
    apt(&["update"]).or_else(|error| tolerate(&missing, error))?;
    let packages = needs::packages(&missing);
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages.iter().map(String::as_str));
    apt(&install).or_else(|error| tolerate(&missing, error))?;
    let left: Vec<String> = needs::missing()
        .iter()
        .filter(|need| need.is_required())
        .map(|need| need.to_string())
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(SetupError::StillMissing(left))
}

/// What only makes the build quicker is worth a word, not a stop.
fn ask(missing: &[Need]) -> Result<(), SetupError> {
    let command = format!(
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        needs::packages(missing).join(" ")
    );
    if missing.iter().any(Need::is_required) {
        return Err(SetupError::Missing {
            what: missing.iter().map(ToString::to_string).collect(),
            command,
        });
    }
    for need in missing {
        eprintln!("going on without {need}");
    }
    eprintln!("install with: {command}");
    Ok(())
}

fn tolerate(missing: &[Need], error: ShellError) -> Result<(), SetupError> {
    if missing.iter().any(Need::is_required) {
        return Err(SetupError::Install(error));
    }
    eprintln!("going on without the missing packages: {error}");
    Ok(())
}

fn apt(args: &[&str]) -> Result<(), ShellError> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
    // Our stdout is for results.
    command.stdout(std::io::stderr());
    eprintln!("$ {}", shell::line(&command));
    shell::run(&mut command)
}

fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}
