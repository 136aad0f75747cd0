//! What layers compute, by themselves and one after the other, against libtorch's functions.

use tch::{Device, Kind, Tensor};

use super::outputs;
use crate::network::compute::exact_convolution;
use crate::network::graph::Graph;
use crate::network::operation::Activation;
use crate::network::parameter::Role;
use crate::network::table::Convolution;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::window::Window;

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
    let whole = Window::HALVES;
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
        let stored = roles.map(|parameter| (parameter.role, Tensor::from_slice(&[2.0f32, 0.5])));
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

#[test]
fn a_residual_block_in_few_passes_gives_what_its_layers_give() {
    use crate::machine::precision::Precision;
    // relu(bn(conv)), bn(conv), + shortcut, relu, as in ResNet.
    let mut graph = graph(12);
    let shape = Window::new(3, 3).same();
    let normalised = |graph: &mut Graph, input: usize, window: Window| {
        let conv = graph.conv(&format!("conv{input}"), input, Convolution::new(16, window));
        graph.batch_norm(&format!("bn{input}"), conv, 1e-3, true)
    };
    let start = normalised(&mut graph, 0, shape);
    let shortcut = graph.activation("start", start, Activation::Relu);
    let first = normalised(&mut graph, shortcut, shape);
    let first = graph.activation("first", first, Activation::Relu);
    let second = normalised(&mut graph, first, Window::new(1, 1));
    let sum = graph.add("sum", &[shortcut, second]);
    let end = graph.activation("end", sum, Activation::Relu);
    let loaded = graph.layers().iter().map(|layer| {
        let roles = layer.parameters.iter();
        LayerWeights::new(roles.map(|parameter| {
            let size = parameter.torch_shape();
            let values = uniform(&size.iter().map(|&n| n as i64).collect::<Vec<_>>());
            let values = match parameter.role {
                Role::MovingVariance => values + 1.0,
                _ => values,
            };
            (parameter.role, values)
        }))
    });
    let loaded = loaded.collect::<Vec<_>>();
    let (x, all) = (picture(12), (1..=end).collect::<Vec<_>>());
    for precision in [Precision::F32, Precision::F32Winograd] {
        let (cpu, computing) = (Device::Cpu, crate::network::computing::computing);
        let weights = computing(&graph, &loaded, 0, cpu, precision).unwrap();
        let of = |wanted: &[usize]| {
            let inputs = [x.shallow_clone()];
            outputs(&graph, &[0], &inputs, wanted, &|number| weights.get(number)).unwrap()
        };
        // Whoever asks for all of them has each computed by itself.
        let layers = of(&all);
        let largest = layers[end - 1].abs().max();
        for wanted in [
            &[end][..],
            &[first, end],
            &[sum, end],
            &[shortcut, end],
            &[shortcut, second],
        ] {
            for (found, &number) in of(wanted).iter().zip(wanted) {
                let difference = (found - &layers[number - 1]).abs().max() / &largest;
                // Sums of at most 144 products in another order.
                let difference = f64::try_from(&difference).unwrap();
                assert!(
                    difference < 1e-5,
                    "{precision}, {number} of {wanted:?}: {difference}"
                );
            }
        }
    }
}
