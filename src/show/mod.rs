//! How results and running work show themselves: under a notebook cell, on a terminal, in a file.
//!
//! In come finished strings, numbers and pictures as bytes; out go cells' results, tables and figures.
//! Nobody else in the crate prints.
//!
//! Imports: error, machine.

pub(crate) mod display;
pub(crate) mod display_id;
pub(crate) mod draw;
pub(crate) mod encoded;
pub(crate) mod ending;
pub(crate) mod figure;
pub(crate) mod notebook;
pub(crate) mod pace;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod saved;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod work;
