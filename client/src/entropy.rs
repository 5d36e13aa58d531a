//! Idempotency keys for callers that bring none.

use crate::surroundings::Surroundings;

/// A fresh idempotency key: 128 random bits, so that two callers never meet.
pub(crate) fn idempotency_key(surroundings: &dyn Surroundings) -> String {
    let bits = || surroundings.random_bits();
    format!("auto-{:016x}{:016x}", bits(), bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Tokio;

    #[test]
    fn keys_differ_and_fit_the_contract() {
        let surroundings = Tokio::default();
        let (one, other) = (
            idempotency_key(&surroundings),
            idempotency_key(&surroundings),
        );
        assert_ne!(one, other);
        assert_eq!(one.len(), "auto-".len() + 32);
    }
}
