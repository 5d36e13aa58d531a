//! No signing seed, as bytes or as text, is in any row or file of any disk (DESIGN, promise 6): looked for when a node
//! has written a snapshot and its disk holds twice of what was looked at, and at the end.

use std::collections::BTreeMap;

use stellara_node::node::LogPoint;
use stellara_raft_store::engine::memory::{MemoryDisk, Stored};
use stellara_raft_store::types::NodeId;

use super::{Breach, Ending, Invariant, Sight};
use crate::world::Secret;

#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    snapshot: Option<LogPoint>,
    bytes: u64,
}

#[derive(Debug, Default)]
pub struct NoSecret {
    looked: BTreeMap<NodeId, Looked>,
    bytes: u64,
}

/// Finds any of several needles in one pass.
struct Needles<'a> {
    secrets: &'a [Secret],
    first: [bool; 256],
}

impl<'a> Needles<'a> {
    fn new(secrets: &'a [Secret]) -> Self {
        let mut first = [false; 256];
        for byte in secrets.iter().filter_map(|secret| secret.bytes().first()) {
            first[usize::from(*byte)] = true;
        }
        Self { secrets, first }
    }

    fn are_in(&self, hay: &[u8]) -> bool {
        let starts = hay.iter().enumerate();
        let mut starts = starts.filter(|(_, byte)| self.first[usize::from(**byte)]);
        starts.any(|(at, _)| {
            let rest = hay.get(at..).unwrap_or_default();
            let mut secrets = self.secrets.iter().map(Secret::bytes);
            secrets.any(|secret| !secret.is_empty() && rest.starts_with(secret))
        })
    }
}

impl NoSecret {
    fn scan(
        &mut self,
        node_id: NodeId,
        disk: &MemoryDisk,
        secrets: &[Secret],
    ) -> Result<(), Breach> {
        let needles = Needles::new(secrets);
        let mut found = None;
        disk.everything(|folder, stored, bytes| {
            self.bytes += bytes.len() as u64;
            let in_name = match stored {
                Stored::Row(_, key) => needles.are_in(key),
                Stored::File(name) => needles.are_in(name.as_bytes()),
            };
            if in_name || needles.are_in(bytes) {
                found = Some(format!("a secret is in {folder}, {stored:?}"));
            }
        });
        found.map_or(Ok(()), |detail| Err(Breach::by(node_id, detail)))
    }
}

impl Invariant for NoSecret {
    fn name(&self) -> &'static str {
        "no_secret"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, seen, running) in sight.changed() {
            let snapshot = running.vitals.snapshot;
            let looked = self.looked.entry(node_id).or_default();
            if looked.snapshot == snapshot {
                continue;
            }
            looked.snapshot = snapshot;
            let bytes = seen.disk.bytes_used();
            if bytes >= looked.bytes.saturating_mul(2) {
                looked.bytes = bytes;
                self.scan(node_id, &seen.disk, &sight.facts.secrets)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, _ending: Ending) -> Result<(), Breach> {
        for (node_id, seen) in sight.nodes {
            self.scan(*node_id, &seen.disk, &sight.facts.secrets)?;
        }
        Ok(())
    }

    /// Bytes.
    fn compared(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::check;
    use super::*;
    use stellara_raft_store::engine::{Disk as _, Space};

    #[test]
    fn a_seed_in_a_row_is_found_as_bytes_and_as_text() {
        for nth in [0, 1] {
            check::<NoSecret>(Ending::Midway, "a secret is in state", |stage| {
                let secret = stage.facts.secrets[nth].bytes().to_vec();
                let mut hidden = Some([b"before".to_vec(), secret, b"after".to_vec()].concat());
                stage.rewrite(2, |folder, space, key, value| {
                    let payment =
                        folder.starts_with("state") && space == Space::Payments && key[0] == b'p';
                    let hidden = if payment { hidden.take() } else { None };
                    Some(hidden.unwrap_or_else(|| value.to_vec()))
                });
            });
        }
    }

    #[test]
    fn a_seed_in_a_file_is_found() {
        check::<NoSecret>(Ending::Midway, "a secret is in snapshots/1-1", |stage| {
            let secret = stage.facts.secrets[2].bytes().to_vec();
            let disk = &stage.node(3).disk;
            disk.append("snapshots/1-1", "000001.rows", &secret)
                .unwrap();
        });
    }
}
