//! Watching through failover: no gap, no duplicate.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use stellara_client::WatchOptions;
use stellara_client::api::payment_event::Event;
use stellara_client::api::{ErrorCode, PaymentEvent, PaymentMoved, Progress};

use crate::fake::{Cluster, Script, detail};

/// Ten moves; every fourth event only tells progress.
fn events() -> Vec<PaymentEvent> {
    (1..=12_u64)
        .map(|n| PaymentEvent {
            cursor: n.to_string(),
            at_ms: n,
            event: Some(if n % 4 == 0 {
                Event::Progress(Progress {})
            } else {
                Event::Payment(PaymentMoved {
                    payment_id: format!("pay_{n:016x}"),
                    ..PaymentMoved::default()
                })
            }),
        })
        .collect()
}

/// The cursors of all events seen from `cursor` on.
async fn check(cluster: &Cluster, cursor: &str) -> Vec<u64> {
    cluster.store.lock().unwrap().events = events();
    let watch = cluster.client().watch_payments(WatchOptions {
        cursor: cursor.into(),
        ..WatchOptions::default()
    });
    let from: u64 = cursor.parse().unwrap();
    let expected = (from + 1..=12).filter(|n| n % 4 != 0).count();
    let seen: Vec<_> = watch
        .into_stream()
        .take(expected)
        .try_collect()
        .await
        .unwrap();
    seen.iter().map(|event| event.at_ms).collect()
}

#[tokio::test]
async fn events_come_once_and_in_order_through_cuts() {
    let all = [1, 2, 3, 5, 6, 7, 9, 10, 11];
    let cluster = Cluster::start(2);
    assert_eq!(check(&cluster, "0").await, all);
    assert_eq!(check(&cluster, "6").await, all[5..]);
    for node in &cluster.nodes {
        node.script([
            Script::CutAfter(2),
            Script::CutAfter(0),
            Script::Refuse(detail(ErrorCode::Unavailable)),
            Script::CutAfter(3),
        ]);
    }
    assert_eq!(check(&cluster, "0").await, all);
}

#[tokio::test]
async fn a_watch_that_finds_no_node_ends_with_an_error() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].kill();
    let mut watch = cluster.client().watch_payments(WatchOptions {
        patience: Duration::from_millis(100),
        ..WatchOptions::default()
    });
    let error = watch.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "UNAVAILABLE");
    assert!(watch.next().await.is_none());
}
