//! The tables of VGG16 and VGG19 (Simonyan and Zisserman 2014, configurations D and E).

use crate::network::graph::Graph;
use crate::network::operation::Activation;
use crate::network::table::Convolution;
use crate::network::window::Window;

/// 13 convolutions.
pub(crate) fn vgg16(size: usize, with_top: bool) -> Graph {
    vgg(size, with_top, [2, 2, 3, 3, 3])
}

/// 16 convolutions.
pub(crate) fn vgg19(size: usize, with_top: bool) -> Graph {
    vgg(size, with_top, [2, 2, 4, 4, 4])
}

/// Five blocks with so many convolutions each, and a pooling after each.
fn vgg(size: usize, with_top: bool, convolutions: [usize; 5]) -> Graph {
    let mut graph = Graph::new(size);
    let mut x = 0;
    // The place in torchvision's `features`, which count ReLU and pooling too.
    let mut place = 0;
    for ((block, convolutions), filters) in (1..).zip(convolutions).zip([64, 128, 256, 512, 512]) {
        let convolution = Convolution::new(filters, Window::new(3, 3).same()).relu();
        for number in 1..=convolutions {
            x = graph.conv(&format!("block{block}_conv{number}"), x, convolution);
            graph.stored_as(x, format!("features.{place}"));
            place += 2;
        }
        x = graph.max_pool(&format!("block{block}_pool"), x, Window::HALVES);
        place += 1;
    }
    if with_top {
        x = graph.flatten("flatten", x);
        x = graph.dense("fc1", x, 4096, Activation::Relu);
        x = graph.dense("fc2", x, 4096, Activation::Relu);
        graph.dense("predictions", x, 1000, Activation::Softmax);
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_output_crosses_every_border() {
        let graph = vgg16(32, true);
        for border in 1..=graph.layers().len() {
            assert_eq!(graph.crossing(border), [border - 1]);
        }
        // Nothing comes before the picture.
        assert_eq!(graph.crossing(0), [0]);
    }

    #[test]
    fn convolutions_are_stored_under_torchvisions_names() {
        let graph = vgg16(32, false);
        let stored = graph.layers().iter().filter(|layer| layer.has_weights());
        let stored = stored.map(|layer| layer.stored_name.clone());
        // torchvision 0.26: [n for n, _ in vgg16().named_parameters() if n.endswith("weight")].
        let expected = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
        let expected = expected.map(|number| format!("features.{number}"));
        assert_eq!(stored.collect::<Vec<_>>(), expected);
    }
}
