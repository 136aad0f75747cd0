//! Transfer learning with VGG16 in Rust notebooks.
//!
//! Each step of the lesson is one line, and each result shows itself under the cell:
//!
//! ```no_run
//! use evcxr_transfer::prelude::*;
//!
//! # fn main() -> Result<(), Error> {
//! let lab = Lab::open()?; // device, precision, folders, online or not
//! let base = lab.vgg16(150)?; // ImageNet weights
//! let data = lab.cats_and_dogs()?; // downloaded once
//! data.train.show(12)?;
//!
//! let train = base.extract_features(&data.train)?; // (2000, 4, 4, 512)
//! let validation = base.extract_features(&data.validation)?;
//! let (head, history) = train_head(&train, &validation, &lab.fit())?;
//! history.save("curves.png")?;
//!
//! let mut model = Classifier::new(&base, Head::dense(256), data.train.classes())?;
//! let augment = Augment::lesson();
//! model.train_frozen(&data, &augment, &lab.fit())?; // the head learns, on augmented pictures
//! model.fine_tune("block5_conv1", &data, &augment, &lab.fit().learning_rate(1e-5))?;
//! model.predict("my_cat.jpg")?; // the picture with its class
//! model.save("cats_and_dogs.safetensors")?;
//! # Ok(())
//! # }
//! ```
//!
//! The same without `Lab`, every choice made by hand:
//!
//! ```no_run
//! use evcxr_transfer::prelude::*;
//!
//! # fn main() -> Result<(), Error> {
//! let data = Data::open("my_pictures")?; // my_pictures/train/CLASS/*.jpg, .../validation/...
//! let weights = Weights::load("vgg16.safetensors")?;
//! let base = Base::vgg16(224, &weights, Device::Cpu, Precision::F32)?;
//! let train = base.extract_features(&data.train)?;
//! train.save("train.safetensors")?;
//! let validation = base.extract_features(&data.validation)?;
//! let mut head = Head::dense(256).dropout(0.3).build(&train, 42)?;
//! let history = head.fit(&train, &validation, &Fit::default().learning_rate(1e-4).epochs(10))?;
//! println!("{}", history.to_csv());
//!
//! let fit = Fit::default()
//!     .optimizer(Optimizer::adam())
//!     .schedule(Schedule::Cosine)
//!     .early_stopping(3)
//!     .checkpoint("run.safetensors");
//! let augment = Augment::none().rotation(15.0).horizontal_flip();
//! let mut model = Classifier::new(&base, Head::dense(256), data.train.classes())?;
//! let history = model.train_frozen(&data, &augment, &fit)?;
//! # Ok(())
//! # }
//! ```
//!
//! How the files follow the data:
//!
//! | file | what it holds |
//! | --- | --- |
//! | `error` | what can go wrong, and what to do about it |
//! | `device`, `cuda`, `precision`, `memory`, `disk`, `random`, `environment` | what the computer gives, and what is asked of it before |
//! | `notebook`, `progress`, `table`, `saved` | the notebook protocol; how long work reports on itself; tables; where a file went |
//! | `figure`, `chart`, `axis`, `matrix`, `grid`, `drawing` | what is drawn: curves, coloured matrices, picture grids, and how |
//! | `tensors`, `remote`, `download`, `archive` | tensor files; files from the network; what is in them |
//! | `decode`, `pixels` | one picture: decode; resize, scaling |
//! | `transform`, `augment` | affine transforms of a batch; which are drawn at random for training pictures |
//! | `dataset`, `loading`, `check` | folders of pictures: classes and files; their pixels in batches; what is wrong with them |
//! | `weights`, `keras_file`, `torch_file` | weight files of every kind |
//! | `architecture`, `base` | the networks' layer tables; VGG16 and VGG19: pictures to features |
//! | `features`, `pca` | stored features with their labels; how they lie to each other |
//! | `fit`, `optimizer`, `schedule`, `stop` | training options; steps as Keras takes them; learning rates; the wish to stop |
//! | `loss`, `evaluation`, `history` | labels and cross-entropy; two numbers for some pictures; those of every epoch |
//! | `training`, `run`, `rate_finder` | the training loop; where it stands between epochs; which learning rate to take |
//! | `head` | the small classifier on top, trained on features |
//! | `classifier`, `tuning`, `prediction` | base and head as one model; its training; what it takes pictures for |
//! | `report` | what it gets right and wrong |
//! | `filters`, `filter_patterns`, `feature_maps` | what a layer looks for; what excites it most; what it makes of a picture |
//! | `network`, `heat_map`, `occlusion` | what tells classes; which parts of a picture the answer comes from, by gradients and by covering them |
//! | `values`, `quick_looks` | numbers from anywhere; pictures and plots of them in one line |
//! | `lab` | the machine, and the lesson's data and weights |

mod error;
mod files;
mod inside;
mod lab;
mod machine;
mod model;
mod network;
mod pictures;
mod quick_looks;
mod show;
mod training;

pub use error::{Error, Result};
pub use inside::feature_maps::{FeatureMaps, LayerMaps};
pub use inside::filter_patterns::{Ascent, FilterPatterns};
pub use inside::filters::Filters;
pub use inside::grad_cam::{GradCam, HeatMap};
pub use inside::occlusion::{Occlusion, OcclusionMap};
pub use inside::pca::Pca;
pub use lab::lab::Lab;
pub use machine::precision::Precision;
pub use machine::stop::Stop;
pub use model::classifier::Classifier;
pub use model::features::Features;
pub use model::head::{Head, HeadModel, train_head};
pub use model::prediction::{Prediction, Predictions};
pub use model::report::{ClassScores, Report};
pub use network::architecture::{Architecture, Layer, LayerKind};
pub use network::base::{Base, LayerId};
pub use network::weights::file::{LayerWeights, Weights, WeightsKind};
pub use pictures::augment::Augment;
pub use pictures::check::Checks;
pub use pictures::dataset::{Data, Dataset};
pub use pictures::photo::{Interpolation, Photo, Picture, Scaling};
pub use pictures::transform::{Fill, Transform};
pub use quick_looks::plots::{Images, heatmap, histogram, plot_lines, show_images};
pub use quick_looks::values::Values;
pub use show::figure::Figure;
pub use show::progress::Progress;
pub use show::saved::Saved;
pub use show::table::Table;
pub use training::evaluation::Evaluation;
pub use training::fit::Fit;
pub use training::history::{Epoch, History};
pub use training::optimizer::Optimizer;
pub use training::rate_finder::LearningRates;
pub use training::schedule::Schedule;

/// The crates whose types the API hands out, so that a notebook names them without a `:dep` line.
pub use ndarray;
pub use tch;
pub use tch::{Device, Tensor};

/// Everything that a notebook cell uses: `use evcxr_transfer::prelude::*;`.
///
/// There is no `Result` in it: a second one in scope breaks the code that evcxr wraps around a cell.
pub mod prelude {
    pub use crate::{
        Architecture, Ascent, Augment, Base, Checks, Classifier, Data, Dataset, Device, Epoch,
        Error, Evaluation, FeatureMaps, Features, Figure, Fill, FilterPatterns, Filters, Fit,
        GradCam, Head, HeadModel, HeatMap, History, Images, Interpolation, Lab, LayerId, LayerMaps,
        LearningRates, Occlusion, OcclusionMap, Optimizer, Pca, Photo, Picture, Precision,
        Prediction, Predictions, Progress, Report, Saved, Scaling, Schedule, Stop, Table, Tensor,
        Transform, Values, Weights, heatmap, histogram, plot_lines, show_images, train_head,
    };
    pub use crate::{ndarray, tch};
}
