//! What the build and its checks need of the system, one probe each. A probe only looks at files and at
//! installed programs.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{python, shell};

/// Something the build needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// RocksDB is C++.
    CxxCompiler,
    /// Its parts are built by make in places.
    Make,
    /// bindgen reads RocksDB's C header with it.
    LibClang,
    /// libclang reads the standard headers that come with the compiler.
    ClangHeaders,
    /// A warm rebuild takes a minute instead of ten.
    Sccache,
    /// Another implementation of the protocol checks what is signed: it is in Python.
    Python,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CxxCompiler => "a C++ compiler (c++, g++ or clang++): RocksDB is C++",
            Self::Make => "make: parts of RocksDB's compression libraries are built with it",
            Self::LibClang => "libclang, any version: RocksDB's bindings are generated with it",
            Self::ClangHeaders => {
                "clang's own headers (stddef.h): libclang cannot read C without them"
            }
            Self::Sccache => "sccache: keeps compiled crates, so that RocksDB is compiled once",
            Self::Python => {
                "python3 with venv: checks signed envelopes with another implementation"
            }
        })
    }
}

impl Need {
    const ALL: [Self; 6] = [
        Self::CxxCompiler,
        Self::Make,
        Self::LibClang,
        Self::ClangHeaders,
        Self::Sccache,
        Self::Python,
    ];

    /// The build cannot do without.
    pub const fn is_required(&self) -> bool {
        match self {
            Self::CxxCompiler | Self::Make | Self::LibClang | Self::ClangHeaders => true,
            Self::Sccache | Self::Python => false,
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::CxxCompiler => ["c++", "g++", "clang++"]
                .into_iter()
                .any(shell::is_installed),
            Self::Make => shell::is_installed("make"),
            Self::LibClang => {
                std::env::var_os("LIBCLANG_PATH").is_some()
                    || library_dirs().iter().any(|dir| holds_libclang(dir))
            }
            Self::ClangHeaders => {
                std::env::var_os("LIBCLANG_PATH").is_some() || has_clang_headers()
            }
            Self::Sccache => shell::is_installed("sccache"),
            Self::Python => python::is_installed(),
        }
    }
}

/// What is not there.
pub fn missing() -> Vec<Need> {
    Need::ALL
        .into_iter()
        .filter(|need| !need.is_met())
        .collect()
}

/// Debian's packages for what is missing, sorted.
pub fn packages(missing: &[Need]) -> Vec<String> {
    let version = clang_version();
    let mut packages: Vec<String> = missing
        .iter()
        .map(|need| match (need, &version) {
            (Need::CxxCompiler, _) => "g++".to_owned(),
            (Need::Make, _) => "make".to_owned(),
            (Need::LibClang, Some(version)) => format!("libclang1-{version}"),
            (Need::ClangHeaders, Some(version)) => format!("libclang-common-{version}-dev"),
            (Need::LibClang | Need::ClangHeaders, None) => "libclang-dev".to_owned(),
            (Need::Sccache, _) => "sccache".to_owned(),
            (Need::Python, _) => "python3-venv".to_owned(),
        })
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

/// The version of the one half of clang that is installed, or Debian 12's; `None` when apt does
/// not know that either, so that the distribution's own default is taken.
fn clang_version() -> Option<String> {
    let installed = library_dirs()
        .into_iter()
        .find_map(|dir| llvm_version(&dir));
    if installed.is_some() {
        return installed;
    }
    let is_debian_12 = fs::read_to_string("/etc/os-release")
        .is_ok_and(|text| text.contains("VERSION_CODENAME=bookworm"));
    let known = shell::output(Command::new("apt-cache").args(["show", "libclang1-14"]))
        .is_ok_and(|text| text.contains("Package: libclang1-14"));
    (is_debian_12 || known).then(|| "14".to_owned())
}

/// The number in `/usr/lib/llvm-NN/lib`, when libclang is there.
fn llvm_version(dir: &Path) -> Option<String> {
    let name = dir.parent()?.file_name()?.to_str()?;
    let version = name.strip_prefix("llvm-")?;
    holds_libclang(dir).then(|| version.to_owned())
}

fn library_dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = ["/usr/lib", "/usr/lib64", "/usr/local/lib"]
        .into_iter()
        .map(PathBuf::from)
        .collect();
    for entry in entries(Path::new("/usr/lib")) {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("llvm-") || name.starts_with("llvm") {
            dirs.push(entry.join("lib"));
            dirs.push(entry.join("lib64"));
        } else if name.ends_with("-linux-gnu") {
            dirs.push(entry);
        }
    }
    dirs
}

fn holds_libclang(dir: &Path) -> bool {
    entries(dir).iter().any(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // libclang-cpp is another library, with another interface.
        name.starts_with("libclang") && !name.starts_with("libclang-cpp") && name.contains(".so")
    })
}

fn has_clang_headers() -> bool {
    let mut roots = vec![
        PathBuf::from("/usr/lib/clang"),
        PathBuf::from("/usr/lib64/clang"),
    ];
    for dir in library_dirs() {
        roots.push(dir.join("clang"));
    }
    roots
        .iter()
        .flat_map(|root| entries(root))
        .any(|version| version.join("include/stddef.h").is_file())
}

/// The paths inside a folder; none when it cannot be read.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Need, holds_libclang, packages};

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for name in ["libclang-cpp.so.14", "libclang.a"] {
            fs::write(dir.path().join(name), "").expect("the folder is writable");
        }
        assert!(!holds_libclang(dir.path()));
        fs::write(dir.path().join("libclang-14.so.1"), "").expect("the folder is writable");
        assert!(holds_libclang(dir.path()));
    }

    #[test]
    fn packages_are_named_once() {
        let names = packages(&[Need::Make, Need::CxxCompiler, Need::Make]);
        assert_eq!(names, ["g++", "make"]);
    }
}
