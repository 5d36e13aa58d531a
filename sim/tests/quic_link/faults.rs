//! The faults of the paths, each felt by a connection that is made over them and outlived by it.

use std::time::Duration;

use bytes::Bytes;
use stellara_node::ports::peer_link::{
    FrameRx as _, FrameTx as _, LinkError, PeerLink as _, StreamClass,
};
use stellara_sim::fake::network::{Ailment, Bursts};
use stellara_sim::fake::udp::UdpOptions;
use stellara_sim::runtime::{NodeTag, now, sleep, spawn_on};

use super::{LIMIT, ONE_WAY, check, clean, peer};

#[test]
fn paths_lose_duplicate_and_limit_packets() {
    let udp = UdpOptions {
        overtaking_ppm: 300_000,
        ..UdpOptions::default()
    };
    let (_, counts) = check(udp, |stage| async move {
        let twice = Ailment::Duplicate {
            duplicate_ppm: 300_000,
        };
        // For the whole run.
        let _ = stage.network.hold(twice);
        let (mut tx, mut rx) = stage.open(StreamClass::Append).await;
        stage.network.set_loss_ppm(20_000);
        for _ in 0..10 {
            tx.send(Bytes::from(vec![7; 100_000])).await.unwrap();
            let echo = rx.recv().await.unwrap().unwrap();
            assert_eq!(echo[..], 100_000_u32.to_be_bytes());
        }
    });
    assert!(counts.duplicated * 5 > counts.sent, "{counts:?}");
    assert!(counts.lost * 100 > counts.sent, "{counts:?}");
    // Probes of the path's size find it at 1,452 bytes.
    assert!(counts.sent_bytes / counts.sent > 500, "{counts:?}");
    let (_, counts) = check(
        UdpOptions {
            packet_bytes_max: 1_300,
            ..clean()
        },
        |stage| async move {
            stage.call(LIMIT).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            stage.call(LIMIT).await.unwrap();
        },
    );
    assert!(counts.too_large > 0, "larger probes are lost: {counts:?}");
}

#[test]
fn a_peer_whose_hello_is_cut_off_is_unreachable_and_not_refused() {
    check(clean(), |stage| async move {
        let asking = spawn_on(NodeTag(1), {
            let stage = stage.clone();
            async move { stage.call(LIMIT).await }
        });
        // The handshake is through and the hello has arrived; its answer has not.
        sleep(ONE_WAY * 3 + Duration::from_millis(10)).await;
        stage.network.cut(1, 2);
        let broken = asking.await.expect("nobody kills the node");
        assert!(
            matches!(broken, Err(LinkError::Closed { .. })),
            "{broken:?}"
        );
        assert_eq!(stage.own.refusals(), []);
        let unreachable = stage.call(LIMIT).await;
        assert!(
            matches!(unreachable, Err(LinkError::Unreachable { .. })),
            "{unreachable:?}"
        );
        stage.network.heal(1, 2);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
        assert_eq!(stage.own.refusals(), []);
    });
}

#[test]
fn a_clog_holds_what_is_under_way_and_lets_all_of_it_go() {
    let (_, counts) = check(clean(), |stage| async move {
        stage.call(LIMIT).await.unwrap();
        let clog = stage.network.hold(Ailment::Clog { from: 1, to: 2 });
        for _ in 0..5 {
            let beat = Bytes::from_static(b"beat");
            stage.link.datagram(&peer(2), beat).unwrap();
        }
        sleep(Duration::from_secs(2)).await;
        assert_eq!(stage.echo.heard(), []);
        let released_at = now();
        stage.network.release(clog);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(stage.echo.heard(), [released_at; 5]);
        assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
    });
    assert_eq!(counts.lost, 0, "{counts:?}");
}

#[test]
fn a_detour_adds_time_and_a_brown_out_queues_and_drops() {
    let (_, counts) = check(clean(), |stage| async move {
        let slow = |add_permille, bytes_per_s| {
            [(1, 2), (2, 1)].map(|(from, to)| Ailment::Slow {
                from,
                to,
                add_permille,
                bytes_per_s,
            })
        };
        let (mut tx, mut rx) = stage.open(StreamClass::Append).await;
        stage.call(LIMIT).await.unwrap();
        let detour = slow(500, None).map(|ailment| stage.network.hold(ailment));
        let asked = now();
        stage.call(LIMIT).await.unwrap();
        assert_eq!((now() - asked).as_millis(), 150);
        for hold in detour {
            stage.network.release(hold);
        }
        let narrow = slow(0, Some(50_000)).map(|ailment| stage.network.hold(ailment));
        let asked = now();
        tx.send(Bytes::from(vec![7; 200_000])).await.unwrap();
        rx.recv().await.unwrap().unwrap();
        let took = now() - asked;
        assert!(took >= Duration::from_secs(4), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        for hold in narrow {
            stage.network.release(hold);
        }
        // What queued has arrived.
        sleep(Duration::from_secs(1)).await;
        let asked = now();
        stage.call(LIMIT).await.unwrap();
        assert_eq!((now() - asked).as_millis(), 100);
    });
    assert!(counts.lost > 0, "the queue is bounded: {counts:?}");
}

#[test]
fn bursts_lose_much_at_a_time_and_end() {
    let (_, counts) = check(clean(), |stage| async move {
        stage.call(LIMIT).await.unwrap();
        let bursts = stage.network.hold(Ailment::Bursts(Bursts {
            bad_ppm: 500_000,
            bad_ms: 200,
            good_ms: 800,
        }));
        for _ in 0..30 {
            assert_eq!(stage.call(LIMIT).await.unwrap(), "hello");
            sleep(Duration::from_millis(50)).await;
        }
        stage.network.release(bursts);
    });
    assert!(counts.lost > 0, "{counts:?}");
}
