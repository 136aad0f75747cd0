//! Pictures and plots of one's own numbers in one line, without training.
//!
//! In come arrays, tensors, vectors, photos; out come figures.
//!
//! Imports: error, pictures, show.

pub(crate) mod plots;
pub(crate) mod values;
