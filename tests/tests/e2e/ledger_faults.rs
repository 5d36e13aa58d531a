//! The ledger takes transactions and loses its answers: nothing is paid twice.

use stellara_ledger::{FaultKind, FaultPlan, FaultRule};
use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::wait::{bounded, until};

/// Answers that are lost.
const LOST: u64 = 50;
/// How long a lost answer is held open: longer than the node waits.
const HELD_MS: u64 = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_lost_answers_double_no_payment() {
    let cluster = Cluster::start(Options::default()).await;
    bounded(300_000, async {
        let rule = FaultRule {
            count: Some(LOST),
            delay_ms: HELD_MS,
            ..FaultRule::new(FaultKind::TimeoutAfter)
        };
        let plan = FaultPlan {
            rules: vec![rule],
            ..FaultPlan::default()
        };
        cluster.ledger().set_faults(&plan).await;
        let client = cluster.client();
        let mut meant = Vec::new();
        // One payment at a time makes one transaction at a time: each loses its answer.
        until("every fault has struck", 240_000, || {
            let payment = Meant::next();
            meant.push(payment.clone());
            let (client, ledger) = (&client, cluster.ledger());
            async move {
                client.submit_payment(&payment.request()).await.unwrap();
                // One was on its way before the faults.
                let applied = ledger.journal().await.len() as u64;
                (applied > LOST).then_some(())
            }
        })
        .await;
        let check = cluster.check(&meant).await;
        println!(
            "{LOST} answers lost, {} payments, each paid once",
            check.paid
        );
    })
    .await;
}
