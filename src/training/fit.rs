//! How a model is trained: the options of every training call.
//!
//! Keras' words and the lesson's values. A head on stored features, the whole classifier with a frozen
//! base, the last block and the small network are all trained by the one loop in `training`.
//!
//! ```
//! use evcxr_transfer::{Fit, Optimizer, Schedule};
//! let fit = Fit::default().epochs(5).learning_rate(1e-4).seed(7);
//! assert_eq!((fit.epochs, fit.batch_size), (5, 20));
//! let fit = fit.optimizer(Optimizer::adam_w()).schedule(Schedule::Cosine).early_stopping(3);
//! assert!(fit.check().is_ok());
//! ```

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::{Error, Result};
use crate::machine::disk;
use crate::machine::precision::Precision;
use crate::machine::stop::Stop;
use crate::machine::world::World;
use crate::show::display::displayed;
use crate::show::ending;
use crate::show::progress::Progress;
use crate::show::table::{Table, counted, every};
use crate::training::optimizer::Optimizer;
use crate::training::schedule::Schedule;

/// What an epoch draws for each picture is drawn at its start: more than these would fill the memory.
const MOST_PICTURES: usize = 10_000_000;

/// Options of a training run, with the lesson's values as defaults.
#[derive(Debug, Clone)]
#[doc(alias("compile", "hyperparameters", "TrainingArguments"))]
pub struct Fit {
    /// The number of epochs; 30.
    pub epochs: usize,
    /// How many batches an epoch has; unless said, as many as show each picture once. With fewer or
    /// more, the pictures go on in the next epoch where this one ended.
    pub steps_per_epoch: Option<usize>,
    /// How many pictures a step takes; 20.
    pub batch_size: usize,
    /// The optimiser; RMSprop.
    pub optimizer: Optimizer,
    /// The step size; 2e-5.
    pub learning_rate: f64,
    /// The step size of the head where a base learns with it; unless said, the same.
    pub head_learning_rate: Option<f64>,
    /// How the learning rate moves during the run; it stays the same.
    pub schedule: Schedule,
    /// How much a picture of each class counts in the training loss; unless said, all the same.
    pub class_weights: Vec<f64>,
    /// Ends the run when `val_loss` has not become better for so many epochs, and keeps the weights of
    /// the best one; unless said, the run goes to its end and keeps the last.
    pub early_stopping: Option<usize>,
    /// What the base computes in from this run on; unless said, what it was made with. The weights
    /// that learn, and heads, are f32 always.
    pub precision: Option<Precision>,
    /// Where the model is saved during the run, as it is after an epoch, with all that it takes to go
    /// on; unless said, nowhere.
    pub checkpoint: Option<PathBuf>,
    /// After every how many epochs; 1.
    pub checkpoint_every: usize,
    /// Whether the run goes on from its checkpoint where there is one already ([`Fit::backup`]); no.
    pub restores: bool,
    /// Whether decoded pictures are kept in memory from epoch to epoch, where they fit; true. Otherwise each
    /// epoch decodes them from their files, ahead of its steps. The numbers are the same.
    pub cache: bool,
    /// From what the order of pictures, their augmentation and dropout follow; 0.
    pub seed: u64,
    /// Whether the history keeps loss and accuracy of every step; no.
    pub keep_steps: bool,
    /// How progress is shown, and what may stop the run; as the place allows ([`Progress::auto`]).
    pub progress: Progress,
    /// The processes that share each batch; this one alone.
    pub world: World,
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            epochs: 30,
            steps_per_epoch: None,
            batch_size: 20,
            optimizer: Optimizer::RmsProp,
            learning_rate: 2e-5,
            head_learning_rate: None,
            schedule: Schedule::Constant,
            class_weights: Vec::new(),
            early_stopping: None,
            precision: None,
            checkpoint: None,
            checkpoint_every: 1,
            restores: false,
            cache: true,
            seed: 0,
            keep_steps: false,
            progress: Progress::default(),
            world: World::alone(),
        }
    }
}

impl Fit {
    /// Sets the number of epochs.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets how many batches an epoch has.
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.steps_per_epoch = Some(steps);
        self
    }

    /// Sets how many pictures a step takes.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the optimiser.
    pub fn optimizer(mut self, optimizer: Optimizer) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// Sets the step size.
    #[doc(alias = "lr")]
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Sets a step size of its own for the head, where a base learns with it.
    pub fn head_learning_rate(mut self, learning_rate: f64) -> Self {
        self.head_learning_rate = Some(learning_rate);
        self
    }

    /// Sets how the learning rate moves during the run.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets how much a picture of each class counts in the training loss, in the order of the class
    /// names; Keras' `class_weight`.
    #[doc(alias("class_weight", "sample_weight"))]
    pub fn class_weights(mut self, weights: &[f64]) -> Self {
        self.class_weights = weights.to_vec();
        self
    }

    /// Ends the run when `val_loss` has not become better for `patience` epochs, and keeps the weights
    /// of the best one; Keras' `EarlyStopping(patience=..., restore_best_weights=True)`.
    #[doc(alias("EarlyStopping", "patience"))]
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.early_stopping = Some(patience);
        self
    }

    /// Sets what the base computes in from this run on.
    #[doc(alias("mixed_precision", "amp"))]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Saves the model to this file during the run, with all that it takes to go on. Its name ends in `.safetensors`, or
    /// has no ending.
    #[doc(alias = "ModelCheckpoint")]
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        self.checkpoint = Some(path.as_ref().to_owned());
        self
    }

    /// Keeps the run in this file, so that it may take several sittings: a [`Fit::checkpoint`] from which the same call
    /// goes on by itself, with the numbers that it would have had without the break. A run that is over is taken from the
    /// file as it is; remove the file to train anew.
    ///
    /// The same call is one with the same model, pictures, augmentation and options; `epochs` may be more than before.
    /// Another one is refused ([`Error::Mismatch`]), and the file stays as it is. Where `path` is a folder each run has a file
    /// of its own in it, so that none is refused: [`Lab::backup`](crate::Lab::backup) keeps a whole lesson so.
    ///
    /// ```
    /// use evcxr_transfer::{Augment, Base, Classifier, Data, Device, Fit, Head, Precision, Weights};
    /// # let data = Data::open("data/samples")?.take(4, 2);
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// # let folder = std::env::temp_dir().join("evcxr_transfer backup");
    /// # std::fs::create_dir_all(&folder).expect("the temporary folder can be written to");
    /// # let file = folder.join("head.safetensors");
    /// let train = |epochs: usize| {
    ///     let mut model = Classifier::new(&base, Head::dense(16), data.train.classes())?;
    ///     let fit = Fit::default().epochs(epochs).backup(&file);
    ///     model.train_frozen(&data, &Augment::none(), &fit)
    /// };
    /// train(1)?;
    /// // Later, and in another process, for all that it knows.
    /// assert_eq!(train(2)?.epochs.len(), 2);
    /// # std::fs::remove_dir_all(&folder).expect("it can be removed");
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias = "BackupAndRestore")]
    pub fn backup(mut self, path: impl AsRef<Path>) -> Self {
        self.restores = true;
        self.checkpoint(path)
    }

    /// Sets after every how many epochs the checkpoint is written.
    pub fn checkpoint_every(mut self, epochs: usize) -> Self {
        self.checkpoint_every = epochs;
        self
    }

    /// Sets whether decoded pictures are kept in memory; `false` for more of them than the memory is wanted for.
    /// Those that do not fit are read from the disk in any case, and of several processes ([`Fit::world`]) each reads its own
    /// training pictures in each epoch. Features and heads do not ask.
    ///
    /// tf.data: `dataset.cache()`.
    pub fn cache(mut self, cache: bool) -> Self {
        self.cache = cache;
        self
    }

    /// Sets from what all random choices of the run follow.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps loss and accuracy of every step in the history: [`History::steps`](crate::History::steps),
    /// [`plot_steps`](crate::History::plot_steps), and `steps` in its JSON.
    ///
    /// fastai: `learn.recorder.losses`; Keras: a callback with `on_train_batch_end`.
    #[doc(alias("Recorder", "on_train_batch_end"))]
    pub fn keep_steps(mut self) -> Self {
        self.keep_steps = true;
        self
    }

    /// Sets how progress is shown; `Progress::quiet()` is Keras' `verbose=0`.
    #[doc(alias("verbose", "quiet"))]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Listens to `stop`: once it is requested, the run ends at the next batch.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.progress = self.progress.stop(stop);
        self
    }

    /// Shares the work with the other processes of `world`. All of them make the same calls with the same arguments; each
    /// decodes, augments and learns from its share of every batch, and their gradients are added up, so that the weights and
    /// the history of all are those of one process with the same `batch_size`, up to the order of sums. The first
    /// shows progress and writes checkpoints.
    ///
    /// The batch is that of all processes together, and no learning rate changes by itself. Whoever lets it grow with
    /// them, `batch_size(20 * world.size())`, makes fewer steps an epoch; a learning rate that grows alike (at first
    /// little by little: [`Schedule::OneCycle`]) often makes up for that.
    ///
    /// PyTorch: `DistributedDataParallel(model)` with a `DistributedSampler`, where `batch_size` is that of each process.
    #[doc(alias("DistributedDataParallel", "distribute", "mpi"))]
    pub fn world(mut self, world: &World) -> Self {
        self.world = world.clone();
        self
    }

    /// What this process makes of it: all but the first are silent and write nothing.
    pub(crate) fn of_this_process(&self) -> Self {
        let mut own = self.clone();
        if self.world.rank() > 0 {
            own.progress = self.progress.silent();
            own.checkpoint = None;
        }
        own
    }

    /// Refuses batches and pictures that do not suffice for all processes.
    pub(crate) fn check_world(&self, training: usize, validation: usize) -> Result<()> {
        for (what, count) in [
            ("batch_size", self.batch_size),
            ("training pictures", training),
            ("validation pictures", validation),
        ] {
            self.world.check_enough(what, count)?;
        }
        Ok(())
    }

    /// The options and their values.
    pub fn table(&self) -> Table {
        let rate = |rate: f64| format!("{rate:e}");
        let mut table = Table::new("Fit", &["option", "value"]);
        let mut row = |option: &str, value: String| table.push([option.to_owned(), value]);
        row("optimizer", self.optimizer.to_string());
        row("epochs", self.epochs.to_string());
        row(
            "steps_per_epoch",
            self.steps_per_epoch
                .map_or_else(|| "each picture once".into(), |steps| steps.to_string()),
        );
        row("batch_size", self.batch_size.to_string());
        row("learning_rate", rate(self.learning_rate));
        if let Some(of_head) = self.head_learning_rate {
            row("head_learning_rate", rate(of_head));
        }
        row("schedule", self.schedule.to_string());
        if !self.class_weights.is_empty() {
            row("class_weights", format!("{:?}", self.class_weights));
        }
        if let Some(patience) = self.early_stopping {
            row(
                "early_stopping",
                format!("after {}", counted(patience, "epoch")),
            );
        }
        if let Some(precision) = self.precision {
            row("precision", precision.to_string());
        }
        if let Some(path) = &self.checkpoint {
            let every = every(self.checkpoint_every, "epoch");
            let name = if self.restores {
                "backup"
            } else {
                "checkpoint"
            };
            row(name, format!("{}, {every}", path.display()));
        }
        if !self.cache {
            row("cache", "pictures are read in each epoch".into());
        }
        row("seed", self.seed.to_string());
        if self.keep_steps {
            row("keep_steps", "true".into());
        }
        if !self.world.is_alone() {
            row("world", format!("{} processes", self.world.size()));
        }
        table
    }

    /// Whether the options make sense; every training call asks this first.
    ///
    /// # Errors
    /// [`Error::Argument`] names the option that does not.
    pub fn check(&self) -> Result<&Self> {
        check_positive("epochs", self.epochs)?;
        check_positive("steps_per_epoch", self.steps_per_epoch.unwrap_or(1))?;
        check_positive("batch_size", self.batch_size)?;
        let pictures = self
            .steps_per_epoch
            .unwrap_or(1)
            .checked_mul(self.batch_size);
        if pictures.is_none_or(|pictures| pictures > MOST_PICTURES) {
            let (argument, value) = match self.steps_per_epoch {
                Some(steps) if self.batch_size <= MOST_PICTURES => ("steps_per_epoch", steps),
                _ => ("batch_size", self.batch_size),
            };
            return Err(Error::Argument {
                argument,
                value: value.to_string(),
                expected: format!(
                    "an epoch may show {MOST_PICTURES} pictures at most, steps_per_epoch x batch_size"
                ),
            });
        }
        check_positive("early_stopping", self.early_stopping.unwrap_or(1))?;
        check_positive("checkpoint_every", self.checkpoint_every)?;
        self.optimizer.check()?;
        self.schedule.check()?;
        let mut rates = vec![("learning_rate", self.learning_rate)];
        rates.extend(self.head_learning_rate.map(|r| ("head_learning_rate", r)));
        for (argument, rate) in rates {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::Argument {
                    argument,
                    value: rate.to_string(),
                    expected: "it must be above 0".into(),
                });
            }
        }
        let counts = |weight: &&f64| weight.is_finite() && **weight >= 0.0;
        if self.class_weights.iter().filter(counts).count() != self.class_weights.len() {
            return Err(Error::Argument {
                argument: "class_weights",
                value: format!("{:?}", self.class_weights),
                expected: "each must be a finite number, and none below 0".into(),
            });
        }
        Ok(self)
    }

    /// Whether the checkpoint's name can be one and its folder is there and can be written to: better known now than after the first
    /// epoch.
    pub(crate) fn check_place(&self) -> Result<()> {
        let Some(path) = &self.checkpoint else {
            return Ok(());
        };
        ending::check_tensors(path, "a checkpoint")?;
        match path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            None => {}
            Some(folder) => std::fs::metadata(folder)
                .map(|_| ())
                .map_err(Error::file(folder, "find the checkpoint's folder"))?,
        }
        self.checkpoint.as_deref().map_or(Ok(()), disk::try_place)
    }

    /// Everything that the numbers of a run follow from, but for its length: what a run that goes on
    /// from a checkpoint must have in common with the run that wrote it.
    pub(crate) fn shaping(&self) -> serde_json::Value {
        // A schedule other than these two runs to the last epoch, so that the length matters.
        let has_length = matches!(self.schedule, Schedule::Cosine | Schedule::OneCycle);
        json!({
            "optimizer": self.optimizer,
            "steps_per_epoch": self.steps_per_epoch,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "head_learning_rate": self.head_learning_rate,
            "schedule": self.schedule,
            "epochs": has_length.then_some(self.epochs),
            "class_weights": self.class_weights,
            "early_stopping": self.early_stopping,
            "seed": self.seed,
        })
    }
}

displayed!(Fit, "Shows the options under a notebook cell.", |fit| fit
    .table()
    .bundle());

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
