//! The seeded choices behind every picture.
//!
//! Each picture gets its own generator, made from the seed of the run and the picture's number, so
//! that asking for more pictures leaves the earlier ones as they are.
//!
//! ```text
//! let mut random = Random::new(seed, picture);
//! let tilt = random.between(-10.0, 10.0);
//! ```

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A stream of random choices.
pub struct Random(SplitMix64);

impl Random {
    /// The stream that belongs to one purpose (`stream`) of a run (`seed`).
    pub fn new(seed: u64, stream: u64) -> Self {
        // SplitMix64 with neighbouring seeds gives the same numbers one step apart, so the seed of
        // a stream is itself drawn from a generator.
        let mut seeds = SplitMix64::seed_from_u64(seed);
        let offset = seeds.next_u64();
        let mut mixed = SplitMix64::seed_from_u64(stream);
        Self(SplitMix64::seed_from_u64(mixed.next_u64() ^ offset))
    }

    /// A number from `low` (included) to `high` (excluded).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        // 24 bits are all that an f32 between 0 and 1 can hold without rounding up to 1.
        let unit = (self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32;
        low + (high - low) * unit
    }

    /// A whole number below `count`; 0 when `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.0.next_u64() % count.max(1) as u64) as usize
    }

    /// Yes with the given probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// One of the items, all equally likely.
    pub fn pick<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        items[self.below(N)]
    }

    /// The left side (-1) or the right side (1).
    pub fn side(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }
}
