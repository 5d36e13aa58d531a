//! Starting programs: a failure always tells the whole command and how it ended.

use std::env;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// Why a program did not do its work.
#[derive(Debug)]
pub enum ShellError {
    /// It could not be started.
    NotStarted {
        /// The command line.
        command: String,
        /// What the system said.
        why: io::Error,
    },
    /// It ended with a failure.
    Failed {
        /// The command line.
        command: String,
        /// Its exit code or signal.
        status: ExitStatus,
        /// The end of what it wrote to stderr, when that was captured.
        stderr: String,
    },
    /// Its output is not what was expected.
    Unreadable {
        /// The command line.
        command: String,
        /// What is wrong with the output.
        why: String,
    },
}

impl fmt::Display for ShellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { command, why } => write!(f, "cannot start `{command}`: {why}"),
            Self::Failed {
                command,
                status,
                stderr,
            } => {
                write!(f, "`{command}` ended with {status}")?;
                if stderr.is_empty() {
                    return Ok(());
                }
                write!(f, ": {stderr}")
            }
            Self::Unreadable { command, why } => write!(f, "output of `{command}`: {why}"),
        }
    }
}

impl std::error::Error for ShellError {}

/// Characters of a failed command's stderr that are kept.
const STDERR_CHARS_MAX: usize = 2_000;

/// The command as it could be typed.
pub fn line(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        let word = word.to_string_lossy();
        if word.contains(char::is_whitespace) || word.is_empty() {
            line.push_str(&format!("'{word}'"));
        } else {
            line.push_str(&word);
        }
    }
    line
}

/// Runs to the end, with our own stdin, stdout and stderr.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<(), ShellError> {
    let status = command.status().map_err(|why| not_started(command, why))?;
    if status.success() {
        return Ok(());
    }
    Err(ShellError::Failed {
        command: line(command),
        status,
        stderr: String::new(),
    })
}

/// Runs to the end and gives what it wrote to stdout; stderr becomes part of an error.
///
/// # Errors
/// When it cannot be started or fails.
pub fn output(command: &mut Command) -> Result<String, ShellError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|why| not_started(command, why))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let skipped = stderr.chars().count().saturating_sub(STDERR_CHARS_MAX);
    Err(ShellError::Failed {
        command: line(command),
        status: output.status,
        stderr: stderr.chars().skip(skipped).collect(),
    })
}

/// A `git` in a folder.
pub fn git(folder: &std::path::Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder);
    command
}

/// The program's file on the PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Whether the program is on the PATH.
pub fn is_installed(program: &str) -> bool {
    which(program).is_some()
}

fn not_started(command: &Command, why: io::Error) -> ShellError {
    ShellError::NotStarted {
        command: line(command),
        why,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{output, run};

    fn check(script: &str, expected: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let error = output(&mut command).expect_err("the script fails");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_failure_tells_the_command_and_its_end() {
        check(
            "echo no room >&2; exit 7",
            "`sh -c 'echo no room >&2; exit 7'` ended with exit status: 7: no room",
        );
        check(
            "kill -9 $$",
            "`sh -c 'kill -9 $$'` ended with signal: 9 (SIGKILL)",
        );
        let missing = run(&mut Command::new("stellara-no-such-program"));
        let text = missing.expect_err("there is no such program").to_string();
        assert!(
            text.starts_with("cannot start `stellara-no-such-program`: "),
            "{text}"
        );
    }
}
