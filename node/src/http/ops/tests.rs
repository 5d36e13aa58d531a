//! The ops port over a fake cluster, asked as a probe and an operator ask it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use stellara_raft_store::types::NodeId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Admin, Ops, Settlement, serve};
use crate::api::tests::fake::Fake;
use crate::gateway::Joining;

/// Remembers what it was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Admin for Asked {
    async fn transfer(&self, to: Option<NodeId>) -> Result<(), String> {
        self.note(format!("transfer {to:?}"));
        match to {
            Some(9) => Err("node 9 is not a member".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    async fn snapshot(&self) -> Result<(), String> {
        self.note("snapshot".to_owned());
        Ok(())
    }
}

/// Status and body of one request.
async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test]
async fn the_ops_port_tells_the_node_and_passes_what_operators_ask() {
    let fake = Fake::new().await;
    let asked = Asked::default();
    let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ops = Ops {
        gateway: fake.clone(),
        admin: asked.clone(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        settlement: Settlement::Configured,
        draining: draining.clone(),
    };
    let task = tokio::spawn(serve(listener, ops, stop.clone().cancelled_owned()));

    assert_eq!(ask(address, "GET", "/livez").await.0, 200);
    assert_eq!(ask(address, "GET", "/readyz").await.0, 200);
    let (_, metrics) = ask(address, "GET", "/metrics").await;
    for line in [
        "stellara_raft_role{role=\"leader\"} 1",
        "stellara_raft_term 1",
        "stellara_raft_applied_index 1",
        "stellara_payments_submitted_total 0",
        "stellara_member_matched_index{node_id=\"1\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
    let (_, status) = ask(address, "GET", "/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["role"], &status["leader_id"]),
        (&"leader".into(), &1.into())
    );

    fake.change(|cluster| cluster.leader_id = None);
    let (code, body) = ask(address, "GET", "/readyz").await;
    assert_eq!(code, 503);
    assert!(body.contains("no leader is known"), "{body}");
    fake.change(|cluster| cluster.leader_id = Some(1));
    fake.change(|cluster| cluster.joining = Some(Joining::Rebuilding { until: 40 }));
    let (code, body) = ask(address, "GET", "/readyz").await;
    assert_eq!(code, 503);
    assert!(body.contains("rebuilding: 1 of 40 entries"), "{body}");
    fake.change(|cluster| cluster.joining = None);
    draining.cancel();
    assert_eq!(ask(address, "GET", "/readyz").await.0, 503);
    assert_eq!(ask(address, "GET", "/livez").await.0, 200);

    assert_eq!(ask(address, "POST", "/admin/transfer?to=2").await.0, 200);
    assert_eq!(ask(address, "POST", "/admin/transfer").await.0, 200);
    let (code, body) = ask(address, "POST", "/admin/transfer?to=9").await;
    assert!(
        code == 409 && body.contains("not a member"),
        "{code} {body}"
    );
    assert_eq!(ask(address, "POST", "/admin/transfer?to=x").await.0, 400);
    assert_eq!(ask(address, "GET", "/admin/transfer").await.0, 405);
    assert_eq!(ask(address, "POST", "/admin/snapshot").await.0, 200);
    let expected = [
        "transfer Some(2)",
        "transfer None",
        "transfer Some(9)",
        "snapshot",
    ];
    assert_eq!(*asked.0.lock().unwrap(), expected);

    stop.cancel();
    task.await.unwrap().unwrap();
}

/// Status and body of `/readyz`.
async fn ready(fake: &Fake, settlement: Settlement) -> (u16, String) {
    let ops = Ops {
        gateway: fake.clone(),
        admin: Asked::default(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        settlement,
        draining: CancellationToken::new(),
    };
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(serve(listener, ops, stop.clone().cancelled_owned()));
    let answer = ask(address, "GET", "/readyz").await;
    stop.cancel();
    task.await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_node_that_settles_is_ready_once_a_treasury_is_known() {
    let fake = Fake::blank();
    let (status, body) = ready(&fake, Settlement::Configured).await;
    assert_eq!(status, 503);
    assert!(body.contains("no treasury is registered yet"), "{body}");
    assert_eq!(ready(&fake, Settlement::Absent).await.0, 200);

    fake.register().await;
    assert_eq!(ready(&fake, Settlement::Configured).await.0, 200);
}
