//! What becomes of the places at the end of a base.
//!
//! ```
//! use evcxr_transfer::{Architecture, Base, Device, Pooling, Precision, Weights};
//! let weights = Weights::seeded(0);
//! let base = Base::without_top(Architecture::ResNet50, 64, &weights, Device::Cpu, Precision::F32)?;
//! assert_eq!(base.output_shape(), [2, 2, 2048]);
//! let base = base.pooling(Pooling::Average)?;
//! assert_eq!(base.output_shape(), [2048]);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::network::architecture::Architecture;
use crate::network::graph::Graph;

/// How each channel of a base's last maps becomes one number, as Keras' `pooling` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[doc(alias(
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "AdaptiveAvgPool2d",
    "avg"
))]
pub enum Pooling {
    /// Their mean: Keras' `pooling="avg"`.
    Average,
    /// Their largest: Keras' `pooling="max"`.
    Max,
}

impl Pooling {
    /// Adds the layer to a network without its top, under the name that Keras gives it there.
    pub(crate) fn append(self, architecture: Architecture, graph: &mut Graph) {
        let last = graph.layers().len() - 1;
        let is_residual = matches!(
            architecture,
            Architecture::ResNet50
                | Architecture::ResNet101
                | Architecture::ResNet152
                | Architecture::ResNet50V2
                | Architecture::ResNet101V2
                | Architecture::ResNet152V2
        );
        match (self, is_residual) {
            (Self::Average, true) => graph.global_average_pool("avg_pool", last),
            (Self::Average, false) => graph.global_average_pool("global_average_pooling2d", last),
            (Self::Max, true) => graph.global_max_pool("max_pool", last),
            (Self::Max, false) => graph.global_max_pool("global_max_pooling2d", last),
        };
    }
}
