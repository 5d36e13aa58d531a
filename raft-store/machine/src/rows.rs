//! The rows that decisions need and memory does not hold; read for a whole entry before it.

use alloc::collections::BTreeMap;

use crate::command::Command;
use crate::decision::{KeyRecord, Payment, PaymentStatus};
use crate::ids::{DeveloperId, IdempotencyKey, PaymentId};

/// The prefetched rows of one entry; a row that is not there was not stored.
///
/// While the entry runs, `step` puts in what earlier commands of it stored and later ones ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// By developer and key.
    pub keys: BTreeMap<(DeveloperId, IdempotencyKey), KeyRecord>,
    /// Accepted payments.
    pub payments: BTreeMap<PaymentId, Payment>,
    /// Their progress.
    pub statuses: BTreeMap<PaymentId, PaymentStatus>,
}

/// What a command needs read before it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowRequest<'a> {
    /// The record of a key, into `Rows::keys`.
    Key(DeveloperId, &'a IdempotencyKey),
    /// A payment and its status, into `Rows::payments` and `Rows::statuses`.
    Payment(PaymentId),
}

/// What to read for a command.
#[must_use]
pub fn prefetch(command: &Command) -> Option<RowRequest<'_>> {
    match command {
        Command::SubmitPayment(submit) => Some(RowRequest::Key(submit.developer, &submit.key)),
        Command::CancelPayment(cancel) => Some(RowRequest::Payment(cancel.payment)),
        Command::RetryPayment(retry) => Some(RowRequest::Payment(retry.payment)),
        Command::FormBatch(_)
        | Command::RecordAttempt(_)
        | Command::RecordOutcome(_)
        | Command::RegisterAccount(_)
        | Command::SetPolicy(_)
        | Command::RecordFees(_) => None,
    }
}
