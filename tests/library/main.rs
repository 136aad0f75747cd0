//! The library's promises, checked against Keras, torchvision, PyTorch and Pillow: one file for each.
//!
//! One program for all of them: it is linked once, and its tests share the cores.
//!
//! ```text
//! cargo test --test library training::     # the tests of one file
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and may print what it measured"
)]

#[path = "../common/mod.rs"]
mod common;

mod architecture;
mod augment;
mod backup;
mod classifier;
mod dataset;
mod display;
mod features;
mod filter_patterns;
mod gpu;
mod lab;
mod licences;
mod looking_inside;
mod networks;
mod occlusion;
mod onnx;
mod pixels;
mod quick_looks;
mod rooms;
mod saving;
mod stream;
mod targets;
mod training;
mod weights;
