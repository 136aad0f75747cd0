//! The table of InceptionV3 (Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision"),
//! with the names that Keras gives by itself in a fresh session: `conv2d`, `conv2d_1`, ...

use crate::network::graph::Graph;
use crate::network::operation::Activation;
use crate::network::table::Convolution;
use crate::network::window::Window;

/// What is added to each variance: Keras' own.
const EPSILON: f64 = 1e-3;

/// 94 convolutions in eleven blocks, `mixed0` to `mixed10`.
pub(crate) fn inception_v3(size: usize, with_top: bool) -> Graph {
    let mut whole = Graph::new(size);
    let graph = &mut whole;
    let mut x = unit(graph, 0, 32, Window::new(3, 3).stride(2));
    x = unit(graph, x, 32, Window::new(3, 3));
    x = same(graph, x, 64, 3, 3);
    x = halved(graph, x);
    x = unit(graph, x, 80, Window::new(1, 1));
    x = unit(graph, x, 192, Window::new(3, 3));
    x = halved(graph, x);
    for (number, pooled) in [32, 64, 64].into_iter().enumerate() {
        x = wide_block(graph, x, &format!("mixed{number}"), pooled);
    }
    x = first_reduction(graph, x);
    for (number, filters) in (4..).zip([128, 160, 160, 192]) {
        x = long_block(graph, x, &format!("mixed{number}"), filters);
    }
    x = second_reduction(graph, x);
    for number in 0..2 {
        x = split_block(graph, x, number);
    }
    if with_top {
        graph.mean_and_classes(x);
    }
    whole.in_keras_order()
}

/// Branches of 1 x 1, 5 x 5 and twice 3 x 3, and a pooling.
fn wide_block(graph: &mut Graph, x: usize, name: &str, pooled: usize) -> usize {
    let one = same(graph, x, 64, 1, 1);
    let five = same(graph, x, 48, 1, 1);
    let five = same(graph, five, 64, 5, 5);
    let three = same(graph, x, 64, 1, 1);
    let three = same(graph, three, 96, 3, 3);
    let three = same(graph, three, 96, 3, 3);
    let pool = averaged(graph, x, pooled);
    graph.concatenate(name, &[one, five, three, pool])
}

/// To half the size.
fn first_reduction(graph: &mut Graph, x: usize) -> usize {
    let half = Window::new(3, 3).stride(2);
    let three = unit(graph, x, 384, half);
    let double = same(graph, x, 64, 1, 1);
    let double = same(graph, double, 96, 3, 3);
    let double = unit(graph, double, 96, half);
    let pool = halved(graph, x);
    graph.concatenate("mixed3", &[three, double, pool])
}

/// Branches of rows of seven and columns of seven.
fn long_block(graph: &mut Graph, x: usize, name: &str, filters: usize) -> usize {
    let one = same(graph, x, 192, 1, 1);
    let seven = same(graph, x, filters, 1, 1);
    let seven = same(graph, seven, filters, 1, 7);
    let seven = same(graph, seven, 192, 7, 1);
    let double = same(graph, x, filters, 1, 1);
    let double = same(graph, double, filters, 7, 1);
    let double = same(graph, double, filters, 1, 7);
    let double = same(graph, double, filters, 7, 1);
    let double = same(graph, double, 192, 1, 7);
    let pool = averaged(graph, x, 192);
    graph.concatenate(name, &[one, seven, double, pool])
}

/// To half the size once more.
fn second_reduction(graph: &mut Graph, x: usize) -> usize {
    let half = Window::new(3, 3).stride(2);
    let three = same(graph, x, 192, 1, 1);
    let three = unit(graph, three, 320, half);
    let seven = same(graph, x, 192, 1, 1);
    let seven = same(graph, seven, 192, 1, 7);
    let seven = same(graph, seven, 192, 7, 1);
    let seven = unit(graph, seven, 192, half);
    let pool = halved(graph, x);
    graph.concatenate("mixed8", &[three, seven, pool])
}

/// Branches that part once more, into a row and a column of three.
fn split_block(graph: &mut Graph, x: usize, number: usize) -> usize {
    let one = same(graph, x, 320, 1, 1);
    let three = same(graph, x, 384, 1, 1);
    let parts = [same(graph, three, 384, 1, 3), same(graph, three, 384, 3, 1)];
    let three = graph.concatenate(&format!("mixed9_{number}"), &parts);
    let double = same(graph, x, 448, 1, 1);
    let double = same(graph, double, 384, 3, 3);
    let parts = [
        same(graph, double, 384, 1, 3),
        same(graph, double, 384, 3, 1),
    ];
    let name = graph.automatic("concatenate");
    let double = graph.concatenate(&name, &parts);
    let pool = averaged(graph, x, 192);
    let name = format!("mixed{}", 9 + number);
    graph.concatenate(&name, &[one, three, double, pool])
}

/// A convolution without a bias, normalisation without a factor, and ReLU.
fn unit(graph: &mut Graph, x: usize, filters: usize, window: Window) -> usize {
    let [conv, norm, relu] =
        ["conv2d", "batch_normalization", "activation"].map(|stem| graph.automatic(stem));
    let x = graph.conv(&conv, x, Convolution::new(filters, window).without_bias());
    let x = graph.batch_norm(&norm, x, EPSILON, false);
    graph.activation(&relu, x, Activation::Relu)
}

/// The same with padding "same".
fn same(graph: &mut Graph, x: usize, filters: usize, rows: usize, columns: usize) -> usize {
    unit(graph, x, filters, Window::new(rows, columns).same())
}

/// A branch that begins with the means of 3 x 3.
fn averaged(graph: &mut Graph, x: usize, filters: usize) -> usize {
    let name = graph.automatic("average_pooling2d");
    let pool = graph.average_pool(&name, x, Window::new(3, 3).same());
    same(graph, pool, filters, 1, 1)
}

/// The largest of 3 x 3, at every second place.
fn halved(graph: &mut Graph, x: usize) -> usize {
    let name = graph.automatic("max_pooling2d");
    graph.max_pool(&name, x, Window::new(3, 3).stride(2))
}
