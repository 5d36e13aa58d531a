//! Folders: held by one engine at a time, moved whole, named within bounds.

use super::{Batch, Disk, Engine, Purpose, Space, assert_write_failed, fresh, put};

const ONE: &str = "check-one";
const TWO: &str = "check-two";

pub(super) async fn check<D: Disk>(disk: &D) {
    let engine = fresh(disk, Purpose::State, ONE);
    engine
        .commit(put(Space::Rows, b"kept", b"1"))
        .await
        .expect("the batch commits");
    assert_write_failed(disk.open(ONE, Purpose::State), "another process holds it");
    assert_write_failed(disk.remove(ONE), "holds it");
    assert_write_failed(disk.rename(ONE, TWO), "holds it");
    drop(engine);

    let other = fresh(disk, Purpose::State, TWO);
    drop(other);
    assert_write_failed(disk.rename(ONE, TWO), "exists");
    disk.remove(TWO).expect("a closed folder can be removed");
    disk.remove(TWO)
        .expect("nothing happens to a folder that does not exist");
    assert_write_failed(disk.rename(TWO, "check-three"), "");

    disk.rename(ONE, TWO).expect("a closed folder is renamed");
    let engine = disk
        .open(TWO, Purpose::State)
        .expect("it opens under its new name");
    assert_eq!(engine.get(Space::Rows, b"kept"), Ok(Some(b"1".to_vec())));
    checkpoints_do_not_replace(disk, &engine).await;
    drop(engine);
    disk.remove(TWO).expect("a closed folder can be removed");
    names_stay_inside(disk);
}

async fn checkpoints_do_not_replace<D: Disk>(disk: &D, engine: &D::Engine) {
    let files = disk
        .checkpoint(engine, ONE)
        .await
        .expect("the checkpoint is written");
    let mut batch = Batch::default();
    batch.put(Space::Rows, b"more", b"2");
    engine.apply(batch).expect("the batch applies");
    assert_write_failed(disk.checkpoint(engine, ONE).await, "exists");
    assert_eq!(
        disk.files(ONE),
        Ok(files),
        "the older checkpoint is as it was"
    );
    disk.remove(ONE).expect("a checkpoint can be removed");
}

fn names_stay_inside<D: Disk>(disk: &D) {
    for name in ["", "..", "../out", "/tmp", "a/../b", "a/b/c", ".hidden"] {
        assert!(disk.open(name, Purpose::Log).is_err(), "{name:?}");
        assert!(disk.list(name).is_err(), "{name:?}");
        assert!(disk.files(name).is_err(), "{name:?}");
        assert!(disk.read(name, "file", 0, 1).is_err(), "{name:?}");
        assert!(disk.append(name, "file", b"x").is_err(), "{name:?}");
        assert!(disk.append("check-x", name, b"x").is_err(), "{name:?}");
        assert!(disk.seal(name).is_err(), "{name:?}");
        assert!(disk.rename(name, "check-x").is_err(), "{name:?}");
        assert!(disk.rename("check-x", name).is_err(), "{name:?}");
        assert!(disk.remove(name).is_err(), "{name:?}");
    }
    assert_eq!(disk.list("check-x"), Ok(Vec::new()));
}
