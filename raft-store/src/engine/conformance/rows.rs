//! Rows: puts, deletes, look-ups, scans, and the order of commits.

use super::{Batch, Direction, Disk, Engine, Purpose, Space, everything, fresh, put, reopen, scan};

pub(super) async fn check<D: Disk>(disk: &D, purpose: Purpose, folder: &str) {
    let engine = fresh(disk, purpose, folder);
    writes_of_a_batch_happen_in_order(&engine).await;
    lookups_answer_in_the_order_asked(&engine).await;
    spaces_are_apart(&engine).await;
    scans_keep_to_their_bounds(&engine).await;
    let engine = commits_take_effect_in_call_order(disk, purpose, folder, engine).await;
    applied_rows_show_at_once(&engine).await;
    drop(engine);
    disk.remove(folder).expect("a closed folder can be removed");
}

async fn writes_of_a_batch_happen_in_order(engine: &impl Engine) {
    let mut batch = Batch::default();
    for key in [b"a", b"b", b"c", b"d"] {
        batch.put(Space::Rows, key, b"old");
    }
    batch.delete_range(Space::Rows, b"b", b"d");
    batch.put(Space::Rows, b"c", b"new");
    batch.delete(Space::Rows, b"a");
    batch.delete(Space::Rows, b"never there");
    batch.delete_range(Space::Rows, b"z", b"a");
    batch.put(Space::Rows, b"empty", b"");
    engine.commit(batch).await.expect("the batch commits");
    let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    assert_eq!(
        everything(engine, Space::Rows),
        [row(b"c", b"new"), row(b"d", b"old"), row(b"empty", b"")]
    );
    engine
        .commit(Batch::default())
        .await
        .expect("an empty batch commits");
}

async fn lookups_answer_in_the_order_asked(engine: &impl Engine) {
    let mut batch = Batch::default();
    for number in 0..100_u8 {
        batch.put(Space::Keys, [number, 7], [number]);
    }
    engine.commit(batch).await.expect("the batch commits");
    let asked: Vec<Vec<u8>> = vec![vec![9, 7], vec![200, 7], vec![3, 7], vec![9, 7], vec![9]];
    let answers = engine
        .multi_get(Space::Keys, &asked)
        .expect("look-ups succeed");
    assert_eq!(
        answers,
        [Some(vec![9]), None, Some(vec![3]), Some(vec![9]), None]
    );
    assert_eq!(engine.multi_get(Space::Keys, &[]), Ok(Vec::new()));
    assert_eq!(engine.get(Space::Keys, &[3, 7]), Ok(Some(vec![3])));
    assert_eq!(engine.get(Space::Keys, &[3]), Ok(None));
}

async fn spaces_are_apart(engine: &impl Engine) {
    for space in Space::ALL {
        let committed = engine.commit(put(space, b"same", space.name().as_bytes()));
        committed.await.expect("the batch commits");
    }
    for space in Space::ALL {
        let value = space.name().as_bytes().to_vec();
        assert_eq!(engine.get(space, b"same"), Ok(Some(value)));
    }
}

async fn scans_keep_to_their_bounds(engine: &impl Engine) {
    let mut batch = Batch::default();
    batch.delete_range(Space::Entries, b"", [0xff; 64]);
    for number in 0..50_u64 {
        batch.put(Space::Entries, number.to_be_bytes(), b"entry");
    }
    engine.commit(batch).await.expect("the batch commits");
    let numbers = |from: u64, to: u64, direction: Direction, rows_max: usize| -> Vec<u64> {
        let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
        let rows = scan(engine, Space::Entries, &from, &to, direction, rows_max);
        let number = |(key, _): (Vec<u8>, Vec<u8>)| {
            u64::from_be_bytes(key.try_into().expect("keys are eight bytes"))
        };
        rows.into_iter().map(number).collect()
    };
    use Direction::{Ascending, Descending};
    assert_eq!(numbers(10, 13, Ascending, 9), [10, 11, 12]);
    assert_eq!(numbers(10, 13, Descending, 9), [12, 11, 10]);
    assert_eq!(numbers(47, 90, Ascending, 9), [47, 48, 49]);
    assert_eq!(numbers(47, 90, Descending, 2), [49, 48]);
    assert_eq!(numbers(0, 90, Ascending, 2), [0, 1]);
    assert_eq!(numbers(0, 90, Descending, 0), [0; 0]);
    assert_eq!(numbers(20, 20, Ascending, 9), [0; 0]);
    assert_eq!(numbers(30, 20, Ascending, 9), [0; 0]);
    assert_eq!(numbers(30, 20, Descending, 9), [0; 0]);
    assert_eq!(numbers(60, 90, Descending, 9), [0; 0]);
}

async fn commits_take_effect_in_call_order<D: Disk>(
    disk: &D,
    purpose: Purpose,
    folder: &str,
    engine: D::Engine,
) -> D::Engine {
    let mut waiting = Vec::new();
    for number in 0..200_u64 {
        let mut batch = put(Space::Rows, b"last", &number.to_be_bytes());
        batch.put(Space::Payments, number.to_be_bytes(), b"paid");
        let committed = engine.commit(batch);
        // Some callers do not wait: their batches count all the same.
        if number % 3 != 0 {
            waiting.push(committed);
        }
    }
    // The last to be issued is the first to be awaited: all before it are then durable.
    while let Some(committed) = waiting.pop() {
        committed.await.expect("the batch commits");
    }
    let engine = reopen(disk, purpose, folder, engine);
    let last = 199_u64.to_be_bytes().to_vec();
    assert_eq!(engine.get(Space::Rows, b"last"), Ok(Some(last)));
    assert!(everything(&engine, Space::Payments).len() > 200 - 1);
    engine
}

async fn applied_rows_show_at_once(engine: &impl Engine) {
    engine
        .apply(put(Space::Rows, b"applied", b"1"))
        .expect("the batch applies");
    assert_eq!(engine.get(Space::Rows, b"applied"), Ok(Some(b"1".to_vec())));
    let committed = engine.commit(put(Space::Rows, b"applied", b"2"));
    engine
        .apply(put(Space::Rows, b"applied", b"3"))
        .expect("the batch applies");
    committed.await.expect("the batch commits");
    engine.flush().await.expect("the engine flushes");
    engine
        .flush()
        .await
        .expect("a flush with nothing to do succeeds");
    assert_eq!(engine.get(Space::Rows, b"applied"), Ok(Some(b"3".to_vec())));
}
