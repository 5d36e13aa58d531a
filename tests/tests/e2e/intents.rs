//! One key is one payment: from every node, with another body, and from a file run twice.

use stellara_client::ClientError;
use stellara_client::api::GetPaymentRequest;
use stellara_tests::accounts::{Meant, csv_header};
use stellara_tests::binaries;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::process::run_well;
use stellara_tests::wait::bounded;

/// Rows of the file.
const ROWS: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_body() {
    let cluster = Cluster::start(Options::default()).await;
    bounded(120_000, async {
        let payment = Meant::next();
        let client = cluster.client();
        let first = client.submit_payment(&payment.request()).await.unwrap();
        assert!(!first.repeated);
        for node in 0..3 {
            let client = cluster.client_of(node);
            let again = client.submit_payment(&payment.request()).await.unwrap();
            assert!(again.repeated);
            assert_eq!(again.payment_id, first.payment_id);

            let mut other = payment.request();
            other.amount = "77".to_owned();
            let refused = client.submit_payment(&other).await;
            let payment = first.payment_id.clone();
            assert_eq!(refused, Err(ClientError::KeyReused { payment }));
        }
        let request = GetPaymentRequest {
            payment_id: first.payment_id,
            ..GetPaymentRequest::default()
        };
        let kept = client.get_payment(&request).await.unwrap();
        assert_eq!(kept.amount, payment.request().amount);
        cluster.check(&[payment]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_run_twice_is_submitted_once() {
    let cluster = Cluster::start(Options::default()).await;
    bounded(180_000, async {
        let meant: Vec<Meant> = (0..ROWS).map(|_| Meant::next()).collect();
        let rows: String = meant.iter().map(Meant::csv_row).collect();
        let file = cluster.dir().join("payments.csv");
        std::fs::write(&file, csv_header().to_owned() + &rows).unwrap();
        for (accepted, repeated) in [(ROWS, 0), (0, ROWS)] {
            let mut command = binaries::cli();
            command.args(["payment", "submit", "--output", "json", "--file"]);
            command.arg(&file);
            for endpoint in cluster.endpoints() {
                command.args(["--endpoint", &endpoint]);
            }
            let output = run_well(&mut command).await;
            let counts: serde_json::Value = serde_json::from_str(&output).unwrap();
            assert_eq!(counts["accepted"], accepted, "{output}");
            assert_eq!(counts["repeated"], repeated, "{output}");
        }
        cluster.check(&meant).await;
    })
    .await;
}
