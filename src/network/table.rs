//! How a network's table is written: one call a layer, `let x = graph.conv("block1_conv1", x, ..)`.
//!
//! Each call takes the layer's name, the numbers of the layers it takes from, and gives its own number; the
//! shape of its output follows. A new network is one file of such calls and an entry in `architecture`.

use crate::network::graph::Graph;
use crate::network::layer::Layer;
use crate::network::layers::Layers;
use crate::network::operation::{Activation, Operation};
use crate::network::parameter::{Parameter, Role};
use crate::network::window::Window;

/// What a convolution is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    filters: usize,
    window: Window,
    has_bias: bool,
    activation: Option<Activation>,
}

impl Convolution {
    /// With a bias and nothing after it.
    pub(crate) fn new(filters: usize, window: Window) -> Self {
        Self {
            filters,
            window,
            has_bias: true,
            activation: None,
        }
    }

    /// The same followed by ReLU.
    pub(crate) fn relu(mut self) -> Self {
        self.activation = Some(Activation::Relu);
        self
    }

    /// The same without a bias.
    pub(crate) fn without_bias(mut self) -> Self {
        self.has_bias = false;
        self
    }
}

impl Graph {
    /// A network for square pictures of `size` pixels, of its input alone, `input_1`, number 0.
    pub(crate) fn new(size: usize) -> Self {
        let mut graph = Self {
            layers: Layers(Vec::new()),
        };
        graph.push("input_1", Operation::Input, &[], &[size, size, 3]);
        graph
    }

    /// A convolution.
    pub(crate) fn conv(&mut self, name: &str, x: usize, what: Convolution) -> usize {
        let Convolution {
            filters,
            window,
            has_bias,
            activation,
        } = what;
        let (shape, channels) = (self.moved(x, window, filters), self.channels(x));
        let number = self.push(name, Operation::Conv2D { window, activation }, &[x], &shape);
        let [rows, columns] = window.size;
        let mut parameters = Parameter::kernel_and_bias(&[rows, columns, channels, filters]);
        parameters.truncate(if has_bias { 2 } else { 1 });
        self.layers.0[number].parameters = parameters;
        number
    }

    /// The largest value of each window.
    pub(crate) fn max_pool(&mut self, name: &str, x: usize, window: Window) -> usize {
        let shape = self.moved(x, window, self.channels(x));
        self.push(name, Operation::MaxPooling2D(window), &[x], &shape)
    }

    /// Everything as one row.
    pub(crate) fn flatten(&mut self, name: &str, x: usize) -> usize {
        let width = self.layers[x].output_shape.iter().product();
        self.push(name, Operation::Flatten, &[x], &[width])
    }

    /// A fully connected layer.
    pub(crate) fn dense(
        &mut self,
        name: &str,
        x: usize,
        units: usize,
        activation: Activation,
    ) -> usize {
        let inputs = self.channels(x);
        let activation = Some(activation);
        let number = self.push(name, Operation::Dense { activation }, &[x], &[units]);
        self.layers.0[number].parameters = Parameter::kernel_and_bias(&[inputs, units]);
        number
    }

    /// What a layer's weights are called in a file, where that is not its own name.
    pub(crate) fn stored_as(&mut self, number: usize, name: String) {
        self.layers.0[number].stored_name = name;
    }

    fn push(
        &mut self,
        name: &str,
        operation: Operation,
        inputs: &[usize],
        output_shape: &[usize],
    ) -> usize {
        self.layers.0.push(Layer {
            name: name.to_owned(),
            kind: operation.kind(),
            output_shape: output_shape.to_vec(),
            operation,
            inputs: inputs.to_vec(),
            parameters: Vec::new(),
            stored_name: name.to_owned(),
        });
        self.layers.len() - 1
    }

    /// The channels of a layer's output, or its units.
    fn channels(&self, number: usize) -> usize {
        let shape = &self.layers[number].output_shape;
        shape.last().copied().unwrap_or_default()
    }

    /// What a window leaves of a layer's output, as (H, W, channels).
    fn moved(&self, number: usize, window: Window, channels: usize) -> [usize; 3] {
        let [height, width] = self.sides(number);
        [window.output(0, height), window.output(1, width), channels]
    }

    /// Height and width of a layer's output.
    fn sides(&self, number: usize) -> [usize; 2] {
        match self.layers[number].output_shape[..] {
            [height, width, _] => [height, width],
            _ => [0, 0],
        }
    }
}

/// What networks with branches and batch normalisation have.
impl Graph {
    /// The name that Keras gives by itself in a fresh session: `conv2d`, `conv2d_1`, ...
    pub(crate) fn automatic(&self, stem: &str) -> String {
        let is_such = |name: &str| {
            let ending = name.strip_prefix(stem);
            ending.is_some_and(|ending| ending.is_empty() || ending.starts_with('_'))
        };
        match self
            .layers
            .iter()
            .filter(|layer| is_such(&layer.name))
            .count()
        {
            0 => stem.to_owned(),
            number => format!("{stem}_{number}"),
        }
    }

    /// The top that residual and Inception networks have: each channel's mean, and ImageNet's 1,000 classes.
    pub(crate) fn mean_and_classes(&mut self, x: usize) -> usize {
        let means = self.global_average_pool("avg_pool", x);
        self.dense("predictions", means, 1000, Activation::Softmax)
    }

    /// Batch normalisation, with a factor of its own (`gamma`) or without.
    pub(crate) fn batch_norm(
        &mut self,
        name: &str,
        x: usize,
        epsilon: f64,
        has_gamma: bool,
    ) -> usize {
        let shape = self.layers[x].output_shape.clone();
        let operation = Operation::BatchNormalization { epsilon };
        let number = self.push(name, operation, &[x], &shape);
        let channels = [self.channels(x)];
        let roles = [
            Role::Gamma,
            Role::Beta,
            Role::MovingMean,
            Role::MovingVariance,
        ];
        let roles = roles.into_iter().skip(usize::from(!has_gamma));
        let parameters = roles.map(|role| Parameter::new(role, &channels));
        self.layers.0[number].parameters = parameters.collect();
        number
    }

    /// ReLU or softmax as a layer of its own.
    pub(crate) fn activation(&mut self, name: &str, x: usize, activation: Activation) -> usize {
        let shape = self.layers[x].output_shape.clone();
        self.push(name, Operation::Activation(activation), &[x], &shape)
    }

    /// The mean of each window.
    pub(crate) fn average_pool(&mut self, name: &str, x: usize, window: Window) -> usize {
        let shape = self.moved(x, window, self.channels(x));
        self.push(name, Operation::AveragePooling2D(window), &[x], &shape)
    }

    /// The mean of each channel.
    pub(crate) fn global_average_pool(&mut self, name: &str, x: usize) -> usize {
        let channels = [self.channels(x)];
        self.push(name, Operation::GlobalAveragePooling2D, &[x], &channels)
    }

    /// The largest value of each channel.
    pub(crate) fn global_max_pool(&mut self, name: &str, x: usize) -> usize {
        let channels = [self.channels(x)];
        self.push(name, Operation::GlobalMaxPooling2D, &[x], &channels)
    }

    /// Zeros around the picture: rows above and below, columns left and right.
    pub(crate) fn zero_pad(
        &mut self,
        name: &str,
        x: usize,
        rows: [usize; 2],
        columns: [usize; 2],
    ) -> usize {
        let [height, width] = self.sides(x);
        let shape = [
            height + rows.iter().sum::<usize>(),
            width + columns.iter().sum::<usize>(),
            self.channels(x),
        ];
        self.push(
            name,
            Operation::ZeroPadding2D { rows, columns },
            &[x],
            &shape,
        )
    }

    /// The sum of several outputs of one shape.
    pub(crate) fn add(&mut self, name: &str, all: &[usize]) -> usize {
        let shape = all
            .first()
            .map(|&x| self.layers[x].output_shape.clone())
            .unwrap_or_default();
        self.push(name, Operation::Add, all, &shape)
    }

    /// The channels of several outputs, one after the other.
    pub(crate) fn concatenate(&mut self, name: &str, all: &[usize]) -> usize {
        let mut shape = all
            .first()
            .map(|&x| self.layers[x].output_shape.clone())
            .unwrap_or_default();
        if let Some(channels) = shape.last_mut() {
            *channels = all.iter().map(|&x| self.channels(x)).sum();
        }
        self.push(name, Operation::Concatenate, all, &shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_round_a_block_crosses_the_borders_in_it() {
        let mut graph = Graph::new(8);
        let plain = Convolution::new(4, Window::new(1, 1));
        let start = graph.conv("start", 0, plain);
        let first = graph.conv("first", start, plain);
        let second = graph.conv("second", first, plain);
        let sum = graph.add("sum", &[start, second]);
        graph.conv("last", sum, plain);
        let crossing = [1, 2, 3, 4, 5, 6].map(|border| graph.crossing(border));
        assert_eq!(
            crossing,
            [vec![0], vec![1], vec![1, 2], vec![1, 3], vec![4], vec![5]]
        );
    }
}
