//! `stellara bench read`: reads of single payments, linearizable unless said otherwise.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use stellara_client::Client;
use stellara_client::api::{Consistency, GetPaymentRequest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::{Freshness, Global};
use crate::bench::BenchArgs;
use crate::bench::load::Load;
use crate::bench::record::{self, Record};
use crate::bench::submit::join;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct Read {
    #[command(flatten)]
    pub bench: BenchArgs,
    /// How fresh each read must be
    #[arg(long, value_enum, default_value_t = Freshness::Linearizable)]
    consistency: Freshness,
    /// Payments to submit first and read in turn
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    payments: u32,
}

impl Read {
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.bench.client(global).await?;
        let ids = Arc::new(self.prepare(&client).await?);
        let record = Arc::new(Record::begin(&self.bench)?);
        let mut tasks = JoinSet::new();
        for id in 0..self.bench.clients {
            let consistency = self.consistency.into();
            let (client, ids, record) = (client.clone(), Arc::clone(&ids), Arc::clone(&record));
            tasks.spawn(read(client, ids, record, consistency, id as usize));
        }
        record.show(record::bar()).await;
        join(tasks, global.timeout).await;
        let record = Arc::into_inner(record)
            .ok_or_else(|| Failure::Other("a task of the run did not end".into()))?;
        let consistency = match self.consistency {
            Freshness::Linearizable => "linearizable",
            Freshness::Stale => "stale",
        };
        let what = json!({ "op": "read", "consistency": consistency });
        record.print(global.output, &self.bench, what)
    }

    /// Submits the payments that will be read.
    async fn prepare(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let load = Load::new(self.bench.bytes);
        let payments: Vec<_> = (0..self.payments)
            .map(|n| {
                let mut payment = load.payment();
                load.fill(&mut payment, 0, n.into());
                payment
            })
            .collect();
        let mut ids = Vec::new();
        for result in client.submit_payments(&payments).await? {
            ids.push(result?.payment_id);
        }
        Ok(ids)
    }
}

async fn read(
    client: Client,
    ids: Arc<Vec<String>>,
    record: Arc<Record>,
    consistency: Consistency,
    first: usize,
) {
    let mut request = GetPaymentRequest {
        consistency: consistency.into(),
        ..GetPaymentRequest::default()
    };
    let mut began = Instant::now();
    for n in first.. {
        if record.is_over(began) {
            return;
        }
        request.payment_id.clone_from(&ids[n % ids.len()]);
        let result = client.get_payment(&request).await;
        let now = Instant::now();
        match result {
            Ok(_) => record.done(first as u64, began, now, 1),
            Err(error) => record.failed(error),
        }
        began = now;
    }
}
