//! Puts encoded commands together as one `log.EntryPayload`, without decoding them again.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use stellara_machine::units::UnixMs;

/// Field numbers of `stellara.v1.log.EntryPayload`.
const PROPOSED_AT_MS: u32 = 1;
const COMMANDS: u32 = 2;

/// The entry's bytes.
pub(super) fn encode<'a>(
    proposed_at: UnixMs,
    commands: impl Iterator<Item = &'a Vec<u8>> + Clone,
) -> Bytes {
    let bytes: usize = commands
        .clone()
        .map(|command| 1 + encoded_len_varint(command.len() as u64) + command.len())
        .sum();
    let mut entry = BytesMut::with_capacity(bytes + 16);
    encode_key(PROPOSED_AT_MS, WireType::Varint, &mut entry);
    encode_varint(proposed_at.0, &mut entry);
    for command in commands {
        encode_key(COMMANDS, WireType::LengthDelimited, &mut entry);
        encode_varint(command.len() as u64, &mut entry);
        entry.put_slice(command);
    }
    entry.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use stellara_proto::v1::log;

    #[test]
    fn it_is_the_message_that_prost_would_write() {
        let commands: Vec<log::Command> = (0..3)
            .map(|n| log::Command {
                command: Some(log::command::Command::CancelPayment(log::CancelPayment {
                    developer: n,
                    payment: 1 << (n * 20),
                })),
            })
            .collect();
        let encoded: Vec<Vec<u8>> = commands.iter().map(Message::encode_to_vec).collect();
        let whole = log::EntryPayload {
            proposed_at_ms: 1_700_000_000_123,
            commands,
        };
        assert_eq!(
            encode(UnixMs(1_700_000_000_123), encoded.iter()),
            whole.encode_to_vec()
        );
    }
}
