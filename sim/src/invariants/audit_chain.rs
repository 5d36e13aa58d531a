//! The audit trail is whole on every node: one record an entry, the same everywhere, each hashed onto the one before
//! and none earlier than it (etcd #17780: nothing goes back).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use stellara_machine::audit::{kind_named, result_named, verify_chain};
use stellara_machine::decision::{AuditRecord, EntryRecord};
use stellara_machine::ids::{DeveloperId, Hash, Index};
use stellara_machine::units::UnixMs;
use stellara_raft_store::types::NodeId;
use stellara_raft_store::view::record_of;

use super::{Breach, Invariant, Record, Running, Sight};

#[derive(Clone, Copy, Debug)]
struct Link {
    hash: u128,
    chain: Hash,
    at: UnixMs,
}

#[derive(Debug, Default)]
pub struct AuditChain {
    links: BTreeMap<u64, Link>,
    compared: u64,
}

/// What a row says, as far as the chain goes.
fn decoded(record: &Record) -> Result<EntryRecord, String> {
    let row = record_of(&record.bytes).map_err(|error| error.to_string())?;
    let audits = row.audits.iter().map(|audit| {
        let word = |name: &str, known: Option<&'static str>| {
            known.ok_or_else(|| format!("{name:?} is no word of the trail"))
        };
        let changes = <[u8; 16]>::try_from(audit.changes.as_slice());
        Ok(AuditRecord {
            kind: word(&audit.kind, kind_named(&audit.kind))?,
            developer: DeveloperId(audit.developer),
            subject: audit.subject,
            result: word(&audit.result, result_named(&audit.result))?,
            changes: u128::from_le_bytes(changes.map_err(|_| "changes are not 16 bytes")?),
        })
    });
    Ok(EntryRecord {
        index: record.index,
        at: UnixMs(row.at_ms),
        audits: audits.collect::<Result<_, String>>()?,
        events: Vec::new(),
        chain: <[u8; 32]>::try_from(row.chain.as_slice())
            .map(Hash)
            .map_err(|_| "the chain is not 32 bytes")?,
    })
}

impl AuditChain {
    fn take(&mut self, node_id: NodeId, record: &Record) -> Result<(), Breach> {
        let index = record.index.0;
        let broken =
            |why: String| Breach::by(node_id, format!("its record of entry {index}: {why}"));
        let before = self.links.range(..index).next_back();
        let before_at = before.map(|(_, link)| link.at);
        let before = before.map_or_else(Hash::default, |(_, link)| link.chain);
        match self.links.entry(index) {
            Slot::Occupied(first) => {
                self.compared += 1;
                if first.get().hash != record.hash {
                    return Err(broken("another node has another".to_owned()));
                }
            }
            Slot::Vacant(slot) => {
                let entry = decoded(record).map_err(broken)?;
                if !verify_chain(before, &entry) {
                    return Err(broken("the chain is broken".to_owned()));
                }
                if before_at.is_some_and(|at| at > entry.at) {
                    return Err(broken("its time is before the last one's".to_owned()));
                }
                slot.insert(Link {
                    hash: record.hash,
                    chain: entry.chain,
                    at: entry.at,
                });
            }
        }
        Ok(())
    }

    /// No entry that has a record elsewhere may lack it here.
    fn gap(&self, node_id: NodeId, after: Index, next: u64) -> Result<(), Breach> {
        if after.0 + 1 >= next {
            return Ok(());
        }
        let missed = self.links.range(after.0 + 1..next).next();
        match missed {
            None => Ok(()),
            Some((missed, _)) => {
                let detail = format!("it has no record of entry {missed}, others have");
                Err(Breach::by(node_id, detail))
            }
        }
    }

    fn node(&mut self, node_id: NodeId, running: &Running) -> Result<(), Breach> {
        let mut last = running.records_after;
        for record in &running.records {
            self.gap(node_id, last, record.index.0)?;
            self.take(node_id, record)?;
            last = record.index;
        }
        let (applied, chain) = running.view.state(|state| (state.index(), state.chain()));
        self.gap(node_id, last, applied.0 + 1)?;
        match self.links.get(&last.0) {
            Some(link) if link.chain != chain => {
                let index = last.0;
                let detail = format!("its chain does not end with the record of entry {index}");
                Err(Breach::by(node_id, detail))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Invariant for AuditChain {
    fn name(&self) -> &'static str {
        "audit_chain"
    }

    fn look(&mut self, sight: &Sight<'_>) -> Result<(), Breach> {
        for (node_id, _, running) in sight.changed() {
            let whole = self.node(node_id, running);
            // A disk that failed in the middle of an entry stops the node: what it has in memory counts no more.
            if sight.explained.why(node_id).is_none() {
                whole?;
            }
        }
        Ok(())
    }

    /// Records that were compared with another node's.
    fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::stage::check;
    use super::*;

    #[test]
    fn a_record_that_was_changed_is_found() {
        check::<AuditChain>(Ending::Midway, "the chain is broken", |stage| {
            for node_id in 1..=3 {
                let records = &mut stage.running(node_id).records;
                let mut record = records[5].clone();
                // The same bytes as the one before: its chain does not lead here.
                record.bytes = records[4].bytes.clone();
                records[5] = record;
            }
        });
        check::<AuditChain>(Ending::Midway, "another node has another", |stage| {
            stage.running(2).records[5].hash ^= 1;
        });
    }

    #[test]
    fn a_record_that_is_missing_is_found() {
        check::<AuditChain>(Ending::Midway, "it has no record of entry", |stage| {
            stage.running(2).records.remove(5);
        });
        check::<AuditChain>(Ending::Midway, "it has no record of entry", |stage| {
            stage.running(3).records.pop();
        });
        check::<AuditChain>(Ending::Midway, "the chain is broken", |stage| {
            stage.running(1).records.remove(5);
        });
    }
}
