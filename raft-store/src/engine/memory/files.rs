//! Files of folders in memory, and the form a checkpoint takes in them.
//!
//! A checkpoint is row files (`000001.rows` and on) and a `MANIFEST` naming each
//! with its size and CRC-32, so that a lost, cut or altered file is found at open.

use std::collections::BTreeMap;

use super::rows::Rows;
use crate::engine::{CheckpointFile, Space};

/// Row files are cut at this size, so that small states still make several files.
const ROW_FILE_BYTES: usize = 64 * 1024;
const MANIFEST: &str = "MANIFEST";

/// A file's bytes, and how many of them a crash leaves for sure.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub bytes: Vec<u8>,
    /// Checksum of what was written; differs from the bytes' after a bit flip.
    pub crc32: u32,
    /// Durable length; `None` when not even the name is durable.
    pub sealed: Option<usize>,
}

impl File {
    /// A file of these bytes, not durable yet.
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            crc32: crc32fast::hash(&bytes),
            bytes,
            sealed: None,
        }
    }

    pub fn append(&mut self, data: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc32);
        hasher.update(data);
        self.crc32 = hasher.finalize();
        self.bytes.extend_from_slice(data);
    }

    pub fn seal(&mut self) {
        self.sealed = Some(self.bytes.len());
    }

    /// Cuts the file to `len` bytes, all durable.
    pub fn cut(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.crc32 = crc32fast::hash(&self.bytes);
        self.seal();
    }

    pub fn holds(&self) -> bool {
        crc32fast::hash(&self.bytes) == self.crc32
    }
}

/// The files of a folder by name.
pub(super) type Files = BTreeMap<String, File>;

/// Lists files with checksums of the bytes they hold now.
pub(super) fn describe(files: &Files) -> Vec<CheckpointFile> {
    list(files, |file| crc32fast::hash(&file.bytes))
}

/// Lists files with the checksums they were written with.
pub(super) fn describe_written(files: &Files) -> Vec<CheckpointFile> {
    list(files, |file| file.crc32)
}

fn list(files: &Files, crc32: impl Fn(&File) -> u32) -> Vec<CheckpointFile> {
    let one = |(name, file): (&String, &File)| CheckpointFile {
        name: name.clone(),
        bytes: file.bytes.len() as u64,
        crc32: crc32(file),
    };
    files.iter().map(one).collect()
}

/// Writes all rows as files.
pub(super) fn write(rows: &Rows) -> Files {
    let mut files = Files::new();
    let mut keep = |bytes: Vec<u8>| {
        let name = format!("{:06}.rows", files.len() + 1);
        files.insert(name, File::of(bytes));
    };
    // The last row may reach beyond the size; most are shorter than this.
    let room = ROW_FILE_BYTES + ROW_FILE_BYTES / 16;
    let mut bytes = Vec::with_capacity(room);
    for (space, key, value, crc32) in rows.all() {
        if bytes.len() >= ROW_FILE_BYTES {
            keep(std::mem::replace(&mut bytes, Vec::with_capacity(room)));
        }
        write_row(&mut bytes, space, key, value, crc32);
    }
    keep(bytes);
    let mut manifest = String::new();
    for file in describe_written(&files) {
        let line = format!("{} {} {:08x}\n", file.name, file.bytes, file.crc32);
        manifest.push_str(&line);
    }
    // The last line tells a whole manifest from a cut one.
    manifest.push_str("end\n");
    files.insert(MANIFEST.to_owned(), File::of(manifest.into_bytes()));
    files
}

/// Reads rows back from a checkpoint's files.
///
/// # Errors
/// The file that does not hold, and why.
pub(super) fn load(files: &Files) -> Result<Rows, (String, String)> {
    let manifest = files
        .get(MANIFEST)
        .ok_or_else(|| bad(MANIFEST, "missing"))?;
    let text = std::str::from_utf8(&manifest.bytes).map_err(|_| bad(MANIFEST, "not text"))?;
    let lines = text
        .strip_suffix("end\n")
        .ok_or_else(|| bad(MANIFEST, "cut short"))?;
    let mut rows = Rows::default();
    for line in lines.lines() {
        let (name, bytes) = listed(files, line)?;
        load_rows(&mut rows, bytes).ok_or_else(|| bad(name, "row checksum or framing"))?;
    }
    Ok(rows)
}

fn listed<'a>(files: &'a Files, line: &'a str) -> Result<(&'a str, &'a [u8]), (String, String)> {
    let mut words = line.split(' ');
    let (Some(name), Some(size), Some(crc32)) = (words.next(), words.next(), words.next()) else {
        return Err(bad(MANIFEST, "a line without name, size and checksum"));
    };
    let file = files.get(name).ok_or_else(|| bad(name, "missing"))?;
    if size != file.bytes.len().to_string() {
        let detail = format!("{} bytes, expected {size}", file.bytes.len());
        return Err(bad(name, &detail));
    }
    let found = format!("{:08x}", crc32fast::hash(&file.bytes));
    if crc32 != found {
        return Err(bad(name, &format!("crc32 {found}, expected {crc32}")));
    }
    Ok((name, &file.bytes))
}

fn bad(file: &str, detail: &str) -> (String, String) {
    (file.to_owned(), detail.to_owned())
}

fn write_row(file: &mut Vec<u8>, space: Space, key: &[u8], value: &[u8], crc32: u32) {
    let at = Space::ALL.iter().position(|other| *other == space);
    file.push(u8::try_from(at.expect("all spaces are listed")).expect("there are four"));
    for part in [key, value] {
        file.extend_from_slice(&(part.len() as u64).to_le_bytes());
        file.extend_from_slice(part);
    }
    file.extend_from_slice(&crc32.to_le_bytes());
}

fn load_rows(rows: &mut Rows, mut bytes: &[u8]) -> Option<()> {
    while let Some((space, rest)) = bytes.split_first() {
        let space = *Space::ALL.get(usize::from(*space))?;
        let (key, rest) = part(rest)?;
        let (value, rest) = part(rest)?;
        let (crc32, rest) = rest.split_first_chunk::<4>()?;
        let crc32 = u32::from_le_bytes(*crc32);
        if !Rows::holds(key, value, crc32) {
            return None;
        }
        rows.load(space, key, value.to_vec());
        bytes = rest;
    }
    Some(())
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)
}
