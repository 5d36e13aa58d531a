//! What is needed for a failure remains, and nothing else.

use crate::plan::operation::Operation;
use crate::scenario::Scenario;

use super::*;

fn submits(plan: &Plan, payment: u32) -> bool {
    plan.operations.iter().any(
        |at| matches!(at.operation, Operation::Submit { payment: found, .. } if found == payment),
    )
}

#[test]
fn two_operations_and_a_fault_are_found_among_hundreds() {
    let plan = Scenario::named("chaos").unwrap().plan(5);
    let kept = plan.faults[plan.faults.len() / 2].fault.clone();
    let mut fails = |plan: &Plan| {
        let needed = submits(plan, 17) && submits(plan, 301);
        (needed && plan.faults.iter().any(|at| at.fault == kept)).then_some(u64::MAX)
    };
    let shrunk = shrink(plan, &mut fails, &|| true);
    assert_eq!(shrunk.size(), 3, "{:?}", shrunk.plan);
    assert!(fails(&shrunk.plan).is_some());
    assert!(shrunk.runs < 2_500, "{} runs", shrunk.runs);
    assert_eq!(shrunk.plan.topology.network.loss_ppm, 0);
}

#[test]
fn what_does_not_fail_stays_as_it_is() {
    let plan = Scenario::named("calm").unwrap().plan(5);
    let shrunk = shrink(plan.clone(), &mut |_| None, &|| true);
    assert_eq!(shrunk.plan, plan);
}

#[test]
fn without_patience_nothing_is_tried() {
    let plan = Scenario::named("calm").unwrap().plan(5);
    let shrunk = shrink(plan, &mut |_| Some(1_000), &|| false);
    assert_eq!(shrunk.runs, 1);
}
