//! The grey squares that cover a picture one after another: where they lie, and what each pixel gets of
//! what they cost.

use ndarray::{Array2, s};
use tch::{TchError, Tensor};

/// What covers the picture, in all three channels: the middle of 0 to 255, so that the square is as far
/// from black as from white.
const GREY: i64 = 127;

/// Squares over a picture of `size` x `size` pixels.
pub(crate) struct Squares {
    size: usize,
    /// The side of a square.
    side: usize,
    /// The top and left of each, row by row.
    pub(crate) places: Vec<(usize, usize)>,
}

impl Squares {
    /// Squares of `side` pixels, `stride` pixels apart; the last ones may hang over the edge.
    pub(crate) fn new(size: usize, side: usize, stride: usize) -> Self {
        let starts = starts(size, side, stride);
        let row = |&top: &usize| starts.iter().map(move |&left| (top, left));
        let places = starts.iter().flat_map(row).collect();
        Self { size, side, places }
    }

    /// A copy of the picture (1, H, W, 3) for each of some places, (N, H, W, 3), with a square there.
    pub(crate) fn covered(
        &self,
        pixels: &Tensor,
        places: &[(usize, usize)],
    ) -> std::result::Result<Tensor, TchError> {
        let copies = pixels.f_repeat([places.len() as i64, 1, 1, 1])?;
        for (number, &(top, left)) in places.iter().enumerate() {
            let length = |start: usize| self.side.min(self.size - start) as i64;
            let _ = copies
                .f_select(0, number as i64)?
                .f_narrow(0, top as i64, length(top))?
                .f_narrow(1, left as i64, length(left))?
                .f_fill_(GREY)?;
        }
        Ok(copies)
    }

    /// For each pixel the mean of the losses of the squares that cover it; `losses` in the order of the
    /// places.
    pub(crate) fn averaged(&self, losses: impl Iterator<Item = f64>) -> Array2<f32> {
        let mut sums = Array2::<f64>::zeros((self.size, self.size));
        let mut counts = Array2::<f64>::zeros((self.size, self.size));
        for (&(top, left), loss) in self.places.iter().zip(losses) {
            let end = |start: usize| (start + self.side).min(self.size);
            let square = s![top..end(top), left..end(left)];
            sums.slice_mut(square).mapv_inplace(|sum| sum + loss);
            counts.slice_mut(square).mapv_inplace(|count| count + 1.0);
        }
        (sums / counts).mapv(|mean| mean as f32)
    }
}

/// Where squares begin along a side: from 0 on until one reaches the end.
fn starts(size: usize, side: usize, stride: usize) -> Vec<usize> {
    let count = (size - side).div_ceil(stride) + 1;
    (0..count).map(|number| number * stride).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_reach_the_edge_and_the_last_may_hang_over_it() {
        assert_eq!(starts(150, 30, 15).len(), 9);
        assert_eq!(starts(10, 4, 4), [0, 4, 8]);
        assert_eq!(starts(10, 4, 3), [0, 3, 6]);
        assert_eq!(starts(7, 7, 1), [0]);
        assert_eq!(starts(3, 1, 1), [0, 1, 2]);
    }

    #[test]
    fn a_pixel_has_the_mean_of_the_squares_over_it() {
        // Three pixels, squares of 2 at 0 and 1 in both directions; the losses are 1, 2, 3 and 4.
        let squares = Squares::new(3, 2, 1);
        assert_eq!(squares.places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        let map = squares.averaged([1.0, 2.0, 3.0, 4.0].into_iter());
        let expected = ndarray::array![[1.0, 1.5, 2.0], [2.0, 2.5, 3.0], [3.0, 3.5, 4.0]];
        assert_eq!(map, expected);
    }
}
