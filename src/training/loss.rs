//! What a model's outputs are held against: how many there are, what is made of them, loss and measure. All that
//! differs between classes, labels and numbers in training is here.
//!
//! Two classes have one output, the logit of the second; more have one for each, and so have labels and numbers.
//! The loss comes from logits in one fused call, as Keras' `from_logits=True`.

use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::scalar::scalar;
use crate::pictures::labels::Labels;
use crate::pictures::target::Target;

impl Target {
    /// One output for two classes, one for each name otherwise.
    pub(crate) fn outputs(self, names: usize) -> usize {
        match (self, names) {
            (Self::Class, 2) => 1,
            _ => names,
        }
    }

    /// Outputs [N, outputs] as the losses take them: [N] for two classes.
    pub(crate) fn logits(self, outputs: Tensor) -> std::result::Result<Tensor, TchError> {
        match (self, outputs.size()[1]) {
            (Self::Class, 1) => outputs.f_squeeze_dim(1),
            _ => Ok(outputs),
        }
    }

    /// What the model answers, [N, names], from logits [N] or [N, names]: the probability of each class or label, or
    /// the numbers.
    pub(crate) fn answers(self, logits: &Tensor) -> std::result::Result<Tensor, TchError> {
        match self {
            Self::Class if logits.dim() == 1 => {
                let second = logits.f_sigmoid()?;
                Tensor::f_stack(&[scalar(1.0)?.f_sub(&second)?, second], 1)
            }
            Self::Class => logits.f_softmax(-1, Kind::Float),
            Self::Labels => logits.f_sigmoid(),
            Self::Numbers => Ok(logits.shallow_clone()),
        }
    }
}

/// The loss of some pictures, with its graph, and how good the answers were.
pub(crate) struct Measured {
    /// The mean over the pictures.
    pub(crate) loss: Tensor,
    /// The sum over the pictures: right classes, shares of right labels, or mean absolute errors.
    pub(crate) measure: Tensor,
}

/// What the pictures should be taken for, on the device of the model.
pub(crate) struct Targets {
    target: Target,
    /// The class of each picture (N,): f32 for two classes, whole numbers for more, as the losses want; labels or
    /// numbers (N, names), f32.
    labels: Tensor,
    /// How much each picture counts; all the same if there are none.
    weights: Option<Tensor>,
}

impl Targets {
    /// `class_weights` has one number for each class, or none at all.
    pub(crate) fn new(
        all: &Labels,
        classes: usize,
        class_weights: &[f64],
        device: Device,
    ) -> Result<Self> {
        let target = all.target();
        if !class_weights.is_empty() && target != Target::Class {
            return Err(Error::Argument {
                argument: "class_weights",
                value: format!("{class_weights:?}"),
                expected: format!(
                    "only pictures of one class each can be weighed by it, and these have {}",
                    target.nouns()
                ),
            });
        }
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
        let labels = all.classes();
        let of_picture = labels.iter().filter_map(|&label| class_weights.get(label));
        let weights = of_picture.map(|&weight| weight as f32).collect::<Vec<_>>();
        let numbers = labels.iter().map(|&label| label as i64).collect::<Vec<_>>();
        let place = || {
            let labels = match target {
                Target::Class => Tensor::f_from_slice(&numbers)?.f_to_kind(kind)?,
                Target::Labels | Target::Numbers => Tensor::f_from_slice(&all.rows().concat())?
                    .f_view([all.len() as i64, classes as i64])?,
            };
            Ok(Self {
                target,
                labels: labels.f_to_device(device)?,
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
        self.labels.size()[0] as usize
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
            target: self.target,
            labels: take(&self.labels)?,
            weights: self.weights.as_ref().map(take).transpose()?,
        })
    }

    /// Mean loss of logits [N] or [N, names], and the sum of the measure. With class weights the mean is that of
    /// each picture's loss times its weight, over the number of pictures, as in Keras.
    pub(crate) fn measure(&self, logits: &Tensor) -> std::result::Result<Measured, TchError> {
        let none = None::<Tensor>;
        let reduction = match self.weights {
            None => Reduction::Mean,
            Some(_) => Reduction::None,
        };
        let outputs = logits.f_detach()?;
        let binary = || {
            let labels = &self.labels;
            logits.f_binary_cross_entropy_with_logits(
                labels,
                none.as_ref(),
                none.as_ref(),
                reduction,
            )
        };
        // A probability above one half is a logit above zero.
        let hits = || {
            outputs
                .f_gt_tensor(&scalar(0.0)?)?
                .f_eq_tensor(&self.labels)
        };
        let (loss, measure) = match self.target {
            Target::Class if logits.dim() == 1 => (binary()?, hits()?.f_sum(Kind::Int64)?),
            Target::Class => {
                let none = None::<Tensor>;
                let loss = logits.f_cross_entropy_loss(&self.labels, none, reduction, -100, 0.0)?;
                let guessed = outputs.f_argmax(-1, false)?;
                (loss, guessed.f_eq_tensor(&self.labels)?.f_sum(Kind::Int64)?)
            }
            Target::Labels => (binary()?, sum_of_means(&hits()?)?),
            Target::Numbers => {
                let loss = logits.f_mse_loss(&self.labels, reduction)?;
                (loss, sum_of_means(&outputs.f_sub(&self.labels)?.f_abs()?)?)
            }
        };
        Ok(Measured {
            loss: match &self.weights {
                None => loss,
                Some(weights) => loss.f_mul(weights)?.f_mean(Kind::Float)?,
            },
            measure,
        })
    }
}

/// (N, names) to the sum over the pictures of each one's mean.
fn sum_of_means(values: &Tensor) -> std::result::Result<Tensor, TchError> {
    values
        .f_mean_dim([1i64].as_slice(), false, Kind::Double)?
        .f_sum(Kind::Double)
}
