//! A base and a head as one model: what the lesson trains end to end.
//!
//! The base is shared with the one that the model was made from until some of its layers learn; then
//! the model has copies of its own of these. Everything before the layer that it is trainable from is
//! frozen.
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

use std::fmt;

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::precision::Precision;
use crate::model::head::Head;
use crate::model::head_model::HeadModel;
use crate::network::base::Base;
use crate::network::layer::shape_with_batch;
use crate::network::outputs::lesson_order;
use crate::pictures::augment::Augment;
use crate::pictures::resize::Interpolation;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::progress::Progress;
use crate::show::table::{Table, counted, grouped};
use crate::training::checkpoint::Checkpoint;
use crate::training::history::History;

/// A base with a head on top.
#[doc(alias("Model", "Sequential", "Learner", "vision_learner"))]
pub struct Classifier {
    pub(crate) base: Base,
    pub(crate) head: HeadModel,
    /// The base's layers from this number on learn; none if it is their count.
    pub(crate) trainable_from: usize,
    /// Whether batch normalisation in the layers that learn runs in training mode meanwhile.
    pub(crate) trains_batch_norm: bool,
    /// How the pictures that it learned from were resized.
    pub(crate) interpolation: Interpolation,
    pub(crate) history: History,
    pub(crate) unfinished: Option<Unfinished>,
}

/// The run whose checkpoint a classifier was read from.
pub(crate) struct Unfinished {
    pub(crate) run: Checkpoint,
    pub(crate) trainable_from: usize,
    pub(crate) trains_batch_norm: bool,
    pub(crate) augment: Augment,
}

impl Classifier {
    /// `base` with a new head for these classes (labels, numbers: [`Head::target`]), in their order. As in Keras everything is trainable
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
        if base.has_top() {
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
            trainable_from: 0,
            trains_batch_norm: false,
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

    /// The class names (or those of labels or numbers), in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        self.head.classes()
    }

    /// What it answers: classes, labels or numbers.
    pub fn target(&self) -> Target {
        self.head.target()
    }

    /// All epochs that the model has learned, run after run.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// The number of weights in base and head: 16,812,353 in the lesson.
    pub fn num_parameters(&self) -> usize {
        self.base.num_parameters() + self.head.num_parameters()
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
        for row in self.rows_after_the_base() {
            table.push(row);
        }
        let (all, open) = (self.num_parameters(), self.num_trainable_parameters());
        let table = table
            .note(&format!("Total params: {}", grouped(all)))
            .note(&format!("Trainable params: {}", grouped(open)))
            .note(&format!("Non-trainable params: {}", grouped(all - open)))
            .note(&self.head.named());
        let notes = self.base.origin().notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// What comes after the base, as a summary has it.
    pub(super) fn rows_after_the_base(&self) -> Vec<[String; 3]> {
        let mut rows = Vec::new();
        if let shape @ [_, _, _] = self.base.output_shape() {
            let width = shape.iter().product::<usize>();
            rows.push(["flatten (Flatten)", &format!("(None, {width})"), "0"].map(str::to_owned));
        }
        rows.extend(self.head.summary_rows());
        rows
    }

    /// Computes in another precision from now on. The weights are kept in f32 either way.
    ///
    /// # Errors
    /// [`Error::Compute`] if the device cannot hold them; the model then stays as it is.
    pub fn set_precision(&mut self, precision: Precision) -> Result<&Self> {
        self.base.set_precision(precision)?;
        Ok(self)
    }

    /// Pictures, (N, H, W, 3) bytes of the base's size, to logits [N] or [N, classes].
    pub(crate) fn logits(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        head_logits(&self.head, &self.base.forward_pixels(pixels)?, None)
    }

    /// How this model's evaluations and predictions show their progress, and what may stop them.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.base = self.base.progress(progress);
        self
    }
}

displayed!(
    Classifier,
    "Shows the summary under a notebook cell.",
    |model| model.summary().bundle()
);

impl fmt::Display for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {}, {} parameters, {} trainable, {}",
            self.base.architecture(),
            self.head,
            grouped(self.num_parameters()),
            grouped(self.num_trainable_parameters()),
            counted(self.history.epochs.len(), "epoch")
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
