//! `stellara.toml` of a node.

use std::path::Path;

use toml::{Table, Value};

use super::layout::{CLUSTER, LEDGER, Layout, REGIONS, Region};

/// Timers fit for loopback, where a round trip takes less than a busy machine's pauses.
const ROUND_TRIP_MAX_MS: i64 = 40;
const HEARTBEAT_MS: i64 = 60;
const ELECTION_MIN_MS: i64 = 200;
const ELECTION_MAX_MS: i64 = 400;
/// Time between two ledgers.
pub const LEDGER_MS: i64 = 1_000;
/// Looks at a transaction on its way: four for each ledger.
const POLL_MS: i64 = LEDGER_MS / 4;
/// The network that the ledger simulates unless told otherwise.
const NETWORK_PASSPHRASE: &str = "Test SDF Network ; September 2015";

/// The settings of this region's node, as text.
pub fn text(layout: &Layout, region: &Region) -> String {
    let data = layout.file(&format!("data-{}", region.node_id));
    let node = [
        ("id", number(region.node_id)),
        ("region", region.name.into()),
        ("data_dir", path(&data)),
    ];
    let members = REGIONS.iter().map(|member| {
        table([
            ("id", number(member.node_id)),
            ("region", member.name.into()),
            ("peer", member.peer_address().into()),
            ("public", member.public_url().into()),
        ])
    });
    let cluster = [
        ("id", CLUSTER.into()),
        ("members", Value::Array(members.collect())),
    ];
    let listen = [
        ("peer", region.peer_address().into()),
        ("public", region.public_address().into()),
        ("ops", region.ops_address().into()),
    ];
    let raft = [
        ("heartbeat_ms", HEARTBEAT_MS.into()),
        ("election_timeout_min_ms", ELECTION_MIN_MS.into()),
        ("election_timeout_max_ms", ELECTION_MAX_MS.into()),
        ("round_trip_max_ms", ROUND_TRIP_MAX_MS.into()),
    ];
    let horizon = Value::Array(vec![format!("http://{LEDGER}").into()]);
    let settlement = [
        ("horizon", horizon),
        ("network_passphrase", NETWORK_PASSPHRASE.into()),
        ("keyring", path(&layout.file("keyring.json"))),
        ("keyring_passphrase_file", path(&layout.file("passphrase"))),
        ("poll_ms", POLL_MS.into()),
        ("ledger_ms", LEDGER_MS.into()),
    ];
    let root: Table = [
        ("node", table(node)),
        ("cluster", table(cluster)),
        ("listen", table(listen)),
        ("tls", table([("dir", path(&layout.file("certs")))])),
        ("raft", table(raft)),
        ("settlement", table(settlement)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    root.to_string()
}

fn number(id: u64) -> Value {
    Value::from(i64::try_from(id).expect("node ids are small"))
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let named = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Value::Table(named.collect())
}

fn path(path: &Path) -> Value {
    path.display().to_string().into()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::super::layout::{Layout, REGIONS};

    #[test]
    fn every_node_knows_every_member() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(Some(dir.path()), "demo").unwrap();
        for region in &REGIONS {
            let table: Table = super::text(&layout, region).parse().unwrap();
            assert_eq!(table["cluster"]["members"].as_array().unwrap().len(), 3);
            assert_eq!(table["node"]["region"].as_str(), Some(region.name));
        }
    }
}
