//! Signers that fail, that answer late, and that tell their accounts late: the batch rests, and then settles once.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::*;
use crate::ports::SignError;
use crate::ports::signer::AccountSignature;

/// Signs as the keys in this process do, once it has failed as often as told.
#[derive(Clone)]
struct Flaky {
    keys: LocalSigner,
    failures: Arc<Mutex<VecDeque<SignError>>>,
}

impl Signer for Flaky {
    async fn sign(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        let failure = self.failures.lock().unwrap().pop_front();
        match failure {
            Some(failure) => Err(failure),
            None => self.keys.sign(account, hash).await,
        }
    }

    fn accounts(&self, role: AccountRole) -> Vec<AccountId> {
        self.keys.accounts(role)
    }
}

/// Tells no account before it is opened.
#[derive(Clone)]
struct Late {
    keys: LocalSigner,
    opened: watch::Sender<bool>,
}

impl Signer for Late {
    async fn sign(&self, account: AccountId, hash: Hash) -> Result<AccountSignature, SignError> {
        self.keys.sign(account, hash).await
    }

    fn accounts(&self, role: AccountRole) -> Vec<AccountId> {
        let is_open = *self.opened.borrow();
        if is_open {
            self.keys.accounts(role)
        } else {
            Vec::new()
        }
    }

    fn listing(&self) -> u64 {
        u64::from(*self.opened.borrow())
    }

    async fn listed_after(&self, seen: u64) {
        if seen > 0 {
            return pending().await;
        }
        let opened = self
            .opened
            .subscribe()
            .wait_for(|opened| *opened)
            .await
            .is_ok();
        assert!(opened, "its sender is its own");
    }
}

fn unavailable() -> SignError {
    let why = "connection refused".to_owned();
    SignError::Unavailable { why }
}

/// Settles one batch with a signer that fails so, before it signs.
async fn check(failures: Vec<SignError>) {
    let world = World::new();
    let batch = world.batch(3);
    let signer = Flaky {
        keys: world.signer.clone(),
        failures: Arc::new(Mutex::new(failures.into())),
    };
    let executor = world.start_with(signer.clone());
    world
        .cluster
        .until(|state| state.ended.contains_key(&batch))
        .await;
    executor.abort();
    assert!(signer.failures.lock().unwrap().is_empty());
    let stage = world.cluster.state().ended[&batch].stage.clone();
    assert!(is_settled(&stage), "{stage:?}");
    world.check_exactly_once(batch);
    assert_eq!(world.inners(batch).len(), 1);
    // Nothing is committed and nothing sent of an attempt that lacks a signature.
    assert_eq!(world.cluster.state().attempts.len(), 1);
    assert_eq!(world.ledger.state().offered.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_rests_while_its_signer_does_not_answer() {
    check(vec![unavailable(); 20]).await;
}

#[tokio::test(start_paused = true)]
async fn no_failure_of_a_signer_ends_a_batch() {
    let why = || "no".to_owned();
    let account = account_of(2);
    check(vec![
        SignError::Refused { why: why() },
        SignError::WrongSignature { account },
        SignError::Unreadable { why: why() },
        SignError::UnknownAccount { account },
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_does_not_answer_is_not_asked_without_rest() {
    let world = World::new();
    world.batch(1);
    let signer = Flaky {
        keys: world.signer.clone(),
        failures: Arc::new(Mutex::new(vec![unavailable(); 1_000].into())),
    };
    let executor = world.start_with(signer.clone());
    tokio::time::sleep(Duration::from_secs(60)).await;
    executor.abort();
    let asked = 1_000 - signer.failures.lock().unwrap().len();
    assert!((5..=15).contains(&asked), "asked {asked} times in a minute");
}

#[tokio::test(start_paused = true)]
async fn accounts_that_are_told_late_are_registered_then() {
    let world = World::unregistered();
    let signer = Late {
        keys: world.signer.clone(),
        opened: watch::Sender::new(false),
    };
    let executor = world.start_with(signer.clone());
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(world.cluster.state().accounts.is_empty());
    signer.opened.send_replace(true);
    world.cluster.until(|state| state.accounts.len() == 3).await;
    executor.abort();
}
