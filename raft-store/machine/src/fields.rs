//! Checks of single fields, each answered with the field, its value and what was expected.

use alloc::string::{String, ToString};

use crate::decision::Rejection;

/// Characters of a value that an answer repeats.
const VALUE_CHARS_MAX: usize = 64;

/// The rejection of a field, with its value cut to what a person can read.
pub(crate) fn refused(field: &'static str, value: &str, expected: &'static str) -> Rejection {
    let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
    Rejection::Field {
        field,
        value,
        expected,
    }
}

/// A number within its bounds, both included.
pub(crate) fn within<T: PartialOrd + ToString>(
    field: &'static str,
    value: &T,
    (min, max): (T, T),
    expected: &'static str,
) -> Result<(), Rejection> {
    if (min..=max).contains(value) {
        Ok(())
    } else {
        Err(refused(field, &value.to_string(), expected))
    }
}

/// A text of at most so many bytes; the answer to a longer one repeats its beginning.
pub(crate) fn text_within(
    field: &'static str,
    text: &str,
    bytes_max: usize,
    expected: &'static str,
) -> Result<(), Rejection> {
    if text.len() <= bytes_max {
        Ok(())
    } else {
        Err(refused(field, text, expected))
    }
}
