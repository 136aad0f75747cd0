//! Weights drawn from a seed: in the place of a file, or to begin a training with.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

use crate::machine::random::Random;
use crate::machine::scalar::scalar;
use crate::network::layer::Layer;
use crate::network::operation::LayerKind;
use crate::network::parameter::{Parameter, Role};
use crate::network::weights::layer_weights::{LayerWeights, torch_order};

/// The weights that stand for a file's: one entry for each of `layers`.
///
/// Tensor number t of the network (VGG's kernels have even numbers, their biases odd ones) has a generator
/// of its own, seeded with output number t of the seed's; element i, in Keras' order, comes from its
/// output number i. Kernels are uniform within sqrt(6 / fan_in), all else within 0.05, around 1 for what
/// batch normalisation multiplies with and divides by.
///
/// Where n residual branches are added, the kernels that end them are smaller by the root of n: what flows
/// through the network would otherwise double with each addition (Hayou et al. 2021, "Stable ResNet").
pub(crate) fn seeded(seed: u64, layers: &[Layer]) -> Result<Vec<LayerWeights>, TchError> {
    let mut seeds = SplitMix64::seed_from_u64(seed);
    let (ends, additions) = ends_of_branches(layers);
    let mut draw = |number: usize, parameter: &Parameter| {
        let inputs = match parameter.shape.split_last() {
            Some((_, inputs)) => inputs.iter().product::<usize>(),
            None => 1,
        };
        let limit = match parameter.role {
            Role::Kernel if ends.contains(&number) => {
                ((6.0 / inputs as f64).sqrt() / (additions as f64).sqrt()) as f32
            }
            Role::Kernel => (6.0 / inputs as f64).sqrt() as f32,
            _ => 0.05,
        };
        let values = uniform(seeds.next_u64(), &parameter.shape, limit)?;
        let values = match parameter.role {
            Role::Gamma | Role::MovingVariance => values.f_add(&scalar(1.0)?)?,
            _ => torch_order(&values)?,
        };
        Ok((parameter.role, values))
    };
    let mut weights = Vec::with_capacity(layers.len());
    for (number, layer) in layers.iter().enumerate() {
        let parameters = layer.parameters.iter();
        let tensors = parameters.map(|parameter| draw(number, parameter));
        weights.push(LayerWeights::new(
            tensors.collect::<Result<Vec<_>, TchError>>()?,
        ));
    }
    Ok(weights)
}

/// The layers whose outputs are added last to others', through a normalisation or not, and how many additions
/// there are.
fn ends_of_branches(layers: &[Layer]) -> (Vec<usize>, usize) {
    let additions = layers.iter().filter(|layer| layer.kind == LayerKind::Add);
    let last_input = |layer: &Layer| layer.inputs.last().copied();
    let ends = additions.clone().filter_map(|addition| {
        let last = last_input(addition)?;
        match layers[last].kind {
            LayerKind::BatchNormalization => last_input(&layers[last]),
            _ => Some(last),
        }
    });
    (ends.collect(), additions.count())
}

fn uniform(seed: u64, shape: &[usize], limit: f32) -> Result<Tensor, TchError> {
    let mut generator = SplitMix64::seed_from_u64(seed);
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|_| {
        // 24 bits around zero: exact in f32 until the last product, so NumPy gets the same bits.
        let bits = (generator.next_u64() >> 40) as i64 - (1 << 23);
        bits as f32 * (1.0 / (1u32 << 23) as f32) * limit
    });
    let size = shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
    Tensor::f_from_slice(&values.collect::<Vec<f32>>())?.f_view(size.as_slice())
}

/// Fresh weights for a layer whose kernel is `kernel_shape` in Keras' order, (3, 3, in, out) or
/// (in, out), as Keras draws them: the kernel uniform within sqrt(6 / (fan_in + fan_out))
/// (Glorot and Bengio 2010), the bias zero. f32 on the CPU.
pub(crate) fn glorot(
    kernel_shape: &[usize],
    random: &mut Random,
) -> Result<LayerWeights, TchError> {
    let &[ref window @ .., inputs, outputs] = kernel_shape else {
        return Err(TchError::Shape("a layer without a kernel".into()));
    };
    let window_values = window.iter().product::<usize>();
    let limit = (6.0 / (window_values * (inputs + outputs)) as f32).sqrt();
    let total = window_values * inputs * outputs;
    let values = (0..total).map(|_| (2.0 * random.uniform() - 1.0) * limit);
    let mut size = vec![outputs as i64, inputs as i64];
    size.extend(window.iter().map(|&n| n as i64));
    Ok(LayerWeights::kernel_and_bias(
        Tensor::f_from_slice(&values.collect::<Vec<_>>())?.f_view(&*size)?,
        Tensor::f_zeros([outputs as i64], (Kind::Float, Device::Cpu))?,
    ))
}
