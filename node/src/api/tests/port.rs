//! The port itself: garbage, HTTP/1, health, reflection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::{LONG, Served};

async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(LONG, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn garbage_and_http_1_are_answered_and_stop_nothing() {
    let mut served = Served::start().await;
    for garbage in [
        &b"\x00\x01\x02\x03garbage\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a tls client hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame, not at all, of any known kind",
    ] {
        raw(&served, garbage).await;
    }
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").into_bytes()
    };
    let root = raw(&served, &get("/")).await;
    assert!(
        root.starts_with("HTTP/1.1 200") && root.contains("gRPC"),
        "{root}"
    );
    let nowhere = raw(&served, &get("/v1/nothing")).await;
    assert!(nowhere.starts_with("HTTP/1.1 404"), "{nowhere}");
    assert_eq!(served.fake.submitted(), 0);
    served.submit("k").await;
    served.end().await;
}

#[tokio::test]
async fn health_follows_readiness() {
    let served = Served::start().await;
    let mut health = HealthClient::new(served.channel.clone());
    let watched = health.watch(HealthCheckRequest {
        service: "stellara.v1.Payments".to_owned(),
    });
    let mut watched = watched.await.unwrap().into_inner();
    for (reason, expected) in [
        (None, ServingStatus::Serving),
        (Some("disk full"), ServingStatus::NotServing),
        (None, ServingStatus::Serving),
    ] {
        served
            .fake
            .change(|cluster| cluster.read_only_reason = reason.map(str::to_owned));
        loop {
            let told = timeout(LONG, watched.message()).await.unwrap().unwrap();
            if told.unwrap().status() == expected {
                break;
            }
        }
    }
    drop((health, watched));
    served.end().await;
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let served = Served::start().await;
    let mut reflection = ServerReflectionClient::new(served.channel.clone());
    let asked = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::iter([asked]));
    let mut answers = answers.await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list: {answer:?}");
    };
    let names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
    for name in ["Payments", "Batches", "Cluster", "Policies", "Fees"]
        .map(|name| format!("stellara.v1.{name}"))
    {
        assert!(names.contains(&&*name), "{names:?}");
    }
    drop((reflection, answers));
    served.end().await;
}
