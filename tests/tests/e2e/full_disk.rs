//! A node's disk fills up: it stops taking writes and says why; the others go on; with room
//! again it carries on.

use stellara_client::{Client, Discovery};
use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::sandbox::SmallDisk;
use stellara_tests::wait::{bounded, until};

/// The node with the small disk, from 0.
const SMALL: usize = 1;
const DISK_MB: u32 = 256;
/// Below the node's reserve of 8 MiB, and enough for what it must still write.
const LEFT_BYTES: u64 = 6 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_turns_a_node_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = match SmallDisk::mount(folder.path(), DISK_MB) {
        Ok(disk) => disk,
        Err(why) => return crate::skip("a_full_disk_turns_a_node_read_only", &why),
    };
    let cluster = Cluster::start(Options {
        data_dir: Some((SMALL, folder.path().join("data"))),
        ..Options::default()
    })
    .await;
    bounded(180_000, async {
        let client = cluster.client();
        let mut meant = Vec::new();
        submit(&client, &mut meant).await;
        disk.fill(LEFT_BYTES).unwrap();
        let reason = until("the node is read-only", 20_000, || async {
            let status = cluster.status(SMALL).await?;
            Some(status.read_only_reason).filter(|reason| !reason.is_empty())
        })
        .await;
        assert!(reason.contains("disk"), "{reason}");
        // Others take what it does not; it still follows and answers reads.
        let near = other_endpoints(&cluster);
        for _ in 0..10 {
            submit(&near, &mut meant).await;
        }
        disk.free().unwrap();
        until("the node takes writes", 20_000, || async {
            let status = cluster.status(SMALL).await?;
            status.read_only_reason.is_empty().then_some(())
        })
        .await;
        submit(&cluster.client_of(SMALL), &mut meant).await;
        cluster.check(&meant).await;
    })
    .await;
}

fn other_endpoints(cluster: &Cluster) -> Client {
    let mut endpoints = cluster.endpoints();
    endpoints.remove(SMALL);
    let builder = Client::builder().endpoints(endpoints);
    let client = builder.discovery(Discovery::Off).build();
    client.expect("the endpoints are well formed")
}

async fn submit(client: &Client, meant: &mut Vec<Meant>) {
    let payment = Meant::next();
    let answer = client.submit_payment(&payment.request()).await;
    answer.expect("a payment is accepted");
    meant.push(payment);
}
