//! `stellara deadletter retry`: those that are named, or all that failed for a reason.

use std::pin::pin;

use clap::Args;
use futures_util::TryStreamExt as _;
use stellara_client::api::{ListPaymentsRequest, Payment, PaymentStage};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{self, PAGE_ITEMS_MAX};
use crate::payment::record;

const COLUMNS: &[&str] = &["payment", "stage"];

#[derive(Debug, Args)]
pub struct Retry {
    /// The payments, as pay_00000000002a0000
    #[arg(value_name = "ID", required_unless_present = "reason")]
    payment_ids: Vec<String>,
    /// All payments that failed with this code, as op_no_trust
    #[arg(long, value_name = "CODE", conflicts_with = "payment_ids")]
    reason: Option<String>,
}

impl Retry {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = global.client()?;
        let mut list = output::List::new(global.output, ("Payment", "payments"), COLUMNS);
        let mut ids = self.payment_ids;
        if let Some(reason) = self.reason {
            let request = ListPaymentsRequest {
                page_size: PAGE_ITEMS_MAX,
                stage: PaymentStage::Failed.into(),
                ..ListPaymentsRequest::default()
            };
            let mut failed = pin!(client.payments(request));
            while let Some(payment) = failed.try_next().await? {
                if payment.reason == reason {
                    ids.push(payment.payment_id);
                }
            }
        }
        for id in &ids {
            let payment = client.retry_payment(id).await?;
            list.item(&payment, row(&payment))?;
        }
        list.finish("")
    }
}

fn row(payment: &Payment) -> Vec<String> {
    vec![payment.payment_id.clone(), record::stage(payment)]
}
