//! One folder: an engine's rows, or files, with the sync that is under way.

use std::sync::Arc;

use futures_util::future::{BoxFuture, Shared};

use super::files::{File, Files};
use super::rows::{Rows, flip_bit};
use super::{EngineError, FlipShows};
use crate::engine::Space;
use crate::engine::room::Refusals;

/// A sync under way: when its delay ends, batches up to `covers` are durable.
#[derive(Clone)]
pub(super) struct Round {
    pub number: u64,
    pub covers: u64,
    pub delay: Shared<BoxFuture<'static, ()>>,
}

/// The rows of a folder that an engine was opened in.
#[derive(Default)]
pub(super) struct Store {
    pub rows: Rows,
    /// An engine holds it now.
    pub held: bool,
    pub round: Option<Round>,
    pub rounds: u64,
    /// The last batch that somebody waits to see durable.
    pub wanted: u64,
    /// The write or sync that failed: nothing is written after it.
    pub failed: Option<EngineError>,
    pub refusals: Arc<Refusals>,
}

/// A folder of the disk.
#[derive(Default)]
pub(super) struct Folder {
    pub store: Option<Store>,
    pub files: Files,
}

impl Folder {
    pub fn bytes(&self) -> u64 {
        let rows = self.store.as_ref().map_or(0, |store| store.rows.bytes());
        let files = self.files.values().map(|file| file.bytes.len() as u64);
        rows + files.sum::<u64>()
    }

    pub fn is_empty(&self) -> bool {
        self.store.is_none() && self.files.is_empty()
    }

    pub fn is_held(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.held)
    }

    /// Leaves what a power loss leaves; `survivors` of a count says how much unsynced survives.
    pub fn crash(&mut self, mut survivors: impl FnMut(usize) -> usize) {
        if let Some(store) = self.store.take() {
            let mut rows = store.rows;
            rows.crash(survivors(rows.unsettled()));
            self.store = Some(Store {
                rows,
                ..Store::default()
            });
        }
        self.files
            .retain(|_, file| crash_file(file, &mut survivors));
    }

    pub fn flip_row(&mut self, space: Space, key: &[u8], bit: u64) -> bool {
        let store = self.store.as_mut();
        store.is_some_and(|store| store.rows.flip(space, key, bit).is_some())
    }

    pub fn nth_key(&self, space: Space, nth: u64) -> Option<Vec<u8>> {
        self.store.as_ref()?.rows.nth_key(space, nth)
    }

    pub fn flip_file(&mut self, file: &str, bit: u64, shows: FlipShows) -> bool {
        let Some(file) = self
            .files
            .get_mut(file)
            .filter(|file| !file.bytes.is_empty())
        else {
            return false;
        };
        flip_bit(&mut file.bytes, bit);
        match shows {
            FlipShows::OnRead => {}
            FlipShows::ByChecksum => file.crc32 = crc32fast::hash(&file.bytes),
        }
        true
    }
}

/// Cuts the unsealed end of a file somewhere; `false` when not even its name is left.
fn crash_file(file: &mut File, survivors: &mut impl FnMut(usize) -> usize) -> bool {
    let sealed = file.sealed.unwrap_or(0);
    let loose = file.bytes.len() - sealed;
    if loose == 0 {
        return file.sealed.is_some();
    }
    let kept = sealed + survivors(loose);
    if kept == 0 && file.sealed.is_none() {
        return false;
    }
    file.cut(kept);
    true
}
