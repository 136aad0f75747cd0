//! The order in which Keras lists the layers of a network with branches.
//!
//! A table is written branch by branch. Keras lists a layer the earlier, the more layers lie between it and
//! the output, on the longest way; layers as far from it as each other in the order in which one meets them
//! on the way back from the output, along each layer's inputs in their order.

use crate::network::graph::Graph;
use crate::network::layers::Layers;

impl Graph {
    /// The same network with its layers in Keras' order. Its last layer gives the output, and every other
    /// leads to it.
    pub(super) fn in_keras_order(self) -> Self {
        let count = self.layers.len();
        let mut distances = vec![0; count];
        for (number, layer) in self.layers.iter().enumerate().rev() {
            for &input in &layer.inputs {
                distances[input] = distances[input].max(distances[number] + 1);
            }
        }
        let met = self.met_from_the_output();
        let mut order = (0..count).collect::<Vec<_>>();
        order.sort_by_key(|&number| (std::cmp::Reverse(distances[number]), met[number]));
        let mut places = vec![0; count];
        for (place, &number) in order.iter().enumerate() {
            places[number] = place;
        }
        let layers = order.iter().map(|&number| {
            let mut layer = self.layers[number].clone();
            layer
                .inputs
                .iter_mut()
                .for_each(|input| *input = places[*input]);
            layer
        });
        Self {
            layers: Layers(layers.collect()),
        }
    }

    /// For each layer, how many one has met before it on the way back from the output.
    fn met_from_the_output(&self) -> Vec<usize> {
        let mut met = vec![usize::MAX; self.layers.len()];
        let mut count = 0;
        let mut ahead = self
            .layers
            .len()
            .checked_sub(1)
            .into_iter()
            .collect::<Vec<_>>();
        while let Some(number) = ahead.pop() {
            if met[number] != usize::MAX {
                continue;
            }
            met[number] = count;
            count += 1;
            // The first input is to come out first.
            ahead.extend(self.layers[number].inputs.iter().rev());
        }
        met
    }
}
