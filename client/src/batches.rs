//! Batches: read and list.

use futures_util::Stream;
use stellara_proto::v1::{Batch, GetBatchRequest, ListBatchesRequest, ListBatchesResponse};

use crate::client::{Call, Client};
use crate::error::ClientError;
use crate::paging;

impl Client {
    /// One batch with its payments and attempts.
    ///
    /// # Errors
    /// `NotFound`, or what keeps the cluster from answering.
    pub async fn get_batch(&self, request: &GetBatchRequest) -> Result<Batch, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(request.clone());
            let mut batches = attempt.batches();
            async move { batches.get_batch(request).await }
        })
        .await
    }

    /// One page of batches, in the order of forming.
    ///
    /// # Errors
    /// `InvalidField` for a cursor that no answer gave, or what keeps the cluster from
    /// answering.
    pub async fn list_batches(
        &self,
        request: &ListBatchesRequest,
    ) -> Result<ListBatchesResponse, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(request.clone());
            let mut batches = attempt.batches();
            async move { batches.list_batches(request).await }
        })
        .await
    }

    /// All batches from the request's cursor on, page after page as they are read. After an
    /// error the stream ends.
    pub fn batches(
        &self,
        request: ListBatchesRequest,
    ) -> impl Stream<Item = Result<Batch, ClientError>> + Send + 'static {
        let client = self.clone();
        paging::stream(request.cursor.clone(), move |cursor| {
            let client = client.clone();
            let request = ListBatchesRequest {
                cursor,
                ..request.clone()
            };
            async move {
                let page = client.list_batches(&request).await?;
                Ok((page.batches, page.next_cursor))
            }
        })
    }
}
