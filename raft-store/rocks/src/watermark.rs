//! How far the engine's rows were synced, kept beside them: the file `SYNCED`.
//!
//! It is written after each sync and itself synced now and then, so it never claims
//! too much. Rows that end before it are lost: a cut log looks like a torn one
//! otherwise. Two slots, written in turn, survive a torn write of one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use stellara_raft_store::engine::EngineError;

use crate::error::{corrupt, from_write, read_failed};

pub(crate) const NAME: &str = "SYNCED";
/// A sequence number (8 bytes) and its CRC-32 (4 bytes), with room to the next slot.
const SLOT_BYTES: usize = 16;
const SLOTS: usize = 2;

pub(crate) struct Watermark {
    file: File,
    path: PathBuf,
    sequence: u64,
    slot: usize,
}

impl Watermark {
    /// Opens the file in `folder`, or makes one that claims nothing.
    ///
    /// # Errors
    /// `Corrupt` when neither slot holds; `ReadFailed`, `WriteFailed`, `DiskFull`.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let path = folder.join(NAME);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(&path)
            .map_err(|error| from_write(&error, &path))?;
        let mut bytes = [0; SLOT_BYTES * SLOTS];
        let read = read_up_to(&file, &mut bytes).map_err(|error| read_failed(&path, error))?;
        let mut watermark = Self {
            file,
            path,
            sequence: 0,
            slot: 0,
        };
        // Shorter means that the first write to it did not finish: nothing was claimed yet.
        if read < bytes.len() {
            for _ in 0..SLOTS {
                watermark.record(0)?;
            }
            watermark.sync()?;
            return Ok(watermark);
        }
        let slots = bytes.chunks_exact(SLOT_BYTES).map(decode);
        let best = slots
            .enumerate()
            .filter_map(|(slot, value)| Some((value?, slot)))
            .max();
        let (sequence, slot) =
            best.ok_or_else(|| corrupt(&watermark.path, "neither slot's checksum holds"))?;
        watermark.sequence = sequence;
        watermark.slot = (slot + 1) % SLOTS;
        Ok(watermark)
    }

    /// The sequence number up to which rows were synced.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Notes that rows up to `sequence` are synced; this note is not synced itself.
    ///
    /// # Errors
    /// `WriteFailed` or `DiskFull`.
    pub fn record(&mut self, sequence: u64) -> Result<(), EngineError> {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&crc32fast::hash(&sequence.to_le_bytes()).to_le_bytes());
        let offset = (self.slot * SLOT_BYTES) as u64;
        let written = self.file.write_all_at(&bytes, offset);
        written.map_err(|error| from_write(&error, &self.path))?;
        self.slot = (self.slot + 1) % SLOTS;
        self.sequence = sequence;
        Ok(())
    }

    /// Makes the last note durable.
    ///
    /// # Errors
    /// `WriteFailed` or `DiskFull`.
    pub fn sync(&self) -> Result<(), EngineError> {
        let synced = self.file.sync_all();
        synced.map_err(|error| from_write(&error, &self.path))
    }
}

fn decode(slot: &[u8]) -> Option<u64> {
    let (sequence, rest) = slot.split_first_chunk::<8>()?;
    let (crc32, _) = rest.split_first_chunk::<4>()?;
    let holds = crc32fast::hash(sequence) == u32::from_le_bytes(*crc32);
    holds.then(|| u64::from_le_bytes(*sequence))
}

fn read_up_to(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_survives_a_torn_slot_and_not_two() {
        let folder = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::open(folder.path()).unwrap();
        for sequence in [3, 9, 12] {
            watermark.record(sequence).unwrap();
        }
        watermark.sync().unwrap();
        assert_eq!(Watermark::open(folder.path()).unwrap().sequence(), 12);

        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let older = Watermark::open(folder.path()).unwrap().sequence();
        assert!(older == 9 || older == 12, "{older}");
        bytes[SLOT_BYTES] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let both = Watermark::open(folder.path()).err();
        assert!(
            matches!(both, Some(EngineError::Corrupt { .. })),
            "{both:?}"
        );
    }
}
