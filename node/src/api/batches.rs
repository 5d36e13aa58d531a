//! The Batches service: get, list.

use stellara_machine::ids::BatchId;
use stellara_proto::v1;
use stellara_proto::v1::batches_server::Batches;
use tonic::{Request, Response, Status};

use super::errors::ApiError;
use super::parse::Listed;
use super::{format, meter, parse, reads};
use crate::gateway::Gateway;

/// The service over a gateway.
#[derive(Clone)]
pub struct BatchesApi<G> {
    gateway: G,
}

impl<G: Gateway> BatchesApi<G> {
    /// The service.
    pub fn new(gateway: G) -> Self {
        Self { gateway }
    }

    async fn get(&self, request: v1::GetBatchRequest) -> Result<v1::Batch, ApiError> {
        let id = parse::batch_id("batch_id", &request.batch_id)?;
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        let batch = view.batch(id)?.ok_or(ApiError::BatchUnknown(id))?;
        Ok(format::batch(&batch))
    }

    async fn list(
        &self,
        request: v1::ListBatchesRequest,
    ) -> Result<v1::ListBatchesResponse, ApiError> {
        let page_size = parse::page_size(request.page_size)?;
        let after = BatchId(parse::page_cursor(Listed::Batches, &request.cursor)?);
        let freshness = parse::freshness(request.consistency, request.staleness_max_ms)?;
        let view = self.gateway.read(freshness).await?;
        // One row more tells whether there is a next page.
        let look = move |view: &_| {
            stellara_raft_store::view::View::batches_after(view, after, page_size + 1)
        };
        let mut batches = reads::scan::<G, _>(view, look).await?;
        let full = batches.len() > page_size;
        batches.truncate(page_size);
        let last = batches.last().filter(|_| full);
        Ok(v1::ListBatchesResponse {
            next_cursor: last
                .map(|batch| format::page_cursor(Listed::Batches, batch.id.0))
                .unwrap_or_default(),
            batches: batches.iter().map(format::batch).collect(),
        })
    }
}

#[tonic::async_trait]
impl<G: Gateway> Batches for BatchesApi<G> {
    async fn get_batch(
        &self,
        request: Request<v1::GetBatchRequest>,
    ) -> Result<Response<v1::Batch>, Status> {
        meter::call::<G::Runtime, _>("GetBatch", self.get(request.into_inner())).await
    }

    async fn list_batches(
        &self,
        request: Request<v1::ListBatchesRequest>,
    ) -> Result<Response<v1::ListBatchesResponse>, Status> {
        meter::call::<G::Runtime, _>("ListBatches", self.list(request.into_inner())).await
    }
}
