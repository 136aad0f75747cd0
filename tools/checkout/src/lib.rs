//! The checkout on this machine, as the set-up tool and the kernel both see it.
//!
//! - [`place`]: where things lie in it, those that the set-up has made included.
//! - [`stamp`]: whether what was built is what the sources would give now.
//! - [`lock`]: one process at a time.
//! - [`tree`]: folders copied and removed as wholes.
//! - [`toolchain`]: the Rust that builds here.
//! - [`environment`]: child processes without what `cargo run` says about this one.
//! - [`say`]: how the tools talk.

pub mod environment;
pub mod lock;
pub mod place;
pub mod say;
pub mod stamp;
pub mod toolchain;
pub mod tree;
