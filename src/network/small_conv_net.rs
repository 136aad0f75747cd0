//! The table of the small network that the lesson compares with (Chollet, "Deep Learning with Python", 2017,
//! section 5.2).

use crate::network::graph::Graph;
use crate::network::table::Convolution;
use crate::network::window::Window;

/// Four convolutions, each followed by a pooling, under the names that Keras gives by itself: `conv2d`,
/// `conv2d_1`, ...
pub(crate) fn small_conv_net(size: usize) -> Graph {
    let mut graph = Graph::new(size);
    let mut x = 0;
    for filters in [32, 64, 128, 128] {
        let convolution = Convolution::new(filters, Window::new(3, 3)).relu();
        x = graph.conv(&graph.automatic("conv2d"), x, convolution);
        let window = Window::HALVES;
        x = graph.max_pool(&graph.automatic("max_pooling2d"), x, window);
    }
    graph
}
