//! Tells a torn write-ahead log from a corrupt one, before `RocksDB` replays it.
//!
//! `RocksDB` stops quietly at the first bad record. Each of our writes is one record,
//! synced before the next begins: so a bad record with a later one behind it was
//! acknowledged (corrupt), and a bad record at the end may not have been (torn).
//! Format: RocksDB wiki, "Write Ahead Log File Format".

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use stellara_raft_store::engine::EngineError;

use crate::error::{corrupt, read_failed};

const BLOCK_BYTES: usize = 32 * 1024;
/// Checksum, length, type; recyclable records add the log's number.
const HEADER_BYTES: usize = 4 + 2 + 1;
const RECYCLABLE_HEADER_BYTES: usize = HEADER_BYTES + 4;
/// A record begins with its first sequence number and the count of its writes.
const BATCH_HEADER_BYTES: usize = 8 + 4;

/// A log file, and where its whole records end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wal {
    pub path: PathBuf,
    /// The last sequence number of a whole record; 0 when it has none.
    pub last_sequence: u64,
}

/// Reads all log files of `folder`, oldest first, and makes them durable as they are:
/// after a killed process, what was read here may not have been synced yet.
///
/// # Errors
/// `Corrupt` names the file with a bad record that was acknowledged; `ReadFailed`.
pub(crate) fn verify(folder: &Path) -> Result<Vec<Wal>, EngineError> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| read_failed(folder, error))? {
        let path = entry.map_err(|error| read_failed(folder, error))?.path();
        if let Some(number) = log_number(&path) {
            logs.push((number, path));
        }
    }
    logs.sort();
    logs.into_iter()
        .map(|(number, path)| verify_file(number, path))
        .collect()
}

fn log_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".log")?.parse().ok()
}

fn verify_file(number: u64, path: PathBuf) -> Result<Wal, EngineError> {
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|mut file| {
            file.read_to_end(&mut bytes)?;
            file.sync_all()
        })
        .map_err(|error| read_failed(&path, error))?;
    // The format keeps the low half of the number.
    let log = Log {
        bytes: &bytes,
        number: (number & u64::from(u32::MAX)) as u32,
    };
    let (end, last_sequence) = log.whole_records();
    if let Some(later) = log.next_start(end) {
        let detail = format!("bad record at byte {end}, though a later one begins at {later}");
        return Err(corrupt(&path, detail));
    }
    Ok(Wal {
        path,
        last_sequence,
    })
}

struct Log<'a> {
    bytes: &'a [u8],
    number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    First,
    Middle,
    Last,
    /// Not data: compression, timestamps, the log before.
    Other,
}

struct Fragment<'a> {
    kind: Kind,
    payload: &'a [u8],
    end: usize,
}

impl<'a> Log<'a> {
    /// Where the run of good fragments ends, and the last sequence number in it.
    fn whole_records(&self) -> (usize, u64) {
        let (mut at, mut last_sequence, mut begun) = (0, 0, None);
        loop {
            let left = BLOCK_BYTES - at % BLOCK_BYTES;
            // A block's end too short for a header is padding.
            let start = if left < RECYCLABLE_HEADER_BYTES {
                at + left
            } else {
                at
            };
            let Some(fragment) = self.fragment(start) else {
                return (at, last_sequence);
            };
            match fragment.kind {
                Kind::Full => last_sequence = end_of(fragment.payload).unwrap_or(last_sequence),
                Kind::First => begun = end_of(fragment.payload),
                Kind::Last => last_sequence = begun.take().unwrap_or(last_sequence),
                Kind::Middle | Kind::Other => {}
            }
            at = fragment.end;
        }
    }

    /// Where the next good beginning of a record is at or after `from`, at any offset:
    /// the lengths in a bad record cannot be trusted to lead there.
    fn next_start(&self, from: usize) -> Option<usize> {
        let number = self.number.to_le_bytes();
        let candidates = from..self.bytes.len().saturating_sub(RECYCLABLE_HEADER_BYTES);
        candidates.into_iter().find(|at| {
            self.bytes[at + HEADER_BYTES..at + RECYCLABLE_HEADER_BYTES] == number
                && self
                    .fragment(*at)
                    .is_some_and(|fragment| matches!(fragment.kind, Kind::Full | Kind::First))
        })
    }

    /// The good fragment at `at`, if there is one.
    fn fragment(&self, at: usize) -> Option<Fragment<'a>> {
        let in_block = BLOCK_BYTES - at % BLOCK_BYTES;
        let rest = self.bytes.get(at..)?;
        let rest = &rest[..rest.len().min(in_block)];
        let (crc, after) = rest.split_first_chunk::<4>()?;
        let (len, after) = after.split_first_chunk::<2>()?;
        let (kind, header_bytes) = kind(*after.first()?)?;
        let end = header_bytes + usize::from(u16::from_le_bytes(*len));
        let payload = rest.get(header_bytes..end)?;
        if header_bytes == RECYCLABLE_HEADER_BYTES
            && rest[HEADER_BYTES..header_bytes] != self.number.to_le_bytes()
        {
            // Left over from the file's earlier use.
            return None;
        }
        // The checksum covers the type, the log's number and the payload.
        let found = crc32c::crc32c(&rest[HEADER_BYTES - 1..end]);
        (mask(found) == u32::from_le_bytes(*crc)).then_some(Fragment {
            kind,
            payload,
            end: at + end,
        })
    }
}

/// A type's meaning and header length; `None` for types no version wrote.
fn kind(byte: u8) -> Option<(Kind, usize)> {
    let plain = |kind| Some((kind, HEADER_BYTES));
    let recyclable = |kind| Some((kind, RECYCLABLE_HEADER_BYTES));
    match byte {
        1 => plain(Kind::Full),
        2 => plain(Kind::First),
        3 => plain(Kind::Middle),
        4 => plain(Kind::Last),
        5 => recyclable(Kind::Full),
        6 => recyclable(Kind::First),
        7 => recyclable(Kind::Middle),
        8 => recyclable(Kind::Last),
        9 | 10 | 130 => plain(Kind::Other),
        11 | 131 => recyclable(Kind::Other),
        _ => None,
    }
}

/// The sequence number of the last write of the record that begins with `payload`.
fn end_of(payload: &[u8]) -> Option<u64> {
    let header = payload.first_chunk::<BATCH_HEADER_BYTES>()?;
    let (sequence, count) = header.split_first_chunk::<8>()?;
    let count = count.first_chunk::<4>()?;
    let next = u64::from_le_bytes(*sequence).saturating_add(u32::from_le_bytes(*count).into());
    Some(next.saturating_sub(1))
}

/// Checksums of data that holds checksums are rotated and offset (LevelDB, `util/crc32c.h`).
fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
