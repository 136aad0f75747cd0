//! The tables of ResNet50, ResNet101 and ResNet152 (He et al. 2015, "Deep Residual Learning for Image Recognition"),
//! as Keras has them: a block's stride is that of its first convolution.

use crate::network::graph::Graph;
use crate::network::operation::Activation;
use crate::network::table::Convolution;
use crate::network::window::Window;

/// What is added to each variance.
pub(super) const EPSILON: f64 = 1.001e-5;

/// The blocks of each of the four stacks: 16 of three convolutions in all.
pub(crate) const BLOCKS_OF_50: [usize; 4] = [3, 4, 6, 3];
/// 33 in all.
pub(crate) const BLOCKS_OF_101: [usize; 4] = [3, 4, 23, 3];
/// 50 in all.
pub(crate) const BLOCKS_OF_152: [usize; 4] = [3, 8, 36, 3];

/// The network with so many blocks.
pub(crate) fn resnet(size: usize, with_top: bool, blocks: [usize; 4]) -> Graph {
    let mut graph = Graph::new(size);
    let mut x = first_convolution(&mut graph);
    x = norm(&mut graph, "conv1_bn", x);
    x = relu(&mut graph, "conv1_relu", x);
    x = first_pooling(&mut graph, x);
    for ((stack, blocks), filters) in (2..).zip(blocks).zip([64, 128, 256, 512]) {
        for number in 1..=blocks {
            let stride = if number == 1 && stack > 2 { 2 } else { 1 };
            let name = format!("conv{stack}_block{number}");
            x = block(&mut graph, &name, x, filters, stride, number == 1);
        }
    }
    if with_top {
        graph.mean_and_classes(x);
    }
    graph.in_keras_order()
}

/// A block: what comes in, by a convolution where its shape changes, and three convolutions beside it.
fn block(
    graph: &mut Graph,
    name: &str,
    x: usize,
    filters: usize,
    stride: usize,
    has_own_shortcut: bool,
) -> usize {
    let one = |filters| Convolution::new(filters, Window::new(1, 1));
    let strided = |filters| Convolution::new(filters, Window::new(1, 1).stride(stride));
    let shortcut = if has_own_shortcut {
        let sums = graph.conv(&format!("{name}_0_conv"), x, strided(4 * filters));
        norm(graph, &format!("{name}_0_bn"), sums)
    } else {
        x
    };
    let three = Convolution::new(filters, Window::new(3, 3).same());
    let mut x = x;
    for (number, convolution) in [(1, strided(filters)), (2, three)] {
        x = graph.conv(&format!("{name}_{number}_conv"), x, convolution);
        x = norm(graph, &format!("{name}_{number}_bn"), x);
        x = relu(graph, &format!("{name}_{number}_relu"), x);
    }
    x = graph.conv(&format!("{name}_3_conv"), x, one(4 * filters));
    x = norm(graph, &format!("{name}_3_bn"), x);
    x = graph.add(&format!("{name}_add"), &[shortcut, x]);
    relu(graph, &format!("{name}_out"), x)
}

/// The convolution that both kinds of residual network begin with.
pub(super) fn first_convolution(graph: &mut Graph) -> usize {
    let padded = graph.zero_pad("conv1_pad", 0, [3, 3], [3, 3]);
    let window = Window::new(7, 7).stride(2);
    graph.conv("conv1_conv", padded, Convolution::new(64, window))
}

/// The pooling that follows it.
pub(super) fn first_pooling(graph: &mut Graph, x: usize) -> usize {
    let padded = graph.zero_pad("pool1_pad", x, [1, 1], [1, 1]);
    graph.max_pool("pool1_pool", padded, Window::new(3, 3).stride(2))
}

pub(super) fn norm(graph: &mut Graph, name: &str, x: usize) -> usize {
    graph.batch_norm(name, x, EPSILON, true)
}

pub(super) fn relu(graph: &mut Graph, name: &str, x: usize) -> usize {
    graph.activation(name, x, Activation::Relu)
}
