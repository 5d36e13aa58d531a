//! A node that cannot run as told says why, by name, and ends with 1; it never starts halfway.

use std::net::TcpListener;

use stellara_tests::cluster::{CLUSTER_ID, Cluster, Options, create_certificates};
use stellara_tests::process::run;
use stellara_tests::wait::bounded;
use toml::{Table, Value};

/// Runs node 1 with these settings; it must end with 1 and name all of these.
async fn check(cluster: &Cluster, settings: &Table, expected: &[&str]) {
    let ended = run(&mut cluster.command(0, settings)).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    for words in expected {
        assert!(
            ended.output.contains(words),
            "{words:?} is not in: {}",
            ended.output
        );
    }
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

fn section<'a>(settings: &'a mut Table, name: &str) -> &'a mut Table {
    let section = settings.get_mut(name).and_then(Value::as_table_mut);
    section.expect("the settings have this section")
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let cluster = Cluster::prepare(Options::default()).await;
    bounded(120_000, async {
        let mut unknown = cluster.settings(0);
        section(&mut unknown, "raft").insert("hartbeat_ms".to_owned(), 50.into());
        check(&cluster, &unknown, &["hartbeat_ms", "unknown"]).await;

        let mut timers = cluster.settings(0);
        section(&mut timers, "raft").insert("heartbeat_ms".to_owned(), 1.into());
        check(&cluster, &timers, &["raft.heartbeat_ms", "expected"]).await;

        let mut stranger = cluster.settings(0);
        section(&mut stranger, "node").insert("id".to_owned(), 9.into());
        check(&cluster, &stranger, &["node.id is 9", "cluster.members"]).await;
        assert!(!cluster.data_dir(0).exists(), "nothing was written");
    })
    .await;
}

#[tokio::test]
async fn ports_in_use_are_named() {
    let cluster = Cluster::prepare(Options::default()).await;
    bounded(120_000, async {
        let addresses = cluster.addresses(0);
        for (name, address) in [("public", addresses.public), ("ops", addresses.ops)] {
            let _taken = TcpListener::bind(address).unwrap();
            let settings = cluster.settings(0);
            let key = format!("listen.{name}");
            check(&cluster, &settings, &[&key, &address.to_string(), "in use"]).await;
        }
        let _taken = std::net::UdpSocket::bind(addresses.peer).unwrap();
        let peer = addresses.peer.to_string();
        check(&cluster, &cluster.settings(0), &[&peer, "in use"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_data_of_another_cluster_is_left_alone() {
    let cluster = Cluster::prepare(Options::default()).await;
    bounded(120_000, async {
        let data = cluster.data_dir(0);
        std::fs::create_dir_all(&data).unwrap();
        let file = data.join("node.json");
        let theirs = r#"{"cluster_id":"theirs","node_id":1}"#;
        std::fs::write(&file, theirs).unwrap();
        check(&cluster, &cluster.settings(0), &["\"theirs\"", CLUSTER_ID]).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_refused() {
    let cluster = Cluster::prepare(Options::default()).await;
    bounded(120_000, async {
        let mut settings = cluster.settings(0);
        let folder = |name: &str| cluster.dir().join(name);
        let point = |settings: &mut Table, name: &str| {
            let dir = folder(name).display().to_string();
            section(settings, "tls").insert("dir".to_owned(), dir.into());
        };
        point(&mut settings, "nothing");
        check(&cluster, &settings, &["cannot read", "node-1.pem"]).await;

        create_certificates(&folder("theirs"), "theirs").await;
        point(&mut settings, "theirs");
        check(&cluster, &settings, &["theirs", CLUSTER_ID]).await;

        // Node 2's certificate in node 1's place.
        create_certificates(&folder("swapped"), CLUSTER_ID).await;
        for ending in ["pem", "key"] {
            let from = folder("swapped").join(format!("node-2.{ending}"));
            let to = folder("swapped").join(format!("node-1.{ending}"));
            std::fs::rename(from, to).unwrap();
        }
        point(&mut settings, "swapped");
        check(&cluster, &settings, &["node-1.pem"]).await;
    })
    .await;
}
