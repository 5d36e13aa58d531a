//! Looking at a disk from outside, without opening an engine: what is stored, and what a power loss would leave.
//!
//! Nothing here verifies, counts as a call of the disk, or changes it.

use super::MemoryDisk;
use super::rows::Rows;
use crate::engine::Space;

/// What is stored under a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    /// A row: its space and key.
    Row(Space, &'a [u8]),
    /// A file: its name.
    File(&'a str),
}

impl MemoryDisk {
    /// Looks at a row as a power loss would leave it if everything unsynced were lost.
    pub fn durable_row<T>(
        &self,
        folder: &str,
        space: Space,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        self.rows(folder, |rows| rows.durable_value(space, key).map(look))?
    }

    /// Looks at the last row of a space, likewise.
    pub fn durable_last<T>(
        &self,
        folder: &str,
        space: Space,
        look: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Option<T> {
        self.rows(folder, |rows| {
            let (key, value) = rows.durable_last(space)?;
            Some(look(key, value))
        })?
    }

    /// Looks at a row as readers see it.
    pub fn stored_row<T>(
        &self,
        folder: &str,
        space: Space,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        self.rows(folder, |rows| rows.value(space, key).map(look))?
    }

    /// Looks at the rows of a space as readers see them, from the last one down, until `look` says no.
    pub fn stored_back(&self, folder: &str, space: Space, look: impl FnMut(&[u8], &[u8]) -> bool) {
        self.rows(folder, |rows| rows.back(space, look));
    }

    /// Looks at every row and every file: the folder, what it is, and the bytes.
    pub fn everything(&self, mut look: impl FnMut(&str, Stored<'_>, &[u8])) {
        let state = self.state();
        for (name, folder) in &state.folders {
            if let Some(store) = &folder.store {
                for (space, key, value, _) in store.rows.all() {
                    look(name, Stored::Row(space, key), value);
                }
            }
            for (file, contents) in &folder.files {
                look(name, Stored::File(file), &contents.bytes);
            }
        }
    }

    fn rows<T>(&self, folder: &str, look: impl FnOnce(&Rows) -> T) -> Option<T> {
        let state = self.state();
        let store = state.folders.get(folder)?.store.as_ref()?;
        Some(look(&store.rows))
    }
}
