//! A caller of the cluster: asks one node after another until its payment is accepted, always with the same key.

use std::time::Duration;

use stellara_machine::command::{Command, SubmitPayment};
use stellara_machine::decision::{Acceptance, Reply};
use stellara_machine::ids::PaymentId;
use stellara_node::gateway::{Failure, Gateway as _};

use super::roster::Roster;
use crate::runtime::{EventKind, RandomStream, event, sleep};

const ACKNOWLEDGED: EventKind = EventKind::new("acknowledged");
const ASKED_AGAIN: EventKind = EventKind::new("asked-again");

/// How a submission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The payment.
    pub payment: PaymentId,
    /// Whether this very call made it.
    pub acceptance: Acceptance,
    /// Calls it took.
    pub calls: u32,
}

/// Submits until the cluster answers, waiting `pause` between calls that brought no answer.
///
/// # Errors
/// The machine's rejection: asking again would bring the same.
pub async fn submit(
    payment: &SubmitPayment,
    roster: &Roster,
    draws: &mut RandomStream,
    pause: Duration,
) -> Result<Acknowledged, Failure> {
    let mut calls = 0;
    loop {
        let Some((node_id, node)) = roster.any(draws) else {
            sleep(pause).await;
            continue;
        };
        calls += 1;
        let command = Command::SubmitPayment(payment.clone());
        let answer = node.propose(vec![command]).await.pop();
        drop(node);
        match answer {
            Some(Ok(Reply::Submitted {
                payment,
                acceptance,
            })) => {
                event(ACKNOWLEDGED, node_id, payment.0, String::new);
                return Ok(Acknowledged {
                    payment,
                    acceptance,
                    calls,
                });
            }
            Some(Err(rejected @ Failure::Rejected(_))) => return Err(rejected),
            Some(Err(
                failure @ (Failure::Unknown
                | Failure::NoLeader { .. }
                | Failure::Overloaded { .. }
                | Failure::Unavailable { .. }),
            )) => {
                event(ASKED_AGAIN, node_id, u64::from(calls), || {
                    failure.to_string()
                });
            }
            // Any other answer belongs to another command: the call's outcome is not known.
            Some(Ok(
                Reply::Cancelled
                | Reply::BatchFormed { .. }
                | Reply::AttemptRecorded
                | Reply::OutcomeRecorded
                | Reply::AccountRegistered
                | Reply::PolicySet { .. },
            ))
            | None => event(ASKED_AGAIN, node_id, u64::from(calls), String::new),
        }
        sleep(pause).await;
    }
}
