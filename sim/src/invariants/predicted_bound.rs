//! What was told is kept: no attempt bids above the bound that was told for its batch when it was formed, and the ledger
//! charges no batch more.

use std::collections::BTreeMap;

use stellara_machine::decision::Batch;
use stellara_machine::ids::BatchId;
use stellara_machine::units::Stroops;

use super::{Breach, Ending, Invariant, Sight};

/// Batches read at a time.
const BATCHES_MAX: usize = 256;

#[derive(Debug, Default)]
pub struct PredictedBound {
    compared: u64,
}

/// Whether the batch never bid above what was told for it.
fn within(batch: &Batch) -> Result<(), String> {
    let bound = batch.prediction.fee_max;
    match batch
        .attempts
        .iter()
        .find(|attempt| attempt.fee_max > bound)
    {
        None => Ok(()),
        Some(attempt) => Err(format!(
            "attempt {} of batch {} bids {} stroops, {} at most were told",
            attempt.attempt.0, batch.id.0, attempt.fee_max.0, bound.0
        )),
    }
}

/// Whether the ledger charged no more than was told.
fn charged(batch: BatchId, fee: Stroops, bound: Stroops) -> Result<(), Breach> {
    if fee <= bound {
        return Ok(());
    }
    Err(Breach::of_all(format!(
        "the ledger charged {} stroops for batch {}, {} at most were told",
        fee.0, batch.0, bound.0
    )))
}

impl Invariant for PredictedBound {
    fn name(&self) -> &'static str {
        "predicted_bound"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let broken = running.view.state(|state| {
                state
                    .batches()
                    .values()
                    .find_map(|batch| within(batch).err())
            });
            if let Some(detail) = broken {
                return Err(Breach::by(node_id, detail));
            }
        }
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        let Some((node_id, running)) = sight.foremost() else {
            return Ok(());
        };
        let mut bounds = BTreeMap::new();
        let mut after = BatchId(0);
        loop {
            let read = running.view.batches_after(after, BATCHES_MAX);
            let read = read.map_err(|error| Breach::by(node_id, error.to_string()))?;
            for batch in &read {
                within(batch).map_err(|detail| Breach::by(node_id, detail))?;
                for attempt in &batch.attempts {
                    let inner = hex::encode(attempt.inner_hash.0);
                    bounds.insert(inner, (batch.id, batch.prediction.fee_max));
                }
            }
            match read.last() {
                Some(last) if read.len() == BATCHES_MAX => after = last.id,
                Some(_) | None => break,
            }
        }
        for entry in sight.ledger.journal() {
            let Some((batch, bound)) = bounds.get(&entry.inner_hash) else {
                continue;
            };
            self.compared += 1;
            charged(*batch, Stroops(entry.fee_charged_stroops), *bound)?;
        }
        Ok(())
    }

    /// Transactions on the ledger that were compared with what was told.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use stellara_machine::fees::predict::Prediction;

    use super::super::stage::Stage;
    use super::*;

    #[test]
    fn every_transaction_is_compared() {
        let stage = Stage::of_run(5);
        let mut invariant = PredictedBound::default();
        assert_eq!(stage.show(&mut invariant, Ending::Settled), Ok(()));
        assert!(invariant.compared > 0, "nothing was compared");
    }

    #[test]
    fn a_bid_above_what_was_told_is_found() {
        let stage = Stage::of_run(5);
        let (_, running) = stage.nodes[&1]
            .running
            .as_ref()
            .map(|running| (1, running))
            .unwrap();
        let batches = running.view.batches_after(BatchId(0), 1).unwrap();
        let mut batch = batches[0].clone();
        assert_eq!(within(&batch), Ok(()));
        batch.prediction = Prediction {
            fee_max: Stroops(1),
            ..batch.prediction
        };
        let told = within(&batch).unwrap_err();
        assert!(told.ends_with("1 at most were told"), "{told}");
    }

    #[test]
    fn a_charge_above_what_was_told_is_found() {
        let told = Stroops(200);
        assert_eq!(charged(BatchId(7), told, told), Ok(()));
        let broken = charged(BatchId(7), Stroops(201), told).unwrap_err();
        assert!(broken.detail.contains("charged 201 stroops"), "{broken:?}");
    }
}
