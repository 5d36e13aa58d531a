//! Every node is restarted, one after the other, as an operator upgrades them: no call fails.

use std::time::Duration;

use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::load::Load;
use stellara_tests::wait::bounded;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_call() {
    let mut cluster = Cluster::start(Options::default()).await;
    bounded(240_000, async {
        let client = cluster.client();
        let load = Load::start(&client, 4, Duration::from_millis(25));
        for node in 0..3 {
            load.await_answers(20).await;
            let status = cluster.term(node).await;
            assert_eq!(status.code(), Some(0), "node {}", node + 1);
            cluster.restart(node).await;
            // The next one goes only when this one carries its share again.
            cluster.leader().await;
        }
        load.await_answers(20).await;
        let told = load.stop().await;
        let failed: Vec<_> = told.failed.iter().map(|(_, error)| error).collect();
        assert!(failed.is_empty(), "calls failed: {failed:?}");
        cluster.check(&told.meant()).await;
    })
    .await;
}
