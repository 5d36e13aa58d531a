//! `stellara.toml` of a node of the demo.

use std::path::Path;

use toml::{Table, Value};

use super::layout::{CLUSTER, LEDGER, Layout, REGIONS, Region};

/// Timers fit for loopback: a leader is missed within half a second.
const HEARTBEAT_MS: i64 = 50;
const ELECTION_MIN_MS: i64 = 200;
const ELECTION_MAX_MS: i64 = 400;

/// The settings of this region's node, as text.
pub fn text(layout: &Layout, region: &Region) -> String {
    let number = |id: u64| Value::from(i64::try_from(id).expect("node ids are small"));
    let mut members = Vec::new();
    for member in &REGIONS {
        members.push(Value::Table(table([
            ("node_id", number(member.node_id)),
            ("region", member.name.into()),
            ("peer_address", member.peer_address().into()),
            ("public_address", member.public_url().into()),
        ])));
    }
    let data = layout.file(&format!("data-{}", region.node_id));
    let root = table([
        ("cluster_id", CLUSTER.into()),
        ("node_id", number(region.node_id)),
        ("region", region.name.into()),
        ("data_dir", path(&data)),
        ("members", Value::Array(members)),
        (
            "listen",
            Value::Table(table([
                ("peer", region.peer_address().into()),
                ("public", region.public_address().into()),
                ("ops", region.ops_address().into()),
            ])),
        ),
        (
            "tls",
            Value::Table(table([("dir", path(&layout.file("certs")))])),
        ),
        (
            "raft",
            Value::Table(table([
                ("heartbeat_ms", HEARTBEAT_MS.into()),
                ("election_min_ms", ELECTION_MIN_MS.into()),
                ("election_max_ms", ELECTION_MAX_MS.into()),
            ])),
        ),
        (
            "ledger",
            Value::Table(table([(
                "horizon_urls",
                Value::Array(vec![format!("http://{LEDGER}").into()]),
            )])),
        ),
        (
            "keyring",
            Value::Table(table([
                ("file", path(&layout.file("keyring.json"))),
                ("passphrase_file", path(&layout.file("passphrase"))),
            ])),
        ),
    ]);
    root.to_string()
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    let named = entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    named.collect()
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
        let layout = Layout::create(Some(dir.path())).unwrap();
        for region in &REGIONS {
            let table: Table = super::text(&layout, region).parse().unwrap();
            assert_eq!(table["members"].as_array().unwrap().len(), 3);
            assert_eq!(table["region"].as_str(), Some(region.name));
        }
    }
}
