//! SIGTERM: a node stops by itself, with 0, within ten seconds, whether or not it leads and
//! whether or not a majority is left; started again it carries on.

use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::wait::bounded;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_every_node_in_time() {
    let mut cluster = Cluster::start(Options::default()).await;
    bounded(180_000, async {
        let payment = Meant::next();
        let client = cluster.client();
        client.submit_payment(&payment.request()).await.unwrap();
        // The last one has nobody to hand leadership to.
        for left in (1..=3).rev() {
            let node = if left == 1 {
                let running = (0..3).find(|node| cluster.runs(*node));
                running.expect("one node is left")
            } else {
                cluster.leader().await
            };
            let status = cluster.term(node).await;
            assert_eq!(status.code(), Some(0), "node {}", node + 1);
        }
        for node in 0..3 {
            cluster.start_node(node);
        }
        for node in 0..3 {
            cluster.await_ready(node).await;
        }
        let again = client.submit_payment(&payment.request()).await.unwrap();
        assert!(again.repeated, "the payment was forgotten");
        cluster.check(&[payment]).await;
    })
    .await;
}
