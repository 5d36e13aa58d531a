//! Reading for the handlers: fresh as asked, and away from the threads that serve calls when it scans.

use std::io;

use stellara_machine::ids::PaymentId;
use stellara_proto::v1;
use stellara_raft_store::engine::EngineError;
use stellara_raft_store::view::View;

use super::errors::ApiError;
use super::format;
use crate::gateway::{Freshness, Gateway};

/// Runs a scan where it may wait for the disk.
pub(super) async fn scan<G: Gateway, T: Send + 'static>(
    view: View<G::Disk>,
    look: impl FnOnce(&View<G::Disk>) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, ApiError> {
    match G::blocking(move || look(&view)).await {
        Ok(found) => found.map_err(ApiError::from),
        // The runtime stops, or the scan panicked, which the panic itself reports.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(ApiError::stopping()),
        Err(_) => Err(ApiError::Internal {
            reason: "a scan ended early",
        }),
    }
}

/// One payment.
pub(super) async fn payment<G: Gateway>(
    gateway: &G,
    freshness: Freshness,
    id: PaymentId,
) -> Result<v1::Payment, ApiError> {
    let view = gateway.read(freshness).await?;
    let (payment, status) = view.payment(id)?.ok_or(ApiError::PaymentUnknown(id))?;
    Ok(format::payment(payment, status))
}
