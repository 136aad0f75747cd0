//! Pictures and plots of one's own numbers in one line, without training.
//!
//! In come arrays, tensors, vectors, photos; out come figures.
//!
//! Imports: error, files, machine, pictures, show.

pub(crate) mod heatmap;
pub(crate) mod histogram;
pub(crate) mod images;
pub(crate) mod lines;
pub(crate) mod titles;
pub(crate) mod values;
