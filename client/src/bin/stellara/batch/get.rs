//! `stellara batch get`.

use clap::Args;
use stellara_client::api::GetBatchRequest;

use crate::args::{Freshness, Global};
use crate::failure::Failure;
use crate::output::{ledger, or_dash, print_record, word};
use crate::time::utc;

#[derive(Debug, Args)]
pub struct Get {
    /// The batch, as bat_00000000002b0000
    #[arg(value_name = "ID")]
    batch_id: String,
    /// How fresh the answer must be
    #[arg(long, value_enum, default_value_t = Freshness::Linearizable)]
    consistency: Freshness,
}

impl Get {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = GetBatchRequest {
            batch_id: self.batch_id,
            consistency: stellara_client::api::Consistency::from(self.consistency).into(),
            ..GetBatchRequest::default()
        };
        let batch = global.client()?.get_batch(&request).await?;
        let mut fields = vec![
            ("batch", batch.batch_id.clone()),
            ("stage", word(batch.stage().as_str_name(), "BATCH_STAGE_")),
            ("treasury", or_dash(&batch.treasury)),
            (
                "priority",
                word(batch.priority().as_str_name(), "PRIORITY_"),
            ),
            (
                "trigger",
                word(batch.trigger().as_str_name(), "BATCH_TRIGGER_"),
            ),
            ("formed at", utc(batch.formed_at_ms)),
            ("channel", or_dash(&batch.channel)),
            ("sequence", batch.sequence.to_string()),
            ("ledger", ledger(batch.ledger)),
            (
                "fee charged",
                format!("{} stroops", batch.fee_charged_stroops),
            ),
            (
                "fee expected",
                format!(
                    "{} stroops, at most {}; bid by {}",
                    batch.fee_expected_stroops,
                    batch.fee_bound_stroops,
                    word(batch.bid_reason().as_str_name(), "BID_REASON_")
                ),
            ),
            (
                "expected in",
                format!(
                    "ledger {}, with {} %",
                    ledger(batch.ledger_expected),
                    f64::from(batch.probability_permille) / 10.0
                ),
            ),
            (
                "charged",
                format!(
                    "{} stroops, {} % off {} for bumped singles",
                    batch.charged_stroops,
                    f64::from(batch.discount_permille) / 10.0,
                    batch.bumped_singles_stroops
                ),
            ),
            ("reason", or_dash(&batch.reason)),
        ];
        for attempt in &batch.attempts {
            let text = format!(
                "{}: {} for at most {} stroops",
                attempt.number, attempt.inner_hash, attempt.fee_max_stroops
            );
            fields.push(("attempt", text));
        }
        for payment in &batch.payment_ids {
            fields.push(("payment", payment.clone()));
        }
        print_record(global.output, "Batch", &batch, &fields)
    }
}
