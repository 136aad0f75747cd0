//! Products of matrices, the right one laid out for them beforehand.

/// How many numbers are computed at once: those of one place in as many channels.
pub(super) const LANES: usize = 16;

/// Numbers of as many channels. (To begin where a line of the cache begins, they would need memory of another kind, which costs more than it gains.)
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub(super) struct Lanes(pub(super) [f32; LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; LANES]);
}

/// How many rows are multiplied at once: their sums fill 12 of the 16 registers that AVX2 has, two a row, and what is multiplied the others.
pub(super) const ROWS: usize = 6;

/// How much of a column, in lanes, is multiplied before the next column comes: so much of it stays in the cache beside the core.
const DEPTH: usize = 16;

/// `sums` = `left` x `right`. Of `left` and `sums` the rows follow each other, a multiple of [`ROWS`]; of `right` strips of [`LANES`] columns
/// do, and within a strip its rows.
///
/// `STRIPS` strips are multiplied at once: 1 for AVX2; 2 for AVX-512, of whose wider registers two a row are wanted, too.
pub(super) struct Product<'a, const STRIPS: usize> {
    pub(super) left: &'a [Lanes],
    /// The length of a row of `left`, in lanes.
    pub(super) depth: usize,
    pub(super) right: &'a [Lanes],
    pub(super) sums: &'a mut [Lanes],
}

// A processor's wider instructions are for what is inlined into `call`.
impl<const STRIPS: usize> pulp::NullaryFnOnce for Product<'_, STRIPS> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let strips = self.right.len() / (self.depth * LANES);
        for from in (0..self.depth).step_by(DEPTH) {
            let mut strip = 0;
            while strip < strips {
                if strip + STRIPS <= strips {
                    self.add_to_sums::<STRIPS>(from, strip);
                    strip += STRIPS;
                } else {
                    self.add_to_sums::<1>(from, strip);
                    strip += 1;
                }
            }
        }
    }
}

impl<const STRIPS: usize> Product<'_, STRIPS> {
    /// Adds what a part of the depth, from `from` on, gives to `WIDTH` strips of the sums; the first one starts them.
    #[inline(always)]
    fn add_to_sums<const WIDTH: usize>(&mut self, from: usize, strip: usize) {
        let depth = self.depth;
        let part = DEPTH.min(depth - from);
        let strips = self.right.len() / (depth * LANES);
        let right: [&[Lanes]; WIDTH] = std::array::from_fn(|number| {
            &self.right[((strip + number) * depth + from) * LANES..][..part * LANES]
        });
        let rows = self.left.chunks_exact(ROWS * depth);
        for (left, sums) in rows.zip(self.sums.chunks_exact_mut(ROWS * strips)) {
            let mut tile = [[Lanes::ZERO; WIDTH]; ROWS];
            if from > 0 {
                for (row, tile) in tile.iter_mut().enumerate() {
                    for (number, sum) in tile.iter_mut().enumerate() {
                        *sum = sums[row * strips + strip + number];
                    }
                }
            }
            let left = std::array::from_fn(|row| &left[row * depth + from..][..part]);
            add(left, right, &mut tile);
            for (row, tile) in tile.iter().enumerate() {
                for (number, sum) in tile.iter().enumerate() {
                    sums[row * strips + strip + number] = *sum;
                }
            }
        }
    }
}

/// Adds some rows times some strips of columns to their sums.
#[inline(always)]
fn add<const WIDTH: usize>(
    left: [&[Lanes]; ROWS],
    right: [&[Lanes]; WIDTH],
    tile: &mut [[Lanes; WIDTH]; ROWS],
) {
    // A copy of its own stays in registers.
    let mut sums = *tile;
    let right = right.map(|strip| strip.as_chunks::<LANES>().0);
    for at in 0..left[0].len() {
        for number in 0..LANES {
            let right: [Lanes; WIDTH] = std::array::from_fn(|strip| right[strip][at][number]);
            for (sums, left) in sums.iter_mut().zip(&left) {
                let factor = left[at].0[number];
                for (sum, right) in sums.iter_mut().zip(&right) {
                    for (sum, right) in sum.0.iter_mut().zip(&right.0) {
                        *sum = factor.mul_add(*right, *sum);
                    }
                }
            }
        }
    }
    *tile = sums;
}
