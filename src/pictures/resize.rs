//! Resizing to the pixels that Pillow, and so Keras' `load_img`, makes: [`Interpolation`].
//!
//! Bytes in, bytes out, (H, W, 3) RGB; [`crate::Photo`] asks for it. tests/library/pixels.rs compares with Pillow.
//!
//! ```
//! use evcxr_transfer::{Interpolation, Photo};
//! let dots = Photo::from_pixels("dots", 2, 1, vec![0, 0, 0, 100, 100, 100])?;
//! let row = dots.resize(4, 1, Interpolation::Bilinear)?;
//! assert_eq!(row.bytes()[..6], [0, 0, 0, 25, 25, 25]);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a picture is resized, with Pillow's and Keras' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel: Keras' default.
    #[default]
    Nearest,
    /// A triangle as wide as a target pixel, at least two source pixels.
    Bilinear,
    /// Keys' cubic with a = -0.5, as wide as two target pixels on each side.
    Bicubic,
}

impl Interpolation {
    /// How far the filter reaches at its original size, in source pixels.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The filter's weight at a distance from its centre.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bilinear | Self::Bicubic => 0.0,
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// A picture's pixels at another size: `bytes` of `from` (width, height) to `to`, neither with a side of 0.
pub(crate) fn resized(
    bytes: &[u8],
    from: (usize, usize),
    to: (usize, usize),
    how: Interpolation,
) -> Vec<u8> {
    match how {
        Interpolation::Nearest => nearest(bytes, from, to),
        Interpolation::Bilinear | Interpolation::Bicubic => filtered(bytes, from, to, how),
    }
}

fn nearest(bytes: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let columns = nearest_sources(from.0, to.0);
    let mut result = Vec::with_capacity(to.0 * to.1 * 3);
    for y in nearest_sources(from.1, to.1) {
        let row = &bytes[y * from.0 * 3..(y + 1) * from.0 * 3];
        for &x in &columns {
            result.extend_from_slice(&row[x * 3..x * 3 + 3]);
        }
    }
    result
}

/// For each target pixel the source pixel: Pillow walks in f64 from half a step on and truncates.
/// The closed form floor((k + 0.5) x step) rounds elsewhere where a step ends on a pixel's edge.
fn nearest_sources(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    let mut sources = Vec::with_capacity(to);
    for _ in 0..to {
        // The walk's rounding errors can lead past the last pixel.
        sources.push((position as usize).min(from - 1));
        position += step;
    }
    sources
}

/// A pass along each side whose length changes, each rounded to bytes. The order shows in the
/// last bit, more where bicubic clips. Pillow up to 12.3 always goes along the rows first;
/// Pillow 13 begins with the columns where the height loses more than twice what the width does
/// (found by comparing both orders with its result for 11,736 pairs of sizes, without exception).
fn filtered(
    bytes: &[u8],
    (width, height): (usize, usize),
    to: (usize, usize),
    how: Interpolation,
) -> Vec<u8> {
    let rows_lost = height as i64 - to.1 as i64;
    let columns_lost = width as i64 - to.0 as i64;
    if rows_lost > 0 && rows_lost > 2 * columns_lost {
        let lower = filtered_height(bytes, (width, height), to.1, how);
        filtered_width(&lower, (width, to.1), to.0, how)
    } else {
        let narrower = filtered_width(bytes, (width, height), to.0, how);
        filtered_height(&narrower, (to.0, height), to.1, how)
    }
}

fn filtered_width(
    bytes: &[u8],
    (width, height): (usize, usize),
    to: usize,
    how: Interpolation,
) -> Vec<u8> {
    if to == width {
        return bytes.to_vec();
    }
    let filters = filters(width, to, how);
    let mut result = Vec::with_capacity(to * height * 3);
    for row in bytes.chunks_exact(width * 3) {
        for filter in &filters {
            result.extend(filter.apply(|k| &row[k * 3..k * 3 + 3]));
        }
    }
    result
}

fn filtered_height(
    bytes: &[u8],
    (width, height): (usize, usize),
    to: usize,
    how: Interpolation,
) -> Vec<u8> {
    if to == height {
        return bytes.to_vec();
    }
    let mut result = Vec::with_capacity(width * to * 3);
    for filter in filters(height, to, how) {
        for x in 0..width {
            let start = |k: usize| (k * width + x) * 3;
            result.extend(filter.apply(|k| &bytes[start(k)..start(k) + 3]));
        }
    }
    result
}

/// The weights of consecutive source pixels for one target pixel.
struct Filter {
    first: usize,
    /// In units of 2^-22, Pillow's fixed point for bytes.
    weights: Vec<i32>,
}

impl Filter {
    const BITS: u32 = 22;

    /// The weighted sum of the pixels that `pixel(index)` gives, rounded and clipped to bytes.
    fn apply<'a>(&self, pixel: impl Fn(usize) -> &'a [u8]) -> [u8; 3] {
        let mut sums = [1i32 << (Self::BITS - 1); 3];
        for (index, &weight) in (self.first..).zip(&self.weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel(index)) {
                *sum += i32::from(value) * weight;
            }
        }
        sums.map(|sum| (sum >> Self::BITS).clamp(0, 255) as u8)
    }
}

/// Pillow's `precompute_coeffs` (src/libImaging/Resample.c): the filter is widened by the shrinking
/// factor, cut at the edges and made to add up to 1.
fn filters(from: usize, to: usize, how: Interpolation) -> Vec<Filter> {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let support = how.support() * widening;
    let filter = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights = (first..end)
            .map(|source| how.weight((source as f64 - centre + 0.5) * (1.0 / widening)))
            .collect::<Vec<_>>();
        let total = weights.iter().sum::<f64>();
        let fixed = |weight: f64| {
            let exact = weight / total * f64::from(1u32 << Filter::BITS);
            (exact + if exact < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Filter {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (0..to).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_adds_up_to_one_whatever_the_sizes() {
        for (from, to) in [(500, 150), (41, 150), (3, 7), (1, 5)] {
            for how in [Interpolation::Bilinear, Interpolation::Bicubic] {
                for filter in filters(from, to, how) {
                    let total = filter.weights.iter().sum::<i32>();
                    // Each weight is rounded by at most half a unit.
                    let slack = filter.weights.len() as i32 / 2 + 1;
                    assert!(
                        (total - (1 << Filter::BITS)).abs() <= slack,
                        "{from} -> {to}, {how}"
                    );
                }
            }
        }
    }
}
