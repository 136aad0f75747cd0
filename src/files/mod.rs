//! Files other than pictures: named tensors, downloads, archives.
//!
//! In come paths and addresses; out come files that are whole and checked, or an error that names them.
//!
//! Imports: error, machine, show.

pub(crate) mod archive;
pub(crate) mod attempt;
pub(crate) mod download;
pub(crate) mod http;
pub(crate) mod onnx;
pub(crate) mod part;
pub(crate) mod protobuf;
pub(crate) mod remote;
pub(crate) mod tensor_file;
pub(crate) mod tensors;
