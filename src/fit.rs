//! How a model is trained: the options and the crate's only training loop.
//!
//! Keras' words and defaults: RMSprop with rho 0.9 and epsilon 1e-7, a new seeded order each epoch,
//! the short last batch counted by its size, accuracy and loss averaged over the epoch while the
//! weights move. Nothing waits for the device inside an epoch: sums stay there until its end.
//!
//! ```
//! use evcxr_transfer::Fit;
//! let fit = Fit::default().epochs(5).learning_rate(1e-4).seed(7);
//! assert_eq!((fit.epochs, fit.batch_size), (5, 20));
//! ```

use std::fmt;
use std::time::Instant;

use tch::{Device, Kind, TchError, Tensor};

use crate::display::{self, Progress};
use crate::error::{Error, Result};
use crate::history::{Epoch, History};
use crate::random::Random;
use crate::table::Table;

/// Options of a training run, with the lesson's values as defaults.
#[derive(Debug, Clone)]
pub struct Fit {
    /// How often every picture is seen; 30.
    pub epochs: usize,
    /// How many pictures a step takes; 20.
    pub batch_size: usize,
    /// The step size of RMSprop; 2e-5.
    pub learning_rate: f64,
    /// From what the order of pictures, the initial weights of a head and its dropout follow; 0.
    pub seed: u64,
    /// How progress is shown; one line an epoch.
    pub progress: Progress,
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 20,
            learning_rate: 2e-5,
            seed: 0,
            progress: Progress::lines(),
        }
    }
}

impl Fit {
    /// Sets how often every picture is seen.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets how many pictures a step takes.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the step size of RMSprop.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Sets from what all random choices of the run follow.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how progress is shown.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// The options and their values.
    pub fn table(&self) -> Table {
        Table::new("Fit", &["option", "value"])
            .row(["optimizer", "RMSprop"])
            .row(["epochs", &self.epochs.to_string()])
            .row(["batch_size", &self.batch_size.to_string()])
            .row(["learning_rate", &format!("{:e}", self.learning_rate)])
            .row(["seed", &self.seed.to_string()])
    }

    /// Shows the options under a notebook cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }

    /// Whether the options make sense; every training call asks this first.
    ///
    /// # Errors
    /// [`Error::Argument`] names the option that does not.
    pub fn check(&self) -> Result<&Self> {
        check_positive("epochs", self.epochs)?;
        check_positive("batch_size", self.batch_size)?;
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::Argument {
                argument: "learning_rate",
                value: self.learning_rate.to_string(),
                expected: "it must be above 0".into(),
            });
        }
        Ok(self)
    }
}

/// Refuses a count of 0.
pub(crate) fn check_positive(argument: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::Argument {
        argument,
        value: "0".into(),
        expected: "it must be 1 or more".into(),
    })
}

/// What a model tells of itself on given pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// The mean cross-entropy.
    pub loss: f64,
    /// The share of pictures whose class is right, 0 to 1.
    pub accuracy: f64,
}

impl Evaluation {
    /// Shows the line under a notebook cell.
    pub fn evcxr_display(&self) {
        display::Bundle::text(&self.to_string()).show();
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accuracy: {:.4} - loss: {:.4}", self.accuracy, self.loss)
    }
}

/// The loss of one batch, with its graph, and how many of its pictures were right.
pub(crate) struct Step {
    pub(crate) loss: Tensor,
    pub(crate) correct: Tensor,
}

/// A model with the pictures that it learns from, as the loop sees them.
pub(crate) trait Learner {
    /// The number of training pictures.
    fn num_pictures(&self) -> usize;
    /// Where the weights are.
    fn device(&self) -> Device;
    /// The weights that learn. The tensors share their memory with the model.
    fn variables(&self) -> Vec<Tensor>;
    /// Draws what an epoch needs at once, such as its dropout.
    fn start_epoch(&mut self, random: &mut Random) -> std::result::Result<(), TchError>;
    /// Loss and hits for the pictures `rows` (a tensor of indices), the `first`.. of this epoch.
    fn step(&self, rows: &Tensor, first: usize) -> std::result::Result<Step, TchError>;
    /// Loss and accuracy on the validation pictures, if there are any.
    fn validate(&self) -> Result<Option<Evaluation>>;
}

/// Trains `learner`. On an error the weights are back at the end of the last whole epoch.
pub(crate) fn run(fit: &Fit, learner: &mut dyn Learner, notes: &[String]) -> Result<History> {
    fit.check()?;
    let variables = learner.variables();
    let set_gradients = |on: bool| -> Result<()> {
        for variable in &variables {
            let _ = variable
                .f_set_requires_grad(on)
                .map_err(Error::compute("preparing the weights for training"))?;
        }
        Ok(())
    };
    set_gradients(true)?;
    let mut history = History::new(notes);
    let outcome = epochs(fit, learner, &variables, &mut history);
    // Whatever happened: outside of a run no weight asks for gradients.
    set_gradients(false)?;
    outcome.map(|()| history)
}

fn epochs(
    fit: &Fit,
    learner: &mut dyn Learner,
    variables: &[Tensor],
    history: &mut History,
) -> Result<()> {
    let doing = format!("training on {}", crate::device::name(learner.device()));
    let failed = |error| Error::batch(doing.clone(), fit.batch_size)(error);
    let steps = learner.num_pictures().div_ceil(fit.batch_size);
    let mut random = Random::new(fit.seed, "epochs");
    let mut optimizer = RmsProp::new(variables, fit.learning_rate).map_err(failed)?;
    let mut good = copies_of(variables).map_err(failed)?;
    for number in 1..=fit.epochs {
        let start = Instant::now();
        let trained = match epoch(fit, learner, variables, &mut optimizer, &mut random) {
            Ok(trained) if trained.loss.is_finite() => trained,
            other => {
                restore(variables, &good)?;
                return Err(match other {
                    Ok(diverged) => Error::NotFinite {
                        loss: diverged.loss,
                        epoch: number,
                    },
                    Err(error) => failed(error),
                });
            }
        };
        let validation = learner.validate()?;
        let epoch = Epoch {
            loss: trained.loss,
            accuracy: trained.accuracy,
            val_loss: validation.map(|v| v.loss),
            val_accuracy: validation.map(|v| v.accuracy),
            seconds: start.elapsed().as_secs_f64(),
        };
        fit.progress.line(&epoch.line(number, fit.epochs, steps));
        history.epochs.push(epoch);
        good = copies_of(variables).map_err(failed)?;
    }
    Ok(())
}

/// One pass over the pictures in a new order. Reads from the device once, at the end.
fn epoch(
    fit: &Fit,
    learner: &mut dyn Learner,
    variables: &[Tensor],
    optimizer: &mut RmsProp,
    random: &mut Random,
) -> std::result::Result<Evaluation, TchError> {
    let device = learner.device();
    let pictures = learner.num_pictures();
    let mut order = (0..pictures as i64).collect::<Vec<_>>();
    random.shuffle(&mut order);
    let order = Tensor::f_from_slice(&order)?.f_to_device(device)?;
    learner.start_epoch(random)?;
    let mut sums = Tensor::f_zeros([2], (Kind::Double, device))?;
    let mut first = 0;
    while first < pictures {
        let count = fit.batch_size.min(pictures - first);
        let rows = order.f_narrow(0, first as i64, count as i64)?;
        // Set here, not left to the caller: a panic that a cell survived may have left it off.
        let (step, gradients) = tch::with_grad(|| {
            let step = learner.step(&rows, first)?;
            let gradients = Tensor::f_run_backward(&[&step.loss], variables, false, false)?;
            Ok::<_, TchError>((step, gradients))
        })?;
        let _no_grad = tch::no_grad_guard();
        optimizer.step(variables, &gradients)?;
        // The loss is a mean over the batch: weighed by its size, so that a short last one counts less.
        let loss = step
            .loss
            .f_detach()?
            .f_to_kind(Kind::Double)?
            .f_mul_scalar(count as f64)?;
        let step = Tensor::f_stack(&[loss, step.correct.f_to_kind(Kind::Double)?], 0)?;
        let _ = sums.f_add_(&step)?;
        first += count;
    }
    let sums = Vec::<f64>::try_from(&sums.f_to_device(Device::Cpu)?)?;
    let mean = |sum: f64| sum / pictures as f64;
    Ok(Evaluation {
        loss: mean(sums[0]),
        accuracy: mean(sums[1]),
    })
}

fn copies_of(variables: &[Tensor]) -> std::result::Result<Vec<Tensor>, TchError> {
    variables
        .iter()
        .map(|variable| variable.f_detach_copy())
        .collect()
}

fn restore(variables: &[Tensor], good: &[Tensor]) -> Result<()> {
    for (variable, good) in variables.iter().zip(good) {
        variable
            .f_detach()
            .and_then(|mut variable| variable.f_copy_(good))
            .map_err(Error::compute("putting the last good weights back"))?;
    }
    Ok(())
}

/// Keras' RMSprop: `v = rho v + (1 - rho) g^2`, `w -= rate g / sqrt(v + epsilon)`.
///
/// libtorch has epsilon outside the root, which drifts away from Keras by 0.02 in the loss within
/// 20 steps; hence a step of our own on plain tensors (keras/src/optimizers/rmsprop.py).
struct RmsProp {
    learning_rate: f64,
    averages: Vec<Tensor>,
}

impl RmsProp {
    const RHO: f64 = 0.9;
    const EPSILON: f64 = 1e-7;
    /// On the CPU a step works through pieces of this many values, which stay in a core's cache
    /// between its seven operations; whole tensors would travel to memory and back each time.
    const PIECE: i64 = 32_768;

    fn new(variables: &[Tensor], learning_rate: f64) -> std::result::Result<Self, TchError> {
        let averages = variables
            .iter()
            .map(|variable| variable.f_detach()?.f_zeros_like());
        Ok(Self {
            learning_rate,
            averages: averages.collect::<std::result::Result<_, _>>()?,
        })
    }

    fn step(
        &mut self,
        variables: &[Tensor],
        gradients: &[Tensor],
    ) -> std::result::Result<(), TchError> {
        for ((variable, gradient), average) in variables.iter().zip(gradients).zip(&self.averages) {
            let variable = variable.f_detach()?.f_view(-1)?;
            let gradient = gradient.f_reshape(-1)?;
            let average = average.f_view(-1)?;
            let total = variable.numel() as i64;
            let piece = if variable.device().is_cuda() {
                total
            } else {
                Self::PIECE
            };
            let mut start = 0;
            while start < total {
                let length = piece.min(total - start);
                let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
                self.piece(part(&variable)?, part(&gradient)?, part(&average)?)?;
                start += length;
            }
        }
        Ok(())
    }

    fn piece(
        &self,
        mut variable: Tensor,
        gradient: Tensor,
        mut average: Tensor,
    ) -> std::result::Result<(), TchError> {
        let _ = average.f_lerp_(&gradient.f_square()?, 1.0 - Self::RHO)?;
        let mut change = average.f_add_scalar(Self::EPSILON)?;
        let _ = change.f_rsqrt_()?;
        let _ = change.f_mul_(&gradient)?;
        let _ = change.f_mul_scalar_(self.learning_rate)?;
        let _ = variable.f_sub_(&change)?;
        Ok(())
    }
}
