//! Plain files and folders: durable changes, checksums, room.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use stellara_raft_store::engine::{CheckpointFile, EngineError};

use crate::error::{from_write, read_failed, write_failed};
use crate::options::BackgroundWrites;

const READ_BYTES: usize = 256 * 1024;

/// A name beside `path` that no caller can ask for: it starts with a dot.
pub(crate) fn hidden(path: &Path, state: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{state}"))
}

/// The bytes that may still be written to the file system of `path` before only `reserve_bytes` are
/// free, once `bytes` more are written.
///
/// # Errors
/// `DiskFull` when those do not fit; `WriteFailed` when the system does not say.
pub(crate) fn room_for(path: &Path, bytes: u64, reserve_bytes: u64) -> Result<u64, EngineError> {
    let disk = rustix::fs::statvfs(path).map_err(|error| write_failed(path, error))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    free.checked_sub(bytes.saturating_add(reserve_bytes))
        .ok_or_else(|| EngineError::DiskFull {
            path: path.display().to_string(),
            detail: format!(
                "{free} bytes are free, {bytes} more asked for, {reserve_bytes} in reserve"
            ),
        })
}

/// Whether the file system of `folder` takes writes past the page cache; a tmpfs may not, a full disk
/// does not say.
pub(crate) fn background_writes(folder: &Path) -> BackgroundWrites {
    let probe = hidden(folder, "direct");
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::DIRECT;
    let direct = rustix::fs::open(&probe, flags, Mode::RUSR | Mode::WUSR);
    // A file system that refuses the flag may have made the file; one left behind is empty.
    let _ = fs::remove_file(&probe);
    direct.map_or(BackgroundWrites::Cached, |_| BackgroundWrites::Direct)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), EngineError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| from_write(&error, folder))
}

/// Makes a folder's files and names durable, and its own name.
pub(crate) fn sync_all(folder: &Path) -> Result<(), EngineError> {
    for path in list(folder).map_err(|error| write_failed(folder, error))? {
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(|error| from_write(&error, &path))?;
    }
    sync_folder(folder)?;
    sync_parent(folder)
}

/// Makes the folder's own name durable.
pub(crate) fn sync_parent(folder: &Path) -> Result<(), EngineError> {
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Renames a folder durably; the new name must be free.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), EngineError> {
    if to.exists() {
        return Err(write_failed(to, "the folder exists already"));
    }
    if let Some(parent) = to.parent() {
        make_folder(parent)?;
    }
    fs::rename(from, to).map_err(|error| from_write(&error, from))?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Makes a folder and those above it, durably.
pub(crate) fn make_folder(folder: &Path) -> Result<(), EngineError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
    }
    fs::create_dir(folder).map_err(|error| from_write(&error, folder))?;
    sync_parent(folder)
}

/// Removes a folder: its name goes at once, then what was in it.
pub(crate) fn remove(folder: &Path) -> Result<(), EngineError> {
    if !folder.exists() {
        return Ok(());
    }
    let removed = hidden(folder, "removed");
    if removed.exists() {
        fs::remove_dir_all(&removed).map_err(|error| from_write(&error, &removed))?;
    }
    rename(folder, &removed)?;
    fs::remove_dir_all(&removed).map_err(|error| from_write(&error, &removed))
}

/// Removes what an interrupted checkpoint or removal left in `folder`.
pub(crate) fn sweep(folder: &Path) -> Result<(), EngineError> {
    let left = |path: &PathBuf| path.is_dir() && is_hidden(path);
    let paths = list(folder).map_err(|error| read_failed(folder, error))?;
    for path in paths.iter().filter(|path| left(path)) {
        fs::remove_dir_all(path).map_err(|error| from_write(&error, path))?;
    }
    Ok(())
}

pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

/// Appends to a file and leaves it as it was when that fails.
pub(crate) fn append(path: &Path, data: &[u8]) -> Result<(), EngineError> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).open(path);
    let mut file = opened.map_err(|error| from_write(&error, path))?;
    let before = file
        .metadata()
        .map_err(|error| from_write(&error, path))?
        .len();
    file.write_all(data).map_err(|error| {
        // The write's error is the one to report; a longer file fails its checksum anyway.
        let _ = file.set_len(before);
        from_write(&error, path)
    })
}

/// Lists a folder's files by name with their CRC-32.
pub(crate) fn describe(folder: &Path) -> Result<Vec<CheckpointFile>, EngineError> {
    let paths = list(folder).map_err(|error| read_failed(folder, error))?;
    let files = paths.iter().filter(|path| path.is_file());
    files.map(|path| describe_file(path)).collect()
}

fn describe_file(path: &Path) -> Result<CheckpointFile, EngineError> {
    let failed = |error: std::io::Error| read_failed(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut bytes) = (crc32fast::Hasher::new(), 0);
    let mut part = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut part).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&part[..read]);
        bytes += read as u64;
    }
    let name = path.file_name().unwrap_or_default();
    Ok(CheckpointFile {
        name: name.to_string_lossy().into_owned(),
        bytes,
        crc32: hasher.finalize(),
    })
}

/// The paths in a folder, in order.
pub(crate) fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
