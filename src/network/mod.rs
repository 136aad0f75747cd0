//! The networks: tables of layers, their weights, and the base that turns pictures into features.
//!
//! In come batches of pictures and weight files; out come each layer's outputs.
//!
//! Imports: error, files, machine, pictures, show.

pub(crate) mod architecture;
pub(crate) mod base;
pub(crate) mod weights;
