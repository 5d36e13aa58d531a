//! Bytes that mean nothing, on every port: no node stops, no call is disturbed.

use std::net::{SocketAddr, UdpSocket};

use stellara_tests::accounts::Meant;
use stellara_tests::cluster::{Cluster, Options};
use stellara_tests::wait::bounded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Datagrams, and connections, to each port.
const TIMES: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_stops_nobody() {
    let mut cluster = Cluster::start(Options::default()).await;
    bounded(120_000, async {
        for node in 0..3 {
            let addresses = cluster.addresses(node).clone();
            spray(addresses.peer);
            for port in [addresses.public, addresses.ops] {
                pour(port).await;
            }
        }
        let mut meant = Vec::new();
        for node in 0..3 {
            cluster.await_ready(node).await;
            let payment = Meant::next();
            let client = cluster.client_of(node);
            client.submit_payment(&payment.request()).await.unwrap();
            meant.push(payment);
            assert!(!cluster.log(node).contains("panicked"));
        }
        cluster.check(&meant).await;
        let totals = cluster.status(0).await.and_then(|status| status.totals);
        // The three, and the one that showed the cluster to be at work.
        assert_eq!(totals.map(|totals| totals.submitted), Some(4));
    })
    .await;
}

/// Datagrams from none to the largest that loopback carries whole.
fn spray(peer: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    for seed in 0..TIMES {
        let len = usize::try_from(seed * seed % 1_500).expect("it is small");
        // A refusal told by the port is the next send's error, and no concern of this test.
        socket.send_to(&noise(seed, len), peer).ok();
    }
}

async fn pour(port: SocketAddr) {
    for seed in 0..TIMES / 10 {
        let mut stream = TcpStream::connect(port).await.expect("the port listens");
        let bytes = match seed % 4 {
            0 => noise(seed, 10_000),
            1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            2 => b"POST /v1/payments HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n{".to_vec(),
            _ => Vec::new(),
        };
        // The node may hang up midway, as it should.
        stream.write_all(&bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = [0; 1_024];
        let len = stream.read(&mut answer).await.unwrap_or_default();
        let told = String::from_utf8_lossy(&answer[..len]);
        assert!(!told.starts_with("HTTP/1.1 2"), "{told}");
    }
}

/// Bytes that look like nothing (xorshift64).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}
