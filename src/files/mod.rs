//! Files other than pictures: named tensors, downloads, archives.
//!
//! In come paths and addresses; out come files that are whole and checked, or an error that names them.
//!
//! Imports: error, machine, show.

pub(crate) mod fetch;
pub(crate) mod store;
pub(crate) mod unpack;
