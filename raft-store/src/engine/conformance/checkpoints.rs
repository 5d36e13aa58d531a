//! Checkpoints: consistent, carried file by file, and found out when a byte is off.

use super::{Batch, Disk, Engine, EngineError, Purpose, Row, Space, everything, fresh, put};
use crate::engine::CheckpointFile;

const COPY: &str = "check-copies/1-2";
const INCOMING: &str = "check-incoming";
const INSTALLED: &str = "check-installed";

pub(super) async fn check<D: Disk>(disk: &D, purpose: Purpose, folder: &str) {
    let engine = fresh(disk, purpose, folder);
    let files = checkpoint(disk, &engine).await;
    let expected = everything(&engine, Space::Payments);
    engine
        .commit(put(Space::Payments, b"later", b""))
        .await
        .expect("the batch commits");
    drop(engine);

    assert_eq!(disk.list("check-copies"), Ok(vec!["1-2".to_owned()]));
    assert_eq!(
        disk.files(COPY).as_ref(),
        Ok(&files),
        "the copy does not change"
    );
    for file in &files {
        assert_eq!(describe(file, &contents(disk, COPY, file)), *file);
    }
    a_copy_opens_elsewhere(disk, purpose, &files, &expected);
    a_cut_file_is_found(disk, purpose, &files);
    a_flipped_bit_is_found(disk, purpose, &files, &expected);

    disk.remove(folder).expect("a closed folder can be removed");
    disk.remove("check-copies")
        .expect("a folder of folders can be removed");
    assert_eq!(disk.list("check-copies"), Ok(Vec::new()));
}

/// Rows that fill several files and no compression shrinks, then a checkpoint of them.
async fn checkpoint<D: Disk>(disk: &D, engine: &D::Engine) -> Vec<CheckpointFile> {
    let mut noise = 1_u64;
    for number in 0..40_u64 {
        let mut value = Vec::new();
        for _ in 0..512 {
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            value.extend_from_slice(&noise.to_be_bytes());
        }
        let mut batch = Batch::default();
        batch.put(Space::Payments, number.to_be_bytes(), value);
        engine.apply(batch).expect("the batch applies");
    }
    disk.checkpoint(engine, COPY)
        .await
        .expect("the checkpoint is written")
}

fn a_copy_opens_elsewhere<D: Disk>(
    disk: &D,
    purpose: Purpose,
    files: &[CheckpointFile],
    expected: &[Row],
) {
    for file in files {
        let bytes = contents(disk, COPY, file);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        for part in [first, second] {
            disk.append(INCOMING, &file.name, part)
                .expect("the part is written");
        }
    }
    disk.seal(INCOMING).expect("the files are made durable");
    assert_eq!(disk.files(INCOMING).as_deref(), Ok(files));
    disk.rename(INCOMING, INSTALLED)
        .expect("the folder is renamed");
    assert!(
        disk.files(INCOMING).is_err(),
        "nothing is left under the old name"
    );
    let engine = disk.open(INSTALLED, purpose).expect("the copy opens");
    assert_eq!(everything(&engine, Space::Payments), expected);
    drop(engine);
    disk.remove(INSTALLED)
        .expect("a closed folder can be removed");
}

fn a_cut_file_is_found<D: Disk>(disk: &D, purpose: Purpose, files: &[CheckpointFile]) {
    let cut = largest(files);
    install(disk, files, |file, bytes| {
        if file == cut {
            bytes.truncate(bytes.len() / 2);
        }
    });
    match disk.open(INSTALLED, purpose).err() {
        Some(EngineError::Corrupt { path, .. }) => assert!(path.contains(&cut.name), "{path}"),
        other => panic!("expected {} to be corrupt, got {other:?}", cut.name),
    }
    disk.remove(INSTALLED)
        .expect("a folder that does not open can be removed");
}

/// At open or at the first read of the row: both keep the wrong bytes from being served.
fn a_flipped_bit_is_found<D: Disk>(
    disk: &D,
    purpose: Purpose,
    files: &[CheckpointFile],
    expected: &[Row],
) {
    let flipped = largest(files);
    install(disk, files, |file, bytes| {
        if file == flipped {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
    });
    let found = disk.open(INSTALLED, purpose).and_then(|engine| {
        for (key, value) in expected {
            assert_eq!(engine.get(Space::Payments, key)?.as_ref(), Some(value));
        }
        Ok(())
    });
    match found {
        Err(EngineError::Corrupt { path, .. }) => assert!(path.contains(&flipped.name), "{path}"),
        other => panic!("expected {} to be corrupt, got {other:?}", flipped.name),
    }
    disk.remove(INSTALLED)
        .expect("a folder that is corrupt can be removed");
}

fn install<D: Disk>(
    disk: &D,
    files: &[CheckpointFile],
    mut spoil: impl FnMut(&CheckpointFile, &mut Vec<u8>),
) {
    for file in files {
        let mut bytes = contents(disk, COPY, file);
        spoil(file, &mut bytes);
        disk.append(INSTALLED, &file.name, &bytes)
            .expect("the file is written");
    }
    disk.seal(INSTALLED).expect("the files are made durable");
}

fn largest(files: &[CheckpointFile]) -> &CheckpointFile {
    let largest = files.iter().max_by_key(|file| file.bytes);
    largest.expect("a checkpoint has files")
}

fn contents<D: Disk>(disk: &D, folder: &str, file: &CheckpointFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let part = disk.read(folder, &file.name, bytes.len() as u64, 10_000);
        let part = part.expect("the file is read");
        if part.is_empty() {
            return bytes;
        }
        bytes.extend_from_slice(&part);
    }
}

fn describe(file: &CheckpointFile, bytes: &[u8]) -> CheckpointFile {
    CheckpointFile {
        name: file.name.clone(),
        bytes: bytes.len() as u64,
        crc32: crc32fast::hash(bytes),
    }
}
