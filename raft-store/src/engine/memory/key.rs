//! A row's key: within itself while it is short, as nearly all are.
//!
//! A search compares a key with some of every level of the tree; a key elsewhere in memory is a wait each time.

use std::cmp::Ordering;
use std::ops::Deref;

/// Bytes that fit: a key of nine bytes, and most idempotency keys with their developer.
const SHORT_BYTES: usize = 30;

/// Ordered and compared as its bytes are.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<[u8]>),
}

impl Key {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Key::Short { len, bytes } => &bytes[..usize::from(*len)],
            Key::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        match u8::try_from(key.len()) {
            Ok(len) if key.len() <= SHORT_BYTES => {
                let mut bytes = [0; SHORT_BYTES];
                bytes[..key.len()].copy_from_slice(key);
                Key::Short { len, bytes }
            }
            Ok(_) | Err(_) => Key::Long(key.into()),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // What follows a key within itself is zero, so that the longer of two that agree so far comes later.
            (
                Key::Short { len, bytes },
                Key::Short {
                    len: other_len,
                    bytes: other,
                },
            ) => {
                let (first, last) = words(bytes);
                let (other_first, other_last) = words(other);
                let first = first.cmp(&other_first);
                let last = first.then_with(|| last.cmp(&other_last));
                last.then_with(|| len.cmp(other_len))
            }
            (Key::Short { .. } | Key::Long(_), _) => self.as_slice().cmp(other.as_slice()),
        }
    }
}

/// The bytes as two numbers that are ordered as they are; two bytes are in both.
fn words(bytes: &[u8; SHORT_BYTES]) -> (u128, u128) {
    let first = bytes
        .first_chunk::<16>()
        .map(|word| u128::from_be_bytes(*word));
    let last = bytes
        .last_chunk::<16>()
        .map(|word| u128::from_be_bytes(*word));
    (first.unwrap_or_default(), last.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_lengths_sort_as_their_bytes_do() {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for len in [0, 1, 2, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 300] {
            for last in [0, 1, 255] {
                let mut key = vec![0; len];
                all.push(key.clone());
                if let Some(byte) = key.last_mut() {
                    *byte = last;
                }
                all.push(key);
            }
        }
        for a in &all {
            assert_eq!(Key::from(a.as_slice()).as_slice(), a);
            for b in &all {
                let ordered = Key::from(a.as_slice()).cmp(&Key::from(b.as_slice()));
                assert_eq!(ordered, a.cmp(b), "{a:?} {b:?}");
            }
        }
    }
}
