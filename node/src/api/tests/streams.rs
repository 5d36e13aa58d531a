//! The bulk stream and the feed.

use stellara_proto::v1::payment_event::Event;
use stellara_proto::v1::{self, ErrorCode, PaymentStage};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::fake::Gate;
use super::{LONG, Served, code, request};

fn message(keys: &[String]) -> v1::SubmitPaymentsRequest {
    v1::SubmitPaymentsRequest {
        payments: keys.iter().map(|key| request(key)).collect(),
    }
}

#[tokio::test]
async fn the_bulk_stream_proposes_ahead_and_answers_in_order() {
    let mut served = Served::start().await;
    let before = *served.fake.proposals.borrow();
    served.fake.gate.send_replace(Gate::Closed);
    let messages: Vec<_> = (0..20)
        .map(|number| message(&[format!("{number}a"), format!("{number}b")]))
        .collect();
    let (sender, receiver) = mpsc::channel(32);
    for message in messages {
        sender.send(message).await.unwrap();
    }
    let requests = ReceiverStream::new(receiver);
    let answers = served.payments.submit_payment_stream(requests).await;
    let mut answers = answers.unwrap().into_inner();
    // All are proposed although none is decided.
    let mut proposals = served.fake.proposals.subscribe();
    let all = proposals.wait_for(|count| *count == before + 20);
    timeout(LONG, all).await.unwrap().unwrap();
    served.fake.gate.send_replace(Gate::Open);
    for number in 0..20 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.results.len(), 2);
        for (result, letter) in answer.results.iter().zip(["a", "b"]) {
            let Some(v1::submit_payment_result::Result::Accepted(accepted)) = &result.result else {
                panic!("refused: {result:?}");
            };
            let get = v1::GetPaymentRequest {
                payment_id: accepted.payment_id.clone(),
                ..v1::GetPaymentRequest::default()
            };
            let payment = served.payments.get_payment(get).await.unwrap();
            let key = payment.into_inner().idempotency_key;
            assert_eq!(key, format!("{number}{letter}"));
        }
    }
    // A message that is no list ends the stream, after the answers before it.
    sender.send(message(&["last".to_owned()])).await.unwrap();
    sender.send(message(&[])).await.unwrap();
    sender.send(message(&["never".to_owned()])).await.unwrap();
    assert!(answers.message().await.unwrap().is_some());
    let status = answers.message().await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::InvalidField);
    assert_eq!(served.fake.submitted(), 41);
    drop(sender);
    served.end().await;
}

#[tokio::test]
async fn the_bulk_stream_stops_reading_at_its_bound() {
    let mut served = Served::start().await;
    let before = *served.fake.proposals.borrow();
    served.fake.gate.send_replace(Gate::Closed);
    let messages = (0..20).map(|number| {
        let keys: Vec<_> = (0..1_000).map(|key| format!("{number}/{key}")).collect();
        message(&keys)
    });
    let requests = tokio_stream::iter(messages.collect::<Vec<_>>());
    let answers = served.payments.submit_payment_stream(requests).await;
    let mut answers = answers.unwrap().into_inner();
    let mut proposals = served.fake.proposals.subscribe();
    let full = proposals.wait_for(|count| *count == before + 8);
    timeout(LONG, full).await.unwrap().unwrap();
    // The server turns to other calls, and the stream still waits for room.
    let get = v1::ListPaymentsRequest::default();
    served.payments.list_payments(get).await.unwrap();
    assert_eq!(*served.fake.proposals.borrow(), before + 8);
    served.fake.gate.send_replace(Gate::Open);
    let mut answered = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        answered += answer.results.len();
    }
    assert_eq!((answered, served.fake.submitted()), (20_000, 20_000));
    served.end().await;
}

async fn watch(served: &mut Served, cursor: &str, ids: &[String]) -> Streaming<v1::PaymentEvent> {
    let request = v1::WatchPaymentsRequest {
        cursor: cursor.to_owned(),
        payment_ids: ids.to_vec(),
    };
    let events = served.payments.watch_payments(request).await;
    events.unwrap().into_inner()
}

/// The next event: its cursor, payment and stage.
async fn next(events: &mut Streaming<v1::PaymentEvent>) -> (String, String, PaymentStage) {
    let event = timeout(LONG, events.message()).await.unwrap().unwrap();
    let event = event.expect("the feed goes on");
    match event.event {
        Some(Event::Payment(moved)) => {
            let stage = moved.stage();
            (event.cursor, moved.payment_id, stage)
        }
        other @ (Some(Event::Batch(_) | Event::Progress(_)) | None) => {
            panic!("not a payment's event: {other:?}")
        }
    }
}

#[tokio::test]
async fn the_feed_resumes_at_every_cursor_without_gap_or_repetition() {
    let mut served = Served::start().await;
    let keys: Vec<_> = (0..3).map(|number| format!("k{number}")).collect();
    served
        .payments
        .submit_payments(message(&keys))
        .await
        .unwrap();
    let first = served.submit("first").await;
    let cancel = v1::CancelPaymentRequest {
        payment_id: first.clone(),
    };
    let mut now = watch(&mut served, "", &[]).await;
    served.payments.cancel_payment(cancel).await.unwrap();
    let mut feed = watch(&mut served, "0", &[]).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(next(&mut feed).await);
    }
    assert_eq!(
        all[4],
        (all[4].0.clone(), first.clone(), PaymentStage::Cancelled)
    );
    assert_eq!(next(&mut now).await, all[4], "only what came after");
    for seen in 0..4 {
        let mut resumed = watch(&mut served, &all[seen].0, &[]).await;
        for expected in &all[seen + 1..] {
            assert_eq!(&next(&mut resumed).await, expected);
        }
    }
    // What happens later arrives on the open feed, and a filtered one hears of its payments only.
    let mut one = watch(&mut served, "0", std::slice::from_ref(&first)).await;
    assert_eq!(next(&mut one).await.2, PaymentStage::Queued);
    assert_eq!(next(&mut one).await, all[4]);
    let later = served.submit("later").await;
    assert_eq!(next(&mut feed).await.1, later);
    served.end().await;
}

#[tokio::test]
async fn a_stop_ends_the_streams_with_unavailable() {
    let mut served = Served::start().await;
    let mut feed = watch(&mut served, "", &[]).await;
    let (sender, receiver) = mpsc::channel(1);
    let requests = ReceiverStream::new(receiver);
    let answers = served.payments.submit_payment_stream(requests).await;
    let mut answers = answers.unwrap().into_inner();
    sender.send(message(&["k".to_owned()])).await.unwrap();
    assert!(answers.message().await.unwrap().is_some());
    served.stop.cancel();
    // What happened before the stop may still arrive first.
    let end = loop {
        match timeout(LONG, feed.message()).await.unwrap() {
            Ok(event) => assert!(event.is_some(), "a stop is not a clean end"),
            Err(status) => break status,
        }
    };
    let answered = timeout(LONG, answers.message()).await.unwrap();
    for status in [end, answered.unwrap_err()] {
        assert_eq!(code(&status), ErrorCode::Unavailable);
    }
    served.end().await;
}

#[tokio::test]
async fn a_bad_watch_is_refused() {
    let mut served = Served::start().await;
    let rows = [
        ("x", "pay_00000000000000ff", "cursor"),
        ("", "bat_0", "payment_ids[0]"),
    ];
    for (cursor, id, field) in rows {
        let request = v1::WatchPaymentsRequest {
            cursor: cursor.to_owned(),
            payment_ids: vec![id.to_owned()],
        };
        let status = served.payments.watch_payments(request).await.unwrap_err();
        assert_eq!(super::detail(&status).field, field);
    }
    served.end().await;
}
