//! Weight files, one file here for each kind.

pub(crate) mod file;
pub(crate) mod keras;
pub(crate) mod torch;
