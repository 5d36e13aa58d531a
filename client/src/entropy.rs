//! The SDK's one source of randomness: jitter and idempotency keys.

use rand::RngExt;

/// 64 random bits.
pub(crate) fn bits() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port that the rest of the SDK draws from"
    )]
    rand::rng().random()
}

/// A fresh idempotency key: 128 random bits, so that two callers never meet.
pub(crate) fn idempotency_key() -> String {
    format!("auto-{:016x}{:016x}", bits(), bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_fit_the_contract() {
        let (one, other) = (idempotency_key(), idempotency_key());
        assert_ne!(one, other);
        assert_eq!(one.len(), "auto-".len() + 32);
    }
}
