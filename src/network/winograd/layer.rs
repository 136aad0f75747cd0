//! One convolution over some rows of pictures.

use crate::network::winograd::product::{Lanes, Product, ROWS};
use crate::network::winograd::square::{
    PLACES, Square, each, inputs_transformed, outputs_transformed,
};

/// How many squares are multiplied at once: so many that reading the kernel costs little beside them, so few that what is
/// multiplied stays in the caches.
const SQUARES: usize = 96;

/// Where no picture has values; a few channels further on it is still a number.
const BEYOND: usize = usize::MAX / 2;

/// Pictures in (N, H, W, C) order.
pub(super) struct Pictures {
    /// More may lie behind them, of larger pictures before.
    pub(super) values: Vec<Lanes>,
    pub(super) count: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// In lanes.
    pub(super) depth: usize,
}

/// Memory that serves one layer after the other.
#[derive(Default)]
pub(super) struct Scratch {
    /// The transformed inputs of some squares, place by place.
    taken: Vec<Lanes>,
    /// Their products with the kernel.
    products: Vec<Lanes>,
}

/// A convolution of 3 x 3 with bias and ReLU, or the largest of each 2 x 2 of that.
pub(super) struct Layer<'a> {
    /// At each place, as `Product` takes it.
    pub(super) kernel: &'a [Lanes],
    pub(super) bias: &'a [Lanes],
    pub(super) source: &'a Pictures,
    pub(super) is_pooled: bool,
    /// Of a picture that comes out.
    pub(super) width: usize,
}

/// A row of squares: its number, and the rows that come of it.
pub(super) type Row<'a> = (usize, &'a mut [Lanes]);

/// Squares beside and below each other, and their places one after the other in memory.
#[derive(Clone, Copy)]
struct Block {
    /// How many squares lie beside each other.
    across: usize,
    /// From one place to the next in `Scratch::taken` and `Scratch::products`, in lanes.
    to_taken: usize,
    to_products: usize,
}

impl Layer<'_> {
    /// The most rows of squares that are computed at once.
    pub(super) fn rows_at_once(&self) -> usize {
        (SQUARES / self.across().max(1)).max(1)
    }

    /// How many squares lie beside each other.
    fn across(&self) -> usize {
        self.source.width.div_ceil(4)
    }

    /// Computes rows of squares.
    pub(super) fn run(&self, rows: &mut [Row], scratch: &mut Scratch) {
        let (inputs, outputs) = (self.source.depth, self.bias.len());
        let across = self.across();
        let squares = (rows.len() * across).next_multiple_of(ROWS);
        let block = Block {
            across,
            // The places begin in different lines of the cache, or they would drive each other out of it.
            to_taken: squares * inputs + 1,
            to_products: squares * outputs + 1,
        };
        let Scratch { taken, products } = scratch;
        grow(taken, PLACES * block.to_taken);
        grow(products, PLACES * block.to_products);
        let processor = pulp::Arch::new();
        let for_squares = without_avx512(processor);
        for_squares.dispatch(Take {
            layer: self,
            block,
            rows,
            taken,
        });
        let kernels = self.kernel.chunks_exact(self.kernel.len() / PLACES);
        for (place, kernel) in kernels.enumerate() {
            let left = &taken[place * block.to_taken..][..squares * inputs];
            let sums = &mut products[place * block.to_products..][..squares * outputs];
            multiply(processor, left, inputs, kernel, sums);
        }
        for_squares.dispatch(Give {
            layer: self,
            block,
            rows,
            products,
        });
    }

    /// Where each of the inputs of a square begins among the source's values; beyond them for the zeros around the picture.
    fn beginnings(&self, row: usize, column: usize) -> [[usize; 6]; 6] {
        let Pictures {
            height,
            width,
            depth,
            ..
        } = *self.source;
        let rows = height.div_ceil(4);
        let (picture, row) = (row / rows, row % rows);
        let mut beginnings = [[BEYOND; 6]; 6];
        for (i, places) in beginnings.iter_mut().enumerate() {
            // What begins before 0 is beyond the picture's end too.
            let y = (row * 4 + i).wrapping_sub(1);
            for (j, place) in places.iter_mut().enumerate() {
                let x = (column * 4 + j).wrapping_sub(1);
                if y < height && x < width {
                    *place = ((picture * height + y) * width + x) * depth;
                }
            }
        }
        beginnings
    }

    /// Puts the outputs of a square, or the largest of each 2 x 2, into the rows `target`.
    #[inline(always)]
    fn give(&self, square: &Square<4>, column: usize, channels: usize, target: &mut [Lanes]) {
        let depth = self.bias.len();
        let row = self.width * depth;
        let mut put = |y: usize, x: usize, values: Lanes| {
            if x < self.width
                && let Some(row) = target.get_mut(y * row..(y + 1) * row)
            {
                row[x * depth + channels] = values;
            }
        };
        for (i, j) in (0..16).map(|n| (n / 4, n % 4)) {
            if !self.is_pooled {
                put(i, column * 4 + j, square[i][j]);
            } else if i % 2 == 0 && j % 2 == 0 {
                let [a, b] = [square[i][j].0, square[i][j + 1].0];
                let [c, d] = [square[i + 1][j].0, square[i + 1][j + 1].0];
                let largest = each(|l| larger(larger(a[l], b[l]), larger(c[l], d[l])));
                put(i / 2, column * 2 + j / 2, largest);
            }
        }
    }
}

/// The product with as many strips at once as the processor has registers for.
fn multiply(
    processor: pulp::Arch,
    left: &[Lanes],
    depth: usize,
    right: &[Lanes],
    sums: &mut [Lanes],
) {
    #[cfg(target_arch = "x86_64")]
    if matches!(processor, pulp::Arch::V4(_)) {
        return processor.dispatch(Product::<2> {
            left,
            depth,
            right,
            sums,
        });
    }
    processor.dispatch(Product::<1> {
        left,
        depth,
        right,
        sums,
    });
}

/// For what goes in and out, which takes 1.7 times as long with AVX-512 as it does with AVX2: it is a matter of memory, and of more instructions.
fn without_avx512(processor: pulp::Arch) -> pulp::Arch {
    #[cfg(target_arch = "x86_64")]
    if let pulp::Arch::V4(avx512) = processor {
        return pulp::Arch::V3(*avx512);
    }
    processor
}

/// Takes the inputs of squares, transformed.
struct Take<'a, 'rows> {
    layer: &'a Layer<'a>,
    block: Block,
    rows: &'a [Row<'rows>],
    taken: &'a mut [Lanes],
}

// A processor's wider instructions are for what is inlined into `call`.
impl pulp::NullaryFnOnce for Take<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let depth = self.layer.source.depth;
        let Block {
            across, to_taken, ..
        } = self.block;
        for (number, (row, _)) in self.rows.iter().enumerate() {
            for column in 0..across {
                let first = (number * across + column) * depth;
                let beginnings = self.layer.beginnings(*row, column);
                for channels in 0..depth {
                    let mut square = [[Lanes::ZERO; 6]; 6];
                    let values = square.as_flattened_mut().iter_mut();
                    for (value, beginning) in values.zip(beginnings.as_flattened()) {
                        if let Some(there) = self.layer.source.values.get(beginning + channels) {
                            *value = *there;
                        }
                    }
                    let square = inputs_transformed(&square);
                    for (place, value) in square.as_flattened().iter().enumerate() {
                        self.taken[place * to_taken + first + channels] = *value;
                    }
                }
            }
        }
    }
}

/// Gives the outputs of squares, with bias, ReLU and pooling, to their rows.
struct Give<'a, 'rows> {
    layer: &'a Layer<'a>,
    block: Block,
    rows: &'a mut [Row<'rows>],
    products: &'a [Lanes],
}

impl pulp::NullaryFnOnce for Give<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let depth = self.layer.bias.len();
        let Block {
            across,
            to_products,
            ..
        } = self.block;
        for (number, (_, target)) in self.rows.iter_mut().enumerate() {
            for column in 0..across {
                let first = (number * across + column) * depth;
                for (channels, bias) in self.layer.bias.iter().enumerate() {
                    let mut square = [[Lanes::ZERO; 6]; 6];
                    for (place, value) in square.as_flattened_mut().iter_mut().enumerate() {
                        *value = self.products[place * to_products + first + channels];
                    }
                    let mut square = outputs_transformed(&square);
                    for value in square.as_flattened_mut() {
                        *value = each(|l| relu(value.0[l] + bias.0[l]));
                    }
                    self.layer.give(&square, column, channels, target);
                }
            }
        }
    }
}

/// Makes room, if there is too little; what was there is no longer needed.
pub(super) fn grow(values: &mut Vec<Lanes>, length: usize) {
    if values.len() < length {
        *values = Vec::new();
        *values = bytemuck::zeroed_vec(length);
    }
}

/// What is no number stays none, as in libtorch; `f32::max` would make it 0.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// The larger of two, or what is no number, as in libtorch.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
