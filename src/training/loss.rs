//! What a model's outputs are held against: labels, cross-entropy, hits, probabilities.
//!
//! Two classes have one output, the logit of the second; more have one for each. The loss comes from
//! logits in one fused call, as Keras' `from_logits=True`.

use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::error::{Error, Result};

/// One output for two classes, one for each class otherwise.
pub(crate) fn outputs_for(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

/// The probability of each class, [N, classes], from logits [N] or [N, classes].
pub(crate) fn probabilities(logits: &Tensor) -> std::result::Result<Tensor, TchError> {
    if logits.dim() == 1 {
        let second = logits.f_sigmoid()?;
        return Tensor::f_stack(&[second.f_neg()?.f_add_scalar(1.0)?, second], 1);
    }
    logits.f_softmax(-1, Kind::Float)
}

/// The loss of some pictures, with its graph, and how many of them were right.
pub(crate) struct Measured {
    /// The mean over the pictures.
    pub(crate) loss: Tensor,
    pub(crate) correct: Tensor,
}

/// What the pictures should be taken for, on the device of the model.
pub(crate) struct Targets {
    /// The class of each picture; f32 for two classes, whole numbers for more, as the losses want.
    labels: Tensor,
    /// How much each picture counts; all the same if there are none.
    weights: Option<Tensor>,
}

impl Targets {
    /// `class_weights` has one number for each class, or none at all.
    pub(crate) fn new(
        labels: &[usize],
        classes: usize,
        class_weights: &[f64],
        device: Device,
    ) -> Result<Self> {
        if !class_weights.is_empty() && class_weights.len() != classes {
            return Err(Error::Argument {
                argument: "class_weights",
                value: format!("{class_weights:?}"),
                expected: format!("there must be one for each of the {classes} classes"),
            });
        }
        let kind = if classes == 2 {
            Kind::Float
        } else {
            Kind::Int64
        };
        let of_picture = labels.iter().filter_map(|&label| class_weights.get(label));
        let weights = of_picture.map(|&weight| weight as f32).collect::<Vec<_>>();
        let numbers = labels.iter().map(|&label| label as i64).collect::<Vec<_>>();
        let place = || {
            Ok(Self {
                labels: Tensor::f_from_slice(&numbers)?
                    .f_to_kind(kind)?
                    .f_to_device(device)?,
                weights: match weights.as_slice() {
                    [] => None,
                    weights => Some(Tensor::f_from_slice(weights)?.f_to_device(device)?),
                },
            })
        };
        place().map_err(Error::compute("preparing the labels"))
    }

    /// Where they are.
    pub(crate) fn device(&self) -> Device {
        self.labels.device()
    }

    /// The number of pictures.
    pub(crate) fn len(&self) -> usize {
        self.labels.numel()
    }

    /// The targets of the pictures `rows`, a tensor of indices.
    pub(crate) fn select(&self, rows: &Tensor) -> std::result::Result<Self, TchError> {
        self.each(|tensor| tensor.f_index_select(0, rows))
    }

    /// The targets of `count` pictures from number `first` on.
    pub(crate) fn narrow(&self, first: usize, count: usize) -> std::result::Result<Self, TchError> {
        self.each(|tensor| tensor.f_narrow(0, first as i64, count as i64))
    }

    fn each(
        &self,
        take: impl Fn(&Tensor) -> std::result::Result<Tensor, TchError>,
    ) -> std::result::Result<Self, TchError> {
        Ok(Self {
            labels: take(&self.labels)?,
            weights: self.weights.as_ref().map(take).transpose()?,
        })
    }

    /// Mean cross-entropy of logits [N] or [N, classes], and the number of right answers. With class
    /// weights the mean is that of each picture's loss times its weight, over the number of
    /// pictures, as in Keras.
    pub(crate) fn measure(&self, logits: &Tensor) -> std::result::Result<Measured, TchError> {
        let none = None::<Tensor>;
        let reduction = match self.weights {
            None => Reduction::Mean,
            Some(_) => Reduction::None,
        };
        let outputs = logits.f_detach()?;
        let (loss, hits) = if logits.dim() == 1 {
            let loss = logits.f_binary_cross_entropy_with_logits(
                &self.labels,
                none.as_ref(),
                none.as_ref(),
                reduction,
            )?;
            // A probability above one half is a logit above zero.
            let is_second = self.labels.f_gt(0.5)?;
            (loss, outputs.f_gt(0.0)?.f_eq_tensor(&is_second)?)
        } else {
            let loss = logits.f_cross_entropy_loss(&self.labels, none, reduction, -100, 0.0)?;
            let guessed = outputs.f_argmax(-1, false)?;
            (loss, guessed.f_eq_tensor(&self.labels)?)
        };
        Ok(Measured {
            loss: match &self.weights {
                None => loss,
                Some(weights) => loss.f_mul(weights)?.f_mean(Kind::Float)?,
            },
            correct: hits.f_sum(Kind::Int64)?,
        })
    }
}
