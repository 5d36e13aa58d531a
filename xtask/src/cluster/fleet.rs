//! The processes of a cluster. Invariant: whatever was started is stopped, by its own pid, when
//! the fleet is dropped: at the end, on an error, on a panic, on Ctrl-C. The last started stops
//! first, so that the ledger outlives the nodes.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::error::ClusterError;
use crate::clock;
use crate::shell::{self, ShellError};

/// Time between two looks at a condition.
const POLL_MS: u64 = 20;
/// How long a process may take to stop by itself.
const STOP_MS_MAX: u64 = 5_000;
/// Bytes of a log that an error shows.
const LOG_TAIL_BYTES: usize = 3_000;

struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Everything that runs.
pub struct Fleet {
    processes: Vec<Process>,
    interrupted: Arc<AtomicBool>,
}

impl Fleet {
    /// An empty fleet that hears Ctrl-C and SIGTERM from now on.
    ///
    /// # Errors
    /// When the signal handlers cannot be set.
    pub fn new() -> Result<Self, ClusterError> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| ClusterError::File(PathBuf::from("signal handler"), error))?;
        }
        Ok(Self {
            processes: Vec::new(),
            interrupted,
        })
    }

    /// Starts a process that should stay up; stdout and stderr are appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program not started.
    pub fn start(
        &mut self,
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> Result<(), ClusterError> {
        let child = spawn(command, log, log)?;
        self.processes.push(Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        });
        Ok(())
    }

    /// Starts a process that does one thing and ends; its stdout goes to the file `out`.
    ///
    /// # Errors
    /// When a file cannot be written or the program not started.
    pub fn start_job(command: &mut Command, out: &Path, log: &Path) -> Result<Job, ClusterError> {
        Ok(Job {
            child: spawn(command, out, log)?,
        })
    }

    /// Kills a process as a power cut would: no signal that it could handle.
    ///
    /// # Errors
    /// When no process has this name.
    pub fn kill(&mut self, name: &str) -> Result<(), ClusterError> {
        let place = self
            .processes
            .iter()
            .position(|process| process.name == name);
        let mut process = place
            .map(|place| self.processes.remove(place))
            .ok_or_else(|| ClusterError::Answer {
                from: "the cluster".to_owned(),
                why: format!("{name} is not a process of this cluster"),
            })?;
        kill_and_reap(&mut process.child);
        Ok(())
    }

    /// The process with this name.
    pub fn pid(&self, name: &str) -> Option<u32> {
        let found = self.processes.iter().find(|process| process.name == name)?;
        Some(found.child.id())
    }

    /// Waits until `look` gives something, while every process stays up.
    ///
    /// # Errors
    /// After `limit_ms`, when a process ends, or when the user interrupts.
    pub fn until<T>(
        &mut self,
        what: &str,
        limit_ms: u64,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, ClusterError> {
        let started = clock::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.check()?;
            if started.elapsed() >= Duration::from_millis(limit_ms) {
                return Err(ClusterError::Late {
                    what: what.to_owned(),
                    limit_ms,
                });
            }
            thread::sleep(Duration::from_millis(POLL_MS));
        }
    }

    /// Keeps the processes up until the user interrupts, which is the good end here.
    ///
    /// # Errors
    /// When a process ends by itself.
    pub fn stay_up(&mut self) -> Result<(), ClusterError> {
        loop {
            match self.check() {
                Ok(()) => thread::sleep(Duration::from_millis(POLL_MS)),
                Err(ClusterError::Interrupted) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn check(&mut self) -> Result<(), ClusterError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(ClusterError::Interrupted);
        }
        for process in &mut self.processes {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(ClusterError::Ended {
                    name: process.name.clone(),
                    status,
                    log_tail: tail(&process.log),
                });
            }
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        while let Some(mut process) = self.processes.pop() {
            stop(&mut process.child);
        }
    }
}

/// A process that does one thing and ends; killed when dropped before.
pub struct Job {
    child: Child,
}

impl Job {
    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        kill_and_reap(&mut self.child);
    }
}

fn spawn(command: &mut Command, out: &Path, log: &Path) -> Result<Child, ClusterError> {
    let append = |path: &Path| {
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| ClusterError::File(path.to_owned(), error))
    };
    command
        .stdin(Stdio::null())
        .stdout(append(out)?)
        .stderr(append(log)?)
        // A group of its own: Ctrl-C reaches this process alone, which stops the others in order.
        .process_group(0);
    command.spawn().map_err(|why| {
        ClusterError::Shell(ShellError::NotStarted {
            command: shell::line(command),
            why,
        })
    })
}

/// Asks it to stop, and kills it when it does not.
fn stop(child: &mut Child) {
    let pid = child.id().to_string();
    let asked = Command::new("sh")
        .args(["-c", "kill -TERM \"$1\"", "sh", &pid])
        .stderr(Stdio::null())
        .status();
    if asked.is_ok_and(|status| status.success()) {
        let started = clock::now();
        while started.elapsed() < Duration::from_millis(STOP_MS_MAX) {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(POLL_MS));
        }
    }
    kill_and_reap(child);
}

/// Both fail only when it has ended already.
fn kill_and_reap(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{ClusterError, Fleet};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn pid_of(fleet: &Fleet) -> u32 {
        fleet.processes[0].child.id()
    }

    fn runs(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn processes_stop_with_the_fleet_even_on_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut fleet = Fleet::new().unwrap();
        fleet.start("one", &mut sh("exec sleep 600"), &log).unwrap();
        let pid = pid_of(&fleet);
        assert!(runs(pid));
        let ended = std::thread::spawn(move || {
            let _held = fleet;
            panic!("on purpose");
        })
        .join();
        assert!(ended.is_err() && !runs(pid));
    }

    #[test]
    fn a_process_that_ends_is_told_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut fleet = Fleet::new().unwrap();
        fleet
            .start("one", &mut sh("echo no port >&2; exit 3"), &log)
            .unwrap();
        let error = fleet.until("never", 10_000, || None::<()>).unwrap_err();
        let ClusterError::Ended { name, log_tail, .. } = error else {
            panic!("unexpected: {error}");
        };
        assert_eq!((name.as_str(), log_tail.as_str()), ("one", "no port\n"));
    }

    #[test]
    fn a_killed_process_is_gone_and_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::new().unwrap();
        let log = dir.path().join("log");
        fleet
            .start("one", &mut sh("trap '' TERM; exec sleep 600"), &log)
            .unwrap();
        let pid = pid_of(&fleet);
        fleet.kill("one").unwrap();
        assert!(!runs(pid));
        fleet.check().unwrap();
        fleet.kill("one").unwrap_err();
    }

    #[test]
    fn waiting_ends() {
        let mut fleet = Fleet::new().unwrap();
        let error = fleet.until("the sun rises", 1, || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "waited 1 ms in vain until the sun rises");
    }
}
