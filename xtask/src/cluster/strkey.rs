//! Addresses of accounts as people write them (SEP-23): base32 over version, key and checksum.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Version byte of an account: it makes the text start with G.
const ACCOUNT_VERSION: u8 = 6 << 3;
/// Version byte of a multiplexed account: M.
const MUXED_VERSION: u8 = 12 << 3;

/// `G...` of a public key.
pub fn account(key: &[u8; 32]) -> String {
    encode(ACCOUNT_VERSION, key)
}

/// `M...` of a public key and the id of a customer behind it.
pub fn muxed(key: &[u8; 32], id: u64) -> String {
    let mut payload = key.to_vec();
    payload.extend(id.to_be_bytes());
    encode(MUXED_VERSION, &payload)
}

fn encode(version: u8, payload: &[u8]) -> String {
    let mut bytes = vec![version];
    bytes.extend(payload);
    let checksum = crc16(&bytes);
    bytes.extend(checksum.to_le_bytes());
    let mut text = String::new();
    let (mut bits, mut bits_len) = (0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        bits_len += 8;
        while bits_len >= 5 {
            bits_len -= 5;
            text.push(letter(bits >> bits_len));
        }
        bits &= (1 << bits_len) - 1;
    }
    if bits_len > 0 {
        text.push(letter(bits << (5 - bits_len)));
    }
    text
}

/// The letter of the lowest five bits.
fn letter(bits: u32) -> char {
    char::from(ALPHABET[(bits & 31) as usize])
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::{account, muxed};

    #[test]
    fn addresses_are_as_other_implementations_write_them() {
        let mut key = [0; 32];
        assert_eq!(
            account(&key),
            "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"
        );
        for (place, byte) in (0..).zip(&mut key) {
            *byte = place;
        }
        assert_eq!(
            account(&key),
            "GAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB7JZX"
        );
        assert_eq!(
            muxed(&key, 7),
            "MAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6AAAAAAAAAAAA6X66"
        );
    }
}
