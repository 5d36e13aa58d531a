//! What a disk does to records behind the engine's back, and what it still has of them.

use super::{MemoryDisk, State};
use crate::engine::{Batch, Row, Space, Write};

/// A record that landed in the place of another: both are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misdirected {
    /// The folder of both.
    pub folder: String,
    /// The space of both.
    pub space: Space,
    /// The key under which it was written, and is not found.
    pub meant: Vec<u8>,
    /// The key under which it lies now.
    pub victim: Vec<u8>,
}

impl MemoryDisk {
    /// The rows of a space that would be there after a loss of power now with [`super::Unsynced::Lost`], in the order of
    /// their keys. A row whose checksum does not hold is not one of them.
    #[must_use]
    pub fn durable_rows(&self, folder: &str, space: Space) -> Vec<Row> {
        let state = self.state();
        let store = state
            .folders
            .get(folder)
            .and_then(|folder| folder.store.as_ref());
        store.map_or_else(Vec::new, |store| store.rows.durable_rows(space))
    }

    /// Whether a row would be read as it was written, or is not there at all.
    #[must_use]
    pub fn row_holds(&self, folder: &str, space: Space, key: &[u8]) -> bool {
        let state = self.state();
        let store = state
            .folders
            .get(folder)
            .and_then(|folder| folder.store.as_ref());
        store.is_none_or(|store| store.rows.get(space, key).is_ok())
    }

    /// The first key of a space.
    #[must_use]
    pub fn first_key(&self, folder: &str, space: Space) -> Option<Vec<u8>> {
        self.state().folders.get(folder)?.nth_key(space, 0)
    }

    /// Tears the last row of a space: a part of it stays, and reads of it return `Corrupt`. Returns its key, `None` when
    /// there are no rows.
    #[must_use]
    pub fn tear_last_row(&self, folder: &str, space: Space) -> Option<Vec<u8>> {
        let mut state = self.state();
        let store = state.folders.get_mut(folder)?.store.as_mut()?;
        store.rows.tear_last(space)
    }

    /// The next row that is put into the space overwrites another of it, drawn, instead of taking its own place. The
    /// engine's checksum does not tell.
    pub fn misdirect_next(&self, folder: &str, space: Space) {
        self.state().misdirect = Some((folder.to_owned(), space));
    }

    /// Whether a row is still to be misdirected.
    #[must_use]
    pub fn will_misdirect(&self) -> bool {
        self.state().misdirect.is_some()
    }

    /// The last row that was.
    #[must_use]
    pub fn misdirected(&self) -> Option<Misdirected> {
        self.state().misdirected.clone()
    }

    /// Whether a write or a sync is still to fail.
    #[must_use]
    pub fn will_fail(&self) -> bool {
        let state = self.state();
        state.faults.fail_write_in.is_some() || state.faults.fail_sync_in.is_some()
    }
}

impl State {
    /// Sends the first row of the batch astray, if its turn has come.
    pub(super) fn misdirect(&mut self, folder: &str, batch: &mut Batch) {
        let Some(space) = self
            .misdirect
            .as_ref()
            .filter(|(of, _)| of == folder)
            .map(|(_, space)| *space)
        else {
            return;
        };
        let put = batch.writes.iter_mut().find_map(|write| match write {
            Write::Put(of, key, _) if *of == space => Some(key),
            Write::Put(..) | Write::Delete(..) | Write::DeleteRange(..) => None,
        });
        let Some(key) = put else {
            return;
        };
        let nth = self.draw();
        let victim = self
            .folders
            .get(folder)
            .and_then(|folder| folder.nth_key(space, nth))
            .filter(|victim| victim != key);
        let Some(victim) = victim else {
            return;
        };
        let meant = std::mem::replace(key, victim.clone());
        self.misdirect = None;
        self.misdirected = Some(Misdirected {
            folder: folder.to_owned(),
            space,
            meant,
            victim,
        });
    }
}
