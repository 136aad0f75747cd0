//! A base as ONNX nodes: from pictures, (N, H, W, 3) bytes, to what its last layer gives.
//!
//! What runs the file has the channels first, [N, C, H, W]; readers have them last, so that the nodes
//! begin and end with a change of order.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::files::onnx::{Attribute, Elements, Onnx};
use crate::network::base::Base;
use crate::network::graph::Graph;
use crate::network::layer::Layer;
use crate::network::operation::{Activation, Operation};
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::window::Window;
use crate::pictures::normalization::Normalization;
use crate::pictures::scaling::{CAFFE_MEAN, Scaling};

/// The name of what goes in.
pub(crate) const PIXELS: &str = "pixels";

impl Base {
    /// Adds the nodes of the whole base; the name of what they give: (N, H, W, C), or (N, units).
    pub(crate) fn export(&self, onnx: &mut Onnx) -> Result<String> {
        let size = self.size();
        let pixels = onnx.input(PIXELS, Elements::Uint8, &[size, size, 3]);
        let scaled = scaled(onnx, self.origin().scaling, &pixels);
        let input = channels_first(onnx, "channels_first", &scaled);
        let output = layers(onnx, self.graph(), self.weights(), input)?;
        Ok(match self.output_shape().len() {
            3 => channels_last(onnx, "channels_last", &output),
            _ => output,
        })
    }
}

/// What [`Scaling::apply`] does.
fn scaled(onnx: &mut Onnx, scaling: Scaling, pixels: &str) -> String {
    let to_float = [("to", Attribute::Int(Elements::Float as i64))];
    let floats = onnx.node("floats", "Cast", &[pixels], &to_float);
    match scaling {
        Scaling::Unit => step(onnx, "scaled", "Mul", &floats, &[1.0 / 255.0]),
        Scaling::Tf => {
            let halves = step(onnx, "halves", "Div", &floats, &[127.5]);
            step(onnx, "scaled", "Sub", &halves, &[1.0])
        }
        Scaling::Torch => normalized(onnx, Normalization::IMAGENET, floats),
        Scaling::Normalization(told) => normalized(onnx, told, floats),
        Scaling::Caffe => {
            let bgr = bgr(onnx, &floats);
            step(onnx, "scaled", "Sub", &bgr, &CAFFE_MEAN)
        }
    }
}

/// What [`Normalization::apply`] does.
fn normalized(onnx: &mut Onnx, told: Normalization, floats: String) -> String {
    let ordered = match told.is_bgr() {
        true => bgr(onnx, &floats),
        false => floats,
    };
    let unit = step(onnx, "unit", "Div", &ordered, &[255.0]);
    let centred = step(onnx, "centred", "Sub", &unit, &told.mean());
    step(onnx, "scaled", "Div", &centred, &told.deviation())
}

/// A node that computes with one value, or one for each channel.
fn step(onnx: &mut Onnx, name: &str, operator: &str, x: &str, values: &[f32]) -> String {
    let values = onnx.floats(&format!("{name}.values"), values);
    onnx.node(name, operator, &[x, &values], &[])
}

fn bgr(onnx: &mut Onnx, x: &str) -> String {
    let order = onnx.integers("bgr.values", &[2, 1, 0]);
    onnx.node(
        "bgr",
        "Gather",
        &[x, &order],
        &[("axis", Attribute::Int(3))],
    )
}

fn channels_first(onnx: &mut Onnx, name: &str, x: &str) -> String {
    let order = [("perm", Attribute::Ints(vec![0, 3, 1, 2]))];
    onnx.node(name, "Transpose", &[x], &order)
}

fn channels_last(onnx: &mut Onnx, name: &str, x: &str) -> String {
    let order = [("perm", Attribute::Ints(vec![0, 2, 3, 1]))];
    onnx.node(name, "Transpose", &[x], &order)
}

/// Adds the nodes of all layers, whose first is `input`, [N, C, H, W]; the name of what the last gives.
fn layers(
    onnx: &mut Onnx,
    graph: &Graph,
    weights: &[LayerWeights],
    input: String,
) -> Result<String> {
    let all = graph.layers();
    let mut given: Vec<String> = Vec::with_capacity(all.len());
    for (layer, own) in all.iter().zip(weights) {
        let taken = layer.inputs.iter().map(|&number| given[number].as_str());
        let taken = taken.collect::<Vec<_>>();
        let shape = layer.inputs.first().map(|&x| &all[x].output_shape[..]);
        given.push(match shape {
            None => input.clone(),
            Some(shape) => node_of(onnx, layer, &taken, shape, own)?,
        });
    }
    Ok(given.pop().unwrap_or(input))
}

/// One layer; `shape` is that of what it takes first, (H, W, C) or (units,).
fn node_of(
    onnx: &mut Onnx,
    layer: &Layer,
    inputs: &[&str],
    shape: &[usize],
    weights: &LayerWeights,
) -> Result<String> {
    let name = &layer.name;
    let mut all = inputs.to_vec();
    let mut weight = |role: Role| match weights.get(role) {
        None => Ok(None),
        Some(values) => {
            let name = format!("{}.{}", layer.stored_name, role.torch());
            onnx.weights(&name, values).map(Some)
        }
    };
    match layer.operation {
        Operation::Conv2D { window, activation } => {
            let own = [weight(Role::Kernel)?, weight(Role::Bias)?];
            all.extend(own.iter().flatten().map(String::as_str));
            let how = windowed(window, shape);
            Ok(activated(onnx, name, activation, "Conv", &all, &how))
        }
        Operation::Dense { activation } => {
            let own = [weight(Role::Kernel)?, weight(Role::Bias)?];
            all.extend(own.iter().flatten().map(String::as_str));
            Ok(activated(onnx, name, activation, "Gemm", &all, &dense()))
        }
        Operation::BatchNormalization { epsilon } => {
            let gamma = weight(Role::Gamma)?;
            let others = [Role::Beta, Role::MovingMean, Role::MovingVariance];
            let others = others
                .into_iter()
                .map(&mut weight)
                .collect::<Result<Vec<_>>>()?;
            let gamma = match gamma {
                Some(gamma) => gamma,
                None => {
                    let channels = shape.last().copied().unwrap_or_default() as i64;
                    let ones = Tensor::f_ones([channels], (Kind::Float, Device::Cpu))
                        .map_err(Error::compute("exporting batch normalisation"))?;
                    onnx.weights(&format!("{name}.ones"), &ones)?
                }
            };
            all.push(&gamma);
            all.extend(others.iter().flatten().map(String::as_str));
            let how = [("epsilon", Attribute::Float(epsilon as f32))];
            Ok(onnx.node(name, "BatchNormalization", &all, &how))
        }
        Operation::Activation(activation) => Ok(activation_node(onnx, name, activation, inputs)),
        Operation::MaxPooling2D(window) => {
            Ok(onnx.node(name, "MaxPool", inputs, &windowed(window, shape)))
        }
        Operation::AveragePooling2D(window) => {
            // What lies beyond the edge does not count, unless one asks for it.
            Ok(onnx.node(name, "AveragePool", inputs, &windowed(window, shape)))
        }
        Operation::GlobalAveragePooling2D => {
            let mean = onnx.node(&format!("{name}/mean"), "GlobalAveragePool", inputs, &[]);
            Ok(onnx.node(name, "Flatten", &[&mean], &[]))
        }
        Operation::GlobalMaxPooling2D => {
            let largest = onnx.node(&format!("{name}/largest"), "GlobalMaxPool", inputs, &[]);
            Ok(onnx.node(name, "Flatten", &[&largest], &[]))
        }
        Operation::ZeroPadding2D { rows, columns } => {
            let before = [0, 0, rows[0], columns[0]];
            let after = [0, 0, rows[1], columns[1]];
            let sides = before.into_iter().chain(after).map(|n| n as i64);
            let sides = sides.collect::<Vec<_>>();
            let sides = onnx.integers(&format!("{name}.sides"), &sides);
            all.push(&sides);
            Ok(onnx.node(name, "Pad", &all, &[]))
        }
        Operation::Flatten => {
            let last = channels_last(onnx, &format!("{name}/channels_last"), inputs[0]);
            Ok(onnx.node(name, "Flatten", &[&last], &[]))
        }
        Operation::Add => Ok(onnx.node(name, "Sum", inputs, &[])),
        Operation::Concatenate => {
            Ok(onnx.node(name, "Concat", inputs, &[("axis", Attribute::Int(1))]))
        }
        // Hands on what it takes.
        Operation::Input => Ok(inputs[0].to_owned()),
    }
}

/// How a window moves over pictures of the shape (H, W, C).
fn windowed(window: Window, shape: &[usize]) -> Vec<(&'static str, Attribute)> {
    let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&n| n as i64).collect());
    let sides = |axis: usize| window.sides(axis, shape.get(axis).copied().unwrap_or_default());
    let ([top, bottom], [left, right]) = (sides(0), sides(1));
    vec![
        ("kernel_shape", ints(&window.size)),
        ("strides", ints(&window.strides)),
        ("pads", ints(&[top, left, bottom, right])),
    ]
}

/// The weights of a dense layer are [out, in].
pub(crate) fn dense() -> [(&'static str, Attribute); 1] {
    [("transB", Attribute::Int(1))]
}

/// Sums, and what follows them: the whole has the layer's name.
fn activated(
    onnx: &mut Onnx,
    name: &str,
    activation: Option<Activation>,
    operator: &str,
    inputs: &[&str],
    how: &[(&str, Attribute)],
) -> String {
    match activation {
        None => onnx.node(name, operator, inputs, how),
        Some(activation) => {
            let sums = onnx.node(&format!("{name}/sums"), operator, inputs, how);
            activation_node(onnx, name, activation, &[&sums])
        }
    }
}

fn activation_node(onnx: &mut Onnx, name: &str, activation: Activation, inputs: &[&str]) -> String {
    match activation {
        Activation::Relu => onnx.node(name, "Relu", inputs, &[]),
        Activation::Softmax => onnx.node(name, "Softmax", inputs, &[("axis", Attribute::Int(-1))]),
    }
}

#[cfg(test)]
mod tests;
