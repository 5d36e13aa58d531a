//! Real processes. Invariants: whatever was started is ended, by its own pid, when its handle is
//! dropped; what it printed stays in its log until then.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// Bytes of a log that a failure shows.
const LOG_TAIL_BYTES: usize = 6_000;
/// Longest run of a command that does one thing and ends.
const COMMAND_MS_MAX: u64 = 60_000;

/// A process that should stay up.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a command that ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, stdout before stderr.
    pub output: String,
}

impl Process {
    /// Starts it; stdout and stderr are appended to `log`.
    ///
    /// # Panics
    /// When the log cannot be written or the program not started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let same = file.try_clone().expect("a file handle can be doubled");
        let started = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(same)
            .spawn();
        Self {
            name: name.to_owned(),
            child: started.unwrap_or_else(|error| panic!("{command:?}: {error}")),
            log: log.to_owned(),
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it as a power cut would: no signal that it could handle.
    pub fn kill9(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it has not stopped within `limit_ms`.
    pub async fn term(&mut self, limit_ms: u64) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(limit_ms).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it has not within `limit_ms`.
    pub async fn wait(&mut self, limit_ms: u64) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        until(&what, limit_ms, || {
            let ended = child.try_wait().ok().flatten();
            async move { ended }
        })
        .await
    }

    /// Everything it printed.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut start = log.len().saturating_sub(LOG_TAIL_BYTES);
        while !log.is_char_boundary(start) {
            start += 1;
        }
        log[start..].to_owned()
    }

    /// The most memory that it held at a time since [`Process::forget_peak`], in bytes.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn peak_bytes(&self) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib * 1_024)
            .unwrap_or_else(|| panic!("{}: no VmHWM in {status:?}", self.name))
    }

    /// Counts the peak of its memory from now on (proc(5), `clear_refs`).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn forget_peak(&self) {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&file, "5").unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It fails only when the process has ended already.
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Runs a command to its end, with what it printed.
///
/// # Panics
/// When it cannot be started, or runs for longer than a minute.
pub async fn run(command: &mut Command) -> Ended {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let file = |path| File::create(path).expect("a temporary file");
    let started = command
        .stdin(Stdio::null())
        .stdout(file(&out))
        .stderr(file(&err))
        .spawn();
    let mut process = Process {
        name: format!("{command:?}"),
        child: started.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        log: err.clone(),
    };
    let status = process.wait(COMMAND_MS_MAX).await;
    Ended {
        status,
        output: read(&out) + &read(&err),
    }
}

/// Runs a command that must succeed; answers what it printed.
///
/// # Panics
/// As [`run`], and when the command fails.
pub async fn run_well(command: &mut Command) -> String {
    let ended = run(command).await;
    assert!(
        ended.status.success(),
        "{command:?}: {}\n{}",
        ended.status,
        ended.output
    );
    ended.output
}

/// Whether it was ended by a signal rather than by itself.
pub fn was_signalled(status: ExitStatus) -> bool {
    status.signal().is_some()
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{Process, run, was_signalled};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_command_is_told_with_its_output() {
        let ended = run(&mut sh("echo out; echo err >&2; exit 3")).await;
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.output, "out\nerr\n");
    }

    #[tokio::test]
    async fn a_process_ends_with_its_handle_and_by_signals() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let process = Process::start("one", &mut sh("exec sleep 600"), &log);
        let pid = process.child.id();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());

        let mut process = Process::start("two", &mut sh("exec sleep 600"), &log);
        assert!(was_signalled(process.term(10_000).await));
        assert!(process.ended().is_some());
    }
}
