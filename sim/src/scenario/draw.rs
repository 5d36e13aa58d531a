//! From a scenario and a seed to a plan. Each part has a stream of its own: another fault changes no operation.

use crate::plan::fault::Fault;
use crate::plan::operation::{Fresh, LaneName, Mistake, Operation, OperationAt, Through};
use crate::plan::target::Target;
use crate::plan::{FaultAt, Plan};
use crate::runtime::RandomStream;

use super::{Hazard, Scenario, Span, Swizzle};

/// Faults of one run, at most: a scenario of long runs and short spans is thinned at its end.
const FAULTS_MAX: usize = 10_000;

impl Scenario {
    /// What a run of this scenario does under a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let mut operations = self.drawn_operations(seed);
        operations.extend(self.operations.iter().cloned());
        operations.sort_by_key(|operation| operation.at_ms);
        let mut faults = Vec::new();
        for (nth, hazard) in (0..).zip(&self.hazards) {
            let mut draws = RandomStream::derive(&[seed, FAULTS, nth]);
            self.draw_hazard(hazard, &mut draws, &mut faults);
        }
        for (nth, swizzle) in (0..).zip(&self.swizzles) {
            let mut draws = RandomStream::derive(&[seed, SWIZZLES, nth]);
            self.draw_swizzle(*swizzle, &mut draws, &mut faults);
        }
        faults.sort_by_key(|fault| fault.at_ms);
        faults.truncate(FAULTS_MAX);
        Plan {
            scenario: self.name.clone(),
            seed,
            topology: self.topology.clone(),
            for_ms: self.for_ms,
            settle_ms: self.settle_ms,
            operations,
            faults,
        }
    }

    fn draw_hazard(&self, hazard: &Hazard, draws: &mut RandomStream, faults: &mut Vec<FaultAt>) {
        let happens =
            |draws: &mut RandomStream| draws.below(1_000) < u64::from(hazard.chance_permille);
        let mut add = |at_ms: u64, draws: &mut RandomStream| {
            faults.push(FaultAt {
                at_ms,
                for_ms: hazard.for_ms.map(|span| draw(span, draws)),
                fault: self.settled(&hazard.fault, draws),
            });
        };
        if let Some(at) = hazard.at_ms
            && happens(draws)
        {
            let at_ms = draw(at, draws);
            add(at_ms, draws);
        }
        if let Some(every) = hazard.every_ms {
            let mut at_ms = draw(every, draws);
            while at_ms < self.for_ms {
                if happens(draws) {
                    add(at_ms, draws);
                }
                at_ms += draw(every, draws).max(1);
            }
        }
    }

    fn draw_swizzle(&self, swizzle: Swizzle, draws: &mut RandomStream, faults: &mut Vec<FaultAt>) {
        let nodes = self.nodes();
        let mut from_ms = draw(swizzle.every_ms, draws);
        while from_ms < self.for_ms {
            let span_ms = draw(swizzle.for_ms, draws);
            for from in 1..=nodes {
                for to in (1..=nodes).filter(|to| *to != from) {
                    if draws.below(2) == 0 {
                        continue;
                    }
                    let begins = draws.below(span_ms + 1);
                    let ends = span_ms + draws.below(span_ms + 1);
                    faults.push(FaultAt {
                        at_ms: from_ms + begins,
                        for_ms: Some(ends - begins),
                        fault: Fault::Clog {
                            from: Target::Node(from),
                            to: Target::Node(to),
                        },
                    });
                }
            }
            from_ms += draw(swizzle.every_ms, draws).max(1);
        }
    }

    fn nodes(&self) -> u64 {
        u64::try_from(self.topology.regions.len()).unwrap_or(1)
    }

    /// The fault with a number wherever it says any node.
    fn settled(&self, fault: &Fault, draws: &mut RandomStream) -> Fault {
        let mut fault = fault.clone();
        for target in fault.targets_mut() {
            if *target == Target::Any {
                *target = Target::Node(1 + draws.below(self.nodes()));
            }
        }
        fault
    }

    fn drawn_operations(&self, seed: u64) -> Vec<OperationAt> {
        let mut draws = RandomStream::derive(&[seed, OPERATIONS]);
        let workload = self.workload;
        let count = |per_s: u32| u64::from(per_s) * self.for_ms / 1_000;
        let payments = u32::try_from(count(workload.submits_per_s)).unwrap_or(u32::MAX);
        let mut all = Vec::new();
        let mut when = Vec::new();
        for payment in 0..payments {
            let at_ms = draws.below(self.for_ms);
            when.push(at_ms);
            all.push((at_ms, self.submit(payment, &mut draws)));
            let later = |draws: &mut RandomStream| at_ms + draws.below(5_000);
            for (permille, operation) in [
                (workload.again_permille, Operation::Again { payment }),
                (workload.conflict_permille, Operation::Conflict { payment }),
                (workload.cancel_permille, Operation::Cancel { payment }),
            ] {
                if draws.below(1_000) < u64::from(permille) {
                    all.push((later(&mut draws), operation));
                }
            }
            if draws.below(1_000) < u64::from(workload.bad_permille) {
                let mistake = mistake(&mut draws);
                all.push((later(&mut draws), Operation::Bad { mistake }));
            }
        }
        let mut read = |reads: u64, fresh: fn(&mut RandomStream) -> Fresh| {
            for _ in 0..reads {
                let at_ms = draws.below(self.for_ms);
                // One of those asked for lately is read: an old one is not in question any more.
                let payment = match when.is_empty() {
                    true => 0,
                    false => u32::try_from(draws.below(u64::from(payments))).unwrap_or(0),
                };
                let fresh = fresh(&mut draws);
                let at_ms = when
                    .get(usize::try_from(payment).unwrap_or(usize::MAX))
                    .map_or(at_ms, |asked| asked + at_ms % 3_000);
                all.push((at_ms, Operation::Read { payment, fresh }));
            }
        };
        read(count(workload.reads_per_s), |_| Fresh::Linearizable);
        read(count(workload.stale_reads_per_s), |draws| Fresh::Stale {
            max_ms: draws.below(3) * 1_000,
        });
        let clients = u64::from(workload.clients);
        let mut doors = RandomStream::derive(&[seed, DOORS]);
        all.into_iter()
            .filter(|(at_ms, _)| *at_ms < self.for_ms)
            .map(|(at_ms, operation)| OperationAt {
                at_ms,
                client: u8::try_from(draws.below(clients)).unwrap_or(0),
                through: through(&operation, workload.sdk_permille, &mut doors),
                operation,
            })
            .collect()
    }

    fn submit(&self, payment: u32, draws: &mut RandomStream) -> Operation {
        let lane = match draws.below(4) {
            0 => LaneName::Low,
            1 => LaneName::Medium,
            2 => LaneName::High,
            _ => LaneName::Critical,
        };
        let destinations = u64::from(self.topology.destinations);
        let destination = u8::try_from(draws.below(destinations)).unwrap_or(0);
        Operation::Submit {
            payment,
            lane,
            destination,
        }
    }
}

fn mistake(draws: &mut RandomStream) -> Mistake {
    match draws.below(4) {
        0 => Mistake::ZeroAmount,
        1 => Mistake::NegativeAmount,
        2 => Mistake::EmptyKey,
        _ => Mistake::UnknownTreasury,
    }
}

const FAULTS: u64 = 0x6661_756c_7473;
const SWIZZLES: u64 = 0x7377_697a_7a6c;
const OPERATIONS: u64 = 0x6f70_7321;
const DOORS: u64 = 0x646f_6f72_7321;

/// Draws for every operation, so that each keeps its door when another has none to choose.
fn through(operation: &Operation, sdk_permille: u32, draws: &mut RandomStream) -> Through {
    let sdk = draws.below(1_000) < u64::from(sdk_permille);
    match (operation, sdk) {
        // The SDK makes a key up where there is none: it cannot make this mistake.
        (
            Operation::Bad {
                mistake: Mistake::EmptyKey,
            },
            _,
        )
        | (_, false) => Through::Gateway,
        (_, true) => Through::Sdk,
    }
}

fn draw(span: Span, draws: &mut RandomStream) -> u64 {
    let [from, to] = span.bounds();
    draws.between(from, to)
}
