//! The policy, quotes, samples and savings, as callers see them.

use stellara_machine::command::{Command, RecordFees};
use stellara_machine::fees::market::{FeeLevels, FeeSample};
use stellara_machine::units::{LedgerSeq, Stroops};
use stellara_proto::v1::fees_client::FeesClient;
use stellara_proto::v1::policies_client::PoliciesClient;
use stellara_proto::v1::{self, ErrorCode};

use super::{Served, code, detail, request};
use crate::gateway::Gateway as _;

/// What is done to a policy.
type Change = fn(&mut v1::Policy);

async fn sampled(served: &Served, ledger: u32, charged: i64) {
    let levels = FeeLevels {
        p50: Stroops(charged),
        p90: Stroops(charged),
        p95: Stroops(charged),
        p99: Stroops(charged),
        max: Stroops(charged),
    };
    let sample = FeeSample {
        ledger: LedgerSeq(ledger),
        base_fee: Stroops(100),
        usage_permille: 400,
        bid: levels,
        charged: levels,
    };
    let told = Command::RecordFees(RecordFees { sample });
    for result in served.fake.propose(vec![told]).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_policy_is_replaced_once_per_version_and_every_field_is_checked() {
    let served = Served::start().await;
    let mut policies = PoliciesClient::new(served.channel.clone());
    let asked = v1::GetPolicyRequest::default();
    let first = policies.get_policy(asked).await.unwrap().into_inner();
    assert_eq!((first.version, first.batch_size_max), (0, 100));
    let set = |change: fn(&mut v1::Policy), version_seen: u64| {
        let mut policy = first.clone();
        change(&mut policy);
        v1::SetPolicyRequest {
            version_seen,
            policy: Some(policy),
        }
    };
    let smaller = set(|policy| policy.batch_size_max = 50, 0);
    let second = policies.set_policy(smaller.clone()).await.unwrap();
    let second = second.into_inner();
    assert_eq!((second.version, second.batch_size_max), (1, 50));
    let again = policies.set_policy(smaller).await.unwrap_err();
    assert_eq!(code(&again), ErrorCode::VersionConflict);

    let bad: [(Change, &str); 8] = [
        (|policy| policy.batch_size_max = 101, "batch_size_max"),
        (
            |policy| policy.batch_size_max = 70_000,
            "policy.batch_size_max",
        ),
        (|policy| policy.fee_base_stroops = 99, "fee_base_stroops"),
        (|policy| policy.low = None, "policy.low"),
        (
            |policy| policy.low.as_mut().unwrap().fee_cap_stroops = 99,
            "low.fee_cap_stroops",
        ),
        (
            |policy| policy.critical.as_mut().unwrap().deadline_ms = 1,
            "critical.deadline_ms",
        ),
        (|policy| policy.immediate_from = 0, "policy.immediate_from"),
        (
            |policy| policy.discounts[1].discount_permille = 50,
            "discounts",
        ),
    ];
    for (change, field) in bad {
        let status = policies.set_policy(set(change, 1)).await.unwrap_err();
        assert_eq!(
            (code(&status), &*detail(&status).field),
            (ErrorCode::InvalidField, field)
        );
    }
    let empty = v1::SetPolicyRequest::default();
    let status = policies.set_policy(empty).await.unwrap_err();
    assert_eq!(detail(&status).field, "policy");
    let kept = policies.get_policy(asked).await.unwrap().into_inner();
    assert_eq!(kept, second, "what was refused changed nothing");
    drop(policies);
    served.end().await;
}

#[tokio::test]
async fn a_policy_that_strands_payments_says_how_many_and_why() {
    let mut served = Served::start().await;
    let mut capped = request("k");
    capped.fee_cap_stroops = 150;
    served.payments.submit_payment(capped).await.unwrap();
    let mut policies = PoliciesClient::new(served.channel.clone());
    let policy = policies.get_policy(v1::GetPolicyRequest::default()).await;
    let mut policy = policy.unwrap().into_inner();
    policy.fee_base_stroops = 200;
    policy.low.as_mut().unwrap().fee_cap_stroops = 200;
    let set = v1::SetPolicyRequest {
        version_seen: 0,
        policy: Some(policy),
    };
    let status = policies.set_policy(set).await.unwrap_err();
    let told = detail(&status);
    assert_eq!(
        (&*told.field, &*told.value),
        ("policy.fee_base_stroops", "200")
    );
    assert_eq!(told.expected, "at most 150 stroops");
    assert!(status.message().contains("1 queued payments"), "{status:?}");
    let mut bad = request("b");
    bad.fee_cap_stroops = -1;
    let status = served.payments.submit_payment(bad).await.unwrap_err();
    assert_eq!(detail(&status).field, "fee_cap_stroops");
    drop(policies);
    served.end().await;
}

#[tokio::test]
async fn fees_are_told_quoted_and_listed() {
    let served = Served::start().await;
    let mut fees = FeesClient::new(served.channel.clone());
    let market = fees.get_fees(v1::GetFeesRequest::default()).await.unwrap();
    let market = market.into_inner();
    assert_eq!(market.congestion(), v1::Congestion::Calm);
    assert_eq!(market.sample.unwrap().ledger, 0);
    for ledger in 1..=3 {
        sampled(&served, ledger, 100).await;
    }
    sampled(&served, 4, 2_100).await;
    let market = fees.get_fees(v1::GetFeesRequest::default()).await.unwrap();
    let market = market.into_inner();
    assert_eq!(
        (market.congestion(), market.price_stroops),
        (v1::Congestion::Surge, 2_100)
    );
    let low = &market.bids[0];
    assert_eq!((low.bid_stroops, low.deferred), (100, true));

    let asked = |payments, priority: v1::Priority| v1::QuoteFeeRequest {
        payments,
        priority: priority.into(),
        ..v1::QuoteFeeRequest::default()
    };
    let quote = fees.quote_fee(asked(50, v1::Priority::High)).await.unwrap();
    let quote = quote.into_inner();
    assert_eq!((quote.batches, quote.wait_ms), (1, 0));
    assert_eq!(quote.fee_expected_stroops, 51 * 2_100);
    assert_eq!(quote.bumped_singles_stroops, 100 * 2_100);
    assert!(quote.fee_max_stroops >= quote.fee_expected_stroops);
    let status = fees.quote_fee(asked(1_000_001, v1::Priority::Low)).await;
    assert_eq!(detail(&status.unwrap_err()).field, "payments");

    let mut cursor = String::new();
    let mut ledgers = Vec::new();
    loop {
        let page = fees.list_fee_samples(v1::ListFeeSamplesRequest {
            page_size: 3,
            cursor,
            ..v1::ListFeeSamplesRequest::default()
        });
        let page = page.await.unwrap().into_inner();
        ledgers.extend(page.samples.iter().map(|sample| sample.ledger));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(ledgers, [4, 3, 2, 1]);
    let savings = fees.get_savings(v1::GetSavingsRequest::default()).await;
    let savings = savings.unwrap().into_inner();
    assert_eq!(
        (savings.lanes.len(), savings.total.unwrap().payments),
        (4, 0)
    );
    let too_long = v1::GetSavingsRequest {
        hours: 8_785,
        ..v1::GetSavingsRequest::default()
    };
    let status = fees.get_savings(too_long).await.unwrap_err();
    assert_eq!(detail(&status).field, "hours");
    drop(fees);
    served.end().await;
}
