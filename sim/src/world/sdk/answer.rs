//! What a caller with the SDK asks and is answered, in the words of the history.
//!
//! The SDK's errors say whether anything was accepted: what it calls unknown is unknown, and what it says was not
//! accepted is believed, so that the checks find it when that is not so.

use stellara_client::api::{
    Consistency, GetPaymentRequest, Payment as Told, PaymentStage, SubmitPaymentRequest,
};
use stellara_client::{Accepted, ClientError};
use stellara_machine::decision::{Acceptance, Payment, PaymentStatus, Stage};
use stellara_machine::ids::{DeveloperId, PaymentId};
use stellara_machine::units::{LedgerSeq, UnixMs};
use stellara_node::api::{format, parse};
use stellara_node::gateway::Failure;

use super::{SdkClient, request_of};
use crate::history::{ANY_NODE, Answer, Asked, History, Refusal, Seen};
use crate::plan::operation::Fresh;

/// Why an answer of the nodes' own API can be read.
const IN_FORM: &str = "the API answers in its own forms";

/// Asks by the SDK once, and notes question and answer.
pub async fn ask(history: &History, client: u8, sdk: &SdkClient, asked: Asked) -> Answer {
    let call = history.ask(client, ANY_NODE, asked.clone());
    let answer = match asked {
        Asked::Submit(payment) | Asked::Bad(payment) => {
            submitted(sdk.submit(&request_of(&payment)).await)
        }
        Asked::Cancel { payment, .. } => {
            let cancelled = sdk.cancel(&format::payment_id(payment)).await;
            cancelled.map_or_else(|error| of_write(&error), |_| Answer::Cancelled)
        }
        Asked::Read { payment, fresh } => read(sdk.get(&request(payment, fresh)).await),
    };
    history.answer(call, answer.clone());
    answer
}

fn request(payment: PaymentId, fresh: Fresh) -> GetPaymentRequest {
    let (consistency, staleness_max_ms) = match fresh {
        Fresh::Linearizable => (Consistency::Linearizable, 0),
        Fresh::Stale { max_ms } => (Consistency::Stale, max_ms),
    };
    GetPaymentRequest {
        payment_id: format::payment_id(payment),
        consistency: consistency.into(),
        staleness_max_ms,
    }
}

fn payment_id(told: &str) -> PaymentId {
    parse::payment_id("payment_id", told).expect(IN_FORM)
}

fn submitted(answer: Result<Accepted, ClientError>) -> Answer {
    match answer {
        Ok(accepted) => Answer::Accepted {
            payment: payment_id(&accepted.payment_id),
            acceptance: match accepted.repeated {
                true => Acceptance::Repeated,
                false => Acceptance::New,
            },
        },
        Err(error) => of_write(&error),
    }
}

fn of_write(error: &ClientError) -> Answer {
    match error {
        ClientError::KeyReused { payment } => Answer::Refused(Refusal::KeyReused {
            payment: payment_id(payment),
        }),
        ClientError::WrongStage { .. } => Answer::Refused(Refusal::NotQueued),
        ClientError::NotFound { .. } => Answer::Refused(Refusal::UnknownPayment),
        ClientError::InvalidField { .. }
        | ClientError::TreasuryUnknown { .. }
        | ClientError::VersionConflict { .. }
        | ClientError::TooLarge { .. }
        | ClientError::Denied { .. } => Answer::Refused(Refusal::Other(error.to_string())),
        ClientError::Overloaded { .. }
        | ClientError::NoLeader { .. }
        | ClientError::Unavailable { .. }
        | ClientError::InvalidEndpoint { .. }
        | ClientError::Closed => Answer::NotDone(failure(error)),
        // What a defect leaves behind, nobody says.
        ClientError::Unknown { .. }
        | ClientError::Internal { .. }
        | ClientError::Unexpected { .. } => Answer::Unknown,
    }
}

fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Overloaded { retry_after_ms } => Failure::Overloaded {
            retry_after_ms: *retry_after_ms,
        },
        ClientError::NoLeader { .. } => Failure::NoLeader { hint: None },
        ClientError::InvalidField { .. }
        | ClientError::KeyReused { .. }
        | ClientError::NotFound { .. }
        | ClientError::WrongStage { .. }
        | ClientError::TreasuryUnknown { .. }
        | ClientError::VersionConflict { .. }
        | ClientError::TooLarge { .. }
        | ClientError::Unknown { .. }
        | ClientError::Unavailable { .. }
        | ClientError::Denied { .. }
        | ClientError::Internal { .. }
        | ClientError::Unexpected { .. }
        | ClientError::InvalidEndpoint { .. }
        | ClientError::Closed => Failure::Unavailable {
            reason: error.to_string(),
        },
    }
}

fn read(answer: Result<Told, ClientError>) -> Answer {
    let payment = match answer {
        Ok(told) => Some(payment_of(told)),
        Err(ClientError::NotFound { .. }) => None,
        Err(error) => return Answer::NotDone(failure(&error)),
    };
    Answer::Seen(Box::new(Seen {
        applied: None,
        payment,
    }))
}

/// The machine's payment of the API's, without the name of its developer, which the API keeps to itself.
fn payment_of(told: Told) -> (Payment, Option<PaymentStatus>) {
    let status = PaymentStatus {
        stage: stage_of(&told),
        at: UnixMs(told.stage_at_ms),
        failures: u16::try_from(told.failures).expect(IN_FORM),
    };
    let id = payment_id(&told.payment_id);
    let accepted_at = UnixMs(told.accepted_at_ms);
    let request = SubmitPaymentRequest {
        idempotency_key: told.idempotency_key,
        destination: told.destination,
        asset: told.asset,
        amount: told.amount,
        treasury: told.treasury,
        memo: told.memo,
        priority: told.priority,
        reference: told.reference,
        fee_cap_stroops: told.fee_cap_stroops,
    };
    let submitted = parse::submission(DeveloperId(0), request).expect(IN_FORM);
    let payment = Payment {
        id,
        developer: submitted.developer,
        key: submitted.key,
        body: submitted.body,
        accepted_at,
    };
    (payment, Some(status))
}

fn stage_of(told: &Told) -> Stage {
    let batch = || parse::batch_id("batch_id", &told.batch_id);
    match told.stage() {
        PaymentStage::Queued => Stage::Queued {
            // The API does not tell until when it waits.
            not_before: UnixMs(told.stage_at_ms),
            reason: told.reason.clone(),
        },
        PaymentStage::Batched => Stage::Batched {
            batch: batch().expect(IN_FORM),
        },
        PaymentStage::Settled => Stage::Settled {
            batch: batch().expect(IN_FORM),
            ledger: LedgerSeq(told.ledger),
        },
        PaymentStage::Failed => Stage::Failed {
            batch: batch().ok(),
            reason: told.reason.clone(),
        },
        PaymentStage::Cancelled => Stage::Cancelled,
        PaymentStage::Unspecified => panic!("payment {} has no stage", told.payment_id),
    }
}
