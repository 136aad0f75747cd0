//! How the convolutions of frozen layers are computed, where nobody asks for gradients.
//!
//! Winograd's way where it is asked for and pays, in one pass with bias and ReLU otherwise, and as libtorch computes
//! all others where neither can be done.

use std::sync::Arc;

use tch::{Device, TchError, Tensor};

use crate::machine::device::gains_by_winograd;
use crate::machine::precision::Precision;
use crate::network::fused_convolution::{FusedConvolution, Fusing, Moves};
use crate::network::graph::Graph;
use crate::network::operation::{Activation, Operation};
use crate::network::window::Window;
use crate::network::winograd::Winograd;

/// How many pictures pass a base at once on a CPU, unless it is told otherwise; the fused convolutions are put in
/// order for as many.
pub(crate) const PICTURES_AT_ONCE: usize = 16;

/// One layer's convolution.
pub(crate) enum FastConvolution {
    Fused(FusedConvolution),
    /// With the ReLU that follows.
    Winograd(Arc<Winograd>),
}

impl FastConvolution {
    /// The same once more, in the same memory.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Fused(convolution) => Self::Fused(convolution.shared()),
            Self::Winograd(convolution) => Self::Winograd(convolution.clone()),
        }
    }
}

/// Makes those of a base.
pub(crate) struct FastConvolutions {
    fusing: Option<Fusing>,
    winograd_pays: bool,
}

impl FastConvolutions {
    /// What is possible on a device in a precision.
    pub(crate) fn on(device: Device, precision: Precision) -> Self {
        Self {
            fusing: Fusing::on(device, precision.kind()),
            winograd_pays: precision == Precision::F32Winograd && gains_by_winograd(device),
        }
    }

    /// That of layer number `number`, for the pictures that its network takes; none where it goes the ordinary way.
    pub(crate) fn of(
        &self,
        graph: &Graph,
        number: usize,
        kernel: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Option<FastConvolution>, TchError> {
        let own = || (graph.layers()[number].operation, number);
        // With the zeros before it, as `forward` computes it.
        let (operation, first) = graph.over_zeros(number).unwrap_or_else(own);
        let Operation::Conv2D { window, activation } = operation else {
            return Ok(None);
        };
        let input = graph.layers()[first].inputs.first();
        let input = input.and_then(|&n| graph.layers().get(n));
        let Some(&[height, width, channels]) = input.map(|input| &input.output_shape[..]) else {
            return Ok(None);
        };
        // Not with a normalisation in between: ResNet's convolutions of 3 x 3 stand alone among others, and going from
        // tensors and back for each of them takes more than it gains (31 pictures a second in place of 39).
        let is_fit = window == Window::new(3, 3).same() && activation == Some(Activation::Relu);
        if self.winograd_pays
            && is_fit
            && let Some(winograd) = Winograd::new(kernel, bias, [height, width])?
        {
            return Ok(Some(FastConvolution::Winograd(Arc::new(winograd))));
        }
        let (Some(fusing), Some(padding)) = (&self.fusing, window.even_sides([height, width]))
        else {
            return Ok(None);
        };
        let moves = Moves {
            strides: window.strides.map(|n| n as i64),
            padding: padding.map(|n| n as i64),
        };
        let input = [PICTURES_AT_ONCE, channels, height, width].map(|n| n as i64);
        let fused = fusing.convolution(kernel, &input, moves)?;
        Ok(Some(FastConvolution::Fused(fused)))
    }
}
