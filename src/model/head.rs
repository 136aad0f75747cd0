//! How a head is built: the small classifier on top of a base.

use crate::error::{Error, Result};
use crate::pictures::target::Target;
use crate::training::fit::check_positive;

/// 2^30 weights are 4 GB, and training takes four times as much: a larger head is a typing slip.
const MOST_WEIGHTS: usize = 1 << 30;

/// How a head is built; it gets its weights from [`Head::build`].
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub(crate) units: usize,
    pub(crate) dropout: f64,
    pub(crate) target: Target,
}

impl Head {
    /// A hidden layer of `units`, ReLU, without dropout, then one output for each class.
    #[doc(alias("Dense", "Linear"))]
    pub fn dense(units: usize) -> Self {
        Self {
            units,
            dropout: 0.0,
            target: Target::Class,
        }
    }

    /// Sets what it answers: one class of several, unless said. [`Head::build`] goes by its features.
    ///
    /// Keras: `Dense(n, activation="sigmoid")` with `binary_crossentropy` for labels, `Dense(n)` with `mse` for numbers.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Target, Weights};
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// let head = Head::dense(16).target(Target::Labels);
    /// let model = Classifier::new(&base, head, &["red", "square"])?;
    /// let prediction = model.predict("data/samples/train/cats/cat.0.jpg")?;
    /// assert!(prediction.labels().len() <= 2); // those with a probability above one half
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias("activation", "y_range"))]
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// The share of hidden values that is set to zero while training, 0 up to (not) 1.
    #[doc(alias = "Dropout")]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// The head of the lesson's part 1: Dense 512, dropout 0.5.
    pub fn lesson() -> Self {
        Self::dense(512).dropout(0.5)
    }

    /// Refuses options that no head can have for `width` inputs.
    pub(crate) fn check(&self, width: usize, classes: &[String]) -> Result<()> {
        check_positive("units", self.units)?;
        if classes.len() < self.target.fewest_names() {
            return Err(Error::Argument {
                argument: "classes",
                value: format!("{classes:?}"),
                expected: match self.target {
                    Target::Class => "there must be at least two to tell apart".into(),
                    other => format!("there must be the name of one {} at least", other.noun()),
                },
            });
        }
        // One unit has a weight for each input and each output.
        let of_unit = width.saturating_add(self.target.outputs(classes.len()));
        let weights = of_unit.checked_mul(self.units);
        if weights.is_none_or(|weights| weights > MOST_WEIGHTS) {
            return Err(Error::Argument {
                argument: "units",
                value: self.units.to_string(),
                expected: format!(
                    "with {width} inputs and {} {} it may be {} at most",
                    classes.len(),
                    self.target.nouns(),
                    MOST_WEIGHTS / of_unit.max(1)
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
        Ok(())
    }
}
