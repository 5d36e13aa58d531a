//! The payments of a measurement: cheap to make, each with its own key and its own text.
//!
//! Texts are slices of one random megabyte, so a store cannot compress them away and the
//! generator does not pay for their randomness.

use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};

use stellara_client::api::SubmitPaymentRequest;

const DESTINATION: &str = "GBRPYHIL2CI3FNQ4BXLFMNDLFJUNPU2HY3ZMFSHONUCEOASW7QC7OX2H";
const POOL_BYTES: usize = 1024 * 1024;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What all clients of one run share.
#[derive(Debug)]
pub struct Load {
    /// Tells this run's keys from those of others.
    run: u64,
    texts: String,
    text_bytes: usize,
}

impl Load {
    pub fn new(text_bytes: u32) -> Self {
        // The standard library seeds its hash maps from the system: enough to tell runs apart.
        let run = RandomState::new().build_hasher().finish();
        let mut state = run | 1;
        let texts = (0..POOL_BYTES)
            .map(|_| {
                // xorshift64 (Marsaglia, 2003): fast, and nothing here is a secret.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(ALPHABET[(state >> 58) as usize])
            })
            .collect();
        Self {
            run,
            texts,
            text_bytes: text_bytes as usize,
        }
    }

    /// A payment to be filled again and again.
    pub fn payment(&self) -> SubmitPaymentRequest {
        SubmitPaymentRequest {
            destination: DESTINATION.into(),
            asset: "native".into(),
            amount: "0.0000001".into(),
            ..SubmitPaymentRequest::default()
        }
    }

    /// Makes `payment` the `n`-th of a client, reusing its memory.
    pub fn fill(&self, payment: &mut SubmitPaymentRequest, client: u64, n: u64) {
        payment.idempotency_key.clear();
        write!(payment.idempotency_key, "b-{:016x}-{client}-{n}", self.run)
            .expect("a string takes all that is written");
        let places = (POOL_BYTES - self.text_bytes) as u64;
        let at = (client.wrapping_mul(40_503) + n.wrapping_mul(257)) % places;
        let at = usize::try_from(at).unwrap_or(0);
        payment.reference.clear();
        payment
            .reference
            .push_str(&self.texts[at..at + self.text_bytes]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_differ_and_have_the_size_asked_for() {
        for bytes in [0, 1, 256, 1_024] {
            let load = Load::new(bytes);
            let (mut one, mut other) = (load.payment(), load.payment());
            load.fill(&mut one, 1, 0);
            load.fill(&mut other, 0, u64::MAX);
            assert_eq!(one.reference.len(), bytes as usize);
            assert_ne!(one.idempotency_key, other.idempotency_key);
            assert!(one.idempotency_key.len() <= 128);
        }
    }
}
