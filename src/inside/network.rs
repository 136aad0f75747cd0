//! What tells classes: a base with a classifier's head on it, or a network with its own top.
//!
//! Heat maps and occlusion maps ask either in the same words.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::model::classifier::{Classifier, logits_of};
use crate::network::base::Base;
use crate::pictures::photo::Photo;
use crate::pictures::resize::Interpolation;
use crate::training::loss;

/// A base and what tells classes from its output.
pub(crate) enum Network<'a> {
    /// A head, trained on classes of its own.
    Model(&'a Classifier),
    /// The top that the network came with.
    Whole(&'a Base),
}

impl<'a> Network<'a> {
    /// A network with its top; `call` is the function that a classifier has for the same.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has no top.
    pub(crate) fn whole(base: &'a Base, call: &str) -> Result<Self> {
        base.check_has_top(call)?;
        Ok(Self::Whole(base))
    }

    pub(crate) fn base(&self) -> &'a Base {
        match self {
            Self::Model(model) => model.base(),
            Self::Whole(base) => base,
        }
    }

    /// A picture as it goes in: (1, size, size, 3) bytes.
    pub(crate) fn pixels(&self, photo: &Photo) -> Result<Tensor> {
        let interpolation = match self {
            Self::Model(model) => model.interpolation,
            Self::Whole(_) => Interpolation::Nearest,
        };
        photo.to_tensor(self.base().size(), interpolation)
    }

    /// The number of a class by its name; nothing where none is asked for.
    ///
    /// # Errors
    /// [`Error::Argument`] says what the classes are called.
    pub(crate) fn class_number(&self, class: Option<&str>) -> Result<Option<usize>> {
        let Some(class) = class else {
            return Ok(None);
        };
        let (found, expected) = match self {
            Self::Model(model) => (
                model.classes().iter().position(|name| name == class),
                format!("the model knows {}", model.classes().join(", ")),
            ),
            Self::Whole(base) => (
                base.class_number(class),
                format!(
                    "it must be a name as `classify` gives it, or \"class 0\" to \"class {}\"",
                    base.num_outputs().saturating_sub(1)
                ),
            ),
        };
        let unknown = || Error::Argument {
            argument: "class",
            value: format!("{class:?}"),
            expected,
        };
        found.map(Some).ok_or_else(unknown)
    }

    pub(crate) fn class_name(&self, number: usize) -> String {
        match self {
            Self::Model(model) => model.classes()[number].clone(),
            Self::Whole(base) => base.class_name(number),
        }
    }

    /// What follows layer `number`, up to the scores before sigmoid or softmax: [N, C, H, W] to [N] for
    /// a head of two classes, [N, classes] otherwise.
    pub(crate) fn logits_after(
        &self,
        output: &Tensor,
        number: usize,
    ) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Model(model) => {
                let output = model.base().forward_after(output, number)?;
                logits_of(&model.head, &output, None)
            }
            Self::Whole(base) => base.logits_after(output, number),
        }
    }

    /// Pictures, (N, H, W, 3) bytes of the base's size, to probabilities [N, classes].
    pub(crate) fn probabilities(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Model(model) => loss::probabilities(&model.logits(pixels)?),
            Self::Whole(base) => base.forward_pixels(pixels),
        }
    }
}
