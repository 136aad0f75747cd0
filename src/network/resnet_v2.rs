//! The tables of ResNet50V2, ResNet101V2 and ResNet152V2 (He et al. 2016, "Identity Mappings in Deep Residual
//! Networks"): normalisation and ReLU come before the convolutions, and a stack's last block has its stride.

use crate::network::graph::Graph;
use crate::network::resnet::{first_convolution, first_pooling, norm, relu};
use crate::network::table::Convolution;
use crate::network::window::Window;

/// The network with so many blocks in each stack: as many as `resnet`'s networks have.
pub(crate) fn resnet_v2(size: usize, with_top: bool, blocks: [usize; 4]) -> Graph {
    let mut graph = Graph::new(size);
    let mut x = first_convolution(&mut graph);
    x = first_pooling(&mut graph, x);
    for ((stack, blocks), filters) in (2..).zip(blocks).zip([64, 128, 256, 512]) {
        for number in 1..=blocks {
            let stride = if number == blocks && stack < 5 { 2 } else { 1 };
            let name = format!("conv{stack}_block{number}");
            x = block(&mut graph, &name, x, filters, stride, number == 1);
        }
    }
    x = norm(&mut graph, "post_bn", x);
    x = relu(&mut graph, "post_relu", x);
    if with_top {
        graph.mean_and_classes(x);
    }
    graph.in_keras_order()
}

/// A block: what comes in, by a convolution where its channels change and every second row and column where
/// its size does, and three convolutions beside it.
fn block(
    graph: &mut Graph,
    name: &str,
    x: usize,
    filters: usize,
    stride: usize,
    has_own_shortcut: bool,
) -> usize {
    let one = |filters| Convolution::new(filters, Window::new(1, 1));
    let before = norm(graph, &format!("{name}_preact_bn"), x);
    let before = relu(graph, &format!("{name}_preact_relu"), before);
    let shortcut = if has_own_shortcut {
        graph.conv(&format!("{name}_0_conv"), before, one(4 * filters))
    } else if stride > 1 {
        let pool = graph.automatic("max_pooling2d");
        graph.max_pool(&pool, x, Window::new(1, 1).stride(stride))
    } else {
        x
    };
    let first = one(filters).without_bias();
    let mut x = graph.conv(&format!("{name}_1_conv"), before, first);
    x = norm(graph, &format!("{name}_1_bn"), x);
    x = relu(graph, &format!("{name}_1_relu"), x);
    x = graph.zero_pad(&format!("{name}_2_pad"), x, [1, 1], [1, 1]);
    let three = Convolution::new(filters, Window::new(3, 3).stride(stride));
    x = graph.conv(&format!("{name}_2_conv"), x, three.without_bias());
    x = norm(graph, &format!("{name}_2_bn"), x);
    x = relu(graph, &format!("{name}_2_relu"), x);
    x = graph.conv(&format!("{name}_3_conv"), x, one(4 * filters));
    graph.add(&format!("{name}_out"), &[shortcut, x])
}
