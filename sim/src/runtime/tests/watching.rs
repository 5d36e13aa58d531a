//! The watch channel.

use std::task::Wake;

use openraft_rt::{Watch, WatchReceiver as _, WatchSender as _};

use super::*;

#[test]
fn every_receiver_sees_the_last_value_only() {
    check(1, async {
        let (sender, mut receiver) = SimWatch::channel(0);
        let mut clone = receiver.clone();
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        for receiver in [&mut receiver, &mut clone] {
            receiver.changed().await.unwrap();
            assert_eq!(*receiver.borrow_watched(), 2);
        }
        let unchanged = SimRuntime::timeout(Duration::from_secs(1), receiver.changed()).await;
        assert!(unchanged.is_err(), "one change is seen once");
        assert_eq!(*sender.subscribe().borrow_watched(), 2);
    });
}

struct NotingWaker(Notes, u64);

impl Wake for NotingWaker {
    fn wake(self: Arc<Self>) {
        self.0.add(self.1);
    }
}

#[test]
fn waiters_wake_in_the_order_in_which_they_waited() {
    let notes = Notes::default();
    let (sender, receiver) = SimWatch::channel(0);
    let mut receivers: Vec<_> = (0..20).map(|_| receiver.clone()).collect();
    let mut waits: Vec<_> = receivers
        .iter_mut()
        .map(|receiver| Box::pin(receiver.changed()))
        .collect();
    let order = [3, 1, 19, 0, 7, 12, 5];
    // Waiting again keeps the place in the queue.
    for at in order.into_iter().chain([1, 3]) {
        let waker = Waker::from(Arc::new(NotingWaker(notes.clone(), at)));
        let polled = waits[at as usize]
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    sender.send(1).unwrap();
    assert_eq!(notes.all(), order);
}

#[test]
fn a_change_outlives_the_sender_and_then_the_channel_is_closed() {
    check(1, async {
        let (sender, mut receiver) = SimWatch::channel(0);
        let other = sender.clone();
        sender.send(1).unwrap();
        drop(sender);
        receiver.changed().await.unwrap();
        let waiting = SimRuntime::spawn(async move { receiver.changed().await });
        sleep(Duration::from_secs(1)).await;
        drop(other);
        assert!(waiting.await.unwrap().is_err());
    });
}

#[test]
fn nobody_listening_refuses_a_send() {
    let (sender, receiver) = SimWatch::channel(0);
    drop(receiver);
    assert_eq!(sender.send(5).unwrap_err().0, 5);
    assert!(sender.send_if_modified(|value| {
        *value = 6;
        true
    }));
    assert_eq!(*sender.borrow_watched(), 6);
    let late = sender.subscribe();
    assert!(!sender.send_if_different(6));
    sender.send(7).unwrap();
    assert_eq!(*late.borrow_watched(), 7);
}

#[test]
fn a_cancelled_wait_is_forgotten() {
    check(1, async {
        let (sender, mut receiver) = SimWatch::channel(0);
        let wait = SimRuntime::timeout(Duration::from_millis(1), receiver.changed()).await;
        assert!(wait.is_err());
        sender.send(1).unwrap();
        assert_eq!(*receiver.borrow_and_update(), 1);
        drop(receiver);
        assert!(sender.send(2).is_err());
    });
}

#[test]
#[should_panic(expected = "sent while it was borrowed")]
fn sending_a_borrowed_value_panics_instead_of_hanging() {
    let (sender, receiver) = SimWatch::channel(0);
    let _borrowed = receiver.borrow_watched();
    sender.send(1).unwrap();
}
