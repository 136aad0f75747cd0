//! A base and a head as one model: what the lesson trains end to end.
//!
//! The base is shared with the one that the model was made from until some of its layers learn; then
//! the model has copies of its own of these. Everything before the border (a layer's name) is frozen.
//! Training is in `tuning`, telling the class of pictures in `prediction`.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Weights};
//! let base = Base::vgg16(150, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let mut model = Classifier::new(&base, Head::dense(256), &["cats", "dogs"])?;
//! assert_eq!(model.num_parameters(), 16_812_353);
//! assert_eq!(model.trainable_weights().len(), 30);
//! model.freeze_base();
//! assert_eq!(model.trainable_weights().len(), 4);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use serde_json::json;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors::{self, Store};
use crate::machine::precision::Precision;
use crate::model::head::{Head, HeadModel};
use crate::network::architecture::Architecture;
use crate::network::base::{Base, Origin, check_size, in_halves, lesson_order, shape_with_batch};
use crate::network::weights::file::LayerWeights;
use crate::pictures::augment::Augment;
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::Interpolation;
use crate::show::saved::Saved;
use crate::show::table::{Table, grouped};
use crate::training::checkpoint::Stored;
use crate::training::evaluation::Evaluation;
use crate::training::history::History;

/// What a file of ours should hold, in messages.
const WHAT: &str = "a classifier";

/// A base with a head on top.
pub struct Classifier {
    pub(crate) base: Base,
    pub(crate) head: HeadModel,
    /// The base's layers from this number on learn; none if it is their count.
    pub(crate) border: usize,
    /// How the pictures that it learned from were resized.
    pub(crate) interpolation: Interpolation,
    pub(crate) history: History,
    pub(crate) unfinished: Option<Unfinished>,
}

/// The run whose checkpoint a classifier was read from.
pub(crate) struct Unfinished {
    pub(crate) run: Stored,
    pub(crate) border: usize,
    pub(crate) augment: Augment,
}

impl Classifier {
    /// `base` with a new head for these classes, in their order. As in Keras everything is trainable
    /// at first; [`Classifier::train_frozen`] and [`Classifier::fine_tune`] see to that. The base that
    /// was passed stays as it is, whatever the model learns.
    ///
    /// Keras: `Sequential([conv_base, Flatten(), Dense(256), Dense(1)])`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has its top, otherwise as [`Head::build`].
    pub fn new(base: &Base, head: Head, classes: &[impl AsRef<str>]) -> Result<Self> {
        Self::seeded(base, head, classes, 0)
    }

    /// The same with a head whose first weights follow from another seed than 0.
    ///
    /// # Errors
    /// As [`Classifier::new`].
    pub fn seeded(base: &Base, head: Head, classes: &[impl AsRef<str>], seed: u64) -> Result<Self> {
        if base.output_shape().len() != 3 {
            return Err(Error::Mismatch {
                what: "the base of a classifier".into(),
                expected: "one without its top".into(),
                found: format!("one that ends in {:?}", base.output_shape()),
                remedy: "Use `lab.vgg16(150)?`".into(),
            });
        }
        let classes = classes.iter().map(|class| class.as_ref().to_owned());
        let classes = classes.collect::<Vec<_>>();
        let notes = &base.origin().notes;
        let head = head.build_for(base.output_shape(), &classes, base.device(), notes, seed)?;
        Ok(Self {
            base: base.shared(),
            head,
            border: 0,
            interpolation: Interpolation::default(),
            history: History::default(),
            unfinished: None,
        })
    }

    /// The small network that the lesson compares with: four convolutions and a head of 512 units,
    /// 3,453,121 weights for two classes at 150 pixels, all of them drawn at random from `seed`. Train
    /// it with [`Classifier::fit`].
    ///
    /// # Errors
    /// As [`Base::small_conv_net`] and [`Head::build`].
    pub fn small_conv_net(
        size: usize,
        classes: &[impl AsRef<str>],
        seed: u64,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let base = Base::small_conv_net(size, seed, device, precision)?;
        Self::seeded(&base, Head::dense(512), classes, seed)
    }

    /// Whether it was loaded from a checkpoint, so that [`Classifier::resume`] can go on with its run.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// The base as the model has it now.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        self.head.classes()
    }

    /// All epochs that the model has learned, run after run.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// The number of weights in base and head: 16,812,353 in the lesson.
    pub fn num_parameters(&self) -> usize {
        self.base.num_parameters() + self.head.num_parameters()
    }

    /// How many of them learn: 2,097,665 with the base frozen, 9,177,089 with block 5 open.
    pub fn num_trainable_parameters(&self) -> usize {
        let open = self.base.layers().iter().skip(self.border);
        open.map(|layer| layer.num_parameters()).sum::<usize>() + self.head.num_parameters()
    }

    /// The names of the weight tensors that learn, two for each layer; Keras' `trainable_weights`.
    pub fn trainable_weights(&self) -> Vec<String> {
        let open = self.base.layers().iter().skip(self.border);
        let open = open.filter(|layer| layer.has_weights());
        open.map(|layer| layer.name.as_str())
            .chain(["dense", "dense_1"])
            .flat_map(|name| [format!("{name} kernel"), format!("{name} bias")])
            .collect()
    }

    /// Freezes the whole base: only the head learns. Shows what is trainable now.
    pub fn freeze_base(&mut self) -> Table {
        self.border = self.base.layers().len();
        self.trainable()
    }

    /// Opens the base from a layer on: everything before it is frozen, the rest learns, and the head
    /// with it. Shows what is trainable now.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers.
    pub fn unfreeze_from(&mut self, layer: &str) -> Result<Table> {
        self.border = self.base.layer_number(layer)?;
        Ok(self.trainable())
    }

    /// Each layer of the base, and whether it learns: 19 rows for VGG16.
    pub fn trainable(&self) -> Table {
        let mut table = Table::new("Trainable layers", &["layer", "trainable"]);
        for (number, layer) in self.base.layers().iter().enumerate() {
            let answer = if number >= self.border {
                "true"
            } else {
                "false"
            };
            table.push([layer.name.as_str(), answer]);
        }
        table.note("The head learns always")
    }

    /// The summary table, as Keras' `model.summary()` has it.
    pub fn summary(&self) -> Table {
        let columns = ["Layer (type)", "Output Shape", "Param #"];
        let mut table = Table::new("Model: \"classifier\"", &columns).right_aligned(&[2]);
        table.push([
            format!("{} (Functional)", self.base.architecture()),
            shape_with_batch(self.base.output_shape()),
            grouped(self.base.num_parameters()),
        ]);
        let width = self.base.output_shape().iter().product::<usize>();
        table.push(["flatten (Flatten)", &format!("(None, {width})"), "0"]);
        for row in self.head.summary_rows() {
            table.push(row);
        }
        let (all, open) = (self.num_parameters(), self.num_trainable_parameters());
        let table = table
            .note(&format!("Total params: {}", grouped(all)))
            .note(&format!("Trainable params: {}", grouped(open)))
            .note(&format!("Non-trainable params: {}", grouped(all - open)))
            .note(&format!("Classes: {}", self.classes().join(", ")));
        let notes = self.base.origin().notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// Computes in another precision from now on. The weights are kept in f32 either way.
    ///
    /// # Errors
    /// [`Error::Compute`] if the device cannot hold them; the model then stays as it is.
    pub fn set_precision(&mut self, precision: Precision) -> Result<&Self> {
        self.base.set_precision(precision)?;
        Ok(self)
    }

    /// Loss and accuracy on labelled pictures, dropout off and nothing augmented.
    ///
    /// Keras: `model.evaluate(...)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the pictures are of other classes, [`Error::Pictures`] if some cannot be
    /// decoded, [`Error::Stopped`] if the work was asked to stop.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation> {
        self.check_evaluable(dataset)?;
        let _no_grad = tch::no_grad_guard();
        let targets = self.head.targets(dataset.labels(), &[])?;
        let (mut loss, mut correct) = (0.0, 0.0);
        self.for_each_logits(dataset, "evaluating", |first, logits| {
            let count = logits.size()[0] as usize;
            let step = targets.narrow(first, count)?.measure(&logits)?;
            loss += step.loss.f_double_value(&[])? * count as f64;
            correct += step.correct.f_double_value(&[])?;
            Ok(())
        })?;
        let pictures = dataset.len() as f64;
        Ok(Evaluation {
            loss: loss / pictures,
            accuracy: correct / pictures,
        })
    }

    /// Sends pictures through base and head: `each(first, logits)` for every batch, in order.
    pub(crate) fn for_each_logits(
        &self,
        dataset: &Dataset,
        doing: &str,
        mut each: impl FnMut(usize, Tensor) -> std::result::Result<(), TchError>,
    ) -> Result<()> {
        let at_once = self.base.pictures_at_once();
        let progress = self.base.shown();
        let mut task = progress.task(doing, "pictures", Some(dataset.len()));
        dataset.for_each_tensor(self.base.size(), at_once, |first, pixels| {
            progress.check(doing)?;
            in_halves(&pixels, &|pixels| self.logits(pixels))
                .and_then(|logits| each(first, logits))
                .map_err(Error::batch(doing, at_once))?;
            task.done(first + pixels.size()[0] as usize);
            Ok(())
        })
    }

    /// Pictures, (N, H, W, 3) bytes of the base's size, to logits [N] or [N, classes].
    pub(crate) fn logits(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        head_logits(&self.head, &self.base.forward_pixels(pixels)?, None)
    }

    /// Refuses pictures of other classes, and none at all.
    pub(crate) fn check_evaluable(&self, dataset: &Dataset) -> Result<()> {
        self.check_classes(dataset)?;
        if dataset.is_empty() {
            return Err(Error::Mismatch {
                what: "pictures to evaluate on".into(),
                expected: "at least one".into(),
                found: "none".into(),
                remedy: "Take some".into(),
            });
        }
        Ok(())
    }

    pub(crate) fn check_classes(&self, dataset: &Dataset) -> Result<()> {
        if dataset.classes() == self.classes() {
            return Ok(());
        }
        Err(Error::Mismatch {
            what: "the classes of the pictures".into(),
            expected: format!("{:?}", self.classes()),
            found: format!("{:?}", dataset.classes()),
            remedy: "Use pictures of the classes that the model was made for".into(),
        })
    }

    /// Writes the whole model to one safetensors file. An existing file stays whole until the new one
    /// is.
    ///
    /// Python's `safetensors.torch.load_file` opens it: the base under torchvision's names
    /// (`features.0.weight`), the head as `dense.weight`, `dense.bias`, `dense_1.weight`,
    /// `dense_1.bias`. Class names, input size, scaling, border and history are its metadata.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Saved> {
        self.store(self.base.all_weights(), &self.history)
            .save(path.as_ref())
    }

    /// The model as it is written, with these weights of the base and this history.
    pub(crate) fn store(&self, weights: &[LayerWeights], history: &History) -> Store {
        let mut store = Store {
            tensors: BTreeMap::new(),
            metadata: HashMap::from([("kind".to_owned(), "classifier".to_owned())]),
        };
        self.head.write(&mut store);
        let names = self.base.architecture().stored_names();
        for (name, layer) in names.iter().zip(weights) {
            for (part, tensor) in [("weight", &layer.kernel), ("bias", &layer.bias)] {
                let name = format!("{name}.{part}");
                store.tensors.insert(name, tensor.shallow_clone());
            }
        }
        let layers = self.base.layers();
        for (key, value) in [
            ("architecture", json!(self.base.architecture())),
            ("size", json!(self.base.size())),
            ("origin", json!(self.base.origin())),
            ("precision", json!(self.base.precision())),
            (
                "trainable_from",
                json!(layers.get(self.border).map(|layer| &layer.name)),
            ),
            ("interpolation", json!(self.interpolation)),
            ("history", json!(history)),
        ] {
            store.metadata.insert(key.to_owned(), value.to_string());
        }
        store
    }

    /// Reads what [`Classifier::save`] or a checkpoint wrote, onto the CPU or a GPU. It computes in the
    /// precision that it was saved with; [`Classifier::set_precision`] changes that.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Weights`] or [`Error::LayerShape`] if it
    /// does not hold a classifier, [`Error::Device`] if the device cannot be used.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        crate::machine::device::check(device)?;
        let path = path.as_ref();
        let mut store = Store::load(path, WHAT)?;
        let kind = store.metadata.get("kind");
        if kind.is_none_or(|kind| kind != "classifier") {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let architecture: Architecture = store.read_json("architecture", path, WHAT)?;
        let size: usize = store.read_json("size", path, WHAT)?;
        let origin: Origin = store.read_json("origin", path, WHAT)?;
        let precision: Precision = store.read_json("precision", path, WHAT)?;
        let from: Option<String> = store.read_json("trainable_from", path, WHAT)?;
        let history: History = store.read_json("history", path, WHAT)?;
        let interpolation: Interpolation = store.read_json("interpolation", path, WHAT)?;
        if check_size(architecture, size).is_err() {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        let layers = architecture.layers(size, false);
        let kernels = layers.iter().filter(|layer| layer.has_weights());
        let kernels = kernels.map(|layer| layer.kernel_shape.clone());
        let mut weights = Vec::new();
        for (name, shape) in architecture.stored_names().iter().zip(kernels) {
            let shape = match shape.as_slice() {
                &[height, width, inputs, outputs] => vec![outputs, inputs, height, width],
                other => other.to_vec(),
            };
            weights.push(LayerWeights::take(&mut store, name, &shape, path, WHAT)?);
        }
        let base = Base::from_parts(architecture, layers, weights, device, precision, origin)?;
        let border = match from {
            None => base.layers().len(),
            Some(name) => base
                .layer_number(&name)
                .map_err(|_| tensors::not_saved_here(path, WHAT))?,
        };
        let unfinished = match Stored::take(&mut store, path, WHAT)? {
            None => None,
            Some(run) => Some(Unfinished {
                run,
                border,
                augment: store.read_json("augment", path, WHAT)?,
            }),
        };
        let head = HeadModel::read(&mut store, path, WHAT, device)?;
        if head.input_shape() != base.output_shape() {
            return Err(tensors::not_saved_here(path, WHAT));
        }
        Ok(Self {
            base,
            head,
            border,
            interpolation,
            history,
            unfinished,
        })
    }

    /// Shows the summary under a notebook cell.
    pub fn evcxr_display(&self) {
        self.summary().evcxr_display();
    }
}

impl Classifier {
    /// How this model's evaluations and predictions show their progress, and what may stop them.
    pub fn progress(mut self, progress: crate::show::progress::Progress) -> Self {
        self.base = self.base.progress(progress);
        self
    }
}

impl fmt::Display for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {}, {} parameters, {} trainable, {} epochs",
            self.base.architecture(),
            self.head,
            grouped(self.num_parameters()),
            grouped(self.num_trainable_parameters()),
            self.history.epochs.len()
        )
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Classifier({self})")
    }
}

/// What the head makes of a base's output (N, H, W, C), whatever its precision.
pub(crate) fn head_logits(
    head: &HeadModel,
    output: &Tensor,
    mask: Option<&Tensor>,
) -> std::result::Result<Tensor, TchError> {
    let rows = output.f_flatten(1, -1)?.f_to_kind(Kind::Float)?;
    head.logits(&rows, mask)
}

/// [N, C, H, W] of the last layer to logits.
pub(crate) fn logits_of(
    head: &HeadModel,
    output: &Tensor,
    mask: Option<&Tensor>,
) -> std::result::Result<Tensor, TchError> {
    head_logits(head, &lesson_order(output)?, mask)
}
