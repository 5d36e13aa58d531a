//! The part of a run in which nothing goes wrong any more: every call is answered, every payment reaches its end on
//! every node, and all nodes are equally far.

use std::time::Duration;

use stellara_machine::decision::Stage;
use stellara_machine::ids::PaymentId;

use crate::runtime::{now, sleep};
use crate::world::{World, view_of};

use super::callers::Callers;
use super::troubles::Troubles;

/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until everything is settled; otherwise says what is not.
pub(super) async fn settle(
    world: &mut World,
    callers: &Callers,
    troubles: &mut Troubles,
    limit: Duration,
) -> Option<String> {
    let end = now() + limit;
    // What is at its end stays there: it is looked at once.
    let mut done = std::collections::BTreeSet::new();
    loop {
        troubles.supervise(world);
        let open = still_open(world, callers, &mut done);
        let open = open?;
        if now() >= end {
            return Some(format!(
                "after {} ms without faults: {open}",
                limit.as_millis()
            ));
        }
        sleep(LOOK).await;
    }
}

fn still_open(
    world: &World,
    callers: &Callers,
    done: &mut std::collections::BTreeSet<PaymentId>,
) -> Option<String> {
    let missing = world
        .node_ids()
        .into_iter()
        .find(|node_id| !world.roster().runs(*node_id));
    if let Some(node_id) = missing {
        return Some(format!("node {node_id} does not run"));
    }
    let statuses = world.statuses();
    if let Some(joining) = statuses.iter().find(|status| status.joining.is_some()) {
        return Some(format!("node {} takes no full part", joining.node_id));
    }
    if world.leader().is_none() {
        return Some("nobody leads".to_owned());
    }
    if let Some(node_id) = world.misplaced() {
        return Some(format!("node {node_id} does not vote"));
    }
    let unanswered = callers.unanswered();
    if unanswered > 0 {
        return Some(format!("{unanswered} calls are not answered"));
    }
    for (number, payment) in callers.accepted() {
        if done.contains(&payment) {
            continue;
        }
        if let Some(why) = open_somewhere(world, payment) {
            return Some(format!("payment {number}: {why}"));
        }
        done.insert(payment);
    }
    let applied = statuses.iter().map(|status| status.applied_index);
    let committed = statuses.iter().map(|status| status.committed_index).max();
    let (least, most) = (applied.clone().min(), applied.max());
    (least != most || most < committed)
        .then(|| format!("entries {least:?} to {most:?} are applied, {committed:?} are committed"))
}

fn open_somewhere(world: &World, payment: PaymentId) -> Option<String> {
    for (node_id, node) in world.roster().running() {
        let Some(view) = view_of(&node) else {
            return Some(format!("node {node_id} gives no view"));
        };
        let stage = match view.payment(payment) {
            Ok(Some((_, status))) => status.map(|status| status.stage),
            Ok(None) => return Some(format!("node {node_id} does not have it")),
            Err(error) => return Some(format!("node {node_id}: {error}")),
        };
        match stage {
            Some(Stage::Settled { .. } | Stage::Failed { .. } | Stage::Cancelled) => {}
            open @ (None | Some(Stage::Queued { .. } | Stage::Batched { .. })) => {
                return Some(format!("on node {node_id} it is {open:?}"));
            }
        }
    }
    None
}

/// Payments acknowledged, and those of them that are settled as the first running node says.
pub(super) fn counts(world: &World, callers: &Callers) -> (u64, u64) {
    let accepted = callers.accepted();
    let running = world.roster().running();
    let view = running.first().and_then(|(_, node)| view_of(node));
    let is_settled = |payment: &PaymentId| {
        let found = view.as_ref().and_then(|view| view.payment(*payment).ok());
        let status = found.flatten().and_then(|(_, status)| status);
        matches!(
            status.map(|status| status.stage),
            Some(Stage::Settled { .. })
        )
    };
    let settled = accepted
        .values()
        .filter(|payment| is_settled(payment))
        .count();
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    (count(accepted.len()), count(settled))
}
