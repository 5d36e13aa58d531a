//! A follower loses its disk: it is rebuilt from a snapshot of the others before it votes again.

use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::wait::bounded;

/// Submitted one after the other: enough entries for a snapshot, whose least distance is 100.
const PAYMENTS: usize = 160;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_follower_comes_back_from_a_snapshot() {
    let mut cluster = Cluster::start(Options::default()).await;
    bounded(240_000, async {
        let client = cluster.client();
        let mut meant = Vec::new();
        let follower = cluster.follower().await;
        for number in 0..PAYMENTS {
            // Gone halfway: the others purge what it has not seen.
            if number == PAYMENTS / 4 {
                cluster.kill9(follower);
                cluster.wipe(follower);
            }
            let payment = Meant::next();
            client.submit_payment(&payment.request()).await.unwrap();
            meant.push(payment);
        }
        cluster.restart(follower).await;
        cluster.check(&meant).await;
        let log = cluster.log(follower);
        assert!(
            log.to_lowercase().contains("snapshot"),
            "no snapshot was installed"
        );
        for step in [
            "it follows without a vote until it has applied",
            "the lost log is rebuilt: this node votes again",
        ] {
            assert!(log.contains(step), "not logged: {step}");
        }
    })
    .await;
}
