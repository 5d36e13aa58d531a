//! A process that is killed while it writes: nothing acknowledged is lost.
//!
//! `STELLARA_ROCKS_KILLS=200` raises the number of kills from 20.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_executor::block_on;
use stellara_raft_store::engine::{Batch, Disk, Engine, EngineError, Purpose, Space};
use stellara_rocks::{RocksDisk, RocksEngine};

use crate::support::{CONFIG, disk, entry, log, numbers, value};

const KILLS: u64 = 20;
const FOLDER: &str = "STELLARA_ROCKS_CHILD_FOLDER";
/// Commits that wait at once: they share syncs.
const WAITING: usize = 32;

/// What the child said it had done.
#[derive(Debug, Default)]
struct Said {
    committed: Option<u64>,
    purged_below: u64,
    flushed: Option<u64>,
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    let kills = env::var("STELLARA_ROCKS_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for kill in 0..kills {
        let mut child = start(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // From none at all, while it opens, to hundreds: in the middle of syncs and flushes.
        let heard_max = kill * 7919 % 601;
        let mut heard = 0;
        while heard < heard_max {
            heard += u64::from(hear(&mut lines, &mut said));
        }
        if heard > 0 {
            let held = RocksDisk::open(folder.path(), CONFIG).err();
            assert!(
                matches!(held, Some(EngineError::WriteFailed { .. })),
                "{held:?}"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            // The last line may be cut by the kill: then it was not said.
            if line.ends_with('\n') {
                note(&line, &mut said);
            }
            line.clear();
        }
        check(folder.path(), &said);
    }
    assert!(
        said.committed > Some(kills) && said.flushed.is_some(),
        "{said:?}"
    );
}

fn start(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["crash::child_of_the_kill_test", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads a line; whether it was an acknowledgement.
fn hear(lines: &mut BufReader<ChildStdout>, said: &mut Said) -> bool {
    let mut line = String::new();
    assert!(
        lines.read_line(&mut line).unwrap() > 0,
        "the child ended by itself"
    );
    note(&line, said)
}

fn note(line: &str, said: &mut Said) -> bool {
    let mut words = line.split_whitespace();
    let (Some(what), Some(Ok(number))) = (words.next(), words.next().map(str::parse)) else {
        return false;
    };
    match what {
        "committed" => said.committed = Some(number),
        "purged" => said.purged_below = number,
        "flushed" => said.flushed = Some(number),
        _ => return false,
    }
    true
}

fn check(folder: &Path, said: &Said) {
    let disk = disk(folder);
    let entries = numbers(&log(&disk), Space::Entries);
    let last = entries.last().copied();
    assert!(
        last >= said.committed,
        "{said:?}, but the log ends at {last:?}"
    );
    if let (Some(first), Some(last)) = (entries.first(), last) {
        assert!(
            *first >= said.purged_below,
            "{said:?}, but the log begins at {first}"
        );
        assert!(entries.iter().copied().eq(*first..=last), "no gaps");
    }
    let state = disk.open("state", Purpose::State).unwrap();
    let applied = applied(&state);
    assert!(
        applied >= said.flushed,
        "{said:?}, but the state ends at {applied:?}"
    );
    let expected: Vec<u64> = applied.map_or(Vec::new(), |last| (0..=last).collect());
    assert_eq!(
        numbers(&state, Space::Payments),
        expected,
        "all spaces end together"
    );
    assert_eq!(
        numbers(&state, Space::Entries),
        expected,
        "all spaces end together"
    );
}

fn applied(state: &RocksEngine) -> Option<u64> {
    let last = state.get(Space::Rows, b"last").unwrap()?;
    Some(u64::from_be_bytes(last.try_into().unwrap()))
}

/// Writes without end, as the child of the test above; by itself it does nothing.
#[test]
fn child_of_the_kill_test() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let disk = disk(Path::new(&folder));
    let log = log(&disk);
    let state = disk.open("state", Purpose::State).unwrap();
    let first = numbers(&log, Space::Entries)
        .last()
        .map_or(0, |last| last + 1);
    let first_to_apply = applied(&state).map_or(0, |last| last + 1);
    let mut waiting = VecDeque::new();
    println!();
    for (to_apply, number) in (first_to_apply..).zip(first..) {
        waiting.push_back((number, log.commit(entry(number))));
        if waiting.len() == WAITING {
            let (number, committed) = waiting.pop_front().unwrap();
            block_on(committed).unwrap();
            say("committed", number);
        }
        state.apply(row(to_apply)).unwrap();
        if number % 61 == 60 {
            block_on(state.flush()).unwrap();
            say("flushed", to_apply);
        }
        if number % 500 == 499 {
            let mut purge = Batch::default();
            purge.delete_range(
                Space::Entries,
                0_u64.to_be_bytes(),
                (number - 400).to_be_bytes(),
            );
            block_on(log.commit(purge)).unwrap();
            say("purged", number - 400);
        }
    }
}

fn row(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Space::Payments, number.to_be_bytes(), value(number));
    batch.put(Space::Rows, b"last", number.to_be_bytes());
    batch.put(Space::Entries, number.to_be_bytes(), value(number));
    batch
}

/// One write to the pipe, so that a kill cuts a line at its end only.
fn say(what: &str, number: u64) {
    let line = format!("{what} {number}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .unwrap();
}
