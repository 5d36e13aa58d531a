//! Step `dependencies`: every crate of the lock file against `deny.toml`, without the network.
//!
//! Licences in the allow list, no second TLS stack, no source but the registry, and one version
//! each of the crates whose types cross our own crates.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use serde_json::Value;

use super::licence;
use super::policy::Policy;
use super::{Done, StepError};
use crate::{clock, shell, workspace};

/// Two versions of these would be two worlds: types, runtimes and sessions that do not meet.
const SINGLE: [&str; 8] = [
    "openraft", "prost", "quinn", "ring", "rocksdb", "rustls", "tokio", "tonic",
];

/// What is wrong.
#[derive(Debug)]
pub enum DependencyError {
    /// `deny.toml` cannot be read.
    Policy(String),
    /// Crates against the rules, a sentence each.
    Refused(Vec<String>),
}

impl fmt::Display for DependencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(why) => f.write_str(why),
            Self::Refused(crates) => write!(f, "against deny.toml:\n  {}", crates.join("\n  ")),
        }
    }
}

/// Reads `cargo metadata` for this machine's platform: others would have to be downloaded.
pub fn run() -> Result<Done, StepError> {
    let path = workspace::root().join("deny.toml");
    let policy = fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}", path.display()))
        .and_then(|text| Policy::read(&text))
        .map_err(|why| StepError::Dependencies(DependencyError::Policy(why)))?;
    for what in policy.expired(&clock::today()) {
        eprintln!(
            "warning: the exception for {what} in deny.toml is past its date: look at it again"
        );
    }
    let platform = host()?;
    let metadata = workspace::metadata(&["--locked", "--filter-platform", &platform])?;
    let refused = refused(&metadata, &policy);
    if refused.is_empty() {
        return Ok(Done::Passed);
    }
    Err(StepError::Dependencies(DependencyError::Refused(refused)))
}

/// The platform that rustc compiles for here.
fn host() -> Result<String, StepError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = shell::output(std::process::Command::new(rustc).arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.unwrap_or("x86_64-unknown-linux-gnu").to_owned())
}

fn refused(metadata: &Value, policy: &Policy) -> Vec<String> {
    let packages = metadata["packages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let mut refused = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = text("name");
        versions.entry(name).or_default().push(text("version"));
        let mut tell = |why: String| refused.push(format!("{name} {}: {why}", text("version")));
        match licence::is_allowed(text("license"), &policy.licences) {
            Ok(true) => {}
            Ok(false) => tell(format!("licence {} is not allowed", text("license"))),
            Err(why) => tell(format!("licence {:?}: {why}", text("license"))),
        }
        for (_, why) in policy.banned.iter().filter(|(banned, _)| banned == name) {
            tell(format!("banned: {why}"));
        }
        // A path has no source: it is in this clone.
        if let Some(source) = package["source"].as_str() {
            let address = source.strip_prefix("registry+");
            if !address.is_some_and(|address| policy.registries.contains(address)) {
                tell(format!("source {source} is not allowed"));
            }
        }
    }
    for name in SINGLE {
        let found = versions.get(name).map_or(&[][..], Vec::as_slice);
        if found.len() > 1 {
            refused.push(format!(
                "{name}: one version expected, found {}",
                found.join(", ")
            ));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Policy, refused};

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn check(packages: Value, expected: &[&str]) {
        let text = include_str!("../../../deny.toml");
        let policy = Policy::read(text).expect("the workspace's own rules");
        let found = refused(&json!({ "packages": packages }), &policy);
        assert_eq!(found, expected);
    }

    fn package(name: &str, version: &str, licence: &str, source: &str) -> Value {
        json!({ "name": name, "version": version, "license": licence, "source": source })
    }

    #[test]
    fn what_the_rules_forbid_is_named() {
        check(
            json!([package("a", "1.0.0", "MIT/Apache-2.0", REGISTRY)]),
            &[],
        );
        check(
            json!([package("a", "1.0.0", "GPL-3.0-only", REGISTRY)]),
            &["a 1.0.0: licence GPL-3.0-only is not allowed"],
        );
        check(
            json!([package("openssl-sys", "0.9.1", "MIT", REGISTRY)]),
            &["openssl-sys 0.9.1: banned: one TLS stack: rustls with ring"],
        );
        check(
            json!([package("a", "1.0.0", "MIT", "git+https://example.org/a#0")]),
            &["a 1.0.0: source git+https://example.org/a#0 is not allowed"],
        );
        let two = [
            package("rustls", "0.22.0", "MIT", REGISTRY),
            package("rustls", "0.23.0", "MIT", REGISTRY),
        ];
        check(
            json!(two),
            &["rustls: one version expected, found 0.22.0, 0.23.0"],
        );
    }

    #[test]
    fn a_crate_of_this_clone_has_no_source() {
        check(
            json!([{ "name": "a", "version": "0.1.0", "license": "MIT", "source": null }]),
            &[],
        );
    }
}
