//! Random streams: small, portable, and independent of each other.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), written out
//! here so that a seed found today replays the same history in later releases.
//! A stream is named by what it is for: more draws by one part of the
//! simulation never shift the draws of another.

use std::convert::Infallible;

use super::core::with_core;

/// An independent stream of random numbers.
///
/// Implements [`rand::Rng`], so every method of that crate works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomStream {
    state: u64,
}

impl RandomStream {
    /// The stream named by `path`: equal paths give equal streams.
    pub fn derive(path: &[u64]) -> Self {
        let mut state = 0x243f_6a88_85a3_08d3;
        for part in path {
            state = mix(state ^ mix(part.wrapping_add(GOLDEN)));
        }
        RandomStream { state }
    }

    /// The next 64 random bits.
    pub fn next_bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product maps 64 bits onto the bound; the
        // bias is below bound / 2^64.
        ((u128::from(self.next_bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` if they are not in order.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            None => low,
            Some(u64::MAX) => self.next_bits(),
            Some(span) => low + self.below(span + 1),
        }
    }

    /// True with a probability of `ppm` parts per million.
    pub fn chance_ppm(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let bits = self.next_bits().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// FNV-1a, evaluated at compile time for constant names.
pub(super) const fn name_hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

impl rand::TryRng for RandomStream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_bits() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_bits())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

/// The random source of the node whose task is running.
///
/// A handle without state: the stream stays with the node and goes on after a
/// crash, so a restarted node does not repeat its earlier draws.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeRng;

impl rand::TryRng for NodeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((with_core(|core| core.with_node_rng(RandomStream::next_bits)) >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(with_core(|core| {
            core.with_node_rng(RandomStream::next_bits)
        }))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        with_core(|core| core.with_node_rng(|stream| stream.fill(bytes)));
        Ok(())
    }
}
