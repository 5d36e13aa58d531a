//! The disk in memory: folders, checkpoints and their files.

use std::collections::BTreeSet;

use super::engine::{Handle, MemoryEngine, live_mut};
use super::folder::{Folder, Store};
use super::{MemoryDisk, State, corrupt, files, read_failed, write_failed};
use crate::engine::names::{check_file, check_folder};
use crate::engine::{CheckpointFile, Disk, EngineError, Purpose};

impl Disk for MemoryDisk {
    type Engine = MemoryEngine;

    fn open(&self, name: &str, _purpose: Purpose) -> Result<MemoryEngine, EngineError> {
        check_folder(name).map_err(|error| write_failed(name, error))?;
        let mut state = self.state();
        let life = state.life;
        let folder = state.folders.entry(name.to_owned()).or_default();
        if folder.is_held() {
            return Err(write_failed(name, "another process holds it"));
        }
        if folder.store.is_none() {
            folder.store = Some(opened(name, folder)?);
        }
        if let Some(store) = &mut folder.store {
            store.held = true;
        }
        let (disk, folder) = (self.clone(), name.to_owned());
        Ok(MemoryEngine::new(Handle { disk, folder, life }))
    }

    async fn checkpoint(
        &self,
        engine: &MemoryEngine,
        name: &str,
    ) -> Result<Vec<CheckpointFile>, EngineError> {
        check_folder(name).map_err(|error| write_failed(name, error))?;
        // The copy is of this moment, however long the sync takes.
        let copy = {
            let handle = engine.handle();
            let mut state = self.state();
            live_mut(&mut state, &handle.folder, handle.life).map(|store| files::write(&store.rows))
        };
        let last = engine.handle().want_last()?;
        engine.handle().durable(last).await?;
        let mut copy = copy.ok_or_else(|| write_failed(name, "the engine is closed"))?;
        copy.values_mut().for_each(files::File::seal);

        let mut state = self.state();
        let bytes = copy.values().map(|file| file.bytes.len() as u64).sum();
        state.room_for(name, bytes)?;
        state.write(name)?;
        state.sync(name)?;
        if state
            .folders
            .get(name)
            .is_some_and(|folder| !folder.is_empty())
        {
            return Err(write_failed(name, "the folder exists already"));
        }
        let listed = files::describe_written(&copy);
        let folder = state.folders.entry(name.to_owned()).or_default();
        folder.files = copy;
        Ok(listed)
    }

    fn list(&self, name: &str) -> Result<Vec<String>, EngineError> {
        check_folder(name).map_err(|error| read_failed(name, error))?;
        let state = self.state();
        let children = under(&state, name)
            .filter_map(|folder| folder.strip_prefix(name)?.strip_prefix('/'))
            .map(str::to_owned);
        Ok(children.collect())
    }

    fn files(&self, name: &str) -> Result<Vec<CheckpointFile>, EngineError> {
        check_folder(name).map_err(|error| read_failed(name, error))?;
        let state = self.state();
        match state.folders.get(name) {
            Some(folder) => Ok(files::describe(&folder.files)),
            None => Err(read_failed(name, "no such folder")),
        }
    }

    fn read(
        &self,
        name: &str,
        file: &str,
        offset: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, EngineError> {
        check_folder(name).map_err(|error| read_failed(name, error))?;
        check_file(file).map_err(|error| read_failed(name, error))?;
        let state = self.state();
        let found = state
            .folders
            .get(name)
            .and_then(|folder| folder.files.get(file));
        let found = found.ok_or_else(|| read_failed(name, format_args!("no file {file}")))?;
        if !found.holds() {
            return Err(corrupt(format!("{name}/{file}"), "file checksum"));
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = found.bytes.get(offset..).unwrap_or_default();
        Ok(rest[..rest.len().min(bytes_max)].to_vec())
    }

    fn append(&self, name: &str, file: &str, data: &[u8]) -> Result<(), EngineError> {
        check_folder(name).map_err(|error| write_failed(name, error))?;
        check_file(file).map_err(|error| write_failed(name, error))?;
        let mut state = self.state();
        state.room_for(name, data.len() as u64)?;
        state.write(name)?;
        let folder = state.folders.entry(name.to_owned()).or_default();
        if folder.store.is_some() {
            return Err(write_failed(name, "the folder belongs to an engine"));
        }
        folder
            .files
            .entry(file.to_owned())
            .or_default()
            .append(data);
        Ok(())
    }

    fn seal(&self, name: &str) -> Result<(), EngineError> {
        check_folder(name).map_err(|error| write_failed(name, error))?;
        let mut state = self.state();
        state.sync(name)?;
        let folder = state.folders.get_mut(name);
        let folder = folder.ok_or_else(|| write_failed(name, "no such folder"))?;
        folder.files.values_mut().for_each(files::File::seal);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        check_folder(from).map_err(|error| write_failed(from, error))?;
        check_folder(to).map_err(|error| write_failed(to, error))?;
        let mut state = self.state();
        let moved = movable(&state, from)?;
        if moved.is_empty() {
            return Err(write_failed(from, "no such folder"));
        }
        if under(&state, to).next().is_some() {
            return Err(write_failed(to, "the folder exists already"));
        }
        state.write(from)?;
        state.sync(from)?;
        for old in moved {
            let new = format!("{to}{}", &old[from.len()..]);
            if let Some(folder) = state.folders.remove(&old) {
                state.folders.insert(new, folder);
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        check_folder(name).map_err(|error| write_failed(name, error))?;
        let mut state = self.state();
        let removed = movable(&state, name)?;
        if removed.is_empty() {
            return Ok(());
        }
        state.write(name)?;
        for folder in removed {
            state.folders.remove(&folder);
        }
        Ok(())
    }
}

/// A store over what the folder holds: empty, or the rows of a checkpoint.
fn opened(name: &str, folder: &Folder) -> Result<Store, EngineError> {
    let mut store = Store::default();
    if !folder.files.is_empty() {
        let rows = files::load(&folder.files);
        // The files stay as long as nothing is written: a checkpoint that was opened can still be sent.
        store.rows = rows.map_err(|(file, detail)| corrupt(format!("{name}/{file}"), detail))?;
    }
    Ok(store)
}

/// The folder and those in it, by full name.
fn under<'a>(state: &'a State, name: &'a str) -> impl Iterator<Item = &'a String> {
    state.folders.keys().filter(move |folder| {
        let rest = folder.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The folder and those in it, none of them held by an engine.
fn movable(state: &State, name: &str) -> Result<BTreeSet<String>, EngineError> {
    let folders: BTreeSet<String> = under(state, name).cloned().collect();
    let held = |folder: &&String| state.folders.get(*folder).is_some_and(Folder::is_held);
    match folders.iter().find(held) {
        Some(held) => Err(write_failed(held, "an engine holds it")),
        None => Ok(folders),
    }
}
