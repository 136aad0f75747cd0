//! The head: the small classifier that is trained on a base's features.
//!
//! Dense, ReLU, dropout, Dense, then sigmoid for two classes and softmax for more, as in the
//! lesson, with Keras' initialisation (Glorot uniform kernels, zero biases).
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

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use ndarray::Array2;
use serde_json::json;
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::fit::{self, Evaluation, Fit, Learner, Step};
use crate::history::History;
use crate::random::Random;
use crate::saved::Saved;
use crate::store::{self, Store};
use crate::table::{Table, grouped};

/// How a head is built; it gets its weights from [`Head::build`].
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    units: usize,
    dropout: f64,
}

impl Head {
    /// A hidden layer of `units`, ReLU, without dropout, then one output for each class.
    pub fn dense(units: usize) -> Self {
        Self {
            units,
            dropout: 0.0,
        }
    }

    /// The share of hidden values that is set to zero while training, 0 up to (not) 1.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// The head of the lesson's part 1: Dense 512, dropout 0.5.
    pub fn lesson() -> Self {
        Self::dense(512).dropout(0.5)
    }

    /// A head with fresh weights for features like these; they follow from `seed` alone.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no units or more than fit into memory, if the dropout is
    /// not a share, or if there are fewer than two classes.
    pub fn build(&self, features: &Features, seed: u64) -> Result<HeadModel> {
        fit::check_positive("units", self.units)?;
        if features.classes().len() < 2 {
            return Err(Error::Argument {
                argument: "classes",
                value: format!("{:?}", features.classes()),
                expected: "there must be at least two to tell apart".into(),
            });
        }
        let weights = features.width().checked_mul(self.units);
        if weights.is_none_or(|weights| weights > MOST_WEIGHTS) {
            return Err(Error::Argument {
                argument: "units",
                value: self.units.to_string(),
                expected: format!(
                    "with {} inputs it may be {} at most",
                    features.width(),
                    MOST_WEIGHTS / features.width().max(1)
                ),
            });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::Argument {
                argument: "dropout",
                value: self.dropout.to_string(),
                expected: "it must be at least 0 and below 1".into(),
            });
        }
        let mut random = Random::new(seed, "head");
        let outputs = outputs_for(features.classes().len());
        let layers = [(features.width(), self.units), (self.units, outputs)]
            .into_iter()
            .map(|(inputs, outputs)| Dense::glorot(inputs, outputs, features.device(), &mut random))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("making the head's weights"))?;
        Ok(HeadModel {
            head: self.clone(),
            input_shape: features.shape()[1..].to_vec(),
            classes: features.classes().to_vec(),
            layers,
            device: features.device(),
            notes: features.notes().to_vec(),
        })
    }
}

/// 2^30 weights are 4 GB, and training takes four times as much: a larger head is a typing slip.
const MOST_WEIGHTS: usize = 1 << 30;

/// One output for two classes, one for each class otherwise.
fn outputs_for(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

/// A dense layer: kernel [out, in] and bias [out], f32.
struct Dense {
    kernel: Tensor,
    bias: Tensor,
}

impl Dense {
    /// Keras' defaults: uniform within sqrt(6 / (in + out)) (Glorot and Bengio 2010), zero bias.
    fn glorot(
        inputs: usize,
        outputs: usize,
        device: Device,
        random: &mut Random,
    ) -> std::result::Result<Self, TchError> {
        let limit = (6.0 / (inputs + outputs) as f32).sqrt();
        let values = (0..inputs * outputs).map(|_| (2.0 * random.uniform() - 1.0) * limit);
        let kernel = Tensor::f_from_slice(&values.collect::<Vec<_>>())?
            .f_view([outputs as i64, inputs as i64])?
            .f_to_device(device)?;
        let bias = Tensor::f_zeros([outputs as i64], (Kind::Float, device))?;
        Ok(Self { kernel, bias })
    }

    fn apply(&self, x: &Tensor) -> std::result::Result<Tensor, TchError> {
        x.f_linear(&self.kernel, Some(&self.bias))
    }

    fn num_parameters(&self) -> usize {
        self.kernel.numel() + self.bias.numel()
    }
}

/// A head with weights: trained on features, it tells the class of others.
pub struct HeadModel {
    head: Head,
    input_shape: Vec<usize>,
    classes: Vec<String>,
    layers: Vec<Dense>,
    device: Device,
    /// What a reader should know of the features that it was made for.
    notes: Vec<String>,
}

impl HeadModel {
    /// The number of weights: 4,195,329 in the lesson.
    pub fn num_parameters(&self) -> usize {
        self.layers.iter().map(Dense::num_parameters).sum()
    }

    /// The class names, in the order of the columns of [`HeadModel::predict`].
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The summary table, as Keras' `model.summary()` has it.
    pub fn summary(&self) -> Table {
        let outputs = outputs_for(self.classes.len());
        let rows = [
            (
                "dense (Dense)",
                self.head.units,
                self.layers[0].num_parameters(),
            ),
            ("dropout (Dropout)", self.head.units, 0),
            ("dense_1 (Dense)", outputs, self.layers[1].num_parameters()),
        ];
        let columns = ["Layer (type)", "Output Shape", "Param #"];
        let mut table = Table::new("Model: \"head\"", &columns).right_aligned(&[2]);
        for (name, units, parameters) in rows {
            // Keras lists a dropout layer that does nothing too; nobody would write one.
            if name.starts_with("dropout") && self.head.dropout == 0.0 {
                continue;
            }
            table.push([
                name.to_owned(),
                format!("(None, {units})"),
                grouped(parameters),
            ]);
        }
        table = table
            .note(&format!("Total params: {}", grouped(self.num_parameters())))
            .note(&format!("Classes: {}", self.classes.join(", ")));
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// Trains on `train` and measures on `validation` after each epoch. Call it again to go on from
    /// where it stopped; the optimiser starts afresh then.
    ///
    /// Keras: `model.fit(train_features, train_labels, validation_data=...)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes,
    /// [`Error::Argument`] for options that make no sense, [`Error::NotFinite`] if training
    /// diverges; the weights are then those of the last good epoch.
    pub fn fit(&mut self, train: &Features, validation: &Features, fit: &Fit) -> Result<History> {
        self.check(train, "training features")?;
        self.check(validation, "validation features")?;
        let failed = || Error::compute("preparing features for training");
        let mut learner = HeadLearner {
            model: self,
            rows: self.rows(train).map_err(failed())?,
            labels: self.labels(train).map_err(failed())?,
            validation,
            masks: None,
        };
        let mut notes = train.notes().to_vec();
        let others = validation.notes().iter().chain(&learner.model.notes);
        for note in others {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        fit::run(fit, &mut learner, &notes)
    }

    /// Loss and accuracy on other features, dropout off.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes.
    pub fn evaluate(&self, features: &Features) -> Result<Evaluation> {
        self.check(features, "features")?;
        let _no_grad = tch::no_grad_guard();
        let measure = || -> std::result::Result<Evaluation, TchError> {
            let logits = self.logits(&self.rows(features)?, None)?;
            let step = self.measure(&logits, &self.labels(features)?)?;
            let correct = step.correct.f_double_value(&[])?;
            Ok(Evaluation {
                loss: step.loss.f_double_value(&[])?,
                accuracy: correct / features.len() as f64,
            })
        };
        measure().map_err(Error::compute("evaluating the head"))
    }

    /// The probability of each class for each picture, (N, classes); every row adds up to 1.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes.
    pub fn predict(&self, features: &Features) -> Result<Array2<f32>> {
        self.check(features, "features")?;
        let _no_grad = tch::no_grad_guard();
        let predict = || -> std::result::Result<Vec<f32>, TchError> {
            let logits = self.logits(&self.rows(features)?, None)?;
            let probabilities = if self.is_binary() {
                let second = logits.f_sigmoid()?;
                Tensor::f_stack(&[second.f_neg()?.f_add_scalar(1.0)?, second], 1)?
            } else {
                logits.f_softmax(-1, Kind::Float)?
            };
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

    /// Writes the weights with the class names to one safetensors file, which Python's
    /// `safetensors.torch.load_file` opens as `dense.weight`, `dense.bias`, `dense_1.weight`,
    /// `dense_1.bias`. An existing file stays whole until the new one is.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        let mut tensors = BTreeMap::new();
        for (name, layer) in LAYER_NAMES.iter().zip(&self.layers) {
            tensors.insert(format!("{name}.weight"), layer.kernel.shallow_clone());
            tensors.insert(format!("{name}.bias"), layer.bias.shallow_clone());
        }
        let metadata = HashMap::from([
            ("kind".to_owned(), "head".to_owned()),
            (
                "input_shape".to_owned(),
                json!(self.input_shape).to_string(),
            ),
            ("notes".to_owned(), json!(self.notes).to_string()),
            ("dropout".to_owned(), json!(self.head.dropout).to_string()),
            ("classes".to_owned(), json!(self.classes).to_string()),
        ]);
        Store { tensors, metadata }.save(path.as_ref())
    }

    /// Reads what [`HeadModel::save`] wrote, onto the CPU or a GPU.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Weights`] or [`Error::LayerShape`] if
    /// it does not hold a head, [`Error::Device`] if the device cannot be used.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        const WHAT: &str = "a head";
        crate::device::check(device)?;
        let path = path.as_ref();
        let mut store = Store::load(path, WHAT)?;
        let input_shape: Vec<usize> = store.read_json("input_shape", path, WHAT)?;
        let classes: Vec<String> = store.read_json("classes", path, WHAT)?;
        let dropout: f64 = store.read_json("dropout", path, WHAT)?;
        let notes: Vec<String> = store.read_json("notes", path, WHAT)?;
        let mut take = |name: String| {
            store
                .tensors
                .remove(&name)
                .ok_or_else(|| store::not_saved_here(path, WHAT))
        };
        let mut layers = Vec::new();
        for name in LAYER_NAMES {
            layers.push(Dense {
                kernel: take(format!("{name}.weight"))?,
                bias: take(format!("{name}.bias"))?,
            });
        }
        let units = layers[0].bias.numel();
        let widths = [
            input_shape.iter().product(),
            units,
            outputs_for(classes.len()),
        ];
        for (index, layer) in layers.iter_mut().enumerate() {
            for (part, tensor, expected) in [
                (
                    "weight",
                    &layer.kernel,
                    vec![widths[index + 1], widths[index]],
                ),
                ("bias", &layer.bias, vec![widths[index + 1]]),
            ] {
                let found = store::shape(tensor);
                if found != expected {
                    let layer = format!("{} {part}", LAYER_NAMES[index]);
                    return Err(Error::LayerShape {
                        path: path.to_owned(),
                        layer,
                        expected,
                        found,
                    });
                }
            }
            let moved = || {
                Error::compute(format!(
                    "putting the head on {}",
                    crate::device::name(device)
                ))
            };
            layer.kernel = layer.kernel.f_to_device(device).map_err(moved())?;
            layer.bias = layer.bias.f_to_device(device).map_err(moved())?;
        }
        Ok(Self {
            head: Head { units, dropout },
            input_shape,
            classes,
            layers,
            device,
            notes,
        })
    }

    /// Shows the summary under a notebook cell.
    pub fn evcxr_display(&self) {
        self.summary().evcxr_display();
    }

    fn is_binary(&self) -> bool {
        self.classes.len() == 2
    }

    fn check(&self, features: &Features, what: &str) -> Result<()> {
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
        if features.classes() != self.classes {
            return differs(
                format!("the classes {:?}", self.classes),
                format!("{:?}", features.classes()),
                "Use the pictures of the classes that the head was made for",
            );
        }
        Ok(())
    }

    /// The features as one row a picture, on the head's device; no copy if they are there already.
    fn rows(&self, features: &Features) -> std::result::Result<Tensor, TchError> {
        features.tensor().f_to_device(self.device)?.f_flatten(1, -1)
    }

    /// The labels in the type that the loss takes.
    fn labels(&self, features: &Features) -> std::result::Result<Tensor, TchError> {
        let labels = features
            .label_slice()
            .iter()
            .map(|&label| label as i64)
            .collect::<Vec<_>>();
        let kind = if self.is_binary() {
            Kind::Float
        } else {
            Kind::Int64
        };
        Tensor::f_from_slice(&labels)?
            .f_to_kind(kind)?
            .f_to_device(self.device)
    }

    /// Rows [N, width] to logits: [N] for two classes, [N, classes] for more. `mask` [N, units]
    /// holds 1 where a hidden value is kept.
    fn logits(
        &self,
        rows: &Tensor,
        mask: Option<&Tensor>,
    ) -> std::result::Result<Tensor, TchError> {
        let [hidden_layer, output_layer] = self.layers.as_slice() else {
            return Err(TchError::Shape("a head has two layers".into()));
        };
        let mut hidden = hidden_layer.apply(rows)?.f_relu()?;
        if let Some(mask) = mask {
            // Inverted dropout: what is kept grows, so that nothing changes at prediction time.
            let scale = 1.0 / (1.0 - self.head.dropout);
            hidden = hidden.f_mul(&mask.f_to_kind(Kind::Float)?.f_mul_scalar(scale)?)?;
        }
        let logits = output_layer.apply(&hidden)?;
        if self.is_binary() {
            logits.f_squeeze_dim(1)
        } else {
            Ok(logits)
        }
    }

    /// Mean cross-entropy, from logits in one call, and the number of right answers.
    fn measure(&self, logits: &Tensor, labels: &Tensor) -> std::result::Result<Step, TchError> {
        let none = None::<Tensor>;
        let (loss, hits) = if self.is_binary() {
            let loss = logits.f_binary_cross_entropy_with_logits(
                labels,
                none.as_ref(),
                none.as_ref(),
                Reduction::Mean,
            )?;
            // A probability above one half is a logit above zero.
            (
                loss,
                logits
                    .f_detach()?
                    .f_gt(0.0)?
                    .f_eq_tensor(&labels.f_gt(0.5)?)?,
            )
        } else {
            let loss = logits.f_cross_entropy_loss(labels, none, Reduction::Mean, -100, 0.0)?;
            (
                loss,
                logits
                    .f_detach()?
                    .f_argmax(-1, false)?
                    .f_eq_tensor(labels)?,
            )
        };
        Ok(Step {
            loss,
            correct: hits.f_sum(Kind::Int64)?,
        })
    }
}

/// Keras' names for the two layers.
const LAYER_NAMES: [&str; 2] = ["dense", "dense_1"];

impl fmt::Display for HeadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "head: {:?} -> {} -> {} classes, {} parameters",
            self.input_shape,
            self.head.units,
            self.classes.len(),
            grouped(self.num_parameters())
        )
    }
}

impl fmt::Debug for HeadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadModel({self})")
    }
}

/// Trains the lesson's head (Dense 512, dropout 0.5) on `train` and measures it on `validation`.
///
/// Another head: `Head::dense(128).build(&train, 0)?.fit(&train, &validation, &fit)?`.
///
/// # Errors
/// As [`HeadModel::fit`].
pub fn train_head(
    train: &Features,
    validation: &Features,
    fit: &Fit,
) -> Result<(HeadModel, History)> {
    let mut model = Head::lesson().build(train, fit.seed)?;
    let history = model.fit(train, validation, fit)?;
    Ok((model, history))
}

/// A head with the features that it learns from.
struct HeadLearner<'a> {
    model: &'a HeadModel,
    rows: Tensor,
    labels: Tensor,
    validation: &'a Features,
    /// The epoch's dropout: one row a picture, in the order in which they come, 1 = kept.
    masks: Option<Tensor>,
}

impl Learner for HeadLearner<'_> {
    fn num_pictures(&self) -> usize {
        self.labels.size()[0] as usize
    }

    fn device(&self) -> Device {
        self.model.device
    }

    fn variables(&self) -> Vec<Tensor> {
        let layers = self.model.layers.iter();
        layers
            .flat_map(|layer| [layer.kernel.shallow_clone(), layer.bias.shallow_clone()])
            .collect()
    }

    fn start_epoch(&mut self, random: &mut Random) -> std::result::Result<(), TchError> {
        let Head { units, dropout } = self.model.head;
        if dropout > 0.0 {
            // All at once, so that a GPU is not made to wait for the host in every step.
            let kept = (0..self.num_pictures() * units)
                .map(|_| u8::from(f64::from(random.uniform()) >= dropout));
            let masks = Tensor::f_from_slice(&kept.collect::<Vec<_>>())?;
            self.masks = Some(
                masks
                    .f_view([-1, units as i64])?
                    .f_to_device(self.model.device)?,
            );
        }
        Ok(())
    }

    fn step(&self, rows: &Tensor, first: usize) -> std::result::Result<Step, TchError> {
        let mask = match &self.masks {
            Some(masks) => Some(masks.f_narrow(0, first as i64, rows.size()[0])?),
            None => None,
        };
        let logits = self
            .model
            .logits(&self.rows.f_index_select(0, rows)?, mask.as_ref())?;
        self.model
            .measure(&logits, &self.labels.f_index_select(0, rows)?)
    }

    fn validate(&self) -> Result<Option<Evaluation>> {
        self.model.evaluate(self.validation).map(Some)
    }
}
