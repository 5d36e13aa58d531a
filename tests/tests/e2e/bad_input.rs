//! Bad input at every door of a cluster at work, the command line's and gRPC's: each is refused by its field and in
//! words, none is stored, no node stops, and a good payment passes the same door afterwards.
//!
//! What a node cannot start with is in `bad_start`, bytes that mean nothing in `garbage`.

use stellara_client::api::ClusterStatus;
use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::wait::bounded;

mod command_line;
mod grpc;

/// A whole account's address with one letter mistyped: its checksum does not hold.
const MISTYPED: &str = "GBRQYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";
/// A well-formed account that is no treasury of the cluster.
const STRANGER: &str = "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";
/// Longer than both tests take.
const TEST_MS_MAX: u64 = 240_000;

/// A cluster that has settled its first payment and does nothing.
async fn idle_cluster() -> (Cluster, ClusterStatus) {
    let cluster = Cluster::start(Options::default()).await;
    cluster.check(&[]).await;
    let before = cluster.await_still().await;
    assert_eq!(before.totals.unwrap_or_default().submitted, 1);
    (cluster, before)
}

/// Nothing was stored: not a bit of any node's state moved.
async fn assert_untouched(cluster: &Cluster, before: &ClusterStatus) {
    let after = cluster.await_still().await;
    assert_eq!(after.totals, before.totals);
    assert_eq!(after.digest, before.digest);
}

/// What the machine itself refused left its line in the audit trail, and no payment.
async fn assert_nothing_counted(cluster: &Cluster, before: &ClusterStatus) {
    let after = cluster.await_still().await;
    assert_eq!(after.totals, before.totals);
    assert_ne!(after.digest, before.digest, "the machine was not asked");
}

/// All nodes run, and everything accepted is paid once.
async fn assert_at_work(cluster: &mut Cluster, accepted: &[Meant]) {
    cluster.assert_well();
    cluster.check(accepted).await;
}
