//! The lesson's laboratory: the machine looked at once, its data and weights, ready-made choices.
//!
//! In comes what the reader asks for in the first cell; out come bases, data, options that fit together.
//!
//! Imports: error, files, machine, model, network, pictures, show, training.

pub(crate) mod choice;
pub(crate) mod data;
pub(crate) mod data_folder;
pub(crate) mod durations;
pub(crate) mod lab;
pub(crate) mod mirror;
pub(crate) mod named_weights;
pub(crate) mod networks;
pub(crate) mod official;
pub(crate) mod official_places;
pub(crate) mod pretrained;
pub(crate) mod run;
pub(crate) mod weights;
pub(crate) mod weights_source;
