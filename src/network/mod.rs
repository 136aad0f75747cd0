//! The networks: graphs of layers from tables, their weights, and the base that turns pictures into features.
//!
//! In come batches of pictures and weight files; out come each layer's outputs.
//!
//! Imports: error, files, machine, pictures, show.

pub(crate) mod architecture;
pub(crate) mod base;
pub(crate) mod compute;
pub(crate) mod computing;
pub(crate) mod exported_base;
pub(crate) mod fast_convolution;
pub(crate) mod folding;
pub(crate) mod forward;
pub(crate) mod fused_convolution;
pub(crate) mod graph;
pub(crate) mod inception;
pub(crate) mod layer;
pub(crate) mod layers;
pub(crate) mod networks;
pub(crate) mod operation;
pub(crate) mod order;
pub(crate) mod origin;
pub(crate) mod outputs;
pub(crate) mod parameter;
pub(crate) mod pooling;
pub(crate) mod resnet;
pub(crate) mod resnet_v2;
pub(crate) mod small_conv_net;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod top;
pub(crate) mod vgg;
pub(crate) mod weights;
pub(crate) mod window;
pub(crate) mod winograd;
