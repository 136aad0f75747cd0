//! Computing layers: from the outputs of some to the outputs of others.
//!
//! Tensors are [N, C, H, W] in channels_last memory, or [N, units]. Only what leads to the outputs that are
//! asked for is computed, and each output is dropped when nobody needs it any more.

use tch::{Kind, TchError, Tensor};

use crate::network::fast_convolution::FastConvolution;
use crate::network::folding;
use crate::network::fused_convolution::Moves;
use crate::network::graph::Graph;
use crate::network::operation::{Activation, Operation};
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::window::Window;
use crate::network::winograd::{self, Step};

type Result<T> = std::result::Result<T, TchError>;

/// How much of its averages batch normalisation keeps at a step in which it learns: Keras' `momentum`.
const MOMENTUM: f64 = 0.99;

/// The outputs of the layers `wanted`, from those of the layers `given`; `weights` gives a layer's by its
/// number.
pub(crate) fn outputs<'a>(
    graph: &Graph,
    given: &[usize],
    inputs: &[Tensor],
    wanted: &[usize],
    weights: &dyn Fn(usize) -> Option<&'a LayerWeights>,
) -> Result<Vec<Tensor>> {
    let layers = graph.layers();
    let mut values = (0..layers.len())
        .map(|_| None::<Tensor>)
        .collect::<Vec<_>>();
    for (&number, input) in given.iter().zip(inputs) {
        values[number] = Some(input.shallow_clone());
    }
    let uses = uses(graph, given, wanted);
    let mut left = uses.clone();
    // A layer whose output one other alone takes, which may do its work too.
    let is_its_own = |number: &usize| uses[*number] == 1 && !given.contains(number);
    // The convolution that a folded normalisation does the work of.
    let within = |number: usize| {
        let before = folding::before(graph, number).filter(is_its_own)?;
        let is_folded = weights(number)?.get(Role::Kernel).is_some();
        is_folded.then_some(before)
    };
    // The zeros that a convolution adds itself.
    let zeros = |number: usize| {
        let convolution = within(number).unwrap_or(number);
        graph
            .over_zeros(convolution)
            .filter(|(_, zeros)| is_its_own(zeros))
    };
    let is_computed = |number: &usize| uses[*number] > 0 && !given.contains(number);
    let mut is_done = vec![false; layers.len()];
    for number in (0..layers.len()).filter(is_computed) {
        let with_it = within(number).into_iter();
        for before in with_it.chain(zeros(number).map(|(_, zeros)| zeros)) {
            is_done[before] = true;
        }
    }
    for (number, layer) in layers.iter().enumerate() {
        if !is_computed(&number) || is_done[number] {
            continue;
        }
        let doing = within(number).map_or(layer, |before| &layers[before]);
        let (operation, inputs) = match zeros(number) {
            Some((operation, zeros)) => (operation, &layers[zeros].inputs),
            None => (doing.operation, &doing.inputs),
        };
        let mut taken = Vec::with_capacity(inputs.len());
        for &input in inputs {
            left[input] -= 1;
            let output = match left[input] {
                0 => values[input].take(),
                _ => values[input].as_ref().map(Tensor::shallow_clone),
            };
            taken.push(output.ok_or_else(|| missing(&layers[input].name))?);
        }
        let is_free = match layer.inputs[..] {
            [input] => {
                left[input] == 0 && !given.contains(&input) && may_change(&layers[input].operation)
            }
            _ => false,
        };
        if let [x] = &taken[..]
            && !x.requires_grad()
        {
            let (steps, last) = chain(graph, given, number, &uses, weights);
            if !steps.is_empty() {
                values[last] = Some(winograd::run(x, &steps)?);
                is_done[number..=last].fill(true);
                continue;
            }
        }
        let own = weights(number).ok_or_else(|| missing(&layer.name))?;
        values[number] = Some(compute(&operation, taken, is_free, own)?);
    }
    let found = wanted.iter().map(|&number| {
        let output = values[number].as_ref().map(Tensor::shallow_clone);
        output.ok_or_else(|| missing(&layers[number].name))
    });
    found.collect()
}

/// How often each layer's output is taken on the way to those `wanted`; 0 for what need not be computed.
fn uses(graph: &Graph, given: &[usize], wanted: &[usize]) -> Vec<usize> {
    let mut uses = vec![0; graph.layers().len()];
    for &number in wanted {
        uses[number] += 1;
    }
    for (number, layer) in graph.layers().iter().enumerate().rev() {
        if uses[number] > 0 && !given.contains(&number) {
            for &input in &layer.inputs {
                uses[input] += 1;
            }
        }
    }
    uses
}

/// The layers from this one on that Winograd's convolutions compute without going back to tensors, and the last of
/// them: one after the other, each of which alone takes what the one before it gives.
fn chain<'a>(
    graph: &Graph,
    given: &[usize],
    first: usize,
    uses: &[usize],
    weights: &dyn Fn(usize) -> Option<&'a LayerWeights>,
) -> (Vec<Step<'a>>, usize) {
    let mut steps = Vec::new();
    let mut last = first;
    for (number, layer) in graph.layers().iter().enumerate().skip(first) {
        let is_needed = uses[number] > 0 && !given.contains(&number);
        let is_next = uses[last] == 1 && layer.inputs[..] == [last] && is_needed;
        let follows = number == first || is_next;
        let halves = Operation::MaxPooling2D(Window::new(2, 2).stride(2));
        match weights(number).and_then(LayerWeights::fast) {
            Some(FastConvolution::Winograd(convolution)) if follows => {
                steps.push(Step::Convolution(convolution));
            }
            _ if follows
                && layer.operation == halves
                && matches!(steps.last(), Some(Step::Convolution(_))) =>
            {
                steps.push(Step::MaxPool);
            }
            _ => break,
        }
        last = number;
    }
    (steps, last)
}

fn missing(name: &str) -> TchError {
    TchError::Shape(format!("nothing is known of the layer {name}"))
}

/// Whether an output may be changed in place by the only layer that takes it: it lies in memory of its own,
/// and no gradient is computed from it.
fn may_change(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Conv2D {
            activation: None,
            ..
        } | Operation::BatchNormalization { .. }
            | Operation::Add
    )
}

/// One layer. `is_free` says that its only input may be changed in place.
pub(crate) fn compute(
    operation: &Operation,
    mut inputs: Vec<Tensor>,
    is_free: bool,
    weights: &LayerWeights,
) -> Result<Tensor> {
    match *operation {
        Operation::Add => {
            let mut all = inputs.iter().skip(1);
            let first = one(&inputs)?;
            return all.try_fold(first.shallow_clone(), |sum, x| sum.f_add(x));
        }
        Operation::Concatenate => return Tensor::f_cat(&inputs, 1),
        Operation::Activation(activation) if is_free => {
            let x = inputs.pop().ok_or_else(|| missing("input"))?;
            return activated(x, Some(activation));
        }
        _ => {}
    }
    let x = one(&inputs)?;
    match *operation {
        Operation::Conv2D { window, activation } => {
            let (x, padding) = padded(x, window, 0.0)?;
            let (kernel, bias) = (weights.tensor(Role::Kernel)?, weights.get(Role::Bias));
            let strides = window.strides.map(|n| n as i64);
            if let Some(FastConvolution::Fused(fused)) = weights.fast()
                && !x.requires_grad()
            {
                let with_relu = activation == Some(Activation::Relu);
                let output = fused.run(&x, bias, Moves { strides, padding }, with_relu)?;
                return activated(output, activation.filter(|_| !with_relu));
            }
            // In f32 on a GPU libtorch would round to TF32, 10 bits of mantissa: not what f32 promises.
            let sums = match x.device().is_cuda() && x.f_kind()? == Kind::Float {
                true => exact_convolution(&x, kernel, bias, strides, padding)?,
                false => x.f_conv2d(kernel, bias, strides, padding, [1, 1], 1)?,
            };
            activated(sums, activation)
        }
        Operation::Dense { activation } => {
            let sums = x.f_linear(weights.tensor(Role::Kernel)?, weights.get(Role::Bias))?;
            activated(sums, activation)
        }
        Operation::BatchNormalization { epsilon } if weights.normalises_by_batch() => {
            by_batch(x, epsilon, weights)
        }
        Operation::BatchNormalization { epsilon } => x.f_batch_norm(
            weights.get(Role::Gamma),
            weights.get(Role::Beta),
            weights.get(Role::MovingMean),
            weights.get(Role::MovingVariance),
            false,
            0.0,
            epsilon,
            true,
        ),
        Operation::Activation(Activation::Relu) => x.f_relu(),
        Operation::Activation(Activation::Softmax) => x.f_softmax(-1, Kind::Float),
        Operation::MaxPooling2D(window) => {
            let (x, padding) = padded(x, window, f64::NEG_INFINITY)?;
            let [size, strides] = [window.size, window.strides].map(|both| both.map(|n| n as i64));
            x.f_max_pool2d(size, strides, padding, [1, 1], false)
        }
        Operation::AveragePooling2D(window) => average_pool(x, window),
        Operation::GlobalAveragePooling2D => x.f_mean_dim([2i64, 3].as_slice(), false, None),
        Operation::GlobalMaxPooling2D => x.f_amax([2i64, 3].as_slice(), false),
        Operation::ZeroPadding2D { rows, columns } => {
            let [top, bottom, left, right] =
                [rows[0], rows[1], columns[0], columns[1]].map(|n| n as i64);
            x.f_pad([left, right, top, bottom], "constant", 0.0)
        }
        // (H, W, C) order, as Keras flattens and as the weights of the dense layer expect.
        Operation::Flatten => x.f_permute([0, 2, 3, 1])?.f_flatten(1, -1),
        Operation::Input | Operation::Add | Operation::Concatenate => Ok(x.shallow_clone()),
    }
}

/// Batch normalisation in training mode: with the batch's own mean and variance, which the averages then follow.
fn by_batch(x: &Tensor, epsilon: f64, weights: &LayerWeights) -> Result<Tensor> {
    let none = None::<&Tensor>;
    let (gamma, beta) = (weights.get(Role::Gamma), weights.get(Role::Beta));
    let (output, ..) = x.f_native_batch_norm(gamma, beta, none, none, true, 0.0, epsilon)?;
    let _no_grad = tch::no_grad_guard();
    // libtorch's own averages would follow the variance of n - 1 values; Keras' follow that of n. And what it gives
    // back, 1 / sqrt(variance + epsilon), has lost the digits of a small variance. Not in bf16, whose 8 bits would
    // hardly move an average.
    let exact = x.f_to_kind(Kind::Float)?;
    let (variance, mean) = exact.f_var_mean_dim([0_i64, 2, 3].as_slice(), false, false)?;
    for (role, now) in [(Role::MovingMean, mean), (Role::MovingVariance, variance)] {
        let mut average = weights.tensor(role)?.f_detach()?;
        let _ = average.f_lerp_(&now.f_to_kind(average.f_kind()?)?, 1.0 - MOMENTUM)?;
    }
    Ok(output)
}

fn one(inputs: &[Tensor]) -> Result<&Tensor> {
    inputs.first().ok_or_else(|| missing("input"))
}

/// Sums, which nobody else has, with what follows them.
fn activated(mut sums: Tensor, activation: Option<Activation>) -> Result<Tensor> {
    match activation {
        None => Ok(sums),
        Some(Activation::Relu) => sums.f_relu_(),
        Some(Activation::Softmax) => sums.f_softmax(-1, Kind::Float),
    }
}

/// What a window needs around pictures. libtorch adds as much before as after, and then by itself: what it
/// has to add is given back. Otherwise it is added here, with this value.
fn padded(x: &Tensor, window: Window, value: f64) -> Result<(Tensor, [i64; 2])> {
    let (_, _, height, width) = x.size4()?;
    let size = [height, width].map(|n| n as usize);
    if let Some(padding) = window.even_sides(size) {
        return Ok((x.shallow_clone(), padding.map(|n| n as i64)));
    }
    let [rows, columns] = [window.sides(0, size[0]), window.sides(1, size[1])];
    let sides = [columns[0], columns[1], rows[0], rows[1]].map(|n| n as i64);
    Ok((x.f_pad(sides, "constant", value)?, [0, 0]))
}

/// The mean of what each window has within the picture.
fn average_pool(x: &Tensor, window: Window) -> Result<Tensor> {
    let [size, strides] = [window.size, window.strides].map(|both| both.map(|n| n as i64));
    let means = |x: &Tensor| {
        let (x, padding) = padded(x, window, 0.0)?;
        x.f_avg_pool2d(size, strides, padding, false, false, None)
    };
    // Zeros that were added here were counted: the mean of ones is the share of what lies in the picture.
    let ones = x.f_narrow(0, 0, 1)?.f_narrow(1, 0, 1)?.f_ones_like()?;
    means(x)?.f_div(&means(&ones)?)
}

/// A convolution by the one function of libtorch that has a switch for TF32. (What it computes for the
/// gradient heeds libtorch's own switch, which tch does not reach.)
fn exact_convolution(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    strides: [i64; 2],
    padding: [i64; 2],
) -> Result<Tensor> {
    let (benchmark, deterministic, cudnn_enabled, allow_tf32) = (false, false, true, false);
    x.f_internal_convolution(
        kernel,
        bias,
        strides,
        padding,
        [1, 1],
        false,
        [0, 0],
        1,
        benchmark,
        deterministic,
        cudnn_enabled,
        allow_tf32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::table::Convolution;
    use tch::Device;

    /// Numbers that repeat on no axis, [1, 2, side, side].
    fn picture(side: i64) -> Tensor {
        let count = 2 * side * side;
        let values = Tensor::arange(count, (Kind::Float, Device::Cpu));
        (values * 7.0).remainder(11.0).view([1, 2, side, side]) - 3.0
    }

    /// A graph whose input has two channels.
    fn graph(side: usize) -> Graph {
        let mut graph = Graph::new(side);
        graph.layers.0[0].output_shape = vec![side, side, 2];
        graph
    }

    fn run(graph: &Graph, x: &Tensor, weights: &[LayerWeights]) -> Tensor {
        let last = graph.layers().len() - 1;
        // Weights of the last layers; those before have none.
        let none = LayerWeights::default();
        let before = graph.layers().len() - weights.len();
        let of = |number: usize| match number.checked_sub(before) {
            Some(place) => weights.get(place),
            None => Some(&none),
        };
        let found = outputs(graph, &[0], &[x.shallow_clone()], &[last], &of).unwrap();
        let (found, shape) = (&found[0], &graph.layers()[last].output_shape);
        let size = match shape[..] {
            [height, width, channels] => vec![1, channels, height, width],
            _ => [&[1], &shape[..]].concat(),
        };
        // What the table says comes out.
        assert_eq!(crate::files::tensors::shape(found), size);
        found.shallow_clone()
    }

    fn close(found: &Tensor, expected: &Tensor) {
        assert!(
            found.allclose(expected, 1e-6, 1e-6, false),
            "{found}\n{expected}"
        );
    }

    fn uniform(size: &[i64]) -> Tensor {
        let count = size.iter().product::<i64>();
        let values = Tensor::arange(count, (Kind::Float, Device::Cpu));
        (values * 5.0).remainder(13.0).view(size) / 13.0 - 0.5
    }

    #[test]
    fn a_convolution_with_even_strides_has_its_padding_at_the_end_as_in_keras() {
        let x = picture(8);
        let (kernel, bias) = (uniform(&[3, 2, 3, 3]), uniform(&[3]));
        let mut graph = graph(8);
        let window = Window::new(3, 3).stride(2).same();
        graph.conv("conv", 0, Convolution::new(3, window));
        let weights = LayerWeights::kernel_and_bias(kernel.shallow_clone(), bias.shallow_clone());
        let found = run(&graph, &x, &[weights]);
        let padded = x.constant_pad_nd([0, 1, 0, 1]);
        let expected = padded.conv2d(&kernel, Some(&bias), [2, 2], [0, 0], [1, 1], 1);
        close(&found, &expected);
        // One row of seven, three zeros on each side of it; ReLU follows, and no bias is added.
        let mut graph = self::graph(8);
        let window = Window::new(1, 7).same();
        graph.conv("conv", 0, Convolution::new(3, window).without_bias().relu());
        let kernel = uniform(&[3, 2, 1, 7]);
        let weights = LayerWeights::new([(Role::Kernel, kernel.shallow_clone())]);
        let none: Option<Tensor> = None;
        let expected = x.conv2d(&kernel, none, [1, 1], [0, 3], [1, 1], 1).relu();
        close(&run(&graph, &x, &[weights]), &expected);
    }

    #[test]
    fn the_convolution_without_tf32_is_the_convolution() {
        let (x, bias) = (picture(8), uniform(&[3]));
        let gradients = |exact: bool| {
            let kernel = uniform(&[3, 2, 3, 3]).set_requires_grad(true);
            let bias = Some(&bias);
            let sums = match exact {
                true => exact_convolution(&x, &kernel, bias, [1, 1], [1, 1]).unwrap(),
                false => x.conv2d(&kernel, bias, [1, 1], [1, 1], [1, 1], 1),
            };
            let total = sums.square().sum(Kind::Float);
            let gradients = Tensor::run_backward(&[&total], &[&kernel], false, false);
            (sums.detach(), gradients.into_iter().next().unwrap())
        };
        assert_eq!(gradients(true), gradients(false));
    }

    #[test]
    fn poolings_count_only_what_lies_in_the_picture() {
        let x = Tensor::from_slice(&[-1.0f32, -2.0, -3.0, -4.0]).view([1, 1, 2, 2]);
        let x = x.repeat([1, 2, 1, 1]);
        let pooled = |window, is_max: bool| {
            let mut graph = graph(2);
            match is_max {
                true => graph.max_pool("pool", 0, window),
                false => graph.average_pool("pool", 0, window),
            };
            let found = run(&graph, &x, &[]).select(1, 0).contiguous().view(-1);
            Vec::<f32>::try_from(found).unwrap()
        };
        // All four windows of 3 x 3 hold the whole picture, and zeros: they are not larger than -1.
        let all = Window::new(3, 3).same();
        assert_eq!(pooled(all, true), [-1.0; 4]);
        assert_eq!(pooled(all, false), [-2.5; 4]);
        // Windows of 2 x 2: the whole, the right column, the lower row, the last corner.
        let odd = Window::new(2, 2).same();
        assert_eq!(pooled(odd, true), [-1.0, -2.0, -3.0, -4.0]);
        assert_eq!(pooled(odd, false), [-2.5, -3.0, -3.5, -4.0]);
        let whole = Window::new(2, 2).stride(2);
        assert_eq!(
            (pooled(whole, true), pooled(whole, false)),
            (vec![-1.0], vec![-2.5])
        );
    }

    #[test]
    fn batch_normalisation_takes_its_stored_mean_and_variance() {
        let x = picture(4);
        let of_channel = |values: [f32; 2]| Tensor::from_slice(&values).view([1, 2, 1, 1]);
        let (mean, variance) = ([0.5, -1.0], [4.0, 0.25]);
        let (gamma, beta) = ([2.0, 3.0], [0.1, -0.2]);
        let scaled = (&x - of_channel(mean)) / (of_channel(variance) + 1e-3).sqrt();
        for has_gamma in [true, false] {
            let mut graph = graph(4);
            graph.batch_norm("bn", 0, 1e-3, has_gamma);
            let roles = graph.layers()[1].parameters.iter();
            let stored = roles.map(|parameter| {
                let values = match parameter.role {
                    Role::Gamma => gamma,
                    Role::Beta => beta,
                    Role::MovingMean => mean,
                    _ => variance,
                };
                (parameter.role, Tensor::from_slice(&values))
            });
            let weights = LayerWeights::new(stored);
            assert_eq!(weights.num_parameters(), if has_gamma { 8 } else { 6 });
            let factor = if has_gamma { gamma } else { [1.0; 2] };
            let expected = &scaled * of_channel(factor) + of_channel(beta);
            close(&run(&graph, &x, &[weights]), &expected);
        }
    }

    #[test]
    fn batch_normalisation_that_learns_takes_the_batchs_mean_and_moves_its_averages() {
        for (has_gamma, kind, close) in [
            (true, Kind::Float, 1e-6),
            (false, Kind::Float, 1e-6),
            // Eight bits of mantissa: half a unit in the last place of what comes out, from 4 to 8, is 2^-6.
            (true, Kind::BFloat16, 1.6e-2),
            (false, Kind::BFloat16, 1.6e-2),
        ] {
            let x = picture(4).to_kind(kind);
            let mut graph = graph(4);
            graph.batch_norm("bn", 0, 1e-3, has_gamma);
            let roles = graph.layers()[1].parameters.iter();
            let stored =
                roles.map(|parameter| (parameter.role, Tensor::from_slice(&[2.0f32, 0.5])));
            let weights = LayerWeights::new(stored).normalising(true);
            let found = run(&graph, &x, std::slice::from_ref(&weights));
            // Whole numbers: the same in bf16.
            let exact = x.to_kind(Kind::Double);
            let over = [0i64, 2, 3].as_slice();
            let mean = exact.mean_dim(over, false, Kind::Double);
            let variance = exact.var_dim(over, false, false);
            let of_channel = |values: &Tensor| values.view([1, 2, 1, 1]);
            let two = Tensor::from_slice(&[2.0f64, 0.5]);
            let factor = match has_gamma {
                true => two.shallow_clone(),
                false => two.ones_like(),
            };
            let scaled = (exact - of_channel(&mean)) / of_channel(&(&variance + 1e-3)).sqrt();
            let expected = scaled * of_channel(&factor) + of_channel(&two);
            assert_eq!(found.kind(), kind);
            let found = found.to_kind(Kind::Double);
            assert!(found.allclose(&expected, 0.0, close, false), "{kind:?}");
            for (role, now) in [(Role::MovingMean, mean), (Role::MovingVariance, variance)] {
                let moved = weights.tensor(role).unwrap().to_kind(Kind::Double);
                let expected = &two * 0.99 + now * 0.01;
                assert!(moved.allclose(&expected, 1e-6, 1e-6, false), "{role}");
            }
        }
    }

    #[test]
    fn the_other_layers_are_pytorchs_functions() {
        let x = picture(3);
        type Build<'a> = &'a dyn Fn(&mut Graph) -> usize;
        let cases: [(Build, Tensor); 7] = [
            (&|g| g.activation("relu", 0, Activation::Relu), x.relu()),
            (
                &|g| g.zero_pad("pad", 0, [1, 0], [2, 3]),
                x.constant_pad_nd([2, 3, 1, 0]),
            ),
            (
                &|g| g.global_average_pool("mean", 0),
                x.mean_dim([2i64, 3].as_slice(), false, Kind::Float),
            ),
            (&|g| g.add("sum", &[0, 0, 0]), &x * 3.0),
            (
                &|g| {
                    let relu = g.activation("relu", 0, Activation::Relu);
                    g.concatenate("both", &[0, relu])
                },
                Tensor::cat(&[&x, &x.relu()], 1),
            ),
            (
                &|g| g.flatten("flat", 0),
                x.permute([0, 2, 3, 1]).reshape([1, -1]),
            ),
            (
                &|g| {
                    let mean = g.global_average_pool("mean", 0);
                    g.activation("softmax", mean, Activation::Softmax)
                },
                x.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
                    .softmax(-1, Kind::Float),
            ),
        ];
        for (build, expected) in cases {
            let mut graph = graph(3);
            build(&mut graph);
            close(&run(&graph, &x, &[]), &expected);
        }
    }

    /// A residual block: x + relu(x + x), where the sums are memory of their own.
    fn block() -> Graph {
        let mut graph = graph(3);
        let start = graph.add("start", &[0, 0]);
        let twice = graph.add("twice", &[start, start]);
        let relu = graph.activation("relu", twice, Activation::Relu);
        graph.add("end", &[start, relu]);
        graph
    }

    #[test]
    fn relu_in_place_spoils_nothing_that_is_asked_for_or_used_elsewhere() {
        let (graph, x) = (block(), picture(3));
        let none = LayerWeights::default();
        let of = |given: &[usize], inputs: &[Tensor], wanted: &[usize]| {
            outputs(&graph, given, inputs, wanted, &|_| Some(&none)).unwrap()
        };
        let before = x.copy();
        let all = of(&[0], &[x.shallow_clone()], &[1, 2, 3, 4]);
        let [start, twice] = [&before * 2.0, &before * 4.0];
        let expected = [
            start.copy(),
            twice.copy(),
            twice.relu(),
            start + twice.relu(),
        ];
        for (found, expected) in all.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        assert_eq!(x, before);
        // What is given belongs to the caller: here the sum that ReLU alone takes.
        let given = twice.copy();
        let found = of(&[2], &[given.shallow_clone()], &[3]);
        assert_eq!((&found[0], &given), (&twice.relu(), &twice));
    }

    #[test]
    fn zeros_before_a_convolution_are_its_padding_and_still_there_for_who_asks() {
        let (mut graph, x) = (graph(5), picture(5));
        let pad = graph.zero_pad("pad", 0, [1, 1], [2, 2]);
        let window = Window::new(3, 3).stride(2);
        let conv = graph.conv("conv", pad, Convolution::new(3, window).without_bias());
        graph.batch_norm("bn", conv, 1e-3, true);
        let ones = |role| (role, Tensor::from_slice(&[1.0f32; 3]));
        let roles = [
            Role::Gamma,
            Role::Beta,
            Role::MovingMean,
            Role::MovingVariance,
        ];
        let kernel = uniform(&[3, 2, 3, 3]);
        let own = LayerWeights::new([(Role::Kernel, kernel.shallow_clone())]);
        let mut loaded = vec![LayerWeights::default(), LayerWeights::default(), own];
        loaded.push(LayerWeights::new(roles.map(ones)));
        let (cpu, f32) = (Device::Cpu, crate::machine::precision::Precision::F32);
        let weights = crate::network::computing::computing(&graph, &loaded, 0, cpu, f32).unwrap();
        let of = |wanted: &[usize]| {
            let inputs = [x.shallow_clone()];
            outputs(&graph, &[0], &inputs, wanted, &|number| weights.get(number)).unwrap()
        };
        let padded = x.constant_pad_nd([2, 2, 1, 1]);
        let none: Option<Tensor> = None;
        let sums = padded.conv2d(&kernel, none, [2, 2], [0, 0], [1, 1], 1);
        let normalised = (&sums - 1.0) / 1.001f64.sqrt() + 1.0;
        let all = [padded, sums, normalised];
        for wanted in [&[1, 2, 3][..], &[1, 2], &[2, 3], &[1, 3], &[1], &[2], &[3]] {
            for (found, &number) in of(wanted).iter().zip(wanted) {
                assert_eq!(found.size(), all[number - 1].size(), "{wanted:?}");
                close(found, &all[number - 1]);
            }
        }
    }

    #[test]
    fn a_border_within_a_block_gives_what_the_whole_gives() {
        let (graph, x) = (block(), picture(3));
        let none = LayerWeights::default();
        let whole = run(&graph, &x, &[]);
        for border in 1..=graph.layers().len() {
            let crossing = graph.crossing(border);
            let weights = |_| Some(&none);
            let half = outputs(&graph, &[0], &[x.shallow_clone()], &crossing, &weights).unwrap();
            let found = outputs(&graph, &crossing, &half, &[4], &weights).unwrap();
            assert_eq!(found[0], whole, "border {border}");
        }
    }

    #[test]
    fn the_gradient_at_a_layer_leaves_out_what_goes_round_it() {
        // end = start + relu(2 start): at `twice` each positive value counts once, not twice.
        let (graph, x) = (block(), picture(3));
        let none = LayerWeights::default();
        let crossing = graph.crossing(3);
        assert_eq!(crossing, [1, 2]);
        let weights = |_| Some(&none);
        let mut half = outputs(&graph, &[0], &[x.shallow_clone()], &crossing, &weights).unwrap();
        let at = half[1].detach().set_requires_grad(true);
        half[1] = at.shallow_clone();
        let end = outputs(&graph, &crossing, &half, &[4], &weights).unwrap();
        let gradient = Tensor::run_backward(&[end[0].sum(Kind::Float)], &[&at], false, false);
        assert_eq!(gradient[0], at.gt(0.0).to_kind(Kind::Float));
    }

    #[test]
    fn what_leads_nowhere_is_not_computed() {
        let mut graph = graph(3);
        let start = graph.activation("start", 0, Activation::Relu);
        graph.conv("beside", start, Convolution::new(4, Window::new(1, 1)));
        let none = LayerWeights::default();
        let x = picture(3);
        // The convolution has no kernel here: computing it would fail.
        let found = outputs(&graph, &[0], &[x.shallow_clone()], &[start], &|_| {
            Some(&none)
        });
        assert_eq!(found.unwrap()[0], x.relu());
        let error = outputs(&graph, &[0], &[x], &[2], &|_| Some(&none)).unwrap_err();
        assert!(error.to_string().contains("kernel"), "{error}");
    }
}
