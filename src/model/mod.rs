//! What is trained and asked: features, the head on them, base and head as one classifier.
//!
//! In come a base and data; out come trained models, their predictions and reports.
//!
//! Imports: error, files, machine, network, pictures, show, training.

pub(crate) mod class_scores;
pub(crate) mod classifier;
pub(crate) mod features;
pub(crate) mod head;
pub(crate) mod prediction;
pub(crate) mod predictions;
pub(crate) mod probabilities;
pub(crate) mod report;
pub(crate) mod roc_curve;
pub(crate) mod tuning;
