//! A node is cut off from all others and joined again, by a network namespace of its own.

use std::time::Duration;

use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::load::Load;
use stellara_tests::sandbox::Namespace;
use stellara_tests::wait::bounded;

/// The node behind the link, from 0.
const FAR: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_catches_up() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(why) => return crate::skip("a_node_that_was_cut_off_catches_up", &why),
    };
    let near = Namespace::outside();
    let cluster = Cluster::start(Options {
        ips: [near, near, Namespace::inside()],
        ledger_ip: near,
        namespace: Some((FAR, namespace.name().to_owned())),
        ..Options::default()
    })
    .await;
    bounded(180_000, async {
        let client = cluster.client();
        let load = Load::start(&client, 4, Duration::from_millis(25));
        load.await_answers(20).await;
        namespace.cut();
        // Whether or not it led, the two others go on.
        load.await_answers(60).await;
        assert!(cluster.status(FAR).await.is_none(), "the link is not cut");
        namespace.heal();
        load.await_answers(20).await;
        let mut told = load.stop().await;
        told.insist(&client).await;
        cluster.check(&told.meant()).await;
    })
    .await;
}
