//! A seeded stream of random numbers (SplitMix64), so that a run depends on its seed alone.
//! Each use takes its own stream: drawing for one never shifts another.

/// The stream that decides foreign bids.
pub(crate) const STREAM_FOREIGN: u64 = 1;
/// The stream that decides which faults fire.
pub(crate) const STREAM_FAULTS: u64 = 2;

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self { state: seed };
        let mixed = rng.next_u64() ^ stream.wrapping_mul(0xD134_2543_DE82_EF95);
        Self { state: mixed }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is above 0. The bias is below bound / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(u64::MAX)
    }
}
