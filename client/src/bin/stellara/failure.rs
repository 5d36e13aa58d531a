//! How a command fails: one line that says what and how to fix it, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use stellara_client::ClientError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The cluster, or the way to it.
    Client(ClientError),
    /// The arguments do not fit together or name what is not there.
    Usage(String),
    /// The work was done in part; what went wrong was told line by line.
    Rows(String),
    /// A bulk submission ended early, with what to say of it.
    Stopped(ClientError, String),
    /// Something on this machine.
    Other(String),
    /// The reader of stdout is gone.
    PipeClosed,
}

impl Failure {
    /// See `EXIT_CODES` in the help.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Client(error) | Self::Stopped(error, _) => client_exit_code(error),
            Self::Usage(_) => 2,
            Self::Rows(_) | Self::Other(_) => 1,
            Self::PipeClosed => 0,
        })
    }
}

const fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Overloaded { .. }
        | ClientError::NoLeader { .. }
        | ClientError::Unavailable { .. } => 3,
        ClientError::Unknown { .. } => 4,
        ClientError::InvalidEndpoint { .. } => 2,
        ClientError::InvalidField { .. }
        | ClientError::KeyReused { .. }
        | ClientError::NotFound { .. }
        | ClientError::WrongStage { .. }
        | ClientError::TreasuryUnknown { .. }
        | ClientError::VersionConflict { .. }
        | ClientError::TooLarge { .. }
        | ClientError::Denied { .. }
        | ClientError::Internal { .. }
        | ClientError::Unexpected { .. }
        | ClientError::Closed => 1,
    }
}

/// What the caller can do about it; empty when the error says so itself.
fn advice(error: &ClientError) -> String {
    match error {
        ClientError::Unavailable { .. } => {
            "check that a node runs there, or name others with --endpoint".into()
        }
        ClientError::NoLeader { .. } => {
            "a majority of the nodes must be up; see `stellara cluster status`".into()
        }
        ClientError::Overloaded { .. } => "try again later, or allow more with --timeout".into(),
        ClientError::Unknown {
            idempotency_key, ..
        } if !idempotency_key.is_empty() => format!(
            "ask again with --idempotency-key {idempotency_key}, it is accepted at most once"
        ),
        ClientError::Unknown { .. } => "run the same again, it takes place at most once".into(),
        ClientError::KeyReused { .. } => "give another payment another --idempotency-key".into(),
        ClientError::TreasuryUnknown { .. } => {
            "name a registered --treasury, or none for the cluster's first".into()
        }
        ClientError::Denied { .. } => {
            "give a key that has the scope with --api-key or STELLARA_API_KEY".into()
        }
        ClientError::NotFound { .. } => "check the id".into(),
        ClientError::Internal { .. } => "the node's log says more".into(),
        ClientError::Unexpected { .. } => {
            "check that the endpoint is a Stellara node of this version".into()
        }
        ClientError::InvalidField { .. }
        | ClientError::WrongStage { .. }
        | ClientError::VersionConflict { .. }
        | ClientError::TooLarge { .. }
        | ClientError::InvalidEndpoint { .. }
        | ClientError::Closed => String::new(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Client(error) => {
                let advice = advice(error);
                if advice.is_empty() {
                    error.to_string()
                } else {
                    format!("{error}; {advice}")
                }
            }
            Self::Usage(text) | Self::Rows(text) | Self::Stopped(_, text) | Self::Other(text) => {
                text.clone()
            }
            Self::PipeClosed => "the output was closed".into(),
        };
        // One line, whatever a server puts into its message.
        f.write_str(&text.replace(['\n', '\r'], " "))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::PipeClosed
        } else {
            Self::Other(format!("the output cannot be written: {error}"))
        }
    }
}
