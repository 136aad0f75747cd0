//! Weights of networks: files of every kind, one file here for each, and numbers drawn from a seed.

pub(crate) mod fitting;
pub(crate) mod hdf5;
pub(crate) mod keras3_h5;
pub(crate) mod keras_h5;
pub(crate) mod kind;
pub(crate) mod layer_weights;
pub(crate) mod ot;
pub(crate) mod safetensors;
pub(crate) mod seeded;
pub(crate) mod stored_layer;
pub(crate) mod torch_names;
#[allow(
    clippy::module_inception,
    reason = "the room has the name of what it is about"
)]
pub(crate) mod weights;
