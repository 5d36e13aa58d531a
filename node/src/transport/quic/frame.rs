//! Frames on a QUIC stream: a big-endian length of four bytes, then the message.
//!
//! A stream begins with two bytes: its shape and class. A call's answer begins with one: served or refused.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use quinn::{ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use stellara_proto::v1::peer as wire;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::ports::peer_link::{FRAME_BYTES_MAX, LinkError, StreamClass};

const LENGTH_BYTES: usize = 4;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The first of a connection: who speaks.
    Hello,
    /// One request, one answer.
    Call(StreamClass),
    /// Frames both ways.
    Stream(StreamClass),
}

impl Shape {
    const fn encode(self) -> [u8; 2] {
        match self {
            Self::Hello => [0, 0],
            Self::Call(class) => [1, class.code()],
            Self::Stream(class) => [2, class.code()],
        }
    }

    fn decode(bytes: [u8; 2]) -> Option<Self> {
        let class = StreamClass::from_code(bytes[1]);
        match (bytes[0], class) {
            (0, None) => Some(Self::Hello),
            (1, Some(class)) => Some(Self::Call(class)),
            (2, Some(class)) => Some(Self::Stream(class)),
            _ => None,
        }
    }
}

/// Begins a stream.
pub(super) async fn begin(stream: &mut SendStream, shape: Shape) -> Result<(), LinkError> {
    stream.write_all(&shape.encode()).await.map_err(write_error)
}

/// Reads what a stream is; `None` when it is nothing known.
pub(super) async fn begun(stream: &mut RecvStream) -> Result<Option<Shape>, LinkError> {
    let mut bytes = [0; 2];
    stream
        .read_exact(&mut bytes)
        .await
        .map_err(read_exact_error)?;
    Ok(Shape::decode(bytes))
}

/// Writes a frame; its bytes are not copied here.
pub(super) async fn write(stream: &mut SendStream, frame: Bytes) -> Result<(), LinkError> {
    let bytes = frame.len();
    if bytes > FRAME_BYTES_MAX {
        return Err(LinkError::TooLarge {
            bytes,
            bytes_max: FRAME_BYTES_MAX,
        });
    }
    let length = u32::try_from(bytes).expect("the limit fits into four bytes");
    let length = Bytes::copy_from_slice(&length.to_be_bytes());
    stream
        .write_all_chunks(&mut [length, frame])
        .await
        .map_err(write_error)
}

/// The bytes of frames that may be held at once.
pub(super) type Budget = Arc<Semaphore>;

/// A frame, and the part of a budget that it holds.
pub(super) struct Held {
    pub(super) frame: Bytes,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

/// Reads a frame; `None` at the stream's end. With a budget, waits for room in it before reading the bytes.
pub(super) async fn read(
    stream: &mut RecvStream,
    budget: Option<&Budget>,
) -> Result<Option<Held>, LinkError> {
    let mut length = [0; LENGTH_BYTES];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(read_exact_error(error)),
    }
    let length = u32::from_be_bytes(length);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > FRAME_BYTES_MAX {
        return Err(LinkError::TooLarge {
            bytes,
            bytes_max: FRAME_BYTES_MAX,
        });
    }
    let permit = match budget {
        None => None,
        Some(budget) => {
            let permit = Arc::clone(budget).acquire_many_owned(length).await;
            Some(permit.expect("budgets are never closed"))
        }
    };
    let mut frame = vec![0; bytes];
    stream
        .read_exact(&mut frame)
        .await
        .map_err(read_exact_error)?;
    Ok(Some(Held {
        frame: frame.into(),
        _permit: permit,
    }))
}

/// Writes a call's answer, or why there is none.
pub(super) async fn write_answer(
    stream: &mut SendStream,
    answer: Result<Bytes, String>,
) -> Result<(), LinkError> {
    let (served, frame) = match answer {
        Ok(answer) => (1, answer),
        Err(reason) => (0, Bytes::from(wire::Refusal { reason }.encode_to_vec())),
    };
    stream.write_all(&[served]).await.map_err(write_error)?;
    write(stream, frame).await?;
    stream.finish().map_err(|_| closed("the stream was reset"))
}

/// Reads a call's answer.
pub(super) async fn read_answer(stream: &mut RecvStream) -> Result<Bytes, LinkError> {
    let mut served = [0];
    stream
        .read_exact(&mut served)
        .await
        .map_err(read_exact_error)?;
    let held = read(stream, None)
        .await?
        .ok_or_else(|| closed("the answer is missing"))?;
    match served {
        [1] => Ok(held.frame),
        [_] => {
            let refusal = wire::Refusal::decode(held.frame)
                .map_err(|error| closed(format!("a refusal does not decode: {error}")))?;
            Err(LinkError::Refused {
                reason: refusal.reason,
            })
        }
    }
}

pub(super) fn closed(detail: impl Into<String>) -> LinkError {
    LinkError::Closed {
        detail: detail.into(),
    }
}

/// What a connection's end means to what was under way on it.
pub(super) fn connection_error(error: &ConnectionError) -> LinkError {
    match Refusal::of_handshake(error) {
        Some(refusal) => LinkError::Refused {
            reason: refusal.to_string(),
        },
        None => closed(error.to_string()),
    }
}

fn write_error(error: WriteError) -> LinkError {
    match error {
        WriteError::ConnectionLost(error) => connection_error(&error),
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            closed(error.to_string())
        }
    }
}

fn read_exact_error(error: ReadExactError) -> LinkError {
    match error {
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => connection_error(&error),
        ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => {
            closed(error.to_string())
        }
    }
}
