//! The way through a network: from the outputs of some layers to the outputs of others.
//!
//! Only what leads to the outputs that are asked for is computed, and each output is dropped when nobody needs it any more.
//! Layers that nobody looks at in between are computed in one: a convolution with the normalisation, the zeros, the sum and
//! the ReLU around it, and chains of Winograd's convolutions.

use tch::{TchError, Tensor};

use crate::network::compute::{Known, compute, may_change, padded};
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

/// The outputs of the layers `wanted`, from those of the layers `given`; `weights` gives a layer's by its
/// number.
pub(crate) fn outputs<'a>(
    graph: &Graph,
    given: &[usize],
    inputs: &[Tensor],
    wanted: &[usize],
    weights: &dyn Fn(usize) -> Option<&'a LayerWeights>,
) -> Result<Vec<Tensor>> {
    let mut way = Way::new(graph, given, inputs, wanted, weights);
    for number in 0..graph.layers().len() {
        if way.is_computed(number) && !way.is_done[number] {
            way.go_over(number)?;
        }
    }
    wanted.iter().map(|&number| way.output(number)).collect()
}

/// How far the computing has come.
struct Way<'a, 'g> {
    graph: &'g Graph,
    given: &'g [usize],
    weights: &'g dyn Fn(usize) -> Option<&'a LayerWeights>,
    /// How often each layer's output is taken; 0 for what need not be computed.
    uses: Vec<usize>,
    /// How often it will still be taken.
    left: Vec<usize>,
    /// The last layer that takes it.
    takers: Vec<Option<usize>>,
    values: Vec<Option<Tensor>>,
    /// What is computed with another layer.
    is_done: Vec<bool>,
}

impl<'a, 'g> Way<'a, 'g> {
    fn new(
        graph: &'g Graph,
        given: &'g [usize],
        inputs: &[Tensor],
        wanted: &[usize],
        weights: &'g dyn Fn(usize) -> Option<&'a LayerWeights>,
    ) -> Self {
        let count = graph.layers().len();
        let uses = uses(graph, given, wanted);
        let mut way = Self {
            graph,
            given,
            weights,
            left: uses.clone(),
            uses,
            takers: vec![None; count],
            values: (0..count).map(|_| None).collect(),
            is_done: vec![false; count],
        };
        for (&number, input) in given.iter().zip(inputs) {
            way.values[number] = Some(input.shallow_clone());
        }
        for number in (0..count)
            .filter(|&number| way.is_computed(number))
            .collect::<Vec<_>>()
        {
            for &input in &graph.layers()[number].inputs {
                way.takers[input] = Some(number);
            }
            let zeros = way.zeros(number).map(|(_, zeros)| zeros);
            for before in way.within(number).into_iter().chain(zeros) {
                way.is_done[before] = true;
            }
        }
        way
    }

    fn is_computed(&self, number: usize) -> bool {
        self.uses[number] > 0 && !self.given.contains(&number)
    }

    /// Whether one other layer alone takes a layer's output, so that it may do its work too.
    fn is_its_own(&self, number: usize) -> bool {
        self.uses[number] == 1 && !self.given.contains(&number)
    }

    /// The convolution that a folded normalisation does the work of.
    fn within(&self, number: usize) -> Option<usize> {
        let before =
            folding::before(self.graph, number).filter(|&before| self.is_its_own(before))?;
        let is_folded = (self.weights)(number)?.get(Role::Kernel).is_some();
        is_folded.then_some(before)
    }

    /// The zeros that a convolution adds itself, and how it then computes.
    fn zeros(&self, number: usize) -> Option<(Operation, usize)> {
        let convolution = self.within(number).unwrap_or(number);
        let over = self.graph.over_zeros(convolution);
        over.filter(|&(_, zeros)| self.is_its_own(zeros))
    }

    /// The ReLU that alone takes a layer's output.
    fn relu_after(&self, number: usize) -> Option<usize> {
        let taker = self.takers[number].filter(|_| self.is_its_own(number))?;
        let is_relu =
            self.graph.layers()[taker].operation == Operation::Activation(Activation::Relu);
        is_relu.then_some(taker)
    }

    /// The sum of two that alone takes a layer's output, and the other layer in it, whose output is there, and free to
    /// become the sum.
    fn sum_after(&self, number: usize) -> Option<(usize, usize)> {
        let taker = self.takers[number].filter(|_| self.is_its_own(number))?;
        let layer = &self.graph.layers()[taker];
        let (Operation::Add, &[a, b]) = (layer.operation, &layer.inputs[..]) else {
            return None;
        };
        let other = if a == number { b } else { a };
        let value = self.values[other].as_ref()?;
        let is_free = self.left[other] == 1
            && !self.given.contains(&other)
            && has_own_memory(&self.graph.layers()[other].operation)
            && !value.requires_grad();
        is_free.then_some((taker, other))
    }

    /// Whether a layer's output comes from oneDNN's ReLU, which makes 0 of what is no number, too.
    fn is_rectified(&self, number: usize) -> bool {
        let is_relu = matches!(
            self.graph.layers()[number].operation,
            Operation::Conv2D {
                activation: Some(Activation::Relu),
                ..
            }
        );
        let is_fused = || {
            let fast = (self.weights)(number).and_then(LayerWeights::fast);
            matches!(fast, Some(FastConvolution::Fused(_)))
        };
        is_relu && !self.given.contains(&number) && is_fused()
    }

    /// The output of a layer for one that takes it.
    fn take(&mut self, number: usize) -> Result<Tensor> {
        self.left[number] -= 1;
        let output = match self.left[number] {
            0 => self.values[number].take(),
            _ => self.values[number].as_ref().map(Tensor::shallow_clone),
        };
        output.ok_or_else(|| missing(&self.graph.layers()[number].name))
    }

    fn output(&self, number: usize) -> Result<Tensor> {
        let output = self.values[number].as_ref().map(Tensor::shallow_clone);
        output.ok_or_else(|| missing(&self.graph.layers()[number].name))
    }

    /// Computes a layer, and whatever can be computed with it.
    fn go_over(&mut self, number: usize) -> Result<()> {
        let layers = self.graph.layers();
        let layer = &layers[number];
        let doing = self.within(number).map_or(layer, |before| &layers[before]);
        let (operation, inputs) = match self.zeros(number) {
            Some((operation, zeros)) => (operation, &layers[zeros].inputs),
            None => (doing.operation, &doing.inputs),
        };
        let taken = inputs.iter().map(|&input| self.take(input));
        let taken = taken.collect::<Result<Vec<_>>>()?;
        if let [x] = &taken[..]
            && !x.requires_grad()
            && (self.go_in_a_chain(number, x)?
                || self.go_with_what_follows(number, operation, x)?)
        {
            return Ok(());
        }
        let known = match layer.inputs[..] {
            [input] => Known {
                is_free: self.left[input] == 0
                    && !self.given.contains(&input)
                    && may_change(&layers[input].operation),
                has_no_signs: self.is_rectified(input),
            },
            _ => Known::default(),
        };
        let own = (self.weights)(number).ok_or_else(|| missing(&layer.name))?;
        self.values[number] = Some(compute(&operation, taken, known, own)?);
        Ok(())
    }

    /// Computes the layers from `first` on that Winograd's convolutions compute without going back to tensors, if there
    /// are any: one after the other, each of which alone takes what the one before it gives.
    fn go_in_a_chain(&mut self, first: usize, x: &Tensor) -> Result<bool> {
        let mut steps = Vec::new();
        let (mut next, mut last, mut passed) = (Some(first), first, Vec::new());
        let halves = Operation::MaxPooling2D(Window::HALVES);
        while let Some(number) = next {
            match (self.weights)(number).and_then(LayerWeights::fast) {
                Some(FastConvolution::Winograd(convolution)) => {
                    steps.push(Step::Convolution(convolution));
                }
                _ if self.graph.layers()[number].operation == halves
                    && matches!(steps.last(), Some(Step::Convolution(_))) =>
                {
                    steps.push(Step::MaxPool);
                }
                _ => break,
            }
            passed.push(number);
            last = number;
            next = self.takers[last].filter(|_| self.is_its_own(last));
        }
        if steps.is_empty() {
            return Ok(false);
        }
        self.values[last] = Some(winograd::run(x, &steps)?);
        for number in passed {
            self.is_done[number] = true;
        }
        Ok(true)
    }

    /// Computes a convolution in one pass with the sum and the ReLU behind it, if it can and there is one of them.
    fn go_with_what_follows(
        &mut self,
        number: usize,
        operation: Operation,
        x: &Tensor,
    ) -> Result<bool> {
        let own =
            (self.weights)(number).ok_or_else(|| missing(&self.graph.layers()[number].name))?;
        let Operation::Conv2D {
            window,
            activation: None,
        } = operation
        else {
            return Ok(false);
        };
        let Some(FastConvolution::Fused(fused)) = own.fast() else {
            return Ok(false);
        };
        let sum = self.sum_after(number);
        let end = sum.map_or(number, |(sum, _)| sum);
        let relu = self.relu_after(end);
        let last = relu.unwrap_or(end);
        if last == number {
            return Ok(false);
        }
        let (x, padding) = padded(x, window, 0.0)?;
        let strides = window.strides.map(|n| n as i64);
        let (bias, moves) = (own.get(Role::Bias), Moves { strides, padding });
        let output = match sum {
            Some((_, other)) => {
                fused.add_to(&self.take(other)?, &x, bias, moves, relu.is_some())?
            }
            None => fused.run(&x, bias, moves, true)?,
        };
        self.values[last] = Some(output);
        self.is_done[end] = true;
        self.is_done[last] = true;
        Ok(true)
    }
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

fn missing(name: &str) -> TchError {
    TchError::Shape(format!("nothing is known of the layer {name}"))
}

/// Whether an output lies in memory that no other layer's output shares.
fn has_own_memory(operation: &Operation) -> bool {
    !matches!(operation, Operation::Input | Operation::Flatten)
}

#[cfg(test)]
mod tests;
