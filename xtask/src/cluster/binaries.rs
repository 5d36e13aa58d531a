//! The programs of a cluster, built by cargo.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::error::ClusterError;
use crate::{shell, workspace};

/// Package and binary of each program.
const PROGRAMS: [(&str, &str); 3] = [
    ("stellara-server", "stellara-node"),
    ("stellara-client", "stellara"),
    ("stellara-sim", "stellara-sim"),
];

/// The folder that holds the programs.
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// Builds them, with optimisation when `is_release`.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build(is_release: bool) -> Result<Self, ClusterError> {
        let mut command = workspace::cargo();
        command.args(["build", "--locked"]);
        for (package, binary) in PROGRAMS {
            command.args(["--package", package, "--bin", binary]);
        }
        if is_release {
            command.arg("--release");
        }
        shell::run(&mut command)?;
        let profile = if is_release { "release" } else { "debug" };
        Ok(Self {
            dir: workspace::target_dir().join(profile),
        })
    }

    /// The server.
    pub fn node(&self) -> Command {
        self.program("stellara-node")
    }

    /// The command line client.
    pub fn cli(&self) -> Command {
        self.program("stellara")
    }

    /// The simulator.
    pub fn sim(&self) -> Command {
        self.program("stellara-sim")
    }

    /// A program with none of the caller's own settings: `STELLARA_*` overrides files.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.dir.join(name));
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("STELLARA_") {
                command.env_remove(variable);
            }
        }
        command
    }
}
