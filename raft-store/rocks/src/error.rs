//! From `RocksDB`'s and the system's errors to the engine's: what the node branches on.

use std::fmt::Display;
use std::io;
use std::path::Path;

use rocksdb::ErrorKind;
use stellara_raft_store::engine::EngineError;

/// What was being done when the error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Opening,
    Reading,
    Writing,
}

/// Translates an error of `RocksDB` about the engine in `folder`.
pub(crate) fn from_rocks(error: &rocksdb::Error, folder: &Path, doing: Doing) -> EngineError {
    let detail = error.as_ref();
    if detail.contains("No space left on device") {
        return EngineError::DiskFull {
            path: folder.display().to_string(),
            detail: detail.to_owned(),
        };
    }
    if detail.contains("lock hold by current process") || detail.contains("While lock file") {
        return write_failed(folder, format_args!("another process holds it: {detail}"));
    }
    // A file that the manifest names and the folder lacks is lost data, whatever RocksDB calls it.
    let missing = doing == Doing::Opening && detail.contains("No such file or directory");
    if error.kind() == ErrorKind::Corruption || missing {
        return EngineError::Corrupt {
            path: named_file(detail, folder),
            detail: detail.to_owned(),
        };
    }
    match doing {
        Doing::Writing => write_failed(folder, detail),
        Doing::Opening | Doing::Reading => read_failed(folder, detail),
    }
}

/// Translates an error of the file system about a write to `path`.
pub(crate) fn from_write(error: &io::Error, path: &Path) -> EngineError {
    if error.kind() == io::ErrorKind::StorageFull {
        return EngineError::DiskFull {
            path: path.display().to_string(),
            detail: error.to_string(),
        };
    }
    write_failed(path, error)
}

pub(crate) fn write_failed(path: &Path, detail: impl Display) -> EngineError {
    EngineError::WriteFailed {
        path: path.display().to_string(),
        detail: detail.to_string(),
    }
}

pub(crate) fn read_failed(path: &Path, detail: impl Display) -> EngineError {
    EngineError::ReadFailed {
        path: path.display().to_string(),
        detail: detail.to_string(),
    }
}

pub(crate) fn corrupt(path: &Path, detail: impl Display) -> EngineError {
    EngineError::Corrupt {
        path: path.display().to_string(),
        detail: detail.to_string(),
    }
}

/// The file that `RocksDB`'s words name, or the folder. It writes `/000012.sst` or the
/// whole path, between spaces, colons, quotes or at the end of a sentence.
fn named_file(words: &str, folder: &Path) -> String {
    let word_ends =
        |c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '"' | '\'' | '(' | ')');
    let trimmed = |word: &str| word.trim_end_matches('.').to_owned();
    let is_file = |name: &str| {
        name.ends_with(".sst")
            || name.ends_with(".log")
            || name.starts_with("MANIFEST-")
            || name == "CURRENT"
            || name.starts_with("OPTIONS-")
    };
    let names = words.split(word_ends).map(trimmed);
    let file = names
        .filter_map(|word| word.rsplit('/').next().map(str::to_owned))
        .find(|name| is_file(name));
    match file {
        Some(name) => folder.join(name).display().to_string(),
        None => folder.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_words_of_rocksdb() {
        let check = |words: &str, path: &str| {
            assert_eq!(named_file(words, Path::new("/data/log")), path, "{words}");
        };
        check(
            "Corruption: block checksum mismatch: stored = 1, computed = 2, type = 4  in /data/log/000012.sst offset 0 size 99",
            "/data/log/000012.sst",
        );
        check(
            "Corruption: Can't access /000008.sst: IO error: No such file",
            "/data/log/000008.sst",
        );
        check(
            "Corruption: file is too short (10 bytes) to be an sstable: /data/log/000009.sst",
            "/data/log/000009.sst",
        );
        check("Corruption: checksum mismatch", "/data/log");
    }
}
