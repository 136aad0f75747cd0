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
//! The rooms of the crate, in the order of the data's way; each imports only rooms above it in this list, and
//! its `mod.rs` says what comes in and what goes out:
//!
//! | room | what it holds |
//! | --- | --- |
//! | `error` | what can go wrong, and what to do about it |
//! | `machine` | devices and precision, memory, the disk, random numbers, the wish to stop, other processes |
//! | `show` | cells' results, progress, tables, figures and how they are drawn |
//! | `files` | named tensors, downloads, archives |
//! | `pictures` | picture files, class folders and tables of labels: decoded, resized, checked, augmented |
//! | `network` | the networks' tables of layers, their weights, the base |
//! | `training` | options, optimisers, the one training loop, histories, checkpoints |
//! | `model` | features, heads, classifiers; predictions and reports |
//! | `inside` | filters, feature maps, Grad-CAM, occlusion maps, principal components, similar pictures |
//! | `quick_looks` | pictures and plots of one's own numbers |
//! | `lab` | the machine looked at once, the lesson's data and weights |

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
pub use inside::activation_maximization::ActivationMaximization;
pub use inside::feature_maps::{FeatureMaps, LayerMaps};
pub use inside::filter_patterns::FilterPatterns;
pub use inside::filters::Filters;
pub use inside::grad_cam::{GradCam, GradCamMap};
pub use inside::nearest::Nearest;
pub use inside::occlusion::{Occlusion, OcclusionMap};
pub use inside::pca::Pca;
pub use lab::durations::Durations;
pub use lab::lab::Lab;
pub use machine::precision::Precision;
pub use machine::stop::Stop;
pub use machine::world::World;
pub use model::class_scores::ClassScores;
pub use model::classifier::Classifier;
pub use model::features::Features;
pub use model::head::Head;
pub use model::head_model::HeadModel;
pub use model::head_training::train_head;
pub use model::number_scores::NumberScores;
pub use model::prediction::Prediction;
pub use model::predictions::Predictions;
pub use model::report::Report;
pub use network::architecture::Architecture;
pub use network::base::Base;
pub use network::layer::{Layer, LayerId};
pub use network::layers::Layers;
pub use network::operation::LayerKind;
pub use network::pooling::Pooling;
pub use network::weights::layer_weights::LayerWeights;
pub use network::weights::weights::Weights;
pub use pictures::augment::Augment;
pub use pictures::check::Checks;
pub use pictures::data::Data;
pub use pictures::dataset::Dataset;
pub use pictures::fill::Fill;
pub use pictures::normalization::Normalization;
pub use pictures::photo::Photo;
pub use pictures::photo_source::PhotoSource;
pub use pictures::resize::Interpolation;
pub use pictures::scaling::Scaling;
pub use pictures::target::Target;
pub use pictures::transform::Transform;
pub use quick_looks::heatmap::heatmap;
pub use quick_looks::histogram::histogram;
pub use quick_looks::images::{Images, show_images};
pub use quick_looks::lines::{plot_lines, plot_xy};
pub use quick_looks::values::Values;
pub use show::display::display;
pub use show::figure::Figure;
pub use show::progress::Progress;
pub use show::saved::Saved;
pub use show::table::Table;
pub use training::epoch::Epoch;
pub use training::evaluation::Evaluation;
pub use training::fit::Fit;
pub use training::history::History;
pub use training::optimizer::Optimizer;
pub use training::rate_finder::LearningRates;
pub use training::schedule::Schedule;
pub use training::step::Step;

/// The crates whose types the API hands out, so that a notebook names them without a `:dep` line.
pub use ndarray;
pub use tch;
pub use tch::{Device, Tensor};

/// Everything that a notebook cell uses: `use evcxr_transfer::prelude::*;`.
///
/// There is no `Result` in it: a second one in scope breaks the code that evcxr wraps around a cell.
pub mod prelude {
    pub use crate::{
        ActivationMaximization, Architecture, Augment, Base, Classifier, Data, Dataset, Device,
        Error, Features, Fill, Fit, GradCam, Head, HeadModel, History, Interpolation, Lab,
        Normalization, Occlusion, Optimizer, Photo, Pooling, Precision, Progress, Scaling,
        Schedule, Target, Tensor, Weights, World, display, heatmap, histogram, plot_lines, plot_xy,
        show_images, train_head,
    };
    pub use crate::{ndarray, tch};
}
