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

/// How many rows are multiplied at once: their sums fill 12 of the 16 registers that AVX2 has, and what is multiplied the others.
pub(super) const ROWS: usize = 6;

/// How much of a column, in lanes, is multiplied before the next column comes: so much of it stays in the cache beside the core.
const DEPTH: usize = 16;

/// `sums` = `left` x `right`. Of `left` and `sums` the rows follow each other, a multiple of [`ROWS`]; of `right` strips of [`LANES`] columns
/// do, and within a strip its rows.
pub(super) struct Product<'a> {
    pub(super) left: &'a [Lanes],
    /// The length of a row of `left`, in lanes.
    pub(super) depth: usize,
    pub(super) right: &'a [Lanes],
    pub(super) sums: &'a mut [Lanes],
}

// A processor's wider instructions are for what is inlined into `call`.
impl pulp::NullaryFnOnce for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Product {
            left,
            depth,
            right,
            sums,
        } = self;
        let strips = right.len() / (depth * LANES);
        for from in (0..depth).step_by(DEPTH) {
            let part = DEPTH.min(depth - from);
            for strip in 0..strips {
                let right = &right[(strip * depth + from) * LANES..][..part * LANES];
                let rows = left.chunks_exact(ROWS * depth);
                for (left, sums) in rows.zip(sums.chunks_exact_mut(ROWS * strips)) {
                    let mut tile = [Lanes::ZERO; ROWS];
                    if from > 0 {
                        for (row, sum) in tile.iter_mut().enumerate() {
                            *sum = sums[row * strips + strip];
                        }
                    }
                    let left = std::array::from_fn(|row| &left[row * depth + from..][..part]);
                    add(left, right, &mut tile);
                    for (row, sum) in tile.iter().enumerate() {
                        sums[row * strips + strip] = *sum;
                    }
                }
            }
        }
    }
}

/// Adds some rows times a strip of columns to their sums.
#[inline(always)]
fn add(left: [&[Lanes]; ROWS], right: &[Lanes], tile: &mut [Lanes; ROWS]) {
    // A copy of its own stays in registers.
    let mut sums = *tile;
    for (at, right) in right.as_chunks::<LANES>().0.iter().enumerate() {
        for (number, right) in right.iter().enumerate() {
            for (sum, left) in sums.iter_mut().zip(&left) {
                let factor = left[at].0[number];
                for (sum, right) in sum.0.iter_mut().zip(&right.0) {
                    *sum = factor.mul_add(*right, *sum);
                }
            }
        }
    }
    *tile = sums;
}
