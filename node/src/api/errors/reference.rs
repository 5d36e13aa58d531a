//! Prints `docs/reference/errors.md` from the failures themselves: each is made, and what it tells is written down.

use std::collections::BTreeSet;

use stellara_machine::command::AccountRole;
use stellara_machine::decision::Rejection;
use stellara_machine::ids::{AccountId, AttemptNo, BatchId, PaymentId};
use stellara_machine::units::{AccountSequence, Stroops};
use stellara_proto::status::{grpc_code, http_status};
use stellara_proto::v1::peer::rejection::Kind;
use stellara_proto::v1::{ErrorCode, ErrorDetail};

use super::ApiError;
use crate::api::parse;
use crate::api::too_large::MESSAGE_BYTES_MAX;
use crate::gateway::members::MemberRefusal;
use crate::gateway::{Failure, Rejected};
use crate::golden;

/// One of every failure that is not the machine's.
fn failures() -> Vec<ApiError> {
    let invalid = parse::amount("amount", "0").unwrap_err();
    vec![
        ApiError::Invalid(invalid),
        ApiError::PaymentUnknown(PaymentId(1)),
        ApiError::BatchUnknown(BatchId(1)),
        Failure::Overloaded {
            retry_after_ms: 100,
        }
        .into(),
        Failure::NoLeader {
            hint: Some("http://10.0.2.1:7420".to_owned()),
        }
        .into(),
        Failure::Unknown.into(),
        ApiError::stopping(),
        MemberRefusal::NodeUnknown { node_id: 9 }.into(),
        MemberRefusal::NodeSilent { node_id: 3 }.into(),
        MemberRefusal::LastVoter { node_id: 1 }.into(),
        MemberRefusal::NoMajority {
            count: 1,
            of_voters: 3,
            needed: 2,
        }
        .into(),
        MemberRefusal::UnderWay.into(),
        MemberRefusal::Behind {
            node_id: 3,
            matched: 40,
            needed: 2_041,
        }
        .into(),
        ApiError::TooLarge {
            bytes_max: MESSAGE_BYTES_MAX,
        },
        ApiError::Internal {
            reason: "the state cannot be read",
        },
    ]
}

/// One of every rejection of the machine.
fn rejections() -> Vec<Rejection> {
    let (payment, batch) = (PaymentId(1), BatchId(1));
    let account = AccountId([7; 32]);
    vec![
        Rejection::KeyReused { payment },
        Rejection::Field {
            field: "amount",
            value: "0".to_owned(),
            expected: "1 to 10000000000000000",
        },
        Rejection::TreasuryUnknown {
            treasury: Some(account),
        },
        Rejection::QueueFull {
            queued: 4_000_000,
            limit: 4_000_000,
        },
        Rejection::PaymentUnknown { payment },
        Rejection::PaymentNotQueued {
            payment,
            stage: "settled",
        },
        Rejection::PaymentNotFailed {
            payment,
            stage: "settled",
        },
        Rejection::NotDue,
        Rejection::NoFreeChannel,
        Rejection::BatchesFull { limit: 10_000 },
        Rejection::BatchUnknown { batch },
        Rejection::AttemptOutOfOrder {
            expected: AttemptNo(2),
        },
        Rejection::SequenceMismatch {
            channel: account,
            sequence: AccountSequence(5),
        },
        Rejection::EarlierAttemptLive {
            attempt: AttemptNo(1),
        },
        Rejection::AttemptsFull { limit: 64 },
        Rejection::RoleConflict {
            role: AccountRole::Fee,
        },
        Rejection::ChannelLent { batch },
        Rejection::AccountsFull { limit: 10_000 },
        Rejection::PolicyVersion { actual: 2 },
        Rejection::PolicyStrands {
            payments: 3,
            fee_cap: Stroops(100),
            fee_base: Stroops(200),
        },
    ]
}

fn error_of(rejection: &Rejection) -> ApiError {
    Failure::Rejected(Rejected::Here(rejection.clone())).into()
}

/// The fields of a detail that are set, as the contract names them.
fn set_fields(detail: &ErrorDetail) -> Vec<&'static str> {
    let ErrorDetail {
        code: _,
        field,
        value,
        expected,
        retry_after_ms,
        leader_hint,
        resource,
    } = detail;
    let fields = [
        ("field", !field.is_empty()),
        ("value", !value.is_empty()),
        ("expected", !expected.is_empty()),
        ("retry_after_ms", *retry_after_ms > 0),
        ("leader_hint", !leader_hint.is_empty()),
        ("resource", !resource.is_empty()),
    ];
    let set = fields.into_iter().filter(|(_, is_set)| *is_set);
    set.map(|(name, _)| name).collect()
}

fn in_code(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words = words.into_iter().map(|word| format!("`{}`", word.as_ref()));
    words.collect::<Vec<_>>().join(", ")
}

fn name(code: ErrorCode) -> &'static str {
    let name = code.as_str_name();
    name.strip_prefix("ERROR_CODE_").unwrap_or(name)
}

/// What may be done about it.
fn retry(code: ErrorCode, details: &[ErrorDetail]) -> String {
    let times: BTreeSet<u64> = details.iter().map(|detail| detail.retry_after_ms).collect();
    let ms = times
        .into_iter()
        .filter(|ms| *ms > 0)
        .map(|ms| ms.to_string());
    let ms = ms.collect::<Vec<_>>().join(" or ");
    match code {
        ErrorCode::UnknownOutcome => format!("with the same key, after {ms} ms"),
        ErrorCode::NoLeader => format!("after {ms} ms, at `leader_hint` when it is set"),
        ErrorCode::Unavailable => format!("at another node at once, here after {ms} ms"),
        ErrorCode::Overloaded => format!("after `retry_after_ms`, as {ms}"),
        ErrorCode::Internal => "perhaps at another node".to_owned(),
        ErrorCode::VersionConflict => "read again, decide again".to_owned(),
        ErrorCode::Unspecified
        | ErrorCode::InvalidField
        | ErrorCode::KeyReused
        | ErrorCode::NotFound
        | ErrorCode::WrongStage
        | ErrorCode::TreasuryUnknown
        | ErrorCode::TooLarge => {
            assert!(ms.is_empty(), "{code:?} says when to try again");
            "the same again fails again".to_owned()
        }
    }
}

/// The comments of an enum or message of the contract, by the names of its values or fields.
fn comments(of: &str) -> Vec<(String, String)> {
    let pool = stellara_proto::descriptor_pool();
    let (file, path, member, names) = if let Some(found) = pool.get_enum_by_name(of) {
        let names: Vec<_> = found
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        // Field 2 of EnumDescriptorProto: its values (descriptor.proto).
        (found.parent_file(), found.path().to_vec(), 2, names)
    } else {
        let found = pool.get_message_by_name(of).expect("the contract has it");
        let names: Vec<_> = found
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        // Field 2 of DescriptorProto: its fields.
        (found.parent_file(), found.path().to_vec(), 2, names)
    };
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let places = &info.expect("the build keeps comments").location;
    let comment = |index: usize| {
        let path = [&path[..], &[member, i32::try_from(index).unwrap()]].concat();
        let place = places.iter().find(|place| place.path == path);
        let text = place.and_then(|place| place.leading_comments.clone());
        text.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let named = names.into_iter().enumerate();
    named.map(|(index, name)| (name, comment(index))).collect()
}

fn codes() -> String {
    let mut all = failures();
    all.extend(rejections().iter().map(error_of));
    let rows = comments("stellara.v1.ErrorCode").into_iter().skip(1);
    let rows = rows.map(|(full, when)| {
        let code = ErrorCode::from_str_name(&full).unwrap();
        let details: Vec<_> = all
            .iter()
            .map(ApiError::detail)
            .filter(|detail| detail.code() == code)
            .collect();
        assert!(!details.is_empty(), "nothing makes {full}");
        let fields: BTreeSet<_> = details.iter().flat_map(set_fields).collect();
        [
            format!("`{}`", name(code)),
            format!("`{:?}`", grpc_code(code)),
            http_status(code).to_string(),
            when,
            retry(code, &details),
            in_code(fields),
        ]
    });
    golden::table(["code", "gRPC", "HTTP", "when", "again", "fields"], rows)
}

fn messages() -> String {
    let machine = rejections();
    let kinds: BTreeSet<i32> = machine
        .iter()
        .map(|rejection| Rejected::Here(rejection.clone()).wire().kind)
        .collect();
    let known: BTreeSet<i32> = (1..100)
        .filter(|kind| Kind::try_from(*kind).is_ok())
        .collect();
    assert_eq!(kinds, known, "every kind of rejection is in the reference");
    let machine = machine.iter().map(error_of);
    let rows = failures().into_iter().chain(machine).map(|error| {
        let detail = error.detail();
        [
            format!("`{}`", name(detail.code())),
            error.to_string(),
            in_code(set_fields(&detail)),
        ]
    });
    golden::table(["code", "message, as an example", "fields"], rows)
}

#[test]
fn the_error_reference_is_true() {
    let mut page = golden::head("Errors");
    page.push_str(
        "\nEvery failure is one `stellara.v1.ErrorDetail`: in the details of a gRPC status \
         (`google.rpc.Status`), in the\nresults of a call with many payments, and as members of \
         problem+json where HTTP is spoken (not served yet). Branch on\n`code`; messages are for \
         people and may change. `field` is a path of the request, as `payments[3].amount`.\n\n\
         ## Codes\n\n",
    );
    page.push_str(&codes());
    page.push_str("\n## Fields of the detail\n\n");
    let fields = comments("stellara.v1.ErrorDetail").into_iter();
    let fields = fields.map(|(name, words)| [format!("`{name}`"), words]);
    page.push_str(&golden::table(["field", "what"], fields.skip(1)));
    page.push_str("\n## Messages\n\nOne of every kind; the machine's own rejections come last, in the order of its kinds.\n\n");
    page.push_str(&messages());
    golden::check("errors.md", &page);
}
