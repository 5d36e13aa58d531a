//! No acknowledged payment is lost: every node that applied its entry has it, and in the end it has its end on every
//! node.

use std::collections::BTreeSet;

use stellara_machine::decision::{PaymentStatus, Stage};
use stellara_machine::ids::PaymentId;

use super::durability::entry_of;
use super::{Breach, Ending, Invariant, Running, Sight};
use crate::history::Answer;
use stellara_raft_store::types::NodeId;

#[derive(Debug, Default)]
pub struct NoPaymentLost {
    seen: usize,
    acknowledged: BTreeSet<PaymentId>,
    compared: u64,
}

/// Whether nothing happens to a payment any more.
const fn is_final(status: &PaymentStatus) -> bool {
    match status.stage {
        Stage::Queued { .. } | Stage::Batched { .. } => false,
        Stage::Settled { .. } | Stage::Failed { .. } | Stage::Cancelled => true,
    }
}

fn check(
    node_id: NodeId,
    running: &Running,
    payment: PaymentId,
    ending: Ending,
) -> Result<(), Breach> {
    let id = payment.0;
    let found = running
        .view
        .payment(payment)
        .map_err(|error| Breach::by(node_id, format!("payment {id} cannot be read: {error}")))?;
    let Some((_, status)) = found else {
        let detail = format!("payment {id} is acknowledged, and it has none such");
        return Err(Breach::by(node_id, detail));
    };
    match ending {
        Ending::Settled if !status.as_ref().is_some_and(is_final) => {
            let detail = format!("payment {id} has no end: {status:?}");
            Err(Breach::by(node_id, detail))
        }
        Ending::Settled | Ending::Midway => Ok(()),
    }
}

impl Invariant for NoPaymentLost {
    fn name(&self) -> &'static str {
        "no_payment_lost"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (_, _, answer) in sight.calls.answered_after(self.seen) {
            if let Answer::Accepted { payment, .. } = answer {
                self.acknowledged.insert(*payment);
            }
        }
        self.seen = sight.calls.answered_len();
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, ending: Ending) -> Result<(), Breach> {
        for (node_id, seen) in sight.nodes {
            let Some(running) = &seen.running else {
                match ending {
                    Ending::Midway => continue,
                    Ending::Settled => {
                        return Err(Breach::by(*node_id, "it does not run at the end"));
                    }
                }
            };
            let applied = running.view.applied_index().0;
            for payment in &self.acknowledged {
                if ending == Ending::Midway && entry_of(*payment) > applied {
                    continue;
                }
                self.compared += 1;
                check(*node_id, running, *payment, ending)?;
            }
        }
        Ok(())
    }

    /// Acknowledged payments that were looked for in a node's state.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check;
    use super::*;
    use stellara_raft_store::engine::Space;

    #[test]
    fn a_payment_that_a_node_lacks_is_found() {
        for ending in [Ending::Midway, Ending::Settled] {
            check::<NoPaymentLost>(ending, "it has none such", |stage| {
                stage.rewrite(3, |_, space, _, value| {
                    (space != Space::Payments).then(|| value.to_vec())
                });
            });
        }
    }

    #[test]
    fn a_payment_without_an_end_is_found() {
        check::<NoPaymentLost>(Ending::Settled, "has no end", |stage| {
            stage.rewrite(3, |folder, space, key, value| {
                let status = folder.starts_with("state") && space == Space::Rows && key[0] == b's';
                (!status).then(|| value.to_vec())
            });
        });
        check::<NoPaymentLost>(Ending::Settled, "does not run", |stage| {
            stage.node(2).running = None;
        });
    }
}
