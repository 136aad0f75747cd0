//! What is trained and asked: features, the head on them, base and head as one classifier.
//!
//! In come a base and data; out come trained models, their predictions and reports.
//!
//! Imports: error, files, machine, network, pictures, show, training.

pub(crate) mod class_scores;
pub(crate) mod classifier;
pub(crate) mod classifier_training;
pub(crate) mod confusion_matrix;
pub(crate) mod evaluate;
pub(crate) mod exported_model;
pub(crate) mod extraction;
pub(crate) mod features;
pub(crate) mod head;
pub(crate) mod head_model;
pub(crate) mod head_training;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing test may stop, and a test may print what it measured"
)]
mod in_a_world;
pub(crate) mod learner;
pub(crate) mod mistakes;
pub(crate) mod number_report;
pub(crate) mod number_scores;
pub(crate) mod precision_recall;
pub(crate) mod prediction;
pub(crate) mod predictions;
pub(crate) mod probabilities;
pub(crate) mod provenance;
pub(crate) mod report;
pub(crate) mod roc_curve;
pub(crate) mod saved_classifier;
pub(crate) mod saved_features;
pub(crate) mod saved_head;
pub(crate) mod shards;
pub(crate) mod sources;
pub(crate) mod thresholds;
pub(crate) mod trainable;
pub(crate) mod transfer;
