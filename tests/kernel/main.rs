//! The installed kernel "Rust (transfer)", with real Jupyter clients: its messages, its cells, the committed notebooks.
//!
//! `cargo lab setup` (or `cargo lab test`) has installed the kernel. One program for all of them, so that two kernels
//! run at any time: each keeps one core busy compiling, and has a libtorch in it, which needs 2 GB.
//!
//! ```text
//! cargo test --test kernel cells::     # the tests of one file
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

mod cells;
mod hands;
mod messages;
mod notebooks;
mod protocol;
