//! What the computer gives: devices and precision, memory, the disk, tensors as arrays, random numbers,
//! the wish to stop, the other processes of a program that was started several times at once.
//!
//! Takes nothing from the rest of the crate but its errors; everybody asks here.
//!
//! Imports: error.

pub(crate) mod arrays;
pub(crate) mod cuda;
pub(crate) mod device;
pub(crate) mod disk;
pub(crate) mod environment;
pub(crate) mod exchange;
pub(crate) mod fitting_batch;
pub(crate) mod memory;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod patience;
pub(crate) mod precision;
pub(crate) mod random;
pub(crate) mod rows;
pub(crate) mod scalar;
pub(crate) mod scratch;
pub(crate) mod stop;
pub(crate) mod threads;
pub(crate) mod world;
