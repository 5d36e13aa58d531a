//! Submit, get, list, cancel; batches and the cluster.

use stellara_machine::command::{Command, FormBatch, GroupKey};
use stellara_machine::decision::Reply;
use stellara_machine::ids::Memo;
use stellara_machine::units::Lane;
use stellara_proto::v1::batches_client::BatchesClient;
use stellara_proto::v1::cluster_client::ClusterClient;
use stellara_proto::v1::{self, ErrorCode, PaymentStage};
use tonic::Code;

use super::fake::TREASURY;
use super::{Served, code, detail, format, request};
use crate::gateway::Gateway as _;

fn get(payment_id: &str) -> v1::GetPaymentRequest {
    v1::GetPaymentRequest {
        payment_id: payment_id.to_owned(),
        ..v1::GetPaymentRequest::default()
    }
}

#[tokio::test]
async fn a_payment_reads_as_it_was_submitted() {
    let mut served = Served::start().await;
    let mut sent = request("k");
    sent.reference = "March".into();
    sent.priority = v1::Priority::Low.into();
    sent.memo = Some(v1::Memo {
        memo: Some(v1::memo::Memo::Id(7)),
    });
    let answer = served.payments.submit_payment(sent.clone()).await.unwrap();
    let id = answer.into_inner().payment_id;
    let again = served.payments.submit_payment(sent.clone()).await.unwrap();
    let again = again.into_inner();
    assert_eq!((&again.payment_id, again.repeated), (&id, true));
    let found = served.payments.get_payment(get(&id)).await.unwrap();
    let found = found.into_inner();
    assert_eq!(found.stage(), PaymentStage::Queued);
    assert_eq!(found.treasury, format::account(TREASURY));
    let read = v1::SubmitPaymentRequest {
        idempotency_key: found.idempotency_key,
        destination: found.destination,
        asset: found.asset,
        amount: found.amount,
        treasury: String::new(),
        memo: found.memo,
        priority: found.priority,
        reference: found.reference,
        fee_cap_stroops: found.fee_cap_stroops,
    };
    assert_eq!(read, sent);
    served.end().await;
}

#[tokio::test]
async fn an_unknown_payment_and_a_bad_id_are_told_apart() {
    let mut served = Served::start().await;
    let unknown = "pay_00000000000000ff";
    let status = served.payments.get_payment(get(unknown)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(detail(&status).resource, unknown);
    for bad in ["", "pay_", "bat_00000000000000ff", "pay_00000000000000fg"] {
        let status = served.payments.get_payment(get(bad)).await.unwrap_err();
        assert_eq!(code(&status), ErrorCode::InvalidField, "{bad}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_cancelled_payment_is_returned_and_cannot_be_found_queued() {
    let mut served = Served::start().await;
    let id = served.submit("k").await;
    let cancel = v1::CancelPaymentRequest {
        payment_id: id.clone(),
    };
    for _ in 0..2 {
        let payment = served.payments.cancel_payment(cancel.clone()).await;
        let payment = payment.unwrap().into_inner();
        assert_eq!(payment.stage(), PaymentStage::Cancelled);
    }
    let unknown = v1::CancelPaymentRequest {
        payment_id: "pay_00000000000000ff".into(),
    };
    let status = served.payments.cancel_payment(unknown).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::NotFound);
    served.end().await;
}

/// All pages of a list, as ids.
async fn pages(served: &mut Served, stage: PaymentStage, page_size: u32) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = v1::ListPaymentsRequest {
            page_size,
            cursor,
            stage: stage.into(),
            ..v1::ListPaymentsRequest::default()
        };
        let page = served.payments.list_payments(list).await.unwrap();
        let page = page.into_inner();
        pages.push(page.payments.into_iter().map(|p| p.payment_id).collect());
        cursor = page.next_cursor;
        if cursor.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn lists_page_in_order_and_filter_by_stage() {
    let mut served = Served::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(served.submit(&format!("k{number}")).await);
    }
    let cancel = v1::CancelPaymentRequest {
        payment_id: ids[2].clone(),
    };
    served.payments.cancel_payment(cancel).await.unwrap();
    let all = pages(&mut served, PaymentStage::Unspecified, 2).await;
    let expected: Vec<_> = ids.chunks(2).map(<[String]>::to_vec).collect();
    assert_eq!(all, expected);
    let cancelled = pages(&mut served, PaymentStage::Cancelled, 2).await;
    assert_eq!(cancelled.concat(), [ids[2].clone()]);
    let bad = v1::ListPaymentsRequest {
        cursor: "zzz".into(),
        ..v1::ListPaymentsRequest::default()
    };
    let status = served.payments.list_payments(bad).await.unwrap_err();
    assert_eq!(detail(&status).field, "cursor");
    served.end().await;
}

#[tokio::test]
async fn a_batch_and_the_cluster_are_told() {
    let mut served = Served::start().await;
    let mut urgent = request("k");
    urgent.priority = v1::Priority::Critical.into();
    let payment = served.payments.submit_payment(urgent).await.unwrap();
    let payment = payment.into_inner().payment_id;
    let group = GroupKey {
        fee_cap: None,
        treasury: TREASURY,
        lane: Lane::Critical,
        memo: Memo::None,
    };
    let formed = served
        .fake
        .propose(vec![Command::FormBatch(FormBatch { group })])
        .await;
    let [Ok(Reply::BatchFormed { batch })] = formed.as_slice() else {
        panic!("no batch formed: {formed:?}");
    };
    let mut batches = BatchesClient::new(served.channel.clone());
    let asked = v1::GetBatchRequest {
        batch_id: format::batch_id(*batch),
        ..v1::GetBatchRequest::default()
    };
    let found = batches.get_batch(asked).await.unwrap().into_inner();
    assert_eq!(found.payment_ids, [payment]);
    assert_eq!(found.stage(), v1::BatchStage::Building);
    let list = batches.list_batches(v1::ListBatchesRequest::default());
    let list = list.await.unwrap().into_inner();
    assert_eq!(
        (list.batches, list.next_cursor),
        (vec![found], String::new())
    );

    let mut cluster = ClusterClient::new(served.channel.clone());
    let status = cluster.get_cluster_status(v1::GetClusterStatusRequest {});
    let status = status.await.unwrap().into_inner();
    assert_eq!((status.digest.len(), status.digest_index), (64, 3));
    let totals = status.totals.unwrap();
    assert_eq!((totals.submitted, totals.batched), (1, 1));
    let members = cluster.list_members(v1::ListMembersRequest {});
    let members = members.await.unwrap().into_inner().members;
    assert_eq!(members[0].role(), v1::MemberRole::Leader);
    drop((batches, cluster));
    served.end().await;
}

#[tokio::test]
async fn who_votes_is_changed_and_refusals_say_why() {
    let served = Served::start().await;
    let mut cluster = ClusterClient::new(served.channel.clone());
    let added = cluster.add_voter(v1::AddVoterRequest { node_id: 3 });
    let added = added.await.unwrap().into_inner();
    assert_eq!((added.changed, added.voter_ids), (true, vec![1, 3]));
    for (node_id, expected) in [(1, ErrorCode::WrongStage), (0, ErrorCode::InvalidField)] {
        let removed = cluster.remove_voter(v1::RemoveVoterRequest { node_id });
        let status = removed.await.unwrap_err();
        assert_eq!(detail(&status).code(), expected, "{status:?}");
    }
    drop(cluster);
    served.end().await;
}
