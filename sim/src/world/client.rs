//! A caller of the cluster: asks one node after another until its payment is accepted, always with the same key.

use std::time::Duration;

use openraft_rt::AsyncRuntime as _;
use stellara_machine::command::{CancelPayment, Command, SubmitPayment};
use stellara_machine::decision::Acceptance;
use stellara_machine::ids::PaymentId;
use stellara_node::gateway::{Failure, Freshness, Gateway as _};
use stellara_node::node::Node;
use stellara_raft_store::types::NodeId;

use super::SimPorts;
use super::roster::Roster;
use crate::history::{Answer, Asked, History, Refusal, Seen};
use crate::plan::operation::Fresh;
use crate::runtime::{EventKind, NodeTag, RandomStream, SimRuntime, event, sleep, spawn_on};

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

/// How long a client waits for a node that does not answer at all, as one that is paused.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a node once, and notes question and answer. The node's side of it runs on the node: by its clock, not while it
/// is paused, and no longer than it lives.
pub async fn ask(
    history: &History,
    client: u8,
    (node_id, node): (NodeId, Node<SimPorts>),
    asked: Asked,
) -> Answer {
    let call = history.ask(client, node_id, asked.clone());
    let unheard = match asked {
        Asked::Submit(_) | Asked::Cancel { .. } | Asked::Bad(_) => Answer::Unknown,
        Asked::Read { .. } => Answer::NotDone(Failure::Unknown),
    };
    let acting = spawn_on(NodeTag(node_id), async move { act(&node, asked).await });
    let answer = match SimRuntime::timeout(PATIENCE, acting).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => unheard,
    };
    history.answer(call, answer.clone());
    answer
}

async fn act(node: &Node<SimPorts>, asked: Asked) -> Answer {
    match asked {
        Asked::Submit(payment) | Asked::Bad(payment) => {
            let command = Command::SubmitPayment(payment);
            Answer::of(node.propose(vec![command]).await.pop())
        }
        Asked::Cancel { developer, payment } => {
            let command = Command::CancelPayment(CancelPayment { developer, payment });
            Answer::of(node.propose(vec![command]).await.pop())
        }
        Asked::Read { payment, fresh } => {
            let freshness = match fresh {
                Fresh::Linearizable => Freshness::Linearizable,
                Fresh::Stale { max_ms } => Freshness::Stale {
                    staleness_max_ms: max_ms,
                },
            };
            let seen = node.read(freshness).await.and_then(|view| {
                Seen::of(&view, payment).map_err(|reason| Failure::Unavailable { reason })
            });
            match seen {
                Ok(seen) => Answer::Seen(Box::new(seen)),
                Err(failure) => Answer::NotDone(failure),
            }
        }
    }
}

/// Submits until the cluster answers, waiting `pause` between calls that brought no answer.
///
/// # Errors
/// The machine's refusal: asking again would bring the same.
pub async fn submit(
    payment: &SubmitPayment,
    (roster, history): (&Roster, &History),
    draws: &mut RandomStream,
    pause: Duration,
) -> Result<Acknowledged, Refusal> {
    let mut calls = 0;
    loop {
        let Some((node_id, node)) = roster.any(draws) else {
            sleep(pause).await;
            continue;
        };
        calls += 1;
        let asked = Asked::Submit(payment.clone());
        match ask(history, 0, (node_id, node), asked).await {
            Answer::Accepted {
                payment,
                acceptance,
            } => {
                event(ACKNOWLEDGED, node_id, payment.0, String::new);
                return Ok(Acknowledged {
                    payment,
                    acceptance,
                    calls,
                });
            }
            Answer::Refused(refusal) => return Err(refusal),
            Answer::NotDone(failure) => {
                event(ASKED_AGAIN, node_id, u64::from(calls), || {
                    failure.to_string()
                });
            }
            // Any other answer belongs to another command: the call's outcome is not known.
            Answer::Unknown | Answer::Cancelled | Answer::Seen(_) => {
                event(ASKED_AGAIN, node_id, u64::from(calls), String::new);
            }
        }
        sleep(pause).await;
    }
}
