//! Convolutions with a quarter of the multiplications: Winograd's, as Lavin and Gray have them for networks in "Fast
//! Algorithms for Convolutional Neural Networks" (2015), F(4x4, 3x3).
//!
//! A square of 4 x 4 outputs comes from 6 x 6 inputs. Both are transformed, the kernels too, and what was a
//! convolution is 36 products of matrices. In f32 on processors with AVX2 or AVX-512 that takes less time than libtorch's
//! convolution; each number is rounded a little differently (some 5e-6 of the largest after VGG16's 13
//! convolutions). A chain of layers runs without going back to tensors in between, and poolings happen while the
//! outputs are still at hand.
//!
//! Nothing can be differentiated through it: what learns, or is looked at through gradients, takes the ordinary way.

mod layer;
mod product;
mod square;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Builder;

use tch::{TchError, Tensor};

use crate::files::tensors;
use crate::network::winograd::layer::{Layer, Pictures, Scratch, grow};
use crate::network::winograd::product::{LANES, Lanes};
use crate::network::winograd::square::{KERNEL, PLACES};

type Result<T> = std::result::Result<T, TchError>;

/// A square of 4 x 4 may reach beyond the picture; above this share of needless outputs nothing is gained.
const MOST_WASTE: f64 = 1.8;

/// One layer: a convolution of 3 x 3 that keeps the size of pictures, with bias and ReLU.
pub(crate) struct Winograd {
    /// [out, in, 3, 3]; locked, since tch's tensors are not to be used by two threads at once, and a model may go to another.
    kernel: Mutex<Tensor>,
    bias: Vec<Lanes>,
    /// (36, out / 16, in, 16), made when it is first needed: it has four times the numbers of the kernel.
    transformed: OnceLock<Vec<Lanes>>,
}

/// What is done to pictures, one after the other.
pub(crate) enum Step<'a> {
    Convolution(&'a Winograd),
    /// The largest of each 2 x 2; it follows a convolution.
    MaxPool,
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
        let is_whole = |channels| channels > 0 && channels % LANES as i64 == 0;
        let whole = size.map(|n| n.div_ceil(4) * 4);
        let waste = (whole[0] * whole[1]) as f64 / (size[0] * size[1]).max(1) as f64;
        if !is_whole(inputs) || !is_whole(outputs) || waste > MOST_WASTE {
            return Ok(None);
        }
        let bias = match bias {
            Some(bias) => lanes(bias)?,
            None => vec![Lanes::ZERO; outputs as usize / LANES],
        };
        Ok(Some(Self {
            kernel: Mutex::new(kernel.shallow_clone()),
            bias,
            transformed: OnceLock::new(),
        }))
    }

    fn transformed(&self) -> Result<&[Lanes]> {
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
        let kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, inputs, ..) = kernel.size4()?;
        let strips = kernel.f_reshape([-1, LANES as i64, inputs, 9])?;
        let places = strips.f_matmul(&twice)?.f_permute([3, 0, 2, 1])?;
        let values = lanes(&places)?;
        Ok(self.transformed.get_or_init(|| values))
    }

    /// Its outputs, or the largest of each 2 x 2 of them, into `target`, by a thread for each of `scratches`.
    fn run(
        &self,
        source: &Pictures,
        is_pooled: bool,
        target: &mut Pictures,
        scratches: &mut [Scratch],
    ) -> Result<()> {
        let kernel = self.transformed()?;
        let shrunk = |n: usize| if is_pooled { n / 2 } else { n };
        (target.height, target.width) = (shrunk(source.height), shrunk(source.width));
        (target.count, target.depth) = (source.count, self.bias.len());
        let row = target.width * target.depth;
        let whole = target.count * target.height * row;
        grow(&mut target.values, whole);
        let layer = Layer {
            kernel,
            bias: &self.bias,
            source,
            is_pooled,
            width: target.width,
        };
        // A row of squares and the rows that come of it are one piece of work.
        let (rows, side) = (source.height.div_ceil(4), if is_pooled { 2 } else { 4 });
        let mut work = Vec::with_capacity(source.count * rows);
        let mut rest = &mut target.values[..whole];
        for number in 0..source.count * rows {
            let first = (number % rows) * side;
            let (own, after) =
                rest.split_at_mut((first + side).min(target.height).saturating_sub(first) * row);
            work.push((number, own));
            rest = after;
        }
        // Blocks of equal size, so many that every thread gets as many as the others; whoever is done takes the next.
        let threads = scratches.len();
        let rounds = work.len().div_ceil(layer.rows_at_once() * threads).max(1);
        let block = work.len().div_ceil(rounds * threads).max(1);
        let blocks = Mutex::new(work.chunks_mut(block));
        let next = || blocks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work_on = |scratch: &mut Scratch| {
            while let Some(rows) = next() {
                layer.run(rows, scratch);
            }
        };
        std::thread::scope(|scope| {
            let mut scratches = scratches.iter_mut();
            let own = scratches.next();
            // Where no more threads can be started, those that are there do the work.
            let start = |scratch| {
                let work_on = &work_on;
                Builder::new()
                    .spawn_scoped(scope, move || work_on(scratch))
                    .ok()
            };
            let others = scratches.map_while(start).collect::<Vec<_>>();
            own.into_iter().for_each(&work_on);
            others.into_iter().try_for_each(|thread| {
                let broken = |_| TchError::Shape("a thread of a convolution broke down".into());
                thread.join().map_err(broken)
            })
        })
    }
}

/// The output of several layers for a batch [N, C, H, W].
pub(crate) fn run(x: &Tensor, steps: &[Step]) -> Result<Tensor> {
    let rows = x.f_permute([0, 2, 3, 1])?;
    let [count, height, width, channels] = <[usize; 4]>::try_from(tensors::shape(&rows))
        .map_err(|shape| TchError::Shape(format!("not a batch of pictures: {shape:?}")))?;
    let mut source = Pictures {
        values: lanes(&rows)?,
        count,
        height,
        width,
        depth: channels / LANES,
    };
    let mut target = Pictures {
        values: Vec::new(),
        ..source
    };
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    let mut scratches = (0..threads).map(|_| Scratch::default()).collect::<Vec<_>>();
    for (number, step) in steps.iter().enumerate() {
        if let Step::Convolution(convolution) = step {
            let is_pooled = matches!(steps.get(number + 1), Some(Step::MaxPool));
            convolution.run(&source, is_pooled, &mut target, &mut scratches)?;
            std::mem::swap(&mut source, &mut target);
        }
    }
    let channels = source.depth * LANES;
    let size = [source.count, source.height, source.width, channels];
    let values = bytemuck::cast_slice::<Lanes, f32>(&source.values);
    Tensor::f_from_slice(&values[..size.iter().product()])?
        .f_view(size.map(|n| n as i64))?
        .f_permute([0, 3, 1, 2])
}

/// The numbers of a tensor, which are a multiple of 16.
fn lanes(tensor: &Tensor) -> Result<Vec<Lanes>> {
    let mut values: Vec<Lanes> = bytemuck::zeroed_vec(tensor.numel() / LANES);
    let numbers = bytemuck::cast_slice_mut::<Lanes, f32>(&mut values);
    tensor
        .f_contiguous()?
        .f_copy_data(numbers, tensor.numel())?;
    Ok(values)
}
