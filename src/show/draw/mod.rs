//! How figures are drawn: shapes on a canvas, axes, charts, coloured matrices, picture grids.

pub(crate) mod axis;
pub(crate) mod canvas;
pub(crate) mod chart;
pub(crate) mod grid;
pub(crate) mod matrix;
pub(crate) mod range;
