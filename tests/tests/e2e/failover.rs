//! The leader is killed while clients submit: the gap they see is below a second, nothing acknowledged is
//! lost, nothing is paid twice. `STELLARA_FAILOVER_RUNS` kills that many leaders, one after the other.

use std::time::Duration;

use stellara_client::Client;
use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::load::Load;
use stellara_tests::wait::bounded;
use tokio::time::Instant;

/// The promise.
const GAP_MS_MAX: u128 = 1_000;
/// Leaders killed when nothing else is said.
const RUNS: u64 = 2;
/// Time of one run, and of everything before and after the runs.
const RUN_MS_MAX: u64 = 60_000;
const REST_MS_MAX: u64 = 180_000;

fn runs() -> u64 {
    let told = std::env::var("STELLARA_FAILOVER_RUNS").ok();
    told.map_or(RUNS, |text| text.parse().expect("a number of runs"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_under_load() {
    let mut cluster = Cluster::start(Options::default()).await;
    let runs = runs();
    bounded(REST_MS_MAX + runs * RUN_MS_MAX, async {
        let client = cluster.client();
        let (mut gaps_ms, mut meant) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let (gap_ms, acknowledged) = kill_leader(&mut cluster, &client).await;
            println!("leader killed: clients saw {gap_ms} ms without an acknowledgement");
            gaps_ms.push(gap_ms);
            meant.extend(acknowledged);
        }
        println!("gaps in ms: {gaps_ms:?}");
        let too_long = gaps_ms.iter().filter(|gap_ms| **gap_ms > GAP_MS_MAX);
        assert_eq!(too_long.count(), 0, "{gaps_ms:?} ms");
        let check = cluster.check(&meant).await;
        println!(
            "{} payments, each paid once, level at {}",
            check.paid, check.index
        );
    })
    .await;
}

/// Kills the leader under load and starts it again; the gap in ms, and what was acknowledged.
async fn kill_leader(cluster: &mut Cluster, client: &Client) -> (u128, Vec<Meant>) {
    let load = Load::start(client, 8, Duration::from_millis(20));
    load.await_answers(40).await;
    let leader = cluster.leader().await;
    let killed_at = Instant::now();
    cluster.kill9(leader);
    load.await_answers(80).await;
    let mut told = load.stop().await;
    let gap_ms = told.longest_gap_after(killed_at).as_millis();
    let failed: Vec<_> = told.failed.iter().map(|(_, error)| error).collect();
    assert!(failed.is_empty(), "calls failed: {failed:?}");
    cluster.restart(leader).await;
    told.insist(client).await;
    (gap_ms, told.meant())
}
