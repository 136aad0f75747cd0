//! The transformations of Winograd's F(4x4, 3x3): of squares of 6 x 6 inputs, of what is multiplied, and of kernels.

use crate::network::winograd::product::{LANES, Lanes};

/// The places of a transformed square.
pub(super) const PLACES: usize = 36;

/// The transformation of a kernel of 3 x 3, along one axis.
pub(super) const KERNEL: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// The numbers of one square at each of its places, row by row.
pub(super) type Square<const SIDE: usize> = [[Lanes; SIDE]; SIDE];

// Loops in place of functions that take functions: those would be compiled for themselves, for any processor.

/// The inputs of a square, transformed.
#[inline(always)]
pub(super) fn inputs_transformed(square: &Square<6>) -> Square<6> {
    let mut rows = [[Lanes::ZERO; 6]; 6];
    for (row, [a, b, c, d, e, f]) in rows.iter_mut().zip(square) {
        *row = of_inputs([a, b, c, d, e, f]);
    }
    let [a, b, c, d, e, f] = &rows;
    let mut both = [[Lanes::ZERO; 6]; 6];
    for column in 0..6 {
        let values = of_inputs([
            &a[column], &b[column], &c[column], &d[column], &e[column], &f[column],
        ]);
        for (row, value) in both.iter_mut().zip(values) {
            row[column] = value;
        }
    }
    both
}

/// The outputs of a square from its products.
#[inline(always)]
pub(super) fn outputs_transformed(products: &Square<6>) -> Square<4> {
    let mut rows = [[Lanes::ZERO; 4]; 6];
    for (row, [a, b, c, d, e, f]) in rows.iter_mut().zip(products) {
        *row = of_products([a, b, c, d, e, f]);
    }
    let [a, b, c, d, e, f] = &rows;
    let mut both = [[Lanes::ZERO; 4]; 4];
    for column in 0..4 {
        let values = of_products([
            &a[column], &b[column], &c[column], &d[column], &e[column], &f[column],
        ]);
        for (row, value) in both.iter_mut().zip(values) {
            row[column] = value;
        }
    }
    both
}

/// For each lane.
#[inline(always)]
pub(super) fn each(of_lane: impl Fn(usize) -> f32) -> Lanes {
    let mut all = [0.0; LANES];
    for (lane, value) in all.iter_mut().enumerate() {
        *value = of_lane(lane);
    }
    Lanes(all)
}

/// Along one axis.
#[inline(always)]
fn of_inputs([a, b, c, d, e, f]: [&Lanes; 6]) -> [Lanes; 6] {
    let [a, b, c, d, e, f] = [&a.0, &b.0, &c.0, &d.0, &e.0, &f.0];
    let [even, odd] = [each(|l| e[l] - 4.0 * c[l]).0, each(|l| d[l] - 4.0 * b[l]).0];
    let [near, far] = [each(|l| e[l] - c[l]).0, each(|l| 2.0 * (d[l] - b[l])).0];
    [
        each(|l| 4.0 * a[l] - 5.0 * c[l] + e[l]),
        each(|l| even[l] + odd[l]),
        each(|l| even[l] - odd[l]),
        each(|l| near[l] + far[l]),
        each(|l| near[l] - far[l]),
        each(|l| 4.0 * b[l] - 5.0 * d[l] + f[l]),
    ]
}

/// Along one axis.
#[inline(always)]
fn of_products([a, b, c, d, e, f]: [&Lanes; 6]) -> [Lanes; 4] {
    let [a, b, c, d, e, f] = [&a.0, &b.0, &c.0, &d.0, &e.0, &f.0];
    let [near, far] = [each(|l| b[l] + c[l]).0, each(|l| d[l] + e[l]).0];
    let [steps, leaps] = [each(|l| b[l] - c[l]).0, each(|l| d[l] - e[l]).0];
    [
        each(|l| a[l] + near[l] + far[l]),
        each(|l| steps[l] + 2.0 * leaps[l]),
        each(|l| near[l] + 4.0 * far[l]),
        each(|l| steps[l] + 8.0 * leaps[l] + f[l]),
    ]
}
