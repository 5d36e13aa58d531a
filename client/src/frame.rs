//! Payments as bytes: encoded once, sent as often as it takes.
//!
//! A message of the bulk path is the plain concatenation of its payments, each with the tag and
//! length of `SubmitPaymentsRequest.payments`, so a payment can be packed again without being
//! decoded or cloned. Protobuf lets fields come in any order: a key that was made up goes last.

use bytes::BufMut;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use stellara_proto::v1::{SubmitPaymentRequest, SubmitPaymentsResponse};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// `SubmitPaymentsRequest.payments`.
const PAYMENTS_TAG: u32 = 1;
/// `SubmitPaymentRequest.idempotency_key`.
const KEY_TAG: u32 = 1;

/// A payment as one item of a message. `made_up_key` stands in for a missing one.
pub(crate) fn encode(payment: &SubmitPaymentRequest, made_up_key: Option<&str>) -> Vec<u8> {
    let key_len = made_up_key.map_or(0, |key| 1 + encoded_len_varint(len(key)) + key.len());
    let payment_len = payment.encoded_len() + key_len;
    let mut frame = Vec::with_capacity(1 + 10 + payment_len);
    encode_key(PAYMENTS_TAG, WireType::LengthDelimited, &mut frame);
    encode_varint(payment_len as u64, &mut frame);
    payment.encode_raw(&mut frame);
    if let Some(key) = made_up_key {
        encode_key(KEY_TAG, WireType::LengthDelimited, &mut frame);
        encode_varint(len(key), &mut frame);
        frame.extend_from_slice(key.as_bytes());
    }
    frame
}

const fn len(text: &str) -> u64 {
    text.len() as u64
}

/// Sends messages that are bytes already and reads the answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameCodec;

impl Codec for FrameCodec {
    type Encode = Vec<u8>;
    type Decode = SubmitPaymentsResponse;
    type Encoder = FrameEncoder;
    type Decoder = ProstDecoder<SubmitPaymentsResponse>;

    fn encoder(&mut self) -> Self::Encoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

/// Copies a message's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameEncoder;

impl Encoder for FrameEncoder {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put_slice(&item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stellara_proto::v1::SubmitPaymentsRequest;

    use super::*;

    #[test]
    fn frames_in_a_row_are_a_message() {
        let keyed = SubmitPaymentRequest {
            idempotency_key: "mine".into(),
            amount: "12.5".into(),
            reference: "x".repeat(300),
            ..SubmitPaymentRequest::default()
        };
        let bare = SubmitPaymentRequest {
            idempotency_key: String::new(),
            ..keyed.clone()
        };
        let mut message = encode(&keyed, None);
        message.extend(encode(&bare, Some("made-up")));
        let read = SubmitPaymentsRequest::decode(message.as_slice()).expect("a whole message");
        let made_up = SubmitPaymentRequest {
            idempotency_key: "made-up".into(),
            ..keyed.clone()
        };
        assert_eq!(read.payments, [keyed, made_up]);
    }
}
