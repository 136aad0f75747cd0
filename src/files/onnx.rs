//! A network as an ONNX file: nodes that take tensors by name and give others, with the weights in it.
//!
//! `network` and `model` add what they are made of, node by node; the numbers of the fields are those of
//! ONNX's `onnx.proto`. tests/library/onnx.rs lets onnxruntime read what comes out.

use std::path::Path;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::files::protobuf::Message;
use crate::files::tensors;
use crate::show::saved::Saved;

/// The set of operators: 13 (of ONNX 1.8, 2020) has all that is used here in the form that it has kept since, and is
/// read by onnxruntime, by its build for browsers, by `ort` and by `tract`.
const OPSET: i64 = 13;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 7;

/// Longer messages are refused by Protocol Buffers' own library. A little less: names and texts come on top.
const MOST_BYTES: usize = i32::MAX as usize - (1 << 20);

/// What numbers a tensor has.
#[derive(Clone, Copy)]
pub(crate) enum Elements {
    Float = 1,
    Uint8 = 2,
    Int64 = 7,
}

/// What a node knows beside its inputs.
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
}

/// A network that is being written down.
#[derive(Default)]
pub(crate) struct Onnx {
    graph: Message,
    metadata: Vec<(&'static str, String)>,
}

impl Onnx {
    /// What goes in: (N, ...), with these sizes after that of the batch, which is open.
    pub(crate) fn input(&mut self, name: &str, elements: Elements, sizes: &[usize]) -> String {
        self.graph.message(11, value(name, elements, sizes));
        name.to_owned()
    }

    /// What comes out of the network, of these sizes after the batch.
    pub(crate) fn output(&mut self, name: &str, elements: Elements, sizes: &[usize]) {
        self.graph.message(12, value(name, elements, sizes));
    }

    /// A node that does `operator` to its inputs; what it gives has its name.
    pub(crate) fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let mut node = Message::default();
        for input in inputs {
            node.bytes(1, input);
        }
        node.bytes(2, name);
        node.bytes(3, name);
        node.bytes(4, operator);
        for (name, value) in attributes {
            let mut attribute = Message::default();
            attribute.bytes(1, name);
            match value {
                Attribute::Float(value) => attribute.float(2, *value),
                Attribute::Int(value) => attribute.number(3, *value),
                Attribute::Ints(values) => {
                    for value in values {
                        attribute.number(8, *value);
                    }
                }
            }
            attribute.number(
                20,
                match value {
                    Attribute::Float(_) => 1,
                    Attribute::Int(_) => 2,
                    Attribute::Ints(_) => 7,
                },
            );
            node.message(5, attribute);
        }
        self.graph.message(1, node);
        name.to_owned()
    }

    /// Weights, in f32.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for more than a file holds.
    pub(crate) fn weights(&mut self, name: &str, values: &Tensor) -> Result<String> {
        let bytes = self.graph.len() + 4 * values.numel();
        if bytes > MOST_BYTES {
            return Err(Error::Mismatch {
                what: "a model for an ONNX file".into(),
                expected: "2 GB of weights at most".into(),
                found: format!("{:.1} GB up to {name}", bytes as f64 / 1e9),
                remedy:
                    "Save it under a name that ends in .safetensors, or take a head of fewer units"
                        .into(),
            });
        }
        let (sizes, bytes) = (tensors::shape(values), tensors::f32_bytes(values)?);
        Ok(self.constant(name, Elements::Float, &sizes, bytes))
    }

    /// Some numbers, (n,), in f32.
    pub(crate) fn floats(&mut self, name: &str, values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, Elements::Float, &[values.len()], bytes.collect())
    }

    /// Some whole numbers, (n,).
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, Elements::Int64, &[values.len()], bytes.collect())
    }

    fn constant(
        &mut self,
        name: &str,
        elements: Elements,
        sizes: &[usize],
        bytes: Vec<u8>,
    ) -> String {
        let mut tensor = Message::default();
        for &size in sizes {
            tensor.number(1, size as i64);
        }
        tensor.number(2, elements as i64);
        tensor.bytes(8, name);
        tensor.bytes(9, bytes);
        self.graph.message(5, tensor);
        name.to_owned()
    }

    /// A text by key, for who reads the file.
    pub(crate) fn metadata(&mut self, key: &'static str, value: impl ToString) {
        self.metadata.push((key, value.to_string()));
    }

    /// Writes the network to a file; an existing one stays whole until this is. `description` says what it takes
    /// and gives.
    pub(crate) fn save(mut self, path: &Path, name: &str, description: &str) -> Result<Saved> {
        self.graph.bytes(2, name);
        let mut model = Message::default();
        model.number(1, IR_VERSION);
        model.bytes(2, env!("CARGO_PKG_NAME"));
        model.bytes(3, env!("CARGO_PKG_VERSION"));
        model.bytes(6, description);
        model.message(7, self.graph);
        let mut opset = Message::default();
        opset.number(2, OPSET);
        model.message(8, opset);
        for (key, value) in self.metadata {
            let mut entry = Message::default();
            entry.bytes(1, key);
            entry.bytes(2, value);
            model.message(14, entry);
        }
        Saved::write(path, &model.into_bytes())
    }
}

/// A name with the type of what it stands for.
fn value(name: &str, elements: Elements, sizes: &[usize]) -> Message {
    let mut batch = Message::default();
    batch.bytes(2, "N");
    let mut shape = Message::default();
    shape.message(1, batch);
    for &size in sizes {
        let mut dimension = Message::default();
        dimension.number(1, size as i64);
        shape.message(1, dimension);
    }
    let mut tensor = Message::default();
    tensor.number(1, elements as i64);
    tensor.message(2, shape);
    let mut kind = Message::default();
    kind.message(1, tensor);
    let mut value = Message::default();
    value.bytes(1, name);
    value.message(2, kind);
    value
}
