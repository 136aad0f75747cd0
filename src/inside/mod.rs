//! Looking inside: filters, feature maps, and which parts of a picture an answer comes from.
//!
//! In come a base or a classifier and a picture; out come arrays and figures.
//!
//! Imports: error, machine, model, network, pictures, show, training.

pub(crate) mod activation_maximization;
pub(crate) mod feature_maps;
pub(crate) mod filter_patterns;
pub(crate) mod filters;
pub(crate) mod grad_cam;
pub(crate) mod nearest;
pub(crate) mod occlusion;
pub(crate) mod overlay;
pub(crate) mod pca;
pub(crate) mod scorer;
pub(crate) mod squares;
