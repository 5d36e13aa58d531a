//! The keyring's file: private to its owner, replaced atomically, synced before it is named.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyringError, fill_random, io, remove_quietly};

/// Only the owner reads and writes.
const MODE_PRIVATE: u32 = 0o600;
/// Bytes of a keyring of `ACCOUNTS_MAX` keys stay below this.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the text of a file that nobody else may read.
pub(super) fn read_private(path: &Path) -> Result<String, KeyringError> {
    let bytes = read_private_bytes(path)?;
    String::from_utf8(bytes).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        let path = path.to_owned();
        let why = "it is not UTF-8 text".to_owned();
        KeyringError::Damaged { path, why }
    })
}

/// Reads a file that nobody else may read.
pub(super) fn read_private_bytes(path: &Path) -> Result<Vec<u8>, KeyringError> {
    let file = File::open(path).map_err(|source| {
        if source.kind() == ErrorKind::NotFound {
            let path = path.to_owned();
            KeyringError::Missing { path }
        } else {
            io("open", path)(source)
        }
    })?;
    let mode = file
        .metadata()
        .map_err(io("inspect", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(io("read", path))?;
    Ok(bytes)
}

/// Writes a file that must not exist yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let temporary = write_temporary(path, bytes)?;
    // A hard link, unlike a rename, never replaces a file that appeared meanwhile.
    let linked = fs::hard_link(&temporary, path);
    remove_quietly(&temporary);
    linked.map_err(|source| {
        if source.kind() == ErrorKind::AlreadyExists {
            let path = path.to_owned();
            KeyringError::Exists { path }
        } else {
            io("create", path)(source)
        }
    })?;
    sync_folder(path)
}

/// Replaces a file, whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let temporary = write_temporary(path, bytes)?;
    if let Err(source) = fs::rename(&temporary, path) {
        remove_quietly(&temporary);
        return Err(io("replace", path)(source));
    }
    sync_folder(path)
}

fn write_temporary(path: &Path, bytes: &[u8]) -> Result<PathBuf, KeyringError> {
    let mut tag = [0; 8];
    fill_random(&mut tag)?;
    let temporary = path.with_extension(format!("{}.tmp", hex::encode(tag)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE_PRIVATE)
        .open(&temporary)
        .and_then(|mut file| {
            // The umask may have taken bits away, never added any: state the mode exactly.
            file.set_permissions(Permissions::from_mode(MODE_PRIVATE))?;
            file.write_all(bytes)?;
            file.sync_all()
        });
    if let Err(source) = written {
        remove_quietly(&temporary);
        return Err(io("write", &temporary)(source));
    }
    Ok(temporary)
}

fn sync_folder(path: &Path) -> Result<(), KeyringError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io("sync", folder))
}
