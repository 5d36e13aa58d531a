//! `stellara payment cancel`.

use clap::Args;

use crate::args::Global;
use crate::failure::Failure;
use crate::payment::record;

#[derive(Debug, Args)]
pub struct Cancel {
    /// The payment, as pay_00000000002a0000
    #[arg(value_name = "ID")]
    payment_id: String,
}

impl Cancel {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let payment = global.client()?.cancel_payment(&self.payment_id).await?;
        record::print(global.output, &payment)
    }
}
