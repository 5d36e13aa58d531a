//! The same through plain gRPC, with no client of ours between: the status, its details, and a message of 101 MB.

use stellara_client::api::memo::Memo as Kind;
use stellara_client::api::payments_client::PaymentsClient;
use stellara_client::api::submit_payment_result::Result as Answer;
use stellara_client::api::{
    CancelPaymentRequest, ErrorCode, ErrorDetail, GetPaymentRequest, ListPaymentsRequest, Memo,
    SubmitPaymentRequest, SubmitPaymentsRequest, WatchPaymentsRequest,
};
use stellara_proto::status::{detail_of, grpc_code};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::*;

/// A message of 101 MB.
const LARGE_BYTES: usize = 101 * 1_000 * 1_000;
/// What a node may take more while it refuses one: HTTP/2's windows, and some air.
const RISE_BYTES_MAX: u64 = 48 << 20;

/// A call that must be refused.
enum Call {
    Submit(SubmitPaymentRequest),
    SubmitMany(Vec<SubmitPaymentRequest>),
    Get(GetPaymentRequest),
    List(ListPaymentsRequest),
    Watch(WatchPaymentsRequest),
    Cancel(&'static str),
}

/// What is told of it.
struct Row {
    call: Call,
    code: ErrorCode,
    /// The field at fault, as a path of the request.
    field: &'static str,
    /// Words of what was expected.
    expected: &'static str,
}

impl Call {
    /// How the call is refused; of many payments, the last one's refusal.
    async fn refusal(self, payments: &mut PaymentsClient<Channel>) -> Result<ErrorDetail, Status> {
        let status = match self {
            Self::Submit(request) => payments.submit_payment(request).await.map(drop),
            Self::SubmitMany(requests) => {
                let request = SubmitPaymentsRequest { payments: requests };
                match payments.submit_payments(request).await {
                    Ok(answer) => {
                        let results = answer.into_inner().results;
                        let refused = results.into_iter().map(|one| match one.result {
                            Some(Answer::Refused(detail)) => detail,
                            Some(Answer::Accepted(_)) | None => panic!("one was not refused"),
                        });
                        let mut refused: Vec<ErrorDetail> = refused.collect();
                        return refused.pop().ok_or(Status::internal("no results"));
                    }
                    Err(status) => Err(status),
                }
            }
            Self::Get(request) => payments.get_payment(request).await.map(drop),
            Self::List(request) => payments.list_payments(request).await.map(drop),
            Self::Watch(request) => payments.watch_payments(request).await.map(drop),
            Self::Cancel(id) => {
                let payment_id = id.to_owned();
                let request = CancelPaymentRequest { payment_id };
                payments.cancel_payment(request).await.map(drop)
            }
        };
        let status = status.expect_err("the call is refused");
        let detail = detail_of(&status).ok_or_else(|| status.clone())?;
        assert_eq!(status.code(), grpc_code(detail.code()), "{status:?}");
        assert!(!status.message().is_empty(), "{status:?}");
        Ok(detail)
    }
}

fn row(call: Call, field: &'static str, expected: &'static str) -> Row {
    Row {
        call,
        code: ErrorCode::InvalidField,
        field,
        expected,
    }
}

/// A good payment with one change.
fn bad(change: impl FnOnce(&mut SubmitPaymentRequest)) -> Call {
    Call::Submit(changed(change))
}

fn changed(change: impl FnOnce(&mut SubmitPaymentRequest)) -> SubmitPaymentRequest {
    let mut request = Meant::next().request();
    change(&mut request);
    request
}

fn memo(kind: Kind) -> Option<Memo> {
    Some(Memo { memo: Some(kind) })
}

/// What the node refuses before its machine is asked.
fn at_the_door() -> Vec<Row> {
    let mut rows = bad_payments();
    rows.extend(bad_lists());
    rows.extend(bad_questions());
    rows
}

fn bad_payments() -> Vec<Row> {
    let amount = |text: &str| bad(|p| p.amount = text.to_owned());
    let asset = |text: &str| bad(|p| p.asset = text.to_owned());
    let above_zero = "an amount above zero";
    vec![
        row(
            bad(|p| p.destination = MISTYPED.into()),
            "destination",
            "valid checksum",
        ),
        row(
            bad(|p| p.destination.clear()),
            "destination",
            "valid checksum",
        ),
        row(amount("1.12345678"), "amount", "at most seven decimals"),
        row(amount("0"), "amount", above_zero),
        row(amount("0.0000000"), "amount", above_zero),
        row(amount("-5"), "amount", above_zero),
        row(amount("1000000000.0000001"), "amount", "at most 1000000000"),
        row(
            amount("99999999999999999999"),
            "amount",
            "at most 1000000000",
        ),
        row(amount("1e3"), "amount", "a decimal number"),
        row(amount(""), "amount", "a decimal number"),
        row(asset("XLM"), "asset", "CODE:ISSUER"),
        row(asset("THIRTEENCHARS:x"), "asset", "CODE:ISSUER"),
        row(asset(&format!("USDC:{MISTYPED}")), "asset", "CODE:ISSUER"),
        row(
            bad(|p| p.memo = memo(Kind::Text("m".repeat(29)))),
            "memo.text",
            "at most 28 bytes",
        ),
        row(
            bad(|p| p.memo = memo(Kind::Hash("abc".into()))),
            "memo.hash",
            "64 hexadecimal digits",
        ),
        row(
            bad(|p| p.treasury = MISTYPED.into()),
            "treasury",
            "valid checksum",
        ),
        row(
            bad(|p| p.reference = "r".repeat(1_025)),
            "reference",
            "at most 1024 bytes",
        ),
        row(bad(|p| p.priority = 9), "priority", "PRIORITY_LOW"),
        row(
            bad(|p| p.idempotency_key.clear()),
            "idempotency_key",
            "1 to 128 bytes",
        ),
        row(
            bad(|p| p.idempotency_key = "k".repeat(129)),
            "idempotency_key",
            "1 to 128 bytes",
        ),
        row(
            bad(|p| p.idempotency_key = "a\nb".into()),
            "idempotency_key",
            "control characters",
        ),
    ]
}

/// Many payments in one call.
fn bad_lists() -> Vec<Row> {
    vec![
        row(Call::SubmitMany(vec![]), "payments", "1 to 1000 items"),
        row(
            Call::SubmitMany((0..1_001).map(|_| changed(|_| {})).collect()),
            "payments",
            "1 to 1000 items",
        ),
        row(
            Call::SubmitMany(vec![
                changed(|p| p.amount = "0".into()),
                changed(|p| p.asset = "XLM".into()),
            ]),
            "payments[1].asset",
            "CODE:ISSUER",
        ),
    ]
}

fn bad_questions() -> Vec<Row> {
    let get = GetPaymentRequest::default;
    let list = ListPaymentsRequest::default;
    vec![
        row(Call::Cancel("pay_1"), "payment_id", "16 hexadecimal digits"),
        row(
            Call::Get(GetPaymentRequest {
                payment_id: "bat_0000000000000001".into(),
                ..get()
            }),
            "payment_id",
            "16 hexadecimal digits",
        ),
        row(
            Call::Get(GetPaymentRequest {
                payment_id: "pay_0000000000000001".into(),
                consistency: 9,
                ..get()
            }),
            "consistency",
            "CONSISTENCY_STALE",
        ),
        Row {
            code: ErrorCode::NotFound,
            ..row(
                Call::Get(GetPaymentRequest {
                    payment_id: "pay_ffffffffffffffff".into(),
                    ..get()
                }),
                "",
                "",
            )
        },
        row(
            Call::List(ListPaymentsRequest {
                page_size: 501,
                ..list()
            }),
            "page_size",
            "1 to 500",
        ),
        row(
            Call::List(ListPaymentsRequest {
                cursor: "?".into(),
                ..list()
            }),
            "cursor",
            "next_cursor",
        ),
        row(
            Call::List(ListPaymentsRequest { stage: 9, ..list() }),
            "stage",
            "payment stage",
        ),
        row(
            Call::Watch(WatchPaymentsRequest {
                cursor: "x.y".into(),
                ..WatchPaymentsRequest::default()
            }),
            "cursor",
            "the cursor of an event",
        ),
    ]
}

/// What only the machine can refuse: it goes through the log, and leaves its line in the audit trail.
fn at_the_machine(cluster: &Cluster) -> Vec<Row> {
    let first = cluster.first().request();
    let other_body = SubmitPaymentRequest {
        amount: "77".to_owned(),
        ..first
    };
    vec![
        Row {
            code: ErrorCode::KeyReused,
            ..row(Call::Submit(other_body), "idempotency_key", "another key")
        },
        Row {
            code: ErrorCode::TreasuryUnknown,
            ..row(
                bad(|p| p.treasury = STRANGER.into()),
                "treasury",
                "a registered treasury",
            )
        },
        Row {
            code: ErrorCode::NotFound,
            ..row(Call::Cancel("pay_ffffffffffffffff"), "", "")
        },
    ]
}

async fn connect(cluster: &Cluster, node: usize) -> PaymentsClient<Channel> {
    let url = cluster.addresses(node).public_url();
    let client = PaymentsClient::connect(url).await;
    client.unwrap_or_else(|error| panic!("node {}: {error}", node + 1))
}

async fn check(payments: &mut PaymentsClient<Channel>, row: Row) {
    let refused = row.call.refusal(payments).await;
    let detail = refused.unwrap_or_else(|status| panic!("no detail in {status:?}"));
    assert_eq!(detail.code(), row.code, "{detail:?}");
    assert_eq!(detail.field, row.field, "{detail:?}");
    assert!(detail.expected.contains(row.expected), "{detail:?}");
    // A refusal does not hand a large value back.
    assert!(detail.value.chars().count() <= 64, "{detail:?}");
}

/// A message of 101 MB is refused by its limit, and the node does not take it into its memory first.
async fn check_large(cluster: &Cluster, node: usize) {
    let process = cluster.process(node);
    process.forget_peak();
    let before = process.peak_bytes();
    let mut payments = connect(cluster, node).await;
    let large = changed(|p| p.reference = "r".repeat(LARGE_BYTES));
    let status = payments.submit_payment(large).await;
    let status = status.expect_err("the message is over the limit");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let detail = detail_of(&status).unwrap_or_else(|| panic!("no detail in {status:?}"));
    assert_eq!(detail.code(), ErrorCode::TooLarge);
    assert_eq!(detail.expected, "at most 4194304 bytes in one message");
    let rise = process.peak_bytes().saturating_sub(before);
    assert!(rise < RISE_BYTES_MAX, "node {} took {rise} bytes", node + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_through_grpc_is_refused_and_not_stored() {
    let (mut cluster, before) = idle_cluster().await;
    bounded(TEST_MS_MAX, async {
        let mut doors = Vec::new();
        for node in 0..3 {
            doors.push(connect(&cluster, node).await);
        }
        for (number, row) in at_the_door().into_iter().enumerate() {
            check(&mut doors[number % 3], row).await;
        }
        for node in 0..3 {
            check_large(&cluster, node).await;
        }
        assert_untouched(&cluster, &before).await;

        for door in &mut doors {
            for row in at_the_machine(&cluster) {
                check(door, row).await;
            }
        }
        assert_nothing_counted(&cluster, &before).await;

        let mut accepted = Vec::new();
        for door in &mut doors {
            let good = Meant::next();
            door.submit_payment(good.request()).await.unwrap();
            accepted.push(good);
        }
        assert_at_work(&mut cluster, &accepted).await;
    })
    .await;
}
