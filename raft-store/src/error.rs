//! Store errors on their way to openraft, which stops the node on any of them.

use std::io;

use crate::engine::EngineError;

/// An engine's error as openraft takes it; its own words stay readable inside.
pub(crate) fn to_io(error: EngineError) -> io::Error {
    let kind = match &error {
        EngineError::DiskFull { .. } => io::ErrorKind::StorageFull,
        EngineError::Corrupt { .. } => io::ErrorKind::InvalidData,
        EngineError::WriteFailed { .. } | EngineError::ReadFailed { .. } => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
