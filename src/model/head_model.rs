//! The head: the small classifier that is trained on a base's features.
//!
//! Dense, ReLU, dropout, Dense, then sigmoid for two classes and softmax for more, as in the
//! lesson (labels and numbers: see [`Target`]), with Keras' initialisation (Glorot uniform kernels, zero biases).
//!
//! ```
//! use evcxr_transfer::{Features, Fit, Progress, train_head};
//! use ndarray::Array4;
//! // Four "pictures" of 1 x 1 x 2 features; the first value tells the class.
//! let values = Array4::from_shape_fn((4, 1, 1, 2), |(n, _, _, c)| if c == 0 { (n % 2) as f32 } else { 0.5 });
//! let features = Features::from_array(&values, &[0, 1, 0, 1], &["cats", "dogs"])?;
//! let fit = Fit::default().epochs(40).learning_rate(0.01).progress(Progress::quiet());
//! let (head, history) = train_head(&features, &features, &fit)?;
//! assert_eq!(history.epochs.len(), 40);
//! assert_eq!(head.evaluate(&features)?.accuracy, 1.0);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array2;
use serde_json::Value;
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::memory::check_room;
use crate::machine::random::Random;
use crate::model::features::Features;
use crate::model::head::Head;
use crate::model::provenance::Provenance;
use crate::network::parameter::Role;
use crate::network::weights::layer_weights::LayerWeights;
use crate::network::weights::seeded::glorot;
use crate::pictures::labels::Labels;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::table::{Table, grouped};
use crate::training::checkpoint::Checkpoint;
use crate::training::dropout::Dropout;
use crate::training::history::History;
use crate::training::loss::Targets;
use crate::training::variable::{ParameterGroup, Variable};

/// Keras' names for the two layers.
pub(crate) const LAYER_NAMES: [&str; 2] = ["dense", "dense_1"];

/// A head with weights: trained on features, it tells the class of others.
pub struct HeadModel {
    pub(crate) head: Head,
    pub(crate) input_shape: Vec<usize>,
    pub(crate) classes: Vec<String>,
    /// Kernels [out, in] and biases [out], f32.
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) device: Device,
    /// What the features that it was made for were made with, if that is known.
    pub(crate) provenance: Option<Provenance>,
    /// What a reader should know of these features.
    pub(crate) notes: Vec<String>,
    /// How many epochs it has learned.
    pub(crate) epochs: usize,
    /// Whether any step has changed its weights.
    pub(crate) is_trained: bool,
    /// What tells the run that it has learned in last from others; null without any.
    pub(crate) begun: Value,
    /// The run whose checkpoint it was read from.
    pub(crate) unfinished: Option<Checkpoint>,
}

impl Head {
    /// A head with fresh weights for features like these, which answers what they are labelled with; the weights
    /// follow from `seed` alone.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no units or more than fit into memory, if the dropout is
    /// not a share, or if there are fewer than two classes.
    pub fn build(&self, features: &Features, seed: u64) -> Result<HeadModel> {
        let head = self.clone().target(features.target());
        let model = head.build_for(
            &features.shape()[1..],
            features.classes(),
            features.device(),
            features.notes(),
            seed,
        )?;
        Ok(HeadModel {
            provenance: features.provenance().cloned(),
            ..model
        })
    }

    /// The same for outputs of the shape `input_shape`.
    pub(crate) fn build_for(
        &self,
        input_shape: &[usize],
        classes: &[String],
        device: Device,
        notes: &[String],
        seed: u64,
    ) -> Result<HeadModel> {
        let width = input_shape.iter().product::<usize>();
        self.check(width, classes)?;
        let outputs = self.target.outputs(classes.len());
        let values = self.units * (width + outputs);
        let what = format!("a head of {} units", self.units);
        check_room(device, 4 * values, &what, "Make it smaller")?;
        let mut random = Random::new(seed, "head");
        let shapes = [[width, self.units], [self.units, outputs]];
        let layers = shapes
            .iter()
            .map(|shape| glorot(shape, &mut random)?.on(device))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("making the head's weights"))?;
        Ok(HeadModel {
            head: self.clone(),
            input_shape: input_shape.to_vec(),
            classes: classes.to_vec(),
            layers,
            device,
            provenance: None,
            notes: notes.to_vec(),
            epochs: 0,
            is_trained: false,
            begun: Value::Null,
            unfinished: None,
        })
    }
}

impl HeadModel {
    /// The number of weights: 4,195,329 in the lesson.
    pub fn num_parameters(&self) -> usize {
        self.layers.iter().map(LayerWeights::num_parameters).sum()
    }

    /// The class names (or those of labels or numbers), in the order of the columns of [`HeadModel::predict`].
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What it answers.
    pub fn target(&self) -> Target {
        self.head.target
    }

    /// `Classes: cats, dogs`.
    pub(crate) fn named(&self) -> String {
        let nouns = match self.target() {
            Target::Class => "Classes",
            Target::Labels => "Labels",
            Target::Numbers => "Numbers",
        };
        format!("{nouns}: {}", self.classes.join(", "))
    }

    /// The summary table, as Keras' `model.summary()` has it.
    pub fn summary(&self) -> Table {
        let columns = ["Layer (type)", "Output Shape", "Param #"];
        let mut table = Table::new("Model: \"head\"", &columns).right_aligned(&[2]);
        for row in self.summary_rows() {
            table.push(row);
        }
        table = table
            .note(&format!("Total params: {}", grouped(self.num_parameters())))
            .note(&self.named());
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// Its layers: name and type, output shape, parameters.
    pub(crate) fn summary_rows(&self) -> Vec<[String; 3]> {
        let outputs = self.target().outputs(self.classes.len());
        let rows = [
            ("dense (Dense)", self.head.units, 0),
            ("dropout (Dropout)", self.head.units, usize::MAX),
            ("dense_1 (Dense)", outputs, 1),
        ];
        let rows = rows.into_iter().filter(|(name, ..)| {
            // Keras lists a dropout layer that does nothing too; nobody would write one.
            !name.starts_with("dropout") || self.head.dropout > 0.0
        });
        rows.map(|(name, units, layer)| {
            let parameters = self
                .layers
                .get(layer)
                .map_or(0, LayerWeights::num_parameters);
            [
                name.to_owned(),
                format!("(None, {units})"),
                grouped(parameters),
            ]
        })
        .collect()
    }

    /// What the pictures with these labels should be taken for.
    pub(crate) fn targets(&self, labels: &Labels, class_weights: &[f64]) -> Result<Targets> {
        Targets::new(labels, self.classes.len(), class_weights, self.device)
    }

    /// The probability of each class for each picture, (N, classes); every row adds up to 1. Of labels each has a
    /// probability of its own, 0 to 1; of numbers it is the numbers themselves.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes.
    pub fn predict(&self, features: &Features) -> Result<Array2<f32>> {
        self.check(features, "features")?;
        let _no_grad = tch::no_grad_guard();
        let predict = || -> std::result::Result<Vec<f32>, TchError> {
            let probabilities = self
                .target()
                .answers(&self.logits(&self.rows(features)?, None)?)?;
            Vec::<f32>::try_from(
                &probabilities
                    .f_to_device(Device::Cpu)?
                    .f_contiguous()?
                    .f_view(-1)?,
            )
        };
        let doing = "predicting classes";
        let flat = predict().map_err(Error::compute(doing))?;
        Array2::from_shape_vec((features.len(), self.classes.len()), flat).map_err(|error| {
            Error::Compute {
                doing: doing.into(),
                message: error.to_string(),
            }
        })
    }

    /// `2 classes`, `1 number`.
    fn described_count(&self) -> String {
        match self.classes.len() {
            1 => format!("1 {}", self.target().noun()),
            count => format!("{count} {}", self.target().nouns()),
        }
    }

    /// Whether it has learned anything yet.
    pub(crate) fn is_trained(&self) -> bool {
        self.is_trained
    }

    /// How many epochs it has learned.
    pub(crate) fn epochs(&self) -> usize {
        self.epochs
    }

    /// Counts what it has learned in a run.
    pub(crate) fn count(&mut self, learned: &History) {
        self.epochs = self.epochs.saturating_add(learned.epochs.len());
        self.is_trained |= learned.steps > 0;
    }

    /// What of a base's output it takes: (H, W, C).
    pub(crate) fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// The device that holds its weights.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Its weights as the training loop sees them.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let of_layer = |(name, layer): (&&str, &LayerWeights)| {
            let variables = layer.iter().map(|(role, tensor)| Variable {
                name: format!("{name}.{}", role.torch()),
                tensor: tensor.shallow_clone(),
                group: ParameterGroup::Head,
            });
            variables.collect::<Vec<_>>()
        };
        LAYER_NAMES
            .iter()
            .zip(&self.layers)
            .flat_map(of_layer)
            .collect()
    }

    /// The dropout of its hidden layer.
    pub(crate) fn dropout(&self) -> Dropout {
        Dropout {
            units: self.head.units,
            rate: self.head.dropout,
        }
    }

    /// Refuses features that it was not made for; `what` names them in the message.
    pub(crate) fn check(&self, features: &Features, what: &str) -> Result<()> {
        let shape = features.shape();
        let differs = |expected: String, found: String, remedy: &str| {
            Err(Error::Mismatch {
                what: what.into(),
                expected,
                found,
                remedy: remedy.into(),
            })
        };
        if features.is_empty() {
            return differs(
                "pictures".into(),
                "none".into(),
                "Extract features of some pictures",
            );
        }
        if shape[1..] != self.input_shape {
            return differs(
                format!("(N, H, W, C) with {:?} for each picture", self.input_shape),
                format!("{:?}", &shape[1..]),
                "Extract them with the base and the picture size that the head was made for",
            );
        }
        if features.target() != self.target() {
            return differs(
                format!("{}, as the head was made for", self.target().nouns()),
                features.target().nouns().into(),
                "Build a head on these features",
            );
        }
        if features.classes() != self.classes {
            return differs(
                format!("the {} {:?}", self.target().nouns(), self.classes),
                format!("{:?}", features.classes()),
                "Use the pictures of the classes that the head was made for",
            );
        }
        match (&self.provenance, features.provenance()) {
            (Some(own), Some(found)) => own.check(found, what),
            // Arrays of one's own do not tell.
            _ => Ok(()),
        }
    }

    /// The features as one row a picture, on the head's device; no copy if they are there already.
    pub(crate) fn rows(&self, features: &Features) -> std::result::Result<Tensor, TchError> {
        features.tensor().f_to_device(self.device)?.f_flatten(1, -1)
    }

    /// Rows [N, width] to logits: [N] for two classes, [N, names] otherwise. `mask` [N, units]
    /// holds 1 where a hidden value is kept.
    pub(crate) fn logits(
        &self,
        rows: &Tensor,
        mask: Option<&Tensor>,
    ) -> std::result::Result<Tensor, TchError> {
        let [hidden_layer, output_layer] = self.layers.as_slice() else {
            return Err(TchError::Shape("a head has two layers".into()));
        };
        let dense = |x: &Tensor, layer: &LayerWeights| {
            x.f_linear(layer.tensor(Role::Kernel)?, layer.get(Role::Bias))
        };
        let mut hidden = dense(rows, hidden_layer)?.f_relu()?;
        if let Some(mask) = mask {
            hidden = self.dropout().apply(&hidden, mask)?;
        }
        self.target().logits(dense(&hidden, output_layer)?)
    }
}

displayed!(
    HeadModel,
    "Shows the summary under a notebook cell.",
    |model| model.summary().bundle()
);

impl fmt::Display for HeadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "head: {:?} -> {} -> {}, {} parameters",
            self.input_shape,
            self.head.units,
            self.described_count(),
            grouped(self.num_parameters())
        )
    }
}

impl fmt::Debug for HeadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadModel({self})")
    }
}
