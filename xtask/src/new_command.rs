//! `cargo xtask new-command AREA VERB`: stubs a new command of the replicated machine.
//!
//! It writes the verb's file and prints the matches to extend: the compiler lists whatever is
//! forgotten, because no match on our own enums has a catch-all.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::workspace;

/// Options of `cargo xtask new-command`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the machine, such as `payments`
    area: String,
    /// What is asked, such as `cancel` or `record_outcome`
    verb: String,
}

/// Why nothing was written.
#[derive(Debug)]
pub enum NewCommandError {
    /// Not a name of a module.
    Name(String),
    /// The command is there.
    Exists(PathBuf),
    /// A file that cannot be written.
    File(PathBuf, io::Error),
}

impl fmt::Display for NewCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "{name:?} is not a module's name: small letters, digits and single underscores, first a letter"
            ),
            Self::Exists(path) => write!(f, "{} exists", path.display()),
            Self::File(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for NewCommandError {}

/// Writes the stub and prints what is left to do.
///
/// # Errors
/// When a name is malformed, the command exists, or a file cannot be written.
pub fn run(args: &Args) -> Result<(), NewCommandError> {
    let machine = workspace::root().join("raft-store/machine/src");
    let steps = create(&machine, &args.area, &args.verb)?;
    for step in steps {
        println!("{step}");
    }
    Ok(())
}

/// Writes the files below `machine` and answers what is left to do, a line each.
fn create(machine: &Path, area: &str, verb: &str) -> Result<Vec<String>, NewCommandError> {
    for name in [area, verb] {
        if !is_module_name(name) {
            return Err(NewCommandError::Name(name.to_owned()));
        }
    }
    let file = machine.join(area).join(format!("{verb}.rs"));
    if file.exists() {
        return Err(NewCommandError::Exists(file));
    }
    let command = format!("{}{}", camel(verb), camel(singular(area)));
    write(&file, &stub(area, verb, &command))?;
    let parent = machine.join(format!("{area}.rs"));
    declare(&parent, area, verb)?;
    let path = format!("{area}/{verb}.rs");
    Ok(vec![
        format!("wrote src/{path} and declared it in src/{area}.rs; left to do, in this order:"),
        format!("  src/lib.rs        `mod {area};`, if the area is new"),
        format!("  src/command.rs    `Command::{command}({command})` with `/// `{path}``, and the struct"),
        "  src/decision.rs   Change, Effect, Reply, Rejection: only variants that someone branches on".to_owned(),
        format!("  src/step.rs       `decide`: `Command::{command}(it) => {area}::{verb}::decide(state, ctx, it)`; `watched`"),
        "  src/audit.rs      its kind, who asked, what it is about".to_owned(),
        "  src/rows.rs       the rows to prefetch for it".to_owned(),
        "  src/state.rs      `absorb` of new changes, and the digest of what they hold".to_owned(),
        "  src/limits.rs     a bound for every new collection and text".to_owned(),
        "  proto/stellara/v1/log.proto    a message under a new field number, never a used one".to_owned(),
        "  raft-store/src                 the command to and from its message, rows of new changes".to_owned(),
        "  then `cargo check --workspace` lists the matches that are still open".to_owned(),
    ])
}

fn stub(area: &str, verb: &str, command: &str) -> String {
    include_str!("new_command/stub.txt")
        .replace("{area}", area)
        .replace("{verb_words}", &verb.replace('_', " "))
        .replace("{command}", command)
}

/// Declares the module in the area's file, which is made when it is new.
fn declare(parent: &Path, area: &str, verb: &str) -> Result<(), NewCommandError> {
    let line = format!("pub mod {verb};\n");
    let text = match fs::read_to_string(parent) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!(
                "//! Commands about {}: a file each.\n\n",
                area.replace('_', " ")
            )
        }
        Err(error) => return Err(NewCommandError::File(parent.to_owned(), error)),
    };
    // After the last declaration, or after the header.
    let is_declaration = |line: &str| line.ends_with(';') && line.contains("mod ");
    let is_header = |line: &str| line.starts_with("//!") || line.is_empty();
    let lines: Vec<&str> = text.lines().collect();
    let place = lines
        .iter()
        .rposition(|line| is_declaration(line))
        .map_or_else(
            || lines.iter().take_while(|line| is_header(line)).count(),
            |last| last + 1,
        );
    let mut new = String::new();
    for line in &lines[..place] {
        new.push_str(line);
        new.push('\n');
    }
    new.push_str(&line);
    for line in &lines[place..] {
        new.push_str(line);
        new.push('\n');
    }
    write(parent, &new)
}

fn write(path: &Path, text: &str) -> Result<(), NewCommandError> {
    let told = |error| NewCommandError::File(path.to_owned(), error);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(told)?;
    }
    fs::write(path, text).map_err(told)
}

fn is_module_name(name: &str) -> bool {
    let parts_hold = name.split('_').all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    parts_hold && name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn singular(area: &str) -> &str {
    if let Some(stem) = area.strip_suffix("ches") {
        return &area[..stem.len() + 2];
    }
    area.strip_suffix('s').unwrap_or(area)
}

fn camel(name: &str) -> String {
    let mut camel = String::new();
    for part in name.split('_') {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{camel, create, singular};

    #[test]
    fn a_command_is_stubbed_and_declared() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let parent = dir.path().join("batches.rs");
        fs::write(&parent, "//! Batches.\n\nmod form;\n\nfn rest() {}\n").expect("a file");
        let steps = create(dir.path(), "batches", "drop_late").expect("both names are good");
        assert!(
            steps
                .iter()
                .any(|step| step.contains("Command::DropLateBatch")),
            "{steps:?}"
        );
        let text = fs::read_to_string(dir.path().join("batches/drop_late.rs")).expect("the stub");
        assert!(text.starts_with("//! Decides `DropLateBatch`"), "{text}");
        assert!(text.contains("command: &DropLateBatch,"), "{text}");
        assert!(
            text.contains("mod tests") && !text.contains("{command}"),
            "{text}"
        );
        let text = fs::read_to_string(&parent).expect("the parent");
        assert_eq!(
            text,
            "//! Batches.\n\nmod form;\npub mod drop_late;\n\nfn rest() {}\n"
        );
        let again = create(dir.path(), "batches", "drop_late").expect_err("it is there now");
        assert!(
            again.to_string().ends_with("drop_late.rs exists"),
            "{again}"
        );
    }

    #[test]
    fn a_new_area_gets_its_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        create(dir.path(), "regions", "route").expect("both names are good");
        let text = fs::read_to_string(dir.path().join("regions.rs")).expect("the area's file");
        assert_eq!(
            text,
            "//! Commands about regions: a file each.\n\npub mod route;\n"
        );
    }

    #[test]
    fn bad_names_write_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (area, verb) in [
            ("Payments", "x"),
            ("../up", "x"),
            ("a", "2x"),
            ("a", "x__y"),
            ("", "x"),
        ] {
            create(dir.path(), area, verb).expect_err("a name is malformed");
        }
        let written = fs::read_dir(dir.path()).expect("the folder").count();
        assert_eq!(written, 0);
    }

    #[test]
    fn names_are_built() {
        assert_eq!(singular("batches"), "batch");
        assert_eq!(singular("payments"), "payment");
        assert_eq!(singular("audit"), "audit");
        assert_eq!(camel("record_outcome"), "RecordOutcome");
    }
}
