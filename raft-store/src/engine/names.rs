//! Names of folders and files under the data folder.
//!
//! They may come from a peer (a snapshot's manifest), so nothing that could leave
//! the data folder passes: plain characters, no leading dot, one `/` at most.

use std::fmt;

/// Longest part of a name, in bytes; file systems take 255.
const PART_BYTES_MAX: usize = 128;

/// A name that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    name: String,
    expected: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name {:?}: expected {}", self.name, self.expected)
    }
}

impl std::error::Error for BadName {}

/// Accepts `part` or `part/part`, each of `A-Z a-z 0-9 . _ -` and not starting with a dot.
///
/// # Errors
/// `BadName`.
pub fn check_folder(name: &str) -> Result<(), BadName> {
    let mut parts = name.split('/');
    let first = parts.next().is_some_and(is_part);
    let second = parts.next().is_none_or(is_part);
    if first && second && parts.next().is_none() {
        return Ok(());
    }
    Err(BadName {
        name: name.to_owned(),
        expected: "one or two parts of A-Z a-z 0-9 . _ - between a slash, none starting with a dot",
    })
}

/// Accepts one part: a file's name within its folder.
///
/// # Errors
/// `BadName`.
pub fn check_file(name: &str) -> Result<(), BadName> {
    if is_part(name) {
        return Ok(());
    }
    Err(BadName {
        name: name.to_owned(),
        expected: "1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot",
    })
}

fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !part.is_empty()
        && part.len() <= PART_BYTES_MAX
        && !part.starts_with('.')
        && part.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stay_inside_pass() {
        for name in ["log", "state", "snapshots/3-17", "a.b/C_d-e"] {
            assert_eq!(check_folder(name), Ok(()), "{name}");
        }
        assert_eq!(check_file("000012.sst"), Ok(()));
    }

    #[test]
    fn names_that_could_escape_are_refused() {
        let long = "x".repeat(129);
        for name in [
            "", ".", "..", "/", "/etc", "a/", "a/..", "../a", "a/b/c", "a\\b", "a b", "a\0", ".x",
            "a/.x", "ü", &long,
        ] {
            assert!(check_folder(name).is_err(), "{name:?}");
            assert!(check_file(name).is_err(), "{name:?}");
        }
        assert!(check_file("a/b").is_err());
    }
}
