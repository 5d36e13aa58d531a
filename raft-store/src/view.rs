//! Reading the state: what this node has applied, without waiting for anyone.
//!
//! Whether that is fresh enough is the caller's question (`node/src/reads.rs`).

use std::sync::Arc;

use stellara_machine::command::RecordAttempt;
use stellara_machine::decision::{Batch, Payment, PaymentStatus};
use stellara_machine::fees::book::FeeHour;
use stellara_machine::fees::market::FeeSample;
use stellara_machine::ids::{AttemptNo, BatchId, Hash, Index, PaymentId};
use stellara_machine::state::State;
use stellara_machine::units::{LedgerSeq, UnixMs};
use stellara_proto::v1::log;

use crate::apply::Shared;
use crate::codec;
use crate::engine::{Direction, Disk, Engine, EngineError, Scan, Space};
use crate::rows;

/// A reader of one node's state. Clones are cheap.
pub struct View<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for View<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A payment and where it stands; no status yet means queued since acceptance.
pub type PaymentNow = (Payment, Option<PaymentStatus>);

impl<D: Disk> View<D> {
    fn engine(&self) -> Arc<D::Engine> {
        self.shared.read(|current| Arc::clone(&current.engine))
    }

    /// Looks at the decision state. Keep it short: entries wait meanwhile.
    pub fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.shared.read(|current| look(&current.state))
    }

    /// The last log index applied.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.shared
            .read(|current| Index(current.applied.last.map_or(0, |log_id| log_id.index)))
    }

    /// The state's digest after the newest entry at or below `index`, with that entry's index;
    /// `None` when it is no longer kept.
    #[must_use]
    pub fn digest_at(&self, index: Index) -> Option<(Index, Hash)> {
        self.shared.read(|current| {
            current
                .digests
                .range(..=index.0)
                .next_back()
                .map(|(index, digest)| (Index(*index), *digest))
        })
    }

    /// A payment.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn payment(&self, id: PaymentId) -> Result<Option<PaymentNow>, EngineError> {
        let engine = self.engine();
        let Some(body) = engine.get(Space::Payments, &rows::payment_key(id))? else {
            return Ok(None);
        };
        let status = engine.get(Space::Rows, &rows::status_key(id))?;
        rows::decode_payment(id, &body, status.as_deref()).map(Some)
    }

    /// Payments after `after` in the order of acceptance, at most `rows_max`.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn payments_after(
        &self,
        after: PaymentId,
        rows_max: usize,
    ) -> Result<Vec<PaymentNow>, EngineError> {
        let engine = self.engine();
        let bodies = engine.scan(&Scan {
            space: Space::Payments,
            from: rows::payment_key(PaymentId(after.0.saturating_add(1))),
            to: rows::payment_key(PaymentId(u64::MAX)),
            direction: Direction::Ascending,
            rows_max,
        })?;
        let ids = bodies
            .iter()
            .map(|(key, _)| rows::id_of(key).map(PaymentId))
            .collect::<Result<Vec<_>, _>>()?;
        let status_keys: Vec<_> = ids.iter().map(|id| rows::status_key(*id)).collect();
        let statuses = engine.multi_get(Space::Rows, &status_keys)?;
        ids.into_iter()
            .zip(bodies)
            .zip(statuses)
            .map(|((id, (_, body)), status)| rows::decode_payment(id, &body, status.as_deref()))
            .collect()
    }

    /// A batch, live or ended.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn batch(&self, id: BatchId) -> Result<Option<Batch>, EngineError> {
        self.engine()
            .get(Space::Rows, &rows::batch_key(id))?
            .map(|bytes| rows::decode("batch", &bytes, |row| codec::batch_from_row(id, row)))
            .transpose()
    }

    /// Batches after `after` in the order of forming, at most `rows_max`.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn batches_after(
        &self,
        after: BatchId,
        rows_max: usize,
    ) -> Result<Vec<Batch>, EngineError> {
        let found = self.engine().scan(&Scan {
            space: Space::Rows,
            from: rows::batch_key(BatchId(after.0.saturating_add(1))),
            to: rows::batch_key(BatchId(u64::MAX)),
            direction: Direction::Ascending,
            rows_max,
        })?;
        found
            .iter()
            .map(|(key, bytes)| {
                let id = BatchId(rows::id_of(key)?);
                rows::decode("batch", bytes, |row| codec::batch_from_row(id, row))
            })
            .collect()
    }

    /// The samples of the network's fees up to `to`, the newest first, at most `rows_max`.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn fee_samples(
        &self,
        to: LedgerSeq,
        rows_max: usize,
    ) -> Result<Vec<(FeeSample, UnixMs)>, EngineError> {
        let found = self.engine().scan(&Scan {
            space: Space::Rows,
            from: rows::fee_sample_key(LedgerSeq(0)),
            to: rows::fee_sample_key(LedgerSeq(to.0.saturating_add(1))),
            direction: Direction::Descending,
            rows_max,
        })?;
        let decoded = found
            .iter()
            .map(|(_, bytes)| rows::decode("fee sample", bytes, codec::fee_sample_from_row));
        decoded.collect()
    }

    /// The hours of the book of fees from `from` (inclusive) to `to` (exclusive), hours since the Unix epoch; hours in
    /// which no batch ended are not there.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn fee_hours(
        &self,
        from: u32,
        to: u32,
        rows_max: usize,
    ) -> Result<Vec<FeeHour>, EngineError> {
        let found = self.engine().scan(&Scan {
            space: Space::Rows,
            from: rows::fee_hour_key(from),
            to: rows::fee_hour_key(to),
            direction: Direction::Ascending,
            rows_max,
        })?;
        found
            .iter()
            .map(|(key, bytes)| rows::fee_hour(key, bytes))
            .collect()
    }

    /// A stored envelope.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn attempt(
        &self,
        batch: BatchId,
        attempt: AttemptNo,
    ) -> Result<Option<RecordAttempt>, EngineError> {
        self.engine()
            .get(Space::Payments, &rows::attempt_key(batch, attempt))?
            .map(|bytes| rows::decode("attempt", &bytes, codec::attempt_from_row))
            .transpose()
    }

    /// What happened after index `after`, at most `rows_max` entries, with their indexes.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn records_after(
        &self,
        after: Index,
        rows_max: usize,
    ) -> Result<Vec<(Index, log::EntryRecordRow)>, EngineError> {
        let found = self.record_rows_after(after, rows_max)?;
        found
            .iter()
            .map(|(index, bytes)| Ok((*index, record_of(bytes)?)))
            .collect()
    }

    /// The same, as it is stored; [`record_of`] tells what a row says.
    ///
    /// # Errors
    /// `Corrupt` or `ReadFailed`.
    pub fn record_rows_after(
        &self,
        after: Index,
        rows_max: usize,
    ) -> Result<Vec<(Index, Vec<u8>)>, EngineError> {
        let found = self.engine().scan(&Scan {
            space: Space::Entries,
            from: rows::record_key(Index(after.0.saturating_add(1))),
            to: rows::record_key(Index(u64::MAX)),
            direction: Direction::Ascending,
            rows_max,
        })?;
        let indexed = found.into_iter().map(|(key, bytes)| {
            let index = rows::record_index(&key)?;
            Ok((index, bytes))
        });
        indexed.collect()
    }
}

/// What a stored record says of its entry.
///
/// # Errors
/// `Corrupt`.
pub fn record_of(bytes: &[u8]) -> Result<log::EntryRecordRow, EngineError> {
    rows::decode("record", bytes, Ok)
}
