//! A peer that stops, or crashes, and comes back at its address is found again.

use super::*;

/// Calls until it is answered, as Raft does.
async fn call_until_answered(node: &Node, peer: &Peer) {
    let answered = timeout(PATIENCE, async {
        while node.call(peer, "again").await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    answered.await.expect("the peer is back");
}

#[tokio::test]
async fn a_peer_that_restarts_is_found_again() {
    let (folder, one, two) = pair();
    let peer = two.peer();
    one.call(&peer, "before").await.unwrap();
    two.endpoint.close().await;
    let again = QuicOptions::new(peer.info.peer_address.parse().unwrap());
    drop(two);
    let two = restart(again, folder.path()).await;
    call_until_answered(&one, &peer).await;
    two.endpoint.close().await;
}

async fn restart(options: QuicOptions, folder: &Path) -> Node {
    let identity = identity(2, "test");
    // The system may take a moment to free the port.
    let free = async {
        while std::net::UdpSocket::bind(options.listen).is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, free).await.expect("the port is free");
    Node::start(options, folder, identity, now())
}

#[test]
fn a_peer_that_crashes_is_found_again_without_waiting_for_the_idle_timeout() {
    let folder = cluster_folder();
    for node_id in [1, 2] {
        add_node(folder.path(), &identity(node_id, "test"));
    }
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let (survivor, crashing) = (runtime(), runtime());
    let patient = QuicOptions {
        idle: Duration::from_secs(600),
        ..options()
    };
    let start = |node_id| {
        Node::start(
            patient.clone(),
            folder.path(),
            identity(node_id, "test"),
            now(),
        )
    };
    let two = crashing.block_on(async { start(2) });
    let peer = two.peer();
    let one = survivor.block_on(async {
        let one = start(1);
        one.call(&peer, "before").await.unwrap();
        one
    });
    // Its tasks and socket vanish in the middle of everything: nobody is told.
    crashing.shutdown_timeout(Duration::from_secs(5));
    drop(two);
    survivor.block_on(async {
        let again = QuicOptions {
            listen: peer.info.peer_address.parse().unwrap(),
            ..patient.clone()
        };
        let _two = restart(again, folder.path()).await;
        call_until_answered(&one, &peer).await;
    });
}
