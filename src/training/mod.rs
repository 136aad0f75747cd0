//! Learning: the options, the one loop that trains whatever learns, and what it tells.
//!
//! In come batches from whoever learns; out come changed weights, a history and checkpoints.
//!
//! Imports: error, files, machine, pictures, show.

pub(crate) mod averages;
pub(crate) mod backup;
pub(crate) mod beginning;
pub(crate) mod checkpoint;
pub(crate) mod curves;
pub(crate) mod dropout;
pub(crate) mod epoch;
pub(crate) mod evaluation;
pub(crate) mod fit;
pub(crate) mod history;
pub(crate) mod learner;
pub(crate) mod loss;
pub(crate) mod optimizer;
pub(crate) mod order;
pub(crate) mod pass;
pub(crate) mod rate_finder;
pub(crate) mod reporter;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod smoothing;
pub(crate) mod source;
pub(crate) mod step;
pub(crate) mod steps;
pub(crate) mod together;
pub(crate) mod validation;
pub(crate) mod variable;
