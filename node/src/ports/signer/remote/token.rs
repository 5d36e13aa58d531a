//! The bearer token: read from a file of its owner's, shown to nobody but the service.

use std::fmt;
use std::path::Path;

use reqwest::header::HeaderValue;
use stellar_strkey::ed25519::PrivateKey;
use zeroize::Zeroizing;

use crate::ports::signer::keyring::{KeyringError, read_secret};

/// Characters of a token; proxies take headers of 8 KiB.
const CHARACTERS_MAX: usize = 4_096;

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is missing, readable by others, or cannot be read.
    #[error("{path} {why}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It holds something else.
    #[error(
        "{path} holds {found}, expected one line of 1 to {CHARACTERS_MAX} printable ASCII characters without spaces"
    )]
    Form {
        /// Which file.
        path: String,
        /// What it holds; never the text itself.
        found: String,
    },
}

/// A bearer token, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(Zeroizing<String>);

impl Token {
    /// Reads it from a file that only its owner may read.
    pub(super) fn read(path: &Path) -> Result<Self, TokenError> {
        let text = read_secret(path).map_err(|error| unreadable(path, &error))?;
        let token = text.trim_end_matches(['\r', '\n']);
        let odd = token.bytes().filter(|byte| !byte.is_ascii_graphic());
        let found = match (token.len(), odd.count()) {
            (0, _) => "nothing".to_owned(),
            (len, _) if len > CHARACTERS_MAX => format!("{} characters", token.len()),
            (_, 0) => return Ok(Self(Zeroizing::new(token.to_owned()))),
            (_, odd) => format!("{odd} other bytes"),
        };
        Err(TokenError::Form {
            path: path.display().to_string(),
            found,
        })
    }

    /// The value of the header `authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value =
            HeaderValue::from_str(&text).expect("the characters of a token were checked");
        value.set_sensitive(true);
        value
    }
}

fn unreadable(path: &Path, error: &KeyringError) -> TokenError {
    let why = match error {
        KeyringError::Missing { .. } => "does not exist".to_owned(),
        KeyringError::Permissions { mode, .. } => format!("has mode {mode:o}, expected 600"),
        KeyringError::Damaged { why, .. } => format!("is damaged: {why}"),
        KeyringError::Io { action, source, .. } => format!("cannot be read: {action}: {source}"),
        KeyringError::Exists { .. }
        | KeyringError::Version { .. }
        | KeyringError::WrongPassphrase { .. }
        | KeyringError::EmptyPassphrase
        | KeyringError::KeyFile { .. }
        | KeyringError::Duplicate { .. }
        | KeyringError::Full
        | KeyringError::BadSeed
        | KeyringError::Cost { .. }
        | KeyringError::NoRandomness => error.to_string(),
    };
    TokenError::File {
        path: path.display().to_string(),
        why,
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// A foreign text that may be logged: short, without the token, and without anything that could be a secret seed.
pub(super) fn scrubbed(text: &str, token: Option<&Token>) -> String {
    const WORDS_MAX: usize = 300;
    const SEED_CHARACTERS: usize = 56;
    let holds_token = token.is_some_and(|token| text.contains(token.0.as_str()));
    let is_seed = |at: usize| {
        text.get(at..at + SEED_CHARACTERS)
            .is_some_and(|part| PrivateKey::from_string(part).is_ok())
    };
    let holds_seed = text.match_indices('S').any(|(at, _)| is_seed(at));
    if holds_token || holds_seed {
        return "words that hold a secret and are not repeated".to_owned();
    }
    let printable = text.chars().map(|letter| match letter.is_control() {
        true => ' ',
        false => letter,
    });
    printable.take(WORDS_MAX).collect()
}
