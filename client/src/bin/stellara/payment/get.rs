//! `stellara payment get`.

use clap::Args;
use stellara_client::api::{Consistency, GetPaymentRequest};

use crate::args::{Freshness, Global};
use crate::failure::Failure;
use crate::payment::record;

#[derive(Debug, Args)]
pub struct Get {
    /// The payment, as pay_00000000002a0000
    #[arg(value_name = "ID")]
    payment_id: String,
    /// How fresh the answer must be
    #[arg(long, value_enum, default_value_t = Freshness::Linearizable)]
    consistency: Freshness,
}

impl Get {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = GetPaymentRequest {
            payment_id: self.payment_id,
            consistency: Consistency::from(self.consistency).into(),
            ..GetPaymentRequest::default()
        };
        let payment = global.client()?.get_payment(&request).await?;
        record::print(global.output, &payment)
    }
}
