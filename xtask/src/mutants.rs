//! `cargo xtask mutants`: known kinds of bugs put back into the product, one at a time, and the seed that finds each.
//!
//! A mutant is a patch of `sim/mutants`, with what it puts back and the scenarios to look in told above the diff. It is
//! applied to a copy of the tree, never to the tree. One that no seed finds is a failure.

mod patch;
mod report;
mod tree;

use std::fmt;
use std::path::PathBuf;

use crate::shell::{self, ShellError};
use crate::workspace;
use patch::{Patch, PatchError};
use report::Found;
use tree::{Tree, TreeError};

/// Options of `cargo xtask mutants`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this mutant, by the name of its file; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Seeds of each scenario to try, at most
    #[arg(long, default_value_t = 1_000)]
    seeds_max: u64,
    /// Only check that every patch still applies
    #[arg(long)]
    check: bool,
    /// Do not make the failures small
    #[arg(long)]
    no_shrink: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why mutants could not be tried, or were not all found.
#[derive(Debug)]
pub enum MutantsError {
    /// A patch is not as it should be.
    Patch(PatchError),
    /// The copy of the tree could not be made.
    Tree(TreeError),
    /// A program failed.
    Command(ShellError),
    /// A mutant does not build.
    DoesNotBuild {
        /// Which.
        mutant: String,
        /// What cargo said.
        why: ShellError,
    },
    /// No seed found these.
    NotFound(Vec<String>),
    /// There is no such mutant.
    NoSuch(String),
}

impl fmt::Display for MutantsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch(error) => error.fmt(f),
            Self::Tree(error) => error.fmt(f),
            Self::Command(error) => error.fmt(f),
            Self::DoesNotBuild { mutant, why } => {
                write!(f, "mutant {mutant} does not build: {why}")
            }
            Self::NotFound(mutants) => write!(f, "no seed found {}", mutants.join(", ")),
            Self::NoSuch(name) => write!(f, "there is no mutant {name:?} in sim/mutants"),
        }
    }
}

impl std::error::Error for MutantsError {}

impl From<ShellError> for MutantsError {
    fn from(error: ShellError) -> Self {
        Self::Command(error)
    }
}

/// Tries them.
///
/// # Errors
/// Every [`MutantsError`].
pub fn run(args: &Args) -> Result<(), MutantsError> {
    let mut patches = Patch::all().map_err(MutantsError::Patch)?;
    for name in &args.only {
        if !patches.iter().any(|patch| patch.name == *name) {
            return Err(MutantsError::NoSuch(name.clone()));
        }
    }
    if !args.only.is_empty() {
        patches.retain(|patch| args.only.contains(&patch.name));
    }
    if args.check {
        return check(&patches);
    }
    let tree = Tree::copy().map_err(MutantsError::Tree)?;
    let mut results = Vec::with_capacity(patches.len());
    for (nth, patch) in (1..).zip(&patches) {
        eprintln!(
            "== {} ({nth} of {}): {}",
            patch.name,
            patches.len(),
            patch.about
        );
        let found = try_one(&tree, patch, args)?;
        eprintln!("   {found}");
        results.push(found);
    }
    tree.restore().map_err(MutantsError::Tree)?;
    if args.json {
        println!("{}", report::json(&results));
    } else {
        print!("{}", report::table(&results));
    }
    let missed: Vec<String> = results
        .iter()
        .filter(|found| found.failure.is_none())
        .map(|found| found.mutant.clone())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(MutantsError::NotFound(missed))
}

/// That every patch of `sim/mutants` applies to the tree as it is.
///
/// # Errors
/// The first that does not.
pub fn check_all() -> Result<usize, MutantsError> {
    let patches = Patch::all().map_err(MutantsError::Patch)?;
    check(&patches)?;
    Ok(patches.len())
}

fn check(patches: &[Patch]) -> Result<(), MutantsError> {
    for patch in patches {
        let mut apply = shell::git(workspace::root());
        apply.args(["apply", "--check"]).arg(&patch.path);
        shell::output(&mut apply)?;
    }
    eprintln!("{} mutants apply", patches.len());
    Ok(())
}

fn try_one(tree: &Tree, patch: &Patch, args: &Args) -> Result<Found, MutantsError> {
    tree.restore().map_err(MutantsError::Tree)?;
    let mut apply = shell::git(tree.root());
    apply.arg("apply").arg(&patch.path);
    shell::output(&mut apply)?;
    let simulator = tree.build().map_err(|why| MutantsError::DoesNotBuild {
        mutant: patch.name.clone(),
        why,
    })?;
    let records: PathBuf = tree.records(&patch.name).map_err(MutantsError::Tree)?;
    let swarm = report::swarm(&simulator, patch, args.seeds_max, &records)?;
    let mut found = Found::of(patch, &swarm)?;
    if !args.no_shrink && found.failure.is_some() {
        found.shrink(&simulator, &records)?;
    }
    Ok(found)
}
