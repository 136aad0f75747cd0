//! Heads and whole classifiers as ONNX files, for programs that only run them.

use std::path::Path;

use serde_json::json;

use crate::error::Result;
use crate::files::onnx::{Attribute, Elements, Onnx};
use crate::model::classifier::Classifier;
use crate::model::head_model::{HeadModel, LAYER_NAMES};
use crate::network::exported_base::{PIXELS, dense};
use crate::pictures::target::Target;
use crate::show::saved::Saved;

/// The names of what comes out.
const PROBABILITIES: &str = "probabilities";
const CLASS_INDEX: &str = "class_index";
const NUMBERS: &str = "numbers";

impl Classifier {
    /// Writes base and head as one ONNX file.
    pub(crate) fn export(&self, path: &Path) -> Result<Saved> {
        let mut onnx = Onnx::default();
        let output = self.base.export(&mut onnx)?;
        self.head.add_to(&mut onnx, &output)?;
        let (size, origin) = (self.base.size(), self.base.origin());
        for (key, value) in [
            ("size", json!(size)),
            ("interpolation", json!(self.interpolation)),
            ("notes", json!(origin.notes)),
        ] {
            onnx.metadata(key, value);
        }
        let takes = format!(
            "{PIXELS}: pictures of {size} x {size} pixels, RGB bytes (N, {size}, {size}, 3), resized by {}",
            self.interpolation
        );
        let name = self.base.architecture().to_string();
        onnx.save(path, &name, &self.head.described(&takes))
    }
}

impl HeadModel {
    /// Writes the head as an ONNX file.
    pub(crate) fn export(&self, path: &Path) -> Result<Saved> {
        const FEATURES: &str = "features";
        let mut onnx = Onnx::default();
        let features = onnx.input(FEATURES, Elements::Float, &self.input_shape);
        self.add_to(&mut onnx, &features)?;
        onnx.metadata("notes", json!(self.notes));
        let takes = format!("{FEATURES}: (N, ...) with {:?}", self.input_shape);
        onnx.save(path, "head", &self.described(&takes))
    }

    /// Adds the nodes from a base's output, (N, H, W, C), to class and probabilities.
    fn add_to(&self, onnx: &mut Onnx, output: &str) -> Result<()> {
        let mut x = onnx.node("flatten", "Flatten", &[output], &[]);
        for (number, (name, layer)) in LAYER_NAMES.iter().zip(&self.layers).enumerate() {
            let mut inputs = vec![x];
            for (role, values) in layer.iter() {
                inputs.push(onnx.weights(&format!("{name}.{}", role.torch()), values)?);
            }
            let inputs = inputs.iter().map(String::as_str).collect::<Vec<_>>();
            x = onnx.node(&format!("{name}/sums"), "Gemm", &inputs, &dense());
            if number == 0 {
                x = onnx.node(name, "Relu", &[&x], &[]);
            }
        }
        onnx.metadata("classes", json!(self.classes));
        let along = |axis: i64| ("axis", Attribute::Int(axis));
        let names = [self.classes.len()];
        let of_each = match self.target() {
            Target::Class => None,
            Target::Labels => Some((PROBABILITIES, "Sigmoid")),
            Target::Numbers => Some((NUMBERS, "Identity")),
        };
        if let Some((name, operator)) = of_each {
            onnx.node(name, operator, &[&x], &[]);
            onnx.output(name, Elements::Float, &names);
            return Ok(());
        }
        if self.classes.len() == 2 {
            let second = onnx.node("second", "Sigmoid", &[&x], &[]);
            let one = onnx.floats("one", &[1.0]);
            let first = onnx.node("first", "Sub", &[&one, &second], &[]);
            onnx.node(PROBABILITIES, "Concat", &[&first, &second], &[along(1)]);
        } else {
            onnx.node(PROBABILITIES, "Softmax", &[&x], &[along(-1)]);
        }
        let flat = [along(1), ("keepdims", Attribute::Int(0))];
        onnx.node(CLASS_INDEX, "ArgMax", &[PROBABILITIES], &flat);
        onnx.output(PROBABILITIES, Elements::Float, &names);
        onnx.output(CLASS_INDEX, Elements::Int64, &[]);
        Ok(())
    }

    /// What a file takes and gives, in words.
    fn described(&self, takes: &str) -> String {
        let (count, names) = (self.classes.len(), &self.classes);
        let gives = match self.target() {
            Target::Class => format!(
                "{PROBABILITIES}: (N, {count}), and {CLASS_INDEX}: (N,), an index into {names:?}"
            ),
            Target::Labels => {
                format!("{PROBABILITIES}: (N, {count}), of each of {names:?} by itself")
            }
            Target::Numbers => format!("{NUMBERS}: (N, {count}), {names:?}"),
        };
        format!("Takes {takes}. Gives {gives}")
    }
}
