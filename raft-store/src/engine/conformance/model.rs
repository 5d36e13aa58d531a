//! Random batches, compared with a plain ordered map after each and after every reopening.

use std::collections::BTreeMap;

use super::{Batch, Direction, Disk, Engine, Purpose, Row, Space, everything, fresh, reopen, scan};

const BATCHES: u64 = 300;
const SEED: u64 = 0x005e_edd0;

type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

pub(super) async fn check<D: Disk>(disk: &D, purpose: Purpose, folder: &str) {
    let mut engine = fresh(disk, purpose, folder);
    let mut model = Model::new();
    let mut draws = SEED;
    for number in 0..BATCHES {
        let batch = draw_batch(&mut draws, &mut model);
        match draw(&mut draws) % 4 {
            0 => engine.commit(batch).await.expect("the batch commits"),
            1..4 => engine.apply(batch).expect("the batch applies"),
            4.. => unreachable!("a remainder of four"),
        }
        compare_some(&engine, &model, &mut draws);
        if number % 97 == 96 {
            engine.flush().await.expect("the engine flushes");
            engine = reopen(disk, purpose, folder, engine);
            compare_all(&engine, &model);
        }
    }
    compare_all(&engine, &model);
    drop(engine);
    disk.remove(folder).expect("a closed folder can be removed");
}

fn draw_batch(draws: &mut u64, model: &mut Model) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..draw(draws) % 12 {
        let space = Space::ALL[index(draws, Space::ALL.len())];
        let key = draw_key(draws);
        match draw(draws) % 8 {
            0 => {
                batch.delete(space, key.clone());
                model.remove(&(space, key));
            }
            1 => {
                let to = draw_key(draws);
                batch.delete_range(space, key.clone(), to.clone());
                model.retain(|(other, at), _| *other != space || *at < key || *at >= to);
            }
            2.. => {
                let value = vec![draw(draws).to_le_bytes()[0]; index(draws, 300)];
                batch.put(space, key.clone(), value.clone());
                model.insert((space, key), value);
            }
        }
    }
    batch
}

fn compare_some(engine: &impl Engine, model: &Model, draws: &mut u64) {
    let space = Space::ALL[index(draws, Space::ALL.len())];
    let keys: Vec<Vec<u8>> = (0..4).map(|_| draw_key(draws)).collect();
    let expected = keys
        .iter()
        .map(|key| model.get(&(space, key.clone())).cloned());
    let expected: Vec<Option<Vec<u8>>> = expected.collect();
    assert_eq!(engine.multi_get(space, &keys), Ok(expected.clone()));
    assert_eq!(engine.get(space, &keys[0]), Ok(expected[0].clone()));

    let (from, to) = (&keys[1], &keys[2]);
    let rows_max = index(draws, 20);
    let mut rows: Vec<Row> = model_rows(model, space);
    rows.retain(|(key, _)| key >= from && key < to);
    let ascending = scan(engine, space, from, to, Direction::Ascending, rows_max);
    assert_eq!(ascending, rows[..rows.len().min(rows_max)]);
    rows.reverse();
    let descending = scan(engine, space, from, to, Direction::Descending, rows_max);
    assert_eq!(descending, rows[..rows.len().min(rows_max)]);
}

fn compare_all(engine: &impl Engine, model: &Model) {
    for space in Space::ALL {
        assert_eq!(everything(engine, space), model_rows(model, space));
    }
}

fn model_rows(model: &Model, space: Space) -> Vec<Row> {
    let rows = model.iter().filter(|((other, _), _)| *other == space);
    rows.map(|((_, key), value)| (key.clone(), value.clone()))
        .collect()
}

/// Short keys of few letters, so that batches meet; the empty key and prefixes among them.
fn draw_key(draws: &mut u64) -> Vec<u8> {
    let len = index(draws, 4);
    (0..len).map(|_| b"\0ax\xfe"[index(draws, 4)]).collect()
}

fn index(draws: &mut u64, bound: usize) -> usize {
    usize::try_from(draw(draws) % bound as u64).expect("below a bound that is a usize")
}

/// The generator of Marsaglia's "Xorshift RNGs" (2003).
fn draw(draws: &mut u64) -> u64 {
    *draws ^= *draws << 13;
    *draws ^= *draws >> 7;
    *draws ^= *draws << 17;
    *draws
}
