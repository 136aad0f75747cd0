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
use serde_json::{Value, json};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors::{self, Store};
use crate::machine::random::Random;
use crate::model::features::Features;
use crate::network::weights::file::LayerWeights;
use crate::show::saved::Saved;
use crate::show::table::{Table, grouped};
use crate::training::checkpoint::{Run, Stored};
use crate::training::evaluation::Evaluation;
use crate::training::fit::{self, Fit};
use crate::training::history::History;
use crate::training::learner::{self, Draws, Learner, Part, Variable};
use crate::training::loss::{self, Step, Targets, outputs_for};
use crate::training::rate_finder::{self, LearningRates};

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
        self.build_for(
            &features.shape()[1..],
            features.classes(),
            features.device(),
            features.notes(),
            seed,
        )
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
        fit::check_positive("units", self.units)?;
        if classes.len() < 2 {
            return Err(Error::Argument {
                argument: "classes",
                value: format!("{classes:?}"),
                expected: "there must be at least two to tell apart".into(),
            });
        }
        let width = input_shape.iter().product::<usize>();
        let weights = width.checked_mul(self.units);
        if weights.is_none_or(|weights| weights > MOST_WEIGHTS) {
            return Err(Error::Argument {
                argument: "units",
                value: self.units.to_string(),
                expected: format!(
                    "with {width} inputs it may be {} at most",
                    MOST_WEIGHTS / width.max(1)
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
        let shapes = [
            [width, self.units],
            [self.units, outputs_for(classes.len())],
        ];
        let layers = shapes
            .iter()
            .map(|shape| LayerWeights::glorot(shape, &mut random)?.on(device))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(Error::compute("making the head's weights"))?;
        Ok(HeadModel {
            head: self.clone(),
            input_shape: input_shape.to_vec(),
            classes: classes.to_vec(),
            layers,
            device,
            notes: notes.to_vec(),
            epochs: 0,
            is_trained: false,
            unfinished: None,
        })
    }
}

/// 2^30 weights are 4 GB, and training takes four times as much: a larger head is a typing slip.
const MOST_WEIGHTS: usize = 1 << 30;

/// A head with weights: trained on features, it tells the class of others.
pub struct HeadModel {
    head: Head,
    input_shape: Vec<usize>,
    classes: Vec<String>,
    /// Kernels [out, in] and biases [out], f32.
    layers: Vec<LayerWeights>,
    device: Device,
    /// What a reader should know of the features that it was made for.
    notes: Vec<String>,
    /// How many epochs it has learned.
    epochs: usize,
    /// Whether any step has changed its weights.
    is_trained: bool,
    /// The run whose checkpoint it was read from.
    unfinished: Option<Stored>,
}

impl HeadModel {
    /// The number of weights: 4,195,329 in the lesson.
    pub fn num_parameters(&self) -> usize {
        self.layers.iter().map(LayerWeights::num_parameters).sum()
    }

    /// The class names, in the order of the columns of [`HeadModel::predict`].
    pub fn classes(&self) -> &[String] {
        &self.classes
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
            .note(&format!("Classes: {}", self.classes.join(", ")));
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// Its layers: name and type, output shape, parameters.
    pub(crate) fn summary_rows(&self) -> Vec<[String; 3]> {
        let outputs = outputs_for(self.classes.len());
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
        self.train(train, validation, fit, None)
    }

    /// Goes on with the run whose checkpoint this head was [loaded](HeadModel::load) from. `fit` must
    /// have the options of that run; its `epochs` are the length of the whole. The history, too, is
    /// that of the whole run.
    ///
    /// # Errors
    /// As [`HeadModel::fit`]; [`Error::Mismatch`] if there is no such run or an option differs.
    pub fn resume(
        &mut self,
        train: &Features,
        validation: &Features,
        fit: &Fit,
    ) -> Result<History> {
        let stored = self.unfinished.take().ok_or_else(no_run)?;
        let epochs = self.epochs;
        let outcome = self.train(train, validation, fit, Some(&stored));
        if outcome.is_err() && self.epochs == epochs {
            // Nothing has happened yet: the next call may have better options.
            self.unfinished = Some(stored);
        }
        outcome
    }

    fn train(
        &mut self,
        train: &Features,
        validation: &Features,
        fit: &Fit,
        from: Option<&Stored>,
    ) -> Result<History> {
        let notes = train.notes().iter().chain(validation.notes());
        let mut history = History::new(notes.chain(&self.notes));
        let mut learner = self.learner(train, validation, fit)?;
        let outcome = learner::run(fit, &mut learner, &mut history, from);
        // The epochs of an earlier run that this one goes on with were counted when it was loaded.
        let earlier = from.map_or(0, |stored| stored.epochs.len());
        self.count(&history.after(earlier));
        if from.is_none() {
            // The weights have moved away from what a checkpoint could go on with.
            self.unfinished = None;
        }
        outcome.map(|()| history)
    }

    /// Tries learning rates from tiny to huge on `train` and suggests one; the head stays as it is.
    /// Batch size, optimiser and seed are those of `fit`; its `steps` say how many rates are tried,
    /// 100 unless set.
    ///
    /// # Errors
    /// As [`HeadModel::fit`].
    pub fn lr_find(&self, train: &Features, fit: &Fit) -> Result<LearningRates> {
        let mut learner = self.learner(train, train, fit)?;
        rate_finder::find(fit, &mut learner)
    }

    fn learner<'a>(
        &'a self,
        train: &Features,
        validation: &'a Features,
        fit: &Fit,
    ) -> Result<HeadLearner<'a>> {
        self.check(train, "training features")?;
        self.check(validation, "validation features")?;
        fit.check()?.check_place()?;
        Ok(HeadLearner {
            model: self,
            rows: self
                .rows(train)
                .map_err(Error::compute("preparing features for training"))?,
            targets: self.targets(train.label_slice(), &fit.class_weights)?,
            validation,
            masks: None,
        })
    }

    /// What the pictures with these labels should be taken for.
    pub(crate) fn targets(&self, labels: &[usize], class_weights: &[f64]) -> Result<Targets> {
        Targets::new(labels, self.classes.len(), class_weights, self.device)
    }

    /// Loss and accuracy on other features, dropout off.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another shape or have other classes.
    pub fn evaluate(&self, features: &Features) -> Result<Evaluation> {
        self.check(features, "features")?;
        let _no_grad = tch::no_grad_guard();
        let targets = self.targets(features.label_slice(), &[])?;
        let measure = || -> std::result::Result<Evaluation, TchError> {
            let logits = self.logits(&self.rows(features)?, None)?;
            let step = targets.measure(&logits)?;
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
            let probabilities = loss::probabilities(&self.logits(&self.rows(features)?, None)?)?;
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
        self.store().save(path.as_ref())
    }

    fn store(&self) -> Store {
        let mut store = Store {
            tensors: BTreeMap::new(),
            metadata: HashMap::from([("kind".to_owned(), "head".to_owned())]),
        };
        self.write(&mut store);
        store
    }

    /// Adds weights and description to what is about to be saved.
    pub(crate) fn write(&self, store: &mut Store) {
        for (name, layer) in LAYER_NAMES.iter().zip(&self.layers) {
            for (part, tensor) in [("weight", &layer.kernel), ("bias", &layer.bias)] {
                let name = format!("{name}.{part}");
                store.tensors.insert(name, tensor.shallow_clone());
            }
        }
        for (key, value) in [
            ("input_shape", json!(self.input_shape)),
            ("notes", json!(self.notes)),
            ("dropout", json!(self.head.dropout)),
            ("classes", json!(self.classes)),
            ("epochs", json!(self.epochs)),
        ] {
            store.metadata.insert(key.to_owned(), value.to_string());
        }
    }

    /// Reads what [`HeadModel::save`] or a checkpoint wrote, onto the CPU or a GPU.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Weights`] or [`Error::LayerShape`] if
    /// it does not hold a head, [`Error::Device`] if the device cannot be used.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        const WHAT: &str = "a head";
        crate::machine::device::check(device)?;
        let path = path.as_ref();
        let mut store = Store::load(path, WHAT)?;
        if store.metadata.get("kind").is_none_or(|kind| kind != "head") {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let unfinished = Stored::take(&mut store, path, WHAT)?;
        let mut model = Self::read(&mut store, path, WHAT, device)?;
        model.unfinished = unfinished;
        Ok(model)
    }

    /// Takes a head out of a file that was read; `what` names what the whole file should hold.
    pub(crate) fn read(store: &mut Store, path: &Path, what: &str, device: Device) -> Result<Self> {
        let input_shape: Vec<usize> = store.read_json("input_shape", path, what)?;
        let classes: Vec<String> = store.read_json("classes", path, what)?;
        let dropout: f64 = store.read_json("dropout", path, what)?;
        let notes: Vec<String> = store.read_json("notes", path, what)?;
        let epochs: usize = store.read_json("epochs", path, what)?;
        let units = store
            .tensors
            .get(&format!("{}.bias", LAYER_NAMES[0]))
            .map_or(0, Tensor::numel);
        let width = input_shape
            .iter()
            .try_fold(1usize, |width, &n| width.checked_mul(n))
            .filter(|_| classes.len() >= 2 && units > 0 && (0.0..1.0).contains(&dropout))
            .ok_or_else(|| tensors::not_saved_here(path, what))?;
        let widths = [width, units, outputs_for(classes.len())];
        let mut layers = Vec::new();
        for (name, widths) in LAYER_NAMES.iter().zip(widths.windows(2)) {
            let layer = LayerWeights::take(store, name, &[widths[1], widths[0]], path, what)?;
            layers.push(layer.on(device).map_err(Error::compute(format!(
                "putting the head on {}",
                crate::machine::device::name(device)
            )))?);
        }
        Ok(Self {
            head: Head { units, dropout },
            input_shape,
            classes,
            layers,
            device,
            notes,
            epochs,
            is_trained: epochs > 0,
            unfinished: None,
        })
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

    /// Its weights as the training loop sees them.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let of_layer = |(name, layer): (&&str, &LayerWeights)| {
            [("weight", &layer.kernel), ("bias", &layer.bias)].map(|(part, tensor)| Variable {
                name: format!("{name}.{part}"),
                tensor: tensor.shallow_clone(),
                part: Part::Head,
            })
        };
        LAYER_NAMES
            .iter()
            .zip(&self.layers)
            .flat_map(of_layer)
            .collect()
    }

    /// The dropout of an epoch, one row a picture, 1 = kept; nothing without dropout. All at once,
    /// so that a GPU is not made to wait for the host in every step.
    pub(crate) fn masks(&self, draws: &Draws) -> Result<Option<Tensor>> {
        let Head { units, dropout } = self.head;
        if dropout == 0.0 {
            return Ok(None);
        }
        let mut random = draws.random("dropout");
        let kept = (0..draws.pictures * units)
            .map(|_| u8::from(f64::from(random.uniform()) >= dropout))
            .collect::<Vec<_>>();
        Tensor::f_from_slice(&kept)
            .and_then(|masks| masks.f_view([-1, units as i64])?.f_to_device(self.device))
            .map(Some)
            .map_err(Error::compute("drawing the dropout of an epoch"))
    }

    /// Shows the summary under a notebook cell.
    pub fn evcxr_display(&self) {
        self.summary().evcxr_display();
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

    /// Rows [N, width] to logits: [N] for two classes, [N, classes] for more. `mask` [N, units]
    /// holds 1 where a hidden value is kept.
    pub(crate) fn logits(
        &self,
        rows: &Tensor,
        mask: Option<&Tensor>,
    ) -> std::result::Result<Tensor, TchError> {
        let [hidden_layer, output_layer] = self.layers.as_slice() else {
            return Err(TchError::Shape("a head has two layers".into()));
        };
        let dense = |x: &Tensor, layer: &LayerWeights| x.f_linear(&layer.kernel, Some(&layer.bias));
        let mut hidden = dense(rows, hidden_layer)?.f_relu()?;
        if let Some(mask) = mask {
            // Inverted dropout: what is kept grows, so that nothing changes at prediction time.
            let scale = 1.0 / (1.0 - self.head.dropout);
            hidden = hidden.f_mul(&mask.f_to_kind(Kind::Float)?.f_mul_scalar(scale)?)?;
        }
        let logits = dense(&hidden, output_layer)?;
        if self.classes.len() == 2 {
            logits.f_squeeze_dim(1)
        } else {
            Ok(logits)
        }
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

/// There is nothing to go on with.
pub(crate) fn no_run() -> Error {
    Error::Mismatch {
        what: "a run to go on with".into(),
        expected: "a model that was loaded from a checkpoint".into(),
        found: "one without an unfinished run".into(),
        remedy: "Load the file that `Fit::checkpoint` named, or train with `fit`".into(),
    }
}

/// A head with the features that it learns from.
struct HeadLearner<'a> {
    model: &'a HeadModel,
    rows: Tensor,
    targets: Targets,
    validation: &'a Features,
    /// The epoch's dropout.
    masks: Option<Tensor>,
}

impl Learner for HeadLearner<'_> {
    fn num_pictures(&self) -> usize {
        self.targets.len()
    }

    fn device(&self) -> Device {
        self.model.device
    }

    fn variables(&self) -> Vec<Variable> {
        self.model.variables()
    }

    fn start_epoch(&mut self, draws: &Draws) -> Result<()> {
        self.masks = self.model.masks(draws)?;
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
        self.targets.select(rows)?.measure(&logits)
    }

    fn validate(&self) -> Result<Evaluation> {
        self.model.evaluate(self.validation)
    }

    fn epochs_before(&self) -> usize {
        self.model.epochs
    }

    fn facts(&self) -> Value {
        json!({
            "training pictures": self.targets.len(),
            "validation pictures": self.validation.len(),
        })
    }

    fn checkpoint(&self, path: &Path, run: &Run<'_>) -> Result<Saved> {
        let mut store = self.model.store();
        let epochs = json!(self.model.epochs.saturating_add(run.learned().epochs.len()));
        store.metadata.insert("epochs".into(), epochs.to_string());
        run.write(&mut store);
        store.save(path)
    }
}
