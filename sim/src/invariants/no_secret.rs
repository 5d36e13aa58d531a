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

/// Bytes by which a needle is recognised.
const MARK_BYTES: usize = 4;

/// Finds any of several needles in one pass over a part of the places: a needle that is long holds a mark at one of any
/// few places that follow each other.
struct Needles<'a> {
    secrets: Vec<&'a [u8]>,
    /// From one place that is looked at to the next.
    stride: usize,
    /// The shortest needle.
    least: usize,
    /// By the hash of a mark, whether a needle has one like it in its first `stride` places.
    marks: Vec<bool>,
}

impl<'a> Needles<'a> {
    fn new(secrets: &'a [Secret]) -> Self {
        let secrets = secrets.iter().map(Secret::bytes);
        let secrets: Vec<&[u8]> = secrets.filter(|secret| !secret.is_empty()).collect();
        let least = secrets.iter().map(|secret| secret.len()).min().unwrap_or(0);
        let stride = (least + 1).saturating_sub(MARK_BYTES).max(1);
        let mut marks = vec![least < MARK_BYTES; 1 << u16::BITS];
        for secret in &secrets {
            for mark in secret.windows(MARK_BYTES).take(stride) {
                marks[hash(mark)] = true;
            }
        }
        Self {
            secrets,
            stride,
            least,
            marks,
        }
    }

    fn are_in(&self, hay: &[u8]) -> bool {
        if self.secrets.is_empty() || hay.len() < self.least {
            return false;
        }
        if self.least < MARK_BYTES {
            return (0..hay.len()).any(|at| self.begins(hay, at));
        }
        let mut at = 0;
        while let Some(mark) = hay.get(at..at + MARK_BYTES) {
            if self.marks[hash(mark)] {
                let first = (at + 1).saturating_sub(self.stride);
                if (first..=at).any(|start| self.begins(hay, start)) {
                    return true;
                }
            }
            at += self.stride;
        }
        false
    }

    fn begins(&self, hay: &[u8], at: usize) -> bool {
        let rest = hay.get(at..).unwrap_or_default();
        self.secrets.iter().any(|secret| rest.starts_with(secret))
    }
}

fn hash(mark: &[u8]) -> usize {
    let word = mark
        .first_chunk()
        .map_or(0, |word| u32::from_le_bytes(*word));
    (word.wrapping_mul(0x9e37_79b1) >> u16::BITS) as usize
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
    fn needles_are_found_at_every_place_and_only_whole() {
        let bytes = |len: u8, salt: u8| (0..len).map(|at| at.wrapping_mul(37) ^ salt).collect();
        let check = |lengths: &[u8]| {
            let each = lengths.iter().zip(0..);
            let secrets: Vec<Secret> = each
                .map(|(len, salt)| Secret::new(bytes(*len, salt)))
                .collect();
            let needles = Needles::new(&secrets);
            for secret in secrets.iter().map(Secret::bytes) {
                for before in 0..100 {
                    let hay = [vec![0xee; before], secret.to_vec(), vec![0xee; 3]].concat();
                    assert!(needles.are_in(&hay), "{before} before {}", secret.len());
                    let end = before + secret.len() - 1;
                    assert!(!needles.are_in(&hay[..end]), "cut {}", secret.len());
                }
            }
        };
        check(&[32, 56, 33]);
        check(&[5, 40]);
        check(&[4]);
        check(&[1]);
        assert!(!Needles::new(&[]).are_in(b"anything"));
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
