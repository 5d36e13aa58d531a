//! What only root can do to a machine: a network of one's own, a disk of one's own. Invariant:
//! both are gone when their handle is dropped. Without the rights a test is told why to skip.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Addresses of the link between the machine and the namespace (RFC 2544: benchmarks only).
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 2);

/// A network namespace, joined to the machine by one link that can be cut.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    link: String,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// Why it cannot be made here, as without the rights of root.
    pub fn create() -> Result<Self, String> {
        let id = std::process::id();
        let made = Self {
            name: format!("stellara-e2e-{id}"),
            link: format!("ste{id}"),
        };
        let (name, link, inner) = (&made.name, &made.link, format!("sti{id}"));
        let outside = format!("{OUTSIDE}/30");
        let inside = format!("{INSIDE}/30");
        ip(&["netns", "add", name])?;
        ip(&["link", "add", link, "type", "veth", "peer", "name", &inner])?;
        ip(&["link", "set", &inner, "netns", name])?;
        ip(&["addr", "add", &outside, "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        let within = |command: &[&str]| ip(&[&["-n", name][..], command].concat());
        within(&["addr", "add", &inside, "dev", &inner])?;
        within(&["link", "set", &inner, "up"])?;
        within(&["link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// For `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The machine's address on the link.
    pub const fn outside() -> IpAddr {
        IpAddr::V4(OUTSIDE)
    }

    /// The namespace's address on the link.
    pub const fn inside() -> IpAddr {
        IpAddr::V4(INSIDE)
    }

    /// Cuts the link, both ways at once.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn cut(&self) {
        ip(&["link", "set", &self.link, "down"]).expect("the link is ours");
    }

    /// Mends the link.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn heal(&self) {
        ip(&["link", "set", &self.link, "up"]).expect("the link is ours");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the link goes with it, and the other end with that.
        ip(&["link", "del", &self.link]).ok();
        ip(&["netns", "del", &self.name]).ok();
    }
}

/// A disk of a few megabytes, in memory.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of this size at a folder that exists.
    ///
    /// # Errors
    /// Why it cannot be mounted here, as without the rights of root.
    pub fn mount(folder: &Path, megabytes: u32) -> Result<Self, String> {
        let size = format!("size={megabytes}m");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "stellara-e2e"]);
        command.arg(folder);
        well(&mut command)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Makes a file so large that at most this much room is left.
    ///
    /// # Errors
    /// When writing ends for another reason than a full disk.
    pub fn fill(&self, leave_bytes: u64) -> io::Result<()> {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.filler())?;
        while self.free_bytes()? > leave_bytes {
            match file.write_all(&[0x5a; 4_096]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Removes the file again.
    ///
    /// # Errors
    /// When it is not there.
    pub fn free(&self) -> io::Result<()> {
        std::fs::remove_file(self.filler())
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: a process that is just ending may still hold a file.
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(&self.folder);
        well(&mut command).ok();
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("ip");
    command.args(args);
    well(&mut command)
}

fn well(command: &mut Command) -> Result<(), String> {
    let told = |why: &dyn std::fmt::Display| format!("{command:?}: {why}");
    let output = Command::new(command.get_program())
        .args(command.get_args())
        .output()
        .map_err(|error| told(&error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(told(&String::from_utf8_lossy(&output.stderr).trim()))
}
