//! The one configuration: defaults in code, `stellara.toml`, then `STELLARA_*`; validated whole before anything starts.
//!
//! Unknown keys are refused. Only this file reads the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use serde::Deserialize;
use stellara_raft_store::types::{NodeId, NodeInfo};
use thiserror::Error;

mod check;
mod overrides;
mod signing;

/// Everything a node is told.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node.
    pub node: NodeSection,
    /// The cluster it belongs to.
    pub cluster: ClusterSection,
    /// Where it listens.
    pub listen: ListenSection,
    /// Certificates for its peers.
    pub tls: TlsSection,
    /// Raft's timers and snapshots.
    #[serde(default)]
    pub raft: RaftSection,
    /// Settlement; a node without it never settles, also when it leads.
    pub settlement: Option<SettlementSection>,
    /// Who signs what it settles.
    #[serde(default)]
    pub signer: SignerSection,
    /// Limits of the door.
    #[serde(default)]
    pub limits: LimitsSection,
}

/// `[node]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Its number, from 1; never used again once removed.
    pub id: NodeId,
    /// Its region, as `eu-west-1`.
    pub region: String,
    /// Where its log and state lie.
    pub data_dir: PathBuf,
}

/// `[cluster]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct ClusterSection {
    /// Its name, the same on every node.
    pub id: String,
    /// The voters of a new cluster, this node among them.
    pub members: Vec<MemberSection>,
}

/// `[[cluster.members]]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct MemberSection {
    /// Its number.
    pub id: NodeId,
    /// Its region.
    pub region: String,
    /// Where its peers reach it: `host:port`, UDP.
    pub peer: String,
    /// Where clients reach it: `http://host:port`.
    pub public: String,
}

/// `[listen]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct ListenSection {
    /// QUIC, for peers.
    #[serde(default = "default_peer")]
    pub peer: SocketAddr,
    /// gRPC, for clients.
    #[serde(default = "default_public")]
    pub public: SocketAddr,
    /// Health, metrics and administration: keep it on loopback or an inner network.
    #[serde(default = "default_ops")]
    pub ops: SocketAddr,
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The folder of `ca.pem`, `node-N.pem` and `node-N.key`.
    pub dir: PathBuf,
}

/// `[raft]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct RaftSection {
    /// How often an idle leader beats, milliseconds.
    pub heartbeat_ms: u64,
    /// The least a follower waits before it asks for votes, milliseconds.
    pub election_timeout_min_ms: u64,
    /// The most it waits, milliseconds; also the leader's lease, so the same on every node.
    pub election_timeout_max_ms: u64,
    /// The largest round trip between voters that the timers must bear, milliseconds.
    pub round_trip_max_ms: u64,
    /// Log entries between snapshots.
    pub snapshot_entries: u64,
}

impl Default for RaftSection {
    fn default() -> Self {
        Self {
            heartbeat_ms: 240,
            election_timeout_min_ms: 320,
            election_timeout_max_ms: 540,
            round_trip_max_ms: 231,
            snapshot_entries: 20_000,
        }
    }
}

/// `[settlement]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct SettlementSection {
    /// Horizon's addresses, the preferred first.
    pub horizon: Vec<String>,
    /// The network's passphrase.
    pub network_passphrase: String,
    /// The file of signing keys; none when `signer.kind` is `remote`.
    pub keyring: Option<PathBuf>,
    /// The file of the keyring's passphrase; `STELLARA_KEYRING_PASSPHRASE` instead when this and the key file are absent.
    pub keyring_passphrase_file: Option<PathBuf>,
    /// A file of 32 random bytes that opens the keyring instead of a passphrase.
    pub keyring_key_file: Option<PathBuf>,
    /// Time between look-ups of a transaction in flight, milliseconds.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: u64,
    /// The usual time from ledger to ledger, milliseconds.
    #[serde(default = "default_ledger_ms")]
    pub ledger_ms: u64,
    /// How far a transaction's time bound lies ahead, seconds.
    #[serde(default = "default_time_bound_s")]
    pub time_bound_s: u64,
    /// Time for one call of Horizon, milliseconds.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
}

/// `[signer]`
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct SignerSection {
    /// Where the keys are: `local` in the keyring of `[settlement]`, `remote` at a service that signs.
    pub kind: SignerKind,
    /// The service's address, https, or http on this machine; for `remote`, as the rest.
    pub url: Option<String>,
    /// The file of the token that the service knows this node by.
    pub token_file: Option<PathBuf>,
    /// Time for one call of the service, milliseconds.
    pub timeout_ms: u64,
    /// Tries of a request while the service does not answer.
    pub tries_max: u32,
    /// The treasuries it signs for, `G…`; when all three lists are empty, the service is asked.
    pub treasuries: Vec<String>,
    /// The channel accounts it signs for.
    pub channels: Vec<String>,
    /// The fee accounts it signs for.
    pub fee_accounts: Vec<String>,
}

/// Where the signing keys are.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "lowercase")]
pub enum SignerKind {
    /// In this process, from a keyring.
    #[default]
    Local,
    /// At a service elsewhere.
    Remote,
}

impl Default for SignerSection {
    fn default() -> Self {
        Self {
            kind: SignerKind::Local,
            url: None,
            token_file: None,
            timeout_ms: 5_000,
            tries_max: 3,
            treasuries: Vec::new(),
            channels: Vec::new(),
            fee_accounts: Vec::new(),
        }
    }
}

/// `[limits]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Commands admitted and not answered, at most.
    pub commands_max: usize,
    /// Log entries under way, at most.
    pub entries_in_flight_max: usize,
    /// How long a caller waits before its outcome is called unknown, milliseconds.
    pub answer_within_ms: u64,
    /// Disk space below which the node takes no writes, bytes.
    pub disk_reserve_bytes: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            commands_max: 65_536,
            entries_in_flight_max: 8,
            answer_within_ms: 5_000,
            disk_reserve_bytes: 256 << 20,
        }
    }
}

const fn default_address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

const fn default_peer() -> SocketAddr {
    default_address(7400)
}

const fn default_public() -> SocketAddr {
    default_address(7420)
}

const fn default_ops() -> SocketAddr {
    default_address(7430)
}

const fn default_poll_ms() -> u64 {
    1_000
}

const fn default_ledger_ms() -> u64 {
    5_000
}

const fn default_time_bound_s() -> u64 {
    60
}

const fn default_request_timeout_ms() -> u64 {
    15_000
}

/// Why a configuration is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {detail}")]
    File {
        /// The file.
        path: String,
        /// The system's words.
        detail: String,
    },
    /// Not TOML, a key that is not known, or a value of another type.
    #[error("{path}: {detail}")]
    Parse {
        /// The file, or the variable.
        path: String,
        /// The parser's words: the line, the key, what was expected.
        detail: String,
    },
    /// A value is out of its bounds, or does not fit the others.
    #[error("{key} is {value}, expected {expected}")]
    Value {
        /// The key, as `raft.heartbeat_ms`.
        key: String,
        /// Its value.
        value: String,
        /// What was expected, and the rule it comes from.
        expected: String,
    },
}

impl Config {
    /// Reads the file, lays `STELLARA_*` over it and checks everything.
    ///
    /// # Errors
    /// The first key at fault.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::File {
            path: path.display().to_string(),
            detail: error.to_string(),
        })?;
        let variables = env::vars().filter(|(name, _)| name.starts_with(overrides::PREFIX));
        Self::parse(&path.display().to_string(), &text, variables)
    }

    /// The same from a text and variables.
    ///
    /// # Errors
    /// The first key at fault.
    pub fn parse(
        path: &str,
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let parse = |detail: String| ConfigError::Parse {
            path: path.to_owned(),
            detail,
        };
        // Read as it stands first: its errors then name lines of the file.
        let _: Self = toml::from_str(text).map_err(|error| parse(error.to_string()))?;
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| parse(error.to_string()))?;
        overrides::lay_over(&mut table, variables)?;
        let config: Self =
            table
                .try_into()
                .map_err(|error: toml::de::Error| ConfigError::Parse {
                    path: "STELLARA_* variables".to_owned(),
                    detail: error.to_string(),
                })?;
        check::check(&config)?;
        Ok(config)
    }

    /// The voters of a new cluster, as Raft keeps them.
    #[must_use]
    pub fn members(&self) -> BTreeMap<NodeId, NodeInfo> {
        self.cluster
            .members
            .iter()
            .map(|member| {
                let info = NodeInfo {
                    region: member.region.clone(),
                    peer_address: member.peer.clone(),
                    public_address: member.public.clone(),
                };
                (member.id, info)
            })
            .collect()
    }

    /// How long a caller waits for an answer.
    #[must_use]
    pub const fn answer_within(&self) -> Duration {
        Duration::from_millis(self.limits.answer_within_ms)
    }
}

/// The keyring's passphrase from the environment, when it is there.
#[must_use]
pub fn keyring_passphrase() -> Option<String> {
    env::var(overrides::KEYRING_PASSPHRASE).ok()
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
