//! Fees: the market, quotes, samples, savings.

use futures_util::Stream;
use stellara_proto::v1::{
    FeeMarket, FeeQuote, FeeSample, GetFeesRequest, GetSavingsRequest, ListFeeSamplesRequest,
    ListFeeSamplesResponse, QuoteFeeRequest, Savings,
};

use crate::client::{Call, Client};
use crate::error::ClientError;
use crate::paging;

impl Client {
    /// The network's fees as the cluster knows them, and what each priority would bid now.
    ///
    /// # Errors
    /// What keeps the cluster from answering.
    pub async fn get_fees(&self, request: &GetFeesRequest) -> Result<FeeMarket, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(*request);
            let mut fees = attempt.fees();
            async move { fees.get_fees(request).await }
        })
        .await
    }

    /// What payments would cost if they were submitted now.
    ///
    /// # Errors
    /// `InvalidField`, or what keeps the cluster from answering.
    pub async fn quote_fee(&self, request: &QuoteFeeRequest) -> Result<FeeQuote, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(*request);
            let mut fees = attempt.fees();
            async move { fees.quote_fee(request).await }
        })
        .await
    }

    /// One page of samples of the network's fees, the newest first.
    ///
    /// # Errors
    /// `InvalidField` for a cursor that no answer gave, or what keeps the cluster from answering.
    pub async fn list_fee_samples(
        &self,
        request: &ListFeeSamplesRequest,
    ) -> Result<ListFeeSamplesResponse, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(request.clone());
            let mut fees = attempt.fees();
            async move { fees.list_fee_samples(request).await }
        })
        .await
    }

    /// All samples from the request's cursor on, page after page as they are read. After an error the stream ends.
    pub fn fee_samples(
        &self,
        request: ListFeeSamplesRequest,
    ) -> impl Stream<Item = Result<FeeSample, ClientError>> + Send + 'static {
        let client = self.clone();
        paging::stream(request.cursor.clone(), move |cursor| {
            let client = client.clone();
            let request = ListFeeSamplesRequest {
                cursor,
                ..request.clone()
            };
            async move {
                let page = client.list_fee_samples(&request).await?;
                Ok((page.samples, page.next_cursor))
            }
        })
    }

    /// What was paid, saved and charged over a span of hours, and how long payments took.
    ///
    /// # Errors
    /// `InvalidField`, or what keeps the cluster from answering.
    pub async fn get_savings(&self, request: &GetSavingsRequest) -> Result<Savings, ClientError> {
        self.call(Call::Read, |attempt| {
            let request = attempt.request(*request);
            let mut fees = attempt.fees();
            async move { fees.get_savings(request).await }
        })
        .await
    }
}
