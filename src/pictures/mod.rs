//! Pictures on their way to a network: found in class folders or by a table, decoded, resized, augmented.
//!
//! In come folders, tables and files; out come batches of bytes, (N, H, W, 3) RGB, with their labels.
//!
//! Imports: error, machine, show.

pub(crate) mod augment;
pub(crate) mod check;
pub(crate) mod csv;
pub(crate) mod data;
pub(crate) mod dataset;
pub(crate) mod decode;
pub(crate) mod depth;
pub(crate) mod fill;
pub(crate) mod folder;
pub(crate) mod from_csv;
pub(crate) mod gallery;
pub(crate) mod gif;
pub(crate) mod jpeg;
pub(crate) mod labels;
pub(crate) mod left_out;
pub(crate) mod loading;
pub(crate) mod normalization;
pub(crate) mod photo;
pub(crate) mod photo_source;
pub(crate) mod pixels;
pub(crate) mod plan;
pub(crate) mod reader;
pub(crate) mod resize;
pub(crate) mod scaling;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod tiff;
pub(crate) mod transform;
pub(crate) mod unreadable;
