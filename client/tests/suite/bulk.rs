//! The bulk path: order, packing, failover, refusals, deadlines.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use stellara_client::BulkOptions;
use stellara_client::api::ErrorCode;

use crate::fake::{Cluster, Script, detail, payment};

const PAYMENTS: usize = 1_000;

fn options() -> BulkOptions {
    BulkOptions {
        outstanding_max: 200,
        pack_max: 32,
    }
}

/// Submits a thousand payments through `cluster` and checks that each was accepted, in order,
/// and none twice. Gives how many answers were repeats.
async fn check(cluster: &Cluster) -> usize {
    let payments = stream::iter((0..PAYMENTS).map(|n| payment(&format!("k-{n}"), "")));
    let answers = cluster.client().submit_stream(payments, options());
    let answers: Vec<_> = answers.try_collect().await.unwrap();
    let keys = answers.iter().map(|accepted| &accepted.idempotency_key);
    assert!(keys.eq(&(0..PAYMENTS).map(|n| format!("k-{n}")).collect::<Vec<_>>()));
    assert_eq!(cluster.accepted(), PAYMENTS);
    answers.iter().filter(|accepted| accepted.repeated).count()
}

#[tokio::test]
async fn every_payment_is_answered_in_order() {
    let cluster = Cluster::start(1);
    assert_eq!(check(&cluster).await, 0);
    assert!(cluster.store.lock().unwrap().pack_max <= 32);
}

#[tokio::test]
async fn ready_payments_travel_together() {
    let cluster = Cluster::start(1);
    let submitter = cluster.client().bulk(options());
    let mut answers = Vec::new();
    // On this single-threaded runtime nothing is sent before the first wait.
    for n in 0..100 {
        answers.push(
            submitter
                .submit(&payment(&format!("k-{n}"), ""))
                .await
                .unwrap(),
        );
    }
    for answer in answers {
        answer.await.unwrap();
    }
    submitter.finish().await;
    assert_eq!(cluster.store.lock().unwrap().pack_max, 32);
}

#[tokio::test]
async fn unanswered_payments_are_sent_again_elsewhere() {
    for script in [
        Script::CutAfter(3),
        Script::ServeAndHang,
        Script::Hang,
        Script::Refuse(detail(ErrorCode::Unavailable)),
    ] {
        let cluster = Cluster::start(2);
        cluster.nodes[0].script([script]);
        check(&cluster).await;
    }
}

#[tokio::test]
async fn a_node_that_dies_loses_nothing() {
    let mut cluster = Cluster::start(2);
    let submitter = cluster.client().bulk(options());
    let first = submitter.submit(&payment("k-0", "")).await.unwrap();
    first.await.unwrap();
    let mut answers = Vec::new();
    for n in 1..100 {
        answers.push(
            submitter
                .submit(&payment(&format!("k-{n}"), ""))
                .await
                .unwrap(),
        );
        if n == 50 {
            cluster.nodes[0].kill();
        }
    }
    for answer in answers {
        answer.await.unwrap();
    }
    submitter.finish().await;
    assert_eq!(cluster.accepted(), 100);
    assert!(cluster.nodes[1].calls() > 0);
}

#[tokio::test]
async fn refusals_are_told_and_overload_is_waited_out() {
    let cluster = Cluster::start(1);
    {
        let mut store = cluster.store.lock().unwrap();
        let refusals = &mut store.refusals;
        refusals.insert("bad".into(), [detail(ErrorCode::TreasuryUnknown)].into());
        refusals.insert("full".into(), vec![detail(ErrorCode::Overloaded); 3].into());
        refusals.insert("lost".into(), [detail(ErrorCode::NoLeader)].into());
    }
    let payments = ["", "bad", "full", "lost", ""]
        .into_iter()
        .enumerate()
        .map(|(n, reference)| payment(&format!("k-{n}"), reference));
    let answers: Vec<_> = cluster
        .client()
        .submit_stream(stream::iter(payments), options())
        .map(|answer| answer.map_or_else(|error| error.code(), |_| "ok"))
        .collect()
        .await;
    assert_eq!(answers, ["ok", "TREASURY_UNKNOWN", "ok", "ok", "ok"]);
    assert_eq!(cluster.accepted(), 4);
}

#[tokio::test]
async fn the_deadline_holds_when_no_node_answers() {
    let mut cluster = Cluster::start(1);
    let client = cluster.client().with_deadline(Duration::from_millis(600));
    cluster.nodes[0].script(vec![Script::Hang; 100]);
    let hung = client.bulk(options());
    let answer = hung.submit(&payment("", "")).await.unwrap().await;
    assert_eq!(answer.unwrap_err().code(), "UNKNOWN_OUTCOME");
    cluster.nodes[0].kill();
    // A client that was connected could not tell: its message may have arrived.
    let client = cluster.client().with_deadline(Duration::from_millis(600));
    let dead = client.bulk(options());
    let answer = dead.submit(&payment("", "")).await.unwrap().await;
    let error = answer.unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE", "{error:?}");
    dead.finish().await;
}
