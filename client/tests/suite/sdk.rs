//! Single calls: retries, failover, hints, keys, deadlines.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use stellara_client::api::{
    ErrorCode, ErrorDetail, GetPaymentRequest, ListPaymentsRequest, PaymentStage,
};
use stellara_client::{ClientError, Discovery};
use tokio::time::Instant;

use crate::fake::{Cluster, Script, detail, payment};

/// Submits one payment to a cluster whose first node plays `scripts`; gives the result's code,
/// or "accepted" or "repeated", and checks that at most one payment was made.
async fn check(nodes: usize, scripts: Vec<Script>) -> (&'static str, Cluster) {
    let cluster = Cluster::start(nodes);
    cluster.nodes[0].script(scripts);
    let client = cluster
        .builder()
        .discovery(Discovery::Off)
        .deadline(Duration::from_millis(1_500))
        .build()
        .unwrap();
    let result = client.submit_payment(&payment("k-1", "")).await;
    let word = match &result {
        Ok(accepted) if accepted.repeated => "repeated",
        Ok(_) => "accepted",
        Err(error) => error.code(),
    };
    assert!(cluster.accepted() <= 1, "one key made two payments");
    (word, cluster)
}

fn refuse(code: ErrorCode) -> Script {
    Script::Refuse(detail(code))
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for script in [
        refuse(ErrorCode::Unavailable),
        refuse(ErrorCode::NoLeader),
        refuse(ErrorCode::Overloaded),
        refuse(ErrorCode::UnknownOutcome),
        Script::Hang,
    ] {
        assert_eq!(check(1, vec![script; 2]).await.0, "accepted");
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_got_again_with_the_same_key() {
    for script in [Script::ServeAndForget, Script::ServeAndHang] {
        assert_eq!(check(1, vec![script.clone()]).await.0, "repeated");
        assert_eq!(check(2, vec![script]).await.0, "repeated");
    }
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    for code in [
        ErrorCode::InvalidField,
        ErrorCode::KeyReused,
        ErrorCode::TreasuryUnknown,
        ErrorCode::Internal,
    ] {
        let (word, cluster) = check(2, vec![refuse(code)]).await;
        assert_ne!(word, "accepted");
        assert_eq!(cluster.nodes[0].calls() + cluster.nodes[1].calls(), 1);
    }
}

#[tokio::test]
async fn the_deadline_ends_with_what_is_known() {
    let forever = |script: Script| vec![script; 1_000];
    for (script, word) in [
        (Script::Hang, "UNKNOWN_OUTCOME"),
        (refuse(ErrorCode::UnknownOutcome), "UNKNOWN_OUTCOME"),
        (refuse(ErrorCode::NoLeader), "NO_LEADER"),
        (refuse(ErrorCode::Overloaded), "OVERLOADED"),
        (refuse(ErrorCode::Unavailable), "UNAVAILABLE"),
    ] {
        let began = Instant::now();
        assert_eq!(check(1, forever(script)).await.0, word);
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_is_handed_to_the_caller() {
    let cluster = Cluster::start(1);
    cluster.nodes[0].script([Script::Refuse(ErrorDetail {
        retry_after_ms: 60_000,
        ..detail(ErrorCode::Overloaded)
    })]);
    assert_eq!(
        cluster.client().submit_payment(&payment("k", "")).await,
        Err(ClientError::Overloaded {
            retry_after_ms: 60_000
        })
    );
    assert_eq!(cluster.nodes[0].calls(), 1);
}

#[tokio::test]
async fn a_dead_node_costs_little() {
    let mut cluster = Cluster::start(2);
    cluster.nodes[0].kill();
    let client = cluster.client();
    let began = Instant::now();
    for n in 0..20 {
        let accepted = client.submit_payment(&payment(&format!("k-{n}"), "")).await;
        assert!(!accepted.unwrap().repeated);
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    cluster.nodes[1].kill();
    cluster.nodes[0].restart();
    client.submit_payment(&payment("k-20", "")).await.unwrap();
    assert_eq!(cluster.accepted(), 21);
}

#[tokio::test]
async fn with_no_node_the_error_says_why() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].kill();
    let client = cluster.client().with_deadline(Duration::from_millis(200));
    let error = client.submit_payment(&payment("k", "")).await.unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn the_leader_is_followed_and_remembered_even_when_it_was_not_named() {
    let cluster = Cluster::start(2);
    cluster.nodes[0].script([Script::Refuse(ErrorDetail {
        leader_hint: cluster.nodes[1].url.clone(),
        ..detail(ErrorCode::NoLeader)
    })]);
    let client = stellara_client::Client::builder()
        .endpoints([&cluster.nodes[0].url])
        .discovery(Discovery::Off)
        .build()
        .unwrap();
    client.submit_payment(&payment("k-1", "")).await.unwrap();
    client.submit_payment(&payment("k-2", "")).await.unwrap();
    assert_eq!(cluster.nodes[0].calls(), 1);
    assert_eq!(cluster.nodes[1].calls(), 2);
}

#[tokio::test]
async fn members_are_discovered_and_used_when_the_first_node_dies() {
    let mut cluster = Cluster::start(3);
    let client = stellara_client::Client::builder()
        .endpoints([&cluster.nodes[0].url])
        .build()
        .unwrap();
    client.submit_payment(&payment("k-1", "")).await.unwrap();
    while client.endpoints().len() < 3 {
        tokio::task::yield_now().await;
    }
    cluster.nodes[0].kill();
    client.submit_payment(&payment("k-2", "")).await.unwrap();
    assert_eq!(cluster.accepted(), 2);
}

#[tokio::test]
async fn a_missing_key_is_made_up_once() {
    let cluster = Cluster::start(2);
    cluster.nodes[0].script([Script::ServeAndHang]);
    let accepted = cluster
        .client()
        .submit_payment(&payment("", ""))
        .await
        .unwrap();
    assert!(accepted.repeated);
    assert_eq!(cluster.accepted(), 1);
    let store = cluster.store.lock().unwrap();
    assert!(store.payments.contains_key(&accepted.idempotency_key));
}

#[tokio::test]
async fn many_payments_have_a_result_each() {
    let cluster = Cluster::start(1);
    {
        let mut store = cluster.store.lock().unwrap();
        let mut refuse = |reference: &str, codes: &[ErrorCode]| {
            let details = codes.iter().map(|code| detail(*code)).collect();
            store.refusals.insert(reference.into(), details);
        };
        refuse("bad", &[ErrorCode::TreasuryUnknown]);
        refuse("later", &[ErrorCode::Overloaded, ErrorCode::UnknownOutcome]);
    }
    let sent = [
        payment("k-1", ""),
        payment("k-2", "bad"),
        payment("", "later"),
        payment("k-1", ""),
    ];
    let results = cluster.client().submit_payments(&sent).await.unwrap();
    let words: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(accepted) if accepted.repeated => "repeated",
            Ok(_) => "accepted",
            Err(error) => error.code(),
        })
        .collect();
    assert_eq!(
        words,
        ["accepted", "TREASURY_UNKNOWN", "accepted", "repeated"]
    );
    assert_eq!(cluster.accepted(), 2);
    let too_many = vec![payment("", ""); 1_001];
    let error = cluster.client().submit_payments(&too_many).await;
    assert_eq!(error.unwrap_err().code(), "INVALID_FIELD");
}

#[tokio::test]
async fn payments_are_read_listed_and_withdrawn() {
    let cluster = Cluster::start(1);
    let client = cluster.client();
    for n in 0..7 {
        client
            .submit_payment(&payment(&format!("k-{n}"), ""))
            .await
            .unwrap();
    }
    let request = ListPaymentsRequest {
        page_size: 3,
        ..ListPaymentsRequest::default()
    };
    cluster.nodes[0].script([refuse(ErrorCode::Unavailable), Script::Hang]);
    let all: Vec<_> = client.payments(request).try_collect().await.unwrap();
    assert_eq!(all.len(), 7);

    let id = &all[4].payment_id;
    let withdrawn = client.cancel_payment(id).await.unwrap();
    assert_eq!(withdrawn.stage(), PaymentStage::Cancelled);
    let read = client
        .get_payment(&GetPaymentRequest {
            payment_id: id.clone(),
            ..GetPaymentRequest::default()
        })
        .await;
    assert_eq!(read.unwrap(), withdrawn);
    let missing = client.cancel_payment("pay_00000000000000ff").await;
    assert_eq!(
        missing,
        Err(ClientError::NotFound {
            resource: "pay_00000000000000ff".into()
        })
    );
    let mut batches = std::pin::pin!(client.batches(Default::default()));
    assert_eq!(batches.next().await.unwrap().unwrap().ledger, 7);
    assert_eq!(client.list_members().await.unwrap().len(), 1);
    assert_eq!(client.cluster_status().await.unwrap().term, 3);
}

#[tokio::test]
async fn thousands_of_tasks_share_a_client() {
    let cluster = Cluster::start(1);
    let client = cluster.builder().attempt_timeout(Duration::from_secs(4));
    let client = client.connections_per_endpoint(2).build().unwrap();
    let tasks: Vec<_> = (0..2_000)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(
                async move { client.submit_payment(&payment(&format!("k-{n}"), "")).await },
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(cluster.accepted(), 2_000);
}
