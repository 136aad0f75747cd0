//! Every operation in onnxruntime.

#![allow(clippy::unwrap_used, reason = "a failing test may stop")]

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use super::*;
use crate::files::tensors::{self, Store};
use crate::machine::arrays::numbers_of;
use crate::network::forward;
use crate::network::table::Convolution;

/// A network with every operation, for pictures of `side` x `side` pixels.
fn with_every_operation(side: usize) -> Graph {
    let mut graph = Graph::new(side);
    let plain = |filters, window| Convolution::new(filters, window);
    let odd = Window::new(3, 3).stride(2).same();
    let x = graph.zero_pad("pad", 0, [1, 2], [0, 3]);
    let x = graph.conv("stem", x, plain(4, odd).without_bias());
    let x = graph.batch_norm("stem_bn", x, 1e-3, false);
    let stem = graph.activation("stem_relu", x, Activation::Relu);
    let flat = Window::new(1, 7).same();
    let a = graph.conv("flat", stem, plain(4, flat).relu());
    let a = graph.batch_norm("flat_bn", a, 1e-5, true);
    let sum = graph.add("sum", &[stem, a]);
    let b = graph.average_pool("mean", sum, Window::new(3, 3).same());
    let c = graph.max_pool("max", sum, Window::new(3, 3).stride(1).same());
    let both = graph.concatenate("both", &[b, c, sum]);
    let x = graph.max_pool("halved", both, odd);
    let rows = graph.flatten("rows", x);
    let rows = graph.dense("rows_dense", rows, 5, Activation::Relu);
    let means = graph.global_average_pool("means", x);
    let means = graph.dense("means_dense", means, 5, Activation::Relu);
    let x = graph.add("both_rows", &[rows, means]);
    graph.dense("top", x, 3, Activation::Softmax);
    graph
}

/// Weights that repeat on no axis; variances are above 0.
fn drawn(layer: &Layer) -> LayerWeights {
    LayerWeights::new(layer.parameters.iter().map(|parameter| {
        let size = parameter.torch_shape();
        let size = size.iter().map(|&n| n as i64).collect::<Vec<_>>();
        let count = parameter.len() as i64;
        let values = Tensor::arange(count, (Kind::Float, Device::Cpu));
        let values = ((values + layer.name.len() as f64) * 5.0).remainder(13.0) / 13.0;
        let lower = match parameter.role {
            Role::MovingVariance => -0.1,
            // More above 0 than below, or ReLU would leave nothing.
            _ => 0.35,
        };
        // Small sums: of large ones softmax makes 0 and 1.
        let factor = if layer.name == "top" { 0.1 } else { 1.0 };
        let values = (values - lower) * factor;
        (parameter.role, values.view(size.as_slice()))
    }))
}

#[test]
fn every_operation_gives_the_same_in_onnxruntime() {
    let folder = tempfile::tempdir().unwrap();
    let [model, input] = ["m.onnx", "x.safetensors"].map(|name| folder.path().join(name));
    // Odd and even sides: padding "same" is uneven for one of them.
    for side in [8, 11] {
        let graph = with_every_operation(side);
        let weights = graph.layers().iter().map(drawn).collect::<Vec<_>>();
        let size = [2, 3, side as i64, side as i64];
        let x = Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        // The second picture does not repeat the first.
        let x = (&x * &x).remainder(101.0).view(size) / 101.0 - 0.4;
        let last = graph.layers().len() - 1;
        let given = |number: usize| weights.get(number);
        let found = forward::outputs(&graph, &[0], &[x.shallow_clone()], &[last], &given).unwrap();
        let expected: Vec<f64> = numbers_of(&found[0]).unwrap();

        let mut onnx = Onnx::default();
        let name = onnx.input("x", Elements::Float, &[3, side, side]);
        let output = layers(&mut onnx, &graph, &weights, name).unwrap();
        onnx.output(&output, Elements::Float, &[3]);
        onnx.save(&model, "all", "every operation").unwrap();
        let store = Store {
            tensors: BTreeMap::from([("x".to_owned(), x)]),
            metadata: HashMap::new(),
        };
        store.save(&input).unwrap();
        let answer = Command::new(".venv/bin/python")
            .arg("tests/references/onnx_model.py")
            .args([&model, &input])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert!(answer.status.success(), "{errors}");
        let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
        let rows = answer["outputs"]["top"].as_array().unwrap().iter();
        let other = rows.flat_map(|row| row.as_array().unwrap());
        let other = other
            .map(|value| value.as_f64().unwrap())
            .collect::<Vec<_>>();
        assert_eq!(tensors::shape(&found[0]), [2, 3]);
        assert_eq!(other.len(), expected.len());
        // The rows differ, and so do their values.
        assert!((expected[0] - expected[3]).abs() > 1e-3, "{expected:?}");
        for (one, other) in expected.iter().zip(&other) {
            // f32 sums in another order.
            assert!((one - other).abs() < 1e-5, "{side}: {expected:?} {other}");
        }
    }
}
