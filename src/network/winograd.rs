//! Convolutions with a quarter of the multiplications: Winograd's, as Lavin and Gray have them for networks in "Fast
//! Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3).
//!
//! A square of 4 x 4 outputs comes from 6 x 6 inputs. Both are transformed, the kernels too, and what was a
//! convolution is 36 products of matrices. In f32 on processors with AVX2 that takes less time than libtorch's
//! convolution; each number is rounded a little differently (some 5e-6 of the largest after VGG16's 13
//! convolutions). A chain of layers runs without going back to tensors in between, and poolings happen while the
//! outputs are still at hand.
//!
//! Nothing can be differentiated through it: what learns, or is looked at through gradients, takes the ordinary way.

use std::sync::OnceLock;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use tch::{TchError, Tensor};

use crate::files::tensors;

type Result<T> = std::result::Result<T, TchError>;

/// How many channels are transformed at once.
const LANES: usize = 16;
/// Numbers of as many channels, of one place in a picture.
type Lanes = [f32; LANES];

/// How many squares are multiplied at once, or as many as there are channels: so many that putting the kernel in
/// order for a product costs little, so few that what is multiplied stays in a core's cache.
const SQUARES: usize = 96;

/// The places of a transformed square.
const PLACES: usize = 36;

/// A square of 4 x 4 may reach beyond the picture; above this share of needless outputs nothing is gained.
const MOST_WASTE: f64 = 1.8;

/// The transformation of a kernel of 3 x 3, along one axis.
const KERNEL: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// One layer: a convolution of 3 x 3 that keeps the size of pictures, with bias and ReLU.
pub(crate) struct Winograd {
    /// [out, in, 3, 3]
    kernel: Tensor,
    bias: Vec<f32>,
    inputs: usize,
    /// (36, in, out), made when it is first needed: it has four times the numbers of the kernel.
    transformed: OnceLock<Vec<f32>>,
}

/// What is done to pictures, one after the other.
pub(crate) enum Step<'a> {
    Convolution(&'a Winograd),
    /// The largest of each 2 x 2; it follows a convolution.
    MaxPool,
}

/// Pictures in (N, H, W, C) order.
struct Pictures {
    values: Vec<f32>,
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Winograd {
    /// For a kernel [out, in, 3, 3] over pictures of this size; none where it would gain nothing.
    pub(crate) fn new(
        kernel: &Tensor,
        bias: Option<&Tensor>,
        size: [usize; 2],
    ) -> Result<Option<Self>> {
        let [outputs, inputs, 3, 3] = kernel.size()[..] else {
            return Ok(None);
        };
        let [outputs, inputs] = [outputs, inputs].map(|n| usize::try_from(n).unwrap_or_default());
        let whole = size.map(|n| n.div_ceil(4) * 4);
        let waste = (whole[0] * whole[1]) as f64 / (size[0] * size[1]).max(1) as f64;
        if inputs % LANES != 0 || outputs % LANES != 0 || waste > MOST_WASTE {
            return Ok(None);
        }
        let bias = match bias {
            Some(bias) => Vec::try_from(bias)?,
            None => vec![0.0; outputs],
        };
        Ok(Some(Self {
            kernel: kernel.shallow_clone(),
            bias,
            inputs,
            transformed: OnceLock::new(),
        }))
    }

    fn transformed(&self) -> Result<&[f32]> {
        if let Some(transformed) = self.transformed.get() {
            return Ok(transformed);
        }
        let mut twice = Vec::with_capacity(9 * PLACES);
        for (a, b) in (0..9).map(|n| (n / 3, n % 3)) {
            for (i, j) in (0..PLACES).map(|n| (n / 6, n % 6)) {
                twice.push((KERNEL[i][a] * KERNEL[j][b]) as f32);
            }
        }
        let twice = Tensor::f_from_slice(&twice)?.f_view([9, PLACES as i64])?;
        let rows = self.kernel.f_permute([1, 0, 2, 3])?.f_reshape([-1, 9])?;
        let places = rows.f_matmul(&twice)?.f_transpose(0, 1)?.f_contiguous()?;
        let values = Vec::try_from(&places.f_view(-1)?)?;
        Ok(self.transformed.get_or_init(|| values))
    }

    /// Its outputs, or the largest of each 2 x 2 of them, into `target`.
    fn run(&self, source: &Pictures, is_pooled: bool, target: &mut Pictures) -> Result<()> {
        let kernel = self.transformed()?;
        let shrunk = |n: usize| if is_pooled { n / 2 } else { n };
        (target.height, target.width) = (shrunk(source.height), shrunk(source.width));
        (target.count, target.channels) = (source.count, self.bias.len());
        let row = target.width * target.channels;
        target
            .values
            .resize(target.count * target.height * row, 0.0);
        let layer = Layer {
            inputs: self.inputs,
            kernel,
            bias: &self.bias,
            source,
            is_pooled,
            width: target.width,
        };
        // A row of squares and the rows that come of it are one piece of work.
        let (rows, side) = (source.height.div_ceil(4), if is_pooled { 2 } else { 4 });
        let mut work = Vec::with_capacity(source.count * rows);
        let mut rest = &mut target.values[..];
        for number in 0..source.count * rows {
            let first = (number % rows) * side;
            let (own, after) =
                rest.split_at_mut((first + side).min(target.height).saturating_sub(first) * row);
            work.push((number, own));
            rest = after;
        }
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let share = work.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let of_threads = work
                .chunks_mut(share)
                .map(|rows| scope.spawn(|| layer.run(rows)));
            let of_threads = of_threads.collect::<Vec<_>>();
            of_threads.into_iter().try_for_each(|thread| {
                let broken = |_| TchError::Shape("a thread of a convolution broke down".into());
                thread.join().map_err(broken)?
            })
        })
    }
}

/// One convolution over pictures.
struct Layer<'a> {
    inputs: usize,
    kernel: &'a [f32],
    bias: &'a [f32],
    source: &'a Pictures,
    is_pooled: bool,
    /// Of a picture that comes out.
    width: usize,
}

impl Layer<'_> {
    /// Some rows of squares, each with its number and the rows that come of it.
    fn run(&self, rows: &mut [(usize, &mut [f32])]) -> Result<()> {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        let across = self.source.width.div_ceil(4);
        let at_once = (SQUARES.max(inputs) / across.max(1)).max(1);
        let most = at_once * across;
        let mut taken = vec![0.0; PLACES * most * inputs];
        let mut sums = vec![0.0; PLACES * most * outputs];
        for rows in rows.chunks_mut(at_once) {
            let squares = rows.len() * across;
            for (place, (number, _)) in rows.iter().enumerate() {
                for column in 0..across {
                    let square = place * across + column;
                    self.take(*number, column, &mut |index, channel, values| {
                        let at = (index * most + square) * inputs + channel;
                        taken[at..at + LANES].copy_from_slice(values);
                    });
                }
            }
            for place in 0..PLACES {
                let matrix = |values, rows, columns| {
                    ArrayView2::from_shape((rows, columns), values).map_err(shape)
                };
                let (from, to) = (place * most * inputs, place * most * outputs);
                let left = matrix(&taken[from..from + squares * inputs], squares, inputs)?;
                let size = inputs * outputs;
                let right = matrix(&self.kernel[place * size..][..size], inputs, outputs)?;
                let sums = &mut sums[to..to + squares * outputs];
                let mut sums =
                    ArrayViewMut2::from_shape((squares, outputs), sums).map_err(shape)?;
                general_mat_mul(1.0, &left, &right, 0.0, &mut sums);
            }
            for (place, (_, target)) in rows.iter_mut().enumerate() {
                for column in 0..across {
                    let square = place * across + column;
                    let of = |index: usize, channel: usize| {
                        lanes(&sums[(index * most + square) * outputs + channel..])
                    };
                    self.give(column, &of, target);
                }
            }
        }
        Ok(())
    }

    /// The inputs of a square, transformed: each of its places, 16 channels at a time, goes to `put`.
    fn take(&self, number: usize, column: usize, put: &mut impl FnMut(usize, usize, &Lanes)) {
        let Pictures {
            values,
            height,
            width,
            channels,
            ..
        } = self.source;
        let rows = height.div_ceil(4);
        let (picture, row) = (number / rows, number % rows);
        for channel in (0..*channels).step_by(LANES) {
            let mut of_rows = [[[0.0; LANES]; 6]; 6];
            for (i, of_row) in of_rows.iter_mut().enumerate() {
                // One row and column of zeros lie around the picture: what begins before 0 is beyond its end too.
                let y = (row * 4 + i).wrapping_sub(1);
                if y >= *height {
                    continue;
                }
                for (j, values_there) in of_row.iter_mut().enumerate() {
                    let x = (column * 4 + j).wrapping_sub(1);
                    if x < *width {
                        let at = (picture * height + y) * width + x;
                        *values_there = lanes(&values[at * channels + channel..]);
                    }
                }
                *of_row = inputs_transformed(*of_row);
            }
            let [a, b, c, d, e, f] = &of_rows;
            for j in 0..6 {
                let of_column = inputs_transformed([a[j], b[j], c[j], d[j], e[j], f[j]]);
                for (i, values) in of_column.iter().enumerate() {
                    put(i * 6 + j, channel, values);
                }
            }
        }
    }

    /// The outputs of a square from its sums, with bias, ReLU and pooling, into the rows `target`.
    fn give(&self, column: usize, sums: &impl Fn(usize, usize) -> Lanes, target: &mut [f32]) {
        let channels = self.bias.len();
        let row = self.width * channels;
        for channel in (0..channels).step_by(LANES) {
            let bias = lanes(&self.bias[channel..]);
            let mut of_rows = [[[0.0; LANES]; 4]; 6];
            for (i, of_row) in of_rows.iter_mut().enumerate() {
                let sum = |j| sums(i * 6 + j, channel);
                *of_row = outputs_transformed([sum(0), sum(1), sum(2), sum(3), sum(4), sum(5)]);
            }
            let [a, b, c, d, e, f] = &of_rows;
            let mut square = [[[0.0; LANES]; 4]; 4];
            for (j, of_column) in square.iter_mut().enumerate() {
                *of_column = outputs_transformed([a[j], b[j], c[j], d[j], e[j], f[j]]);
                for values in of_column {
                    *values = each(|l| relu(values[l] + bias[l]));
                }
            }
            let mut put = |y: usize, x: usize, values: &Lanes| {
                if x < self.width
                    && let Some(row) = target.get_mut(y * row..(y + 1) * row)
                {
                    row[x * channels + channel..][..LANES].copy_from_slice(values);
                }
            };
            for (i, j) in (0..16).map(|n| (n / 4, n % 4)) {
                if !self.is_pooled {
                    put(i, column * 4 + j, &square[j][i]);
                } else if i % 2 == 0 && j % 2 == 0 {
                    let [a, b] = [&square[j][i], &square[j + 1][i]];
                    let [c, d] = [&square[j][i + 1], &square[j + 1][i + 1]];
                    let largest = each(|l| larger(larger(a[l], b[l]), larger(c[l], d[l])));
                    put(i / 2, column * 2 + j / 2, &largest);
                }
            }
        }
    }
}

/// The output of several layers for a batch [N, C, H, W].
pub(crate) fn run(x: &Tensor, steps: &[Step]) -> Result<Tensor> {
    let rows = x.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    let [count, height, width, channels] = <[usize; 4]>::try_from(tensors::shape(&rows))
        .map_err(|shape| TchError::Shape(format!("not a batch of pictures: {shape:?}")))?;
    let mut source = Pictures {
        values: Vec::try_from(&rows.f_view(-1)?)?,
        count,
        height,
        width,
        channels,
    };
    let mut target = Pictures {
        values: Vec::new(),
        ..source
    };
    for (number, step) in steps.iter().enumerate() {
        if let Step::Convolution(convolution) = step {
            let is_pooled = matches!(steps.get(number + 1), Some(Step::MaxPool));
            convolution.run(&source, is_pooled, &mut target)?;
            std::mem::swap(&mut source, &mut target);
        }
    }
    let size = [source.count, source.height, source.width, source.channels].map(|n| n as i64);
    Tensor::f_from_slice(&source.values)?
        .f_view(size)?
        .f_permute([0, 3, 1, 2])
}

fn shape(error: ndarray::ShapeError) -> TchError {
    TchError::Shape(error.to_string())
}

fn lanes(values: &[f32]) -> Lanes {
    values.first_chunk().copied().unwrap_or([0.0; LANES])
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

#[inline(always)]
fn each(of_lane: impl Fn(usize) -> f32) -> Lanes {
    let mut all = [0.0; LANES];
    for (lane, value) in all.iter_mut().enumerate() {
        *value = of_lane(lane);
    }
    all
}

#[inline(always)]
fn inputs_transformed([a, b, c, d, e, f]: [Lanes; 6]) -> [Lanes; 6] {
    let [even, odd] = [each(|l| e[l] - 4.0 * c[l]), each(|l| d[l] - 4.0 * b[l])];
    let [near, far] = [each(|l| e[l] - c[l]), each(|l| 2.0 * (d[l] - b[l]))];
    [
        each(|l| 4.0 * a[l] - 5.0 * c[l] + e[l]),
        each(|l| even[l] + odd[l]),
        each(|l| even[l] - odd[l]),
        each(|l| near[l] + far[l]),
        each(|l| near[l] - far[l]),
        each(|l| 4.0 * b[l] - 5.0 * d[l] + f[l]),
    ]
}

#[inline(always)]
fn outputs_transformed([a, b, c, d, e, f]: [Lanes; 6]) -> [Lanes; 4] {
    let [near, far] = [each(|l| b[l] + c[l]), each(|l| d[l] + e[l])];
    let [steps, leaps] = [each(|l| b[l] - c[l]), each(|l| d[l] - e[l])];
    [
        each(|l| a[l] + near[l] + far[l]),
        each(|l| steps[l] + 2.0 * leaps[l]),
        each(|l| near[l] + 4.0 * far[l]),
        each(|l| steps[l] + 8.0 * leaps[l] + f[l]),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// Numbers from -1 to 1, in channels_last memory.
    fn numbers(size: [i64; 4]) -> Tensor {
        let [n, c, h, w] = size;
        let values = Tensor::arange(n * c * h * w, (Kind::Double, Device::Cpu));
        let values = (values * 7.0).remainder(23.0) / 11.0 - 1.0;
        let values = values.to_kind(Kind::Float).view([n, h, w, c]);
        values.permute([0, 3, 1, 2])
    }

    fn layer(inputs: i64, outputs: i64, size: [usize; 2]) -> (Tensor, Tensor, Winograd) {
        let kernel = numbers([outputs, inputs, 3, 3]) * 0.1;
        let bias = numbers([outputs, 1, 1, 1]).view(outputs);
        let layer = Winograd::new(&kernel, Some(&bias), size).unwrap().unwrap();
        (kernel, bias, layer)
    }

    #[test]
    fn a_chain_gives_what_its_layers_give() {
        for (count, height, width) in [(1, 12, 8), (3, 9, 10), (2, 7, 30), (5, 16, 11)] {
            let size = [height as usize, width as usize];
            let (first, first_bias, one) = layer(16, 32, size);
            let (second, second_bias, two) = layer(32, 48, size);
            let (third, third_bias, three) = layer(48, 16, size.map(|n| n / 2));
            let x = numbers([count, 16, height, width]);
            let steps = [
                Step::Convolution(&one),
                Step::Convolution(&two),
                Step::MaxPool,
                Step::Convolution(&three),
            ];
            let found = run(&x, &steps).unwrap();
            let conv = |x: &Tensor, kernel: &Tensor, bias: &Tensor| {
                x.conv2d(kernel, Some(bias), [1, 1], [1, 1], [1, 1], 1)
                    .relu()
            };
            let expected = conv(&conv(&x, &first, &first_bias), &second, &second_bias);
            let expected = expected.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            let expected = conv(&expected, &third, &third_bias);
            assert_eq!(found.size(), expected.size());
            let difference = f64::try_from((&found - &expected).abs().max()).unwrap();
            let largest = f64::try_from(expected.abs().max()).unwrap();
            // Lavin and Gray measure errors some ten times those of f32's own sums.
            assert!(
                difference < 1e-5 * largest,
                "{difference} of {largest}, {count} x {height} x {width}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_not_hidden() {
        let (_, _, layer) = layer(16, 16, [8, 8]);
        let x = numbers([1, 16, 8, 8]);
        let _ = x.get(0).get(3).get(2).get(1).fill_(f64::NAN);
        for steps in [
            &[Step::Convolution(&layer)][..],
            &[Step::Convolution(&layer), Step::MaxPool],
        ] {
            let found = run(&x, steps).unwrap();
            assert!(found.isnan().any().double_value(&[]) == 1.0);
        }
    }

    #[test]
    fn layers_that_gain_nothing_go_the_ordinary_way() {
        let kernel =
            |inputs, outputs| Tensor::zeros([outputs, inputs, 3, 3], (Kind::Float, Device::Cpu));
        let new = |kernel: &Tensor, size| Winograd::new(kernel, None, size).unwrap().is_some();
        assert!(new(&kernel(64, 64), [150, 150]));
        assert!(new(&kernel(512, 512), [9, 9]));
        // The picture's three channels; nearly all of a square beyond the picture.
        assert!(!new(&kernel(3, 64), [150, 150]));
        assert!(!new(&kernel(512, 512), [5, 5]));
        let small = Tensor::zeros([64, 64, 1, 1], (Kind::Float, Device::Cpu));
        assert!(!new(&small, [150, 150]));
    }
}
