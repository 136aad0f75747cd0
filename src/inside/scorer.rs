//! What scores classes: a classifier, or a network with its own top.
//!
//! Grad-CAM and occlusion ask either in the same words.

use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::model::classifier::{Classifier, logits_of};
use crate::network::base::Base;
use crate::pictures::photo::Photo;
use crate::pictures::resize::Interpolation;
use crate::pictures::target::Target;

/// A base and what scores classes by its output.
pub(crate) enum Scorer<'a> {
    /// By a head, trained on classes of its own.
    Classifier(&'a Classifier),
    /// By the top that the network came with.
    WithTop(&'a Base),
}

impl<'a> Scorer<'a> {
    /// A network with its top; `call` is the function that a classifier has for the same.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has no top.
    pub(crate) fn with_top(base: &'a Base, call: &str) -> Result<Self> {
        base.check_has_top(call)?;
        Ok(Self::WithTop(base))
    }

    pub(crate) fn base(&self) -> &'a Base {
        match self {
            Self::Classifier(model) => model.base(),
            Self::WithTop(base) => base,
        }
    }

    /// A picture as it goes in: (1, size, size, 3) bytes.
    pub(crate) fn pixels(&self, photo: &Photo) -> Result<Tensor> {
        let interpolation = match self {
            Self::Classifier(model) => model.interpolation,
            Self::WithTop(_) => Interpolation::Nearest,
        };
        photo.to_tensor(self.base().size(), interpolation)
    }

    /// The number of a class by its name; nothing where none is asked for.
    ///
    /// # Errors
    /// [`Error::Argument`] says what the classes are called; [`Error::Mismatch`] for a model of numbers.
    pub(crate) fn class_number(&self, class: Option<&str>) -> Result<Option<usize>> {
        if self.target() == Target::Numbers {
            return Err(Error::Mismatch {
                what: "what a heat map asks for".into(),
                expected: "a model that answers classes or labels".into(),
                found: "one that answers numbers, which no part of a picture is probable for"
                    .into(),
                remedy: "Look at `model.base().feature_maps(..)`".into(),
            });
        }
        let Some(class) = class else {
            return Ok(None);
        };
        let (found, expected) = match self {
            Self::Classifier(model) => (
                model.classes().iter().position(|name| name == class),
                format!("the model knows {}", model.classes().join(", ")),
            ),
            Self::WithTop(base) => (
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

    /// What it answers.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Classifier(model) => model.target(),
            Self::WithTop(_) => Target::Class,
        }
    }

    pub(crate) fn class_name(&self, number: usize) -> String {
        match self {
            Self::Classifier(model) => model.classes()[number].clone(),
            Self::WithTop(base) => base.class_name(number),
        }
    }

    /// What follows a border, up to the scores before sigmoid or softmax: from what crosses it to [N] for
    /// a head of two classes, [N, classes] otherwise.
    pub(crate) fn logits_after(
        &self,
        crossing: &[Tensor],
        border: usize,
    ) -> std::result::Result<Tensor, TchError> {
        let base = self.base();
        let exact = base.exact_after(border)?;
        let exact = exact.as_deref();
        let crossing = crossing.iter().map(|output| match exact {
            Some(_) => output.f_to_kind(Kind::Double),
            None => Ok(output.shallow_clone()),
        });
        let crossing = crossing.collect::<std::result::Result<Vec<_>, _>>()?;
        match self {
            Self::Classifier(model) => {
                let output = base.outputs_after(&crossing, border, exact)?;
                logits_of(&model.head, &output, None)
            }
            Self::WithTop(base) => base.logits_after(&crossing, border, exact),
        }
    }

    /// Pictures, (N, H, W, 3) bytes of the base's size, to probabilities [N, classes].
    pub(crate) fn probabilities(&self, pixels: &Tensor) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Classifier(model) => model.target().answers(&model.logits(pixels)?),
            Self::WithTop(base) => base.forward_pixels(pixels),
        }
    }
}
