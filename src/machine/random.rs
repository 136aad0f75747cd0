//! Seeded random numbers: shuffling, initial weights, dropout.
//!
//! libtorch's own generator is global and gives other numbers on a GPU than on the CPU. These come
//! from a seed alone, so that the same cell gives the same result on both, whatever ran before.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A number that tells bytes apart and stays the same between versions and machines: FNV-1a.
pub(crate) fn hash_of(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let bytes = bytes.into_iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A stream of random numbers that follows from a seed.
pub(crate) struct Random {
    generator: SplitMix64,
}

impl Random {
    /// The stream of `seed` for one `purpose`; streams for other purposes are independent of it.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut mixed = SplitMix64::seed_from_u64(seed ^ hash_of(purpose.bytes()));
        Self {
            generator: SplitMix64::seed_from_u64(mixed.next_u64()),
        }
    }

    /// A number from 0 up to, but not, 1, in steps of 2^-24, all of which f32 can hold.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.generator.next_u64() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A whole number below `limit`. The bias of multiplying instead of rejecting is below 2^-32
    /// for any list of pictures.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.generator.next_u64()) * limit as u128) >> 64) as usize
    }

    /// Brings `items` into a random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_seed_and_purpose() {
        let draw = |seed, purpose| {
            let mut random = Random::new(seed, purpose);
            [(); 4].map(|()| random.uniform())
        };
        assert_eq!(draw(1, "shuffle"), draw(1, "shuffle"));
        assert_ne!(draw(1, "shuffle"), draw(2, "shuffle"));
        assert_ne!(draw(1, "shuffle"), draw(1, "dropout"));
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_puts_each_everywhere() {
        let mut random = Random::new(0, "test");
        let mut seen = [[0; 3]; 3];
        for _ in 0..600 {
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                seen[item][place] += 1;
            }
        }
        // 600 x 1/3 = 200 each with a standard deviation of 11.5; 60 is five of them.
        assert!(
            seen.iter()
                .flatten()
                .all(|count| (140..260).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval() {
        let mut random = Random::new(3, "test");
        let draws = (0..10_000).map(|_| random.uniform()).collect::<Vec<_>>();
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
        // The mean of 10,000 has a standard deviation of 0.0029; 0.015 is five of them.
        let mean = draws.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }
}
