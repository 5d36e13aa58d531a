//! Records that only this node reads: `bincode`, behind a version byte and a checksum.
//!
//! bincode is finished and unmaintained (RUSTSEC-2025-0141): it is named here and nowhere else.

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Encode};

use crate::engine::EngineError;

const VERSION: u8 = 1;
/// The version byte and the CRC-32 of what follows.
const HEADER_BYTES: usize = 5;
const CONFIG: Configuration = standard();

/// The record's bytes: version, CRC-32 (little endian), bincode.
pub(crate) fn encode<T: Encode>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION, 0, 0, 0, 0];
    bincode::encode_into_std_write(record, &mut bytes, CONFIG)
        .expect("writing to memory does not fail");
    let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[1..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The record in `bytes`; `what` names it in the error.
pub(crate) fn decode<'a, T: BorrowDecode<'a, ()>>(
    what: &str,
    bytes: &'a [u8],
) -> Result<T, EngineError> {
    let corrupt = |detail: String| EngineError::Corrupt {
        path: what.to_owned(),
        detail,
    };
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(corrupt(format!(
            "{} bytes are too few for a record",
            bytes.len()
        )));
    };
    if header[0] != VERSION {
        return Err(corrupt(format!(
            "record version {} is not {VERSION}",
            header[0]
        )));
    }
    let stored = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    let computed = crc32fast::hash(body);
    if stored != computed {
        return Err(corrupt(format!(
            "stored checksum {stored:08x}, computed {computed:08x}"
        )));
    }
    let (record, _) = bincode::borrow_decode_from_slice(body, CONFIG)
        .map_err(|error| corrupt(error.to_string()))?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let bytes = encode(&(7_u64, "seven".to_owned()));
        assert_eq!(
            decode::<(u64, String)>("test", &bytes),
            Ok((7, "seven".to_owned()))
        );
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                decode::<(u64, String)>("test", &flipped).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..bytes.len() {
            assert!(
                decode::<(u64, String)>("test", &bytes[..length]).is_err(),
                "length {length}"
            );
        }
    }
}
