//! The lesson's laboratory: the machine looked at once, its data and weights, ready-made choices.
//!
//! In comes what the reader asks for in the first cell; out come bases, data, options that fit together.
//!
//! Imports: error, files, machine, model, network, pictures, show, training.

pub(crate) mod lab;
