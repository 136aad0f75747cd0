//! A convolution with its bias, the sum with a shortcut and the ReLU in one pass.
//!
//! What libtorch does one after the other goes through memory each time. The libraries below it do all of it at once:
//!
//! - on the CPU oneDNN, with a kernel that was put into its order once, not for every batch. The numbers are the same to
//!   the bit. tch does not bind that operator; a program in TorchScript calls it, which
//!   `tests/references/fused_convolution.py` has written.
//! - on a GPU cuDNN, in bf16; f32 it would round to TF32. Its kernels for few channels take twice as long as those for 16
//!   (1.7 and 0.75 ms for 250 pictures of 150 pixels on an H100): zeros make up the difference.
//!
//! Nothing can be differentiated through it: what learns, or is looked at through gradients, takes the ordinary way.

use std::sync::Arc;

use tch::{CModule, Device, IValue, Kind, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// The program in TorchScript.
const PROGRAM: &[u8] = include_bytes!("fused_convolution.pt");

/// How a kernel moves over pictures: down and right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moves {
    pub(crate) strides: [i64; 2],
    /// Rows and columns of zeros on each side.
    pub(crate) padding: [i64; 2],
}

/// The fewest channels that pictures have in cuDNN's kernels.
const FEWEST_CHANNELS: i64 = 16;

/// Which library computes.
#[derive(Clone)]
enum Library {
    /// Through this program in TorchScript.
    OneDnn(Arc<CModule>),
    CuDnn,
}

/// Makes the fused convolutions of a base, where this libtorch and this processor can compute them.
pub(crate) struct Fusing {
    library: Library,
}

impl Fusing {
    /// For layers that compute in this kind of number; none where that fails, as in bf16 on processors without it.
    pub(crate) fn on(device: Device, kind: Kind) -> Option<Self> {
        if device != Device::Cpu {
            let library = Library::CuDnn;
            return (device.is_cuda() && kind == Kind::BFloat16).then_some(Self { library });
        }
        let program = Arc::new(CModule::load_data(&mut &*PROGRAM).ok()?);
        let library = Library::OneDnn(program);
        let fusing = Self { library };
        let moves = Moves {
            strides: [1, 1],
            padding: [0, 0],
        };
        let tried = || -> Result<f64> {
            let ones = |size: [i64; 4]| Tensor::f_ones(size, (kind, device));
            let convolution = fusing.convolution(&ones([2, 2, 3, 3])?, &[1, 2, 3, 3], moves)?;
            let sums = convolution.run(&ones([1, 2, 3, 3])?, None, moves, true)?;
            f64::try_from(&sums.f_sum(Kind::Float)?)
        };
        // Two sums of 2 x 3 x 3 ones.
        tried().is_ok_and(|sum| sum == 36.0).then_some(fusing)
    }

    /// One layer: its kernel [out, in, h, w] in the order that suits its way over an input [N, C, H, W]. Inputs of
    /// other sizes give the same numbers, perhaps later.
    pub(crate) fn convolution(
        &self,
        kernel: &Tensor,
        input: &[i64; 4],
        moves: Moves,
    ) -> Result<FusedConvolution> {
        let (padding, strides) = (moves.padding, moves.strides);
        let kernel = match self.library {
            Library::OneDnn(_) => kernel
                .f_contiguous()?
                .f_to_mkldnn(None)?
                .f_mkldnn_reorder_conv2d_weight(padding, strides, [1, 1], 1, input.as_slice())?,
            Library::CuDnn => with_channels(kernel, FEWEST_CHANNELS)?,
        };
        let library = self.library.clone();
        Ok(FusedConvolution { library, kernel })
    }
}

/// One layer's convolution: its kernel as the library takes it.
pub(crate) struct FusedConvolution {
    library: Library,
    kernel: Tensor,
}

impl FusedConvolution {
    /// The layer's output for a batch [N, C, H, W] in channels_last memory, of which no gradient may be asked for.
    pub(crate) fn run(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        moves: Moves,
        with_relu: bool,
    ) -> Result<Tensor> {
        let Library::OneDnn(program) = &self.library else {
            let x = with_channels(x, self.kernel.size()[1])?;
            let (kernel, Moves { strides, padding }) = (&self.kernel, moves);
            return match with_relu {
                true => x.f_cudnn_convolution_relu(kernel, bias, strides, padding, [1, 1], 1),
                false => x.f_conv2d(kernel, bias, strides, padding, [1, 1], 1),
            };
        };
        let activation = if with_relu { "relu" } else { "none" };
        let output = program.forward_is(&[
            IValue::Tensor(x.shallow_clone()),
            IValue::Tensor(self.kernel.shallow_clone()),
            bias.map_or(IValue::None, |bias| IValue::Tensor(bias.shallow_clone())),
            IValue::IntList(moves.padding.to_vec()),
            IValue::IntList(moves.strides.to_vec()),
            IValue::String(activation.to_owned()),
        ])?;
        tensor(output)
    }

    /// `to` with that output added, and ReLU behind the sum: perhaps in the memory of `to`, which is to be nobody else's.
    pub(crate) fn add_to(
        &self,
        to: &Tensor,
        x: &Tensor,
        bias: Option<&Tensor>,
        moves: Moves,
        with_relu: bool,
    ) -> Result<Tensor> {
        let Library::OneDnn(program) = &self.library else {
            if !with_relu {
                return to.shallow_clone().f_add_(&self.run(x, bias, moves, false)?);
            }
            let x = with_channels(x, self.kernel.size()[1])?;
            let (kernel, Moves { strides, padding }) = (&self.kernel, moves);
            let (factor, dilation, groups) = (1.0, [1, 1], 1);
            return x.f_cudnn_convolution_add_relu(
                kernel, to, factor, bias, strides, padding, dilation, groups,
            );
        };
        let activation = match with_relu {
            true => IValue::String("relu".to_owned()),
            false => IValue::None,
        };
        let sum = program.method_is(
            "add",
            &[
                IValue::Tensor(to.shallow_clone()),
                IValue::Tensor(x.shallow_clone()),
                IValue::Tensor(self.kernel.shallow_clone()),
                bias.map_or(IValue::None, |bias| IValue::Tensor(bias.shallow_clone())),
                IValue::IntList(moves.padding.to_vec()),
                IValue::IntList(moves.strides.to_vec()),
                activation,
            ],
        )?;
        tensor(sum)
    }

    /// The same once more, in the same memory.
    pub(crate) fn shared(&self) -> Self {
        Self {
            library: self.library.clone(),
            kernel: self.kernel.shallow_clone(),
        }
    }
}

/// Pictures or a kernel [.., C, H, W], with zeros for as many channels as lack of so many.
fn with_channels(x: &Tensor, fewest: i64) -> Result<Tensor> {
    match fewest - x.size()[1] {
        ..=0 => Ok(x.shallow_clone()),
        missing => x.f_pad([0, 0, 0, 0, 0, missing], "constant", 0.0),
    }
}

fn tensor(output: IValue) -> Result<Tensor> {
    match output {
        IValue::Tensor(output) => Ok(output),
        _ => Err(TchError::Kind("a convolution gives a tensor".to_owned())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a failing test may stop")]
mod tests {
    use super::*;

    /// Numbers from -1 to 1, in channels_last memory.
    fn numbers(size: [i64; 4]) -> Tensor {
        let [n, c, h, w] = size;
        let values = Tensor::arange(n * c * h * w, (Kind::Float, Device::Cpu));
        let values = (values * 7.0).remainder(23.0) / 11.0 - 1.0;
        values.view([n, h, w, c]).permute([0, 3, 1, 2])
    }

    #[test]
    fn one_pass_gives_what_three_give() {
        let fusing = Fusing::on(Device::Cpu, Kind::Float).unwrap();
        for (kernel, stride, padding) in [(3, 1, 1), (1, 1, 0), (3, 2, 0), (1, 2, 0), (7, 2, 3)] {
            let moves = Moves {
                strides: [stride; 2],
                padding: [padding; 2],
            };
            let weights = numbers([16, 8, kernel, kernel]);
            let bias = numbers([16, 1, 1, 1]).view(16);
            // As many pictures as it was made for, and fewer, and larger ones.
            let convolution = fusing.convolution(&weights, &[4, 8, 9, 9], moves).unwrap();
            for input in [[4, 8, 9, 9], [3, 8, 9, 9], [1, 8, 12, 10]] {
                let x = numbers(input);
                for (bias, with_relu) in [(Some(&bias), true), (Some(&bias), false), (None, true)] {
                    let found = convolution.run(&x, bias, moves, with_relu).unwrap();
                    let sums = x.conv2d(&weights, bias, moves.strides, moves.padding, [1, 1], 1);
                    let expected = if with_relu { sums.relu() } else { sums };
                    // Sums of at most 392 products below 1; for such small ones libtorch has another order.
                    let difference = (&found - &expected).abs().max();
                    assert!(f64::try_from(&difference).unwrap() < 1e-4, "{difference}");
                    assert!(found.permute([0, 2, 3, 1]).is_contiguous());
                    // Added to a shortcut, in its memory.
                    let plain = convolution.run(&x, bias, moves, false).unwrap();
                    let [n, c, h, w] = plain.size()[..] else {
                        panic!("{:?}", plain.size());
                    };
                    let to = numbers([n, c, h, w]);
                    let sums = &to + plain;
                    let expected = if with_relu { sums.relu() } else { sums };
                    let sum = convolution.add_to(&to, &x, bias, moves, with_relu).unwrap();
                    assert_eq!(sum.data_ptr(), to.data_ptr());
                    assert_eq!(sum, expected);
                }
            }
        }
    }

    #[test]
    fn on_a_gpu_f32_is_not_rounded_to_tf32() {
        assert!(Fusing::on(Device::Cuda(0), Kind::Float).is_none());
        assert!(Fusing::on(Device::Cuda(0), Kind::BFloat16).is_some());
    }

    #[test]
    fn zeros_in_place_of_channels_change_nothing() {
        let (x, kernel) = (numbers([2, 3, 8, 8]), numbers([4, 3, 3, 3]));
        let sums = |x: &Tensor, kernel: &Tensor| {
            x.conv2d(kernel, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)
        };
        let wide = [&x, &kernel].map(|tensor| with_channels(tensor, 16).unwrap());
        assert_eq!(
            [wide[0].size(), wide[1].size()],
            [[2, 16, 8, 8], [4, 16, 3, 3]]
        );
        assert!(wide[0].permute([0, 2, 3, 1]).is_contiguous());
        assert_eq!(with_channels(&x, 2).unwrap(), x);
        let off = (sums(&x, &kernel) - sums(&wide[0], &wide[1])).abs().max();
        // Sums of 27 products below 1, perhaps in another order.
        assert!(off.double_value(&[]) < 1e-5, "{off}");
    }
}
