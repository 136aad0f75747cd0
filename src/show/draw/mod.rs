//! How figures are drawn: shapes in colours, axes, charts, coloured matrices, picture grids.

pub(crate) mod axis;
pub(crate) mod chart;
pub(crate) mod colour;
pub(crate) mod drawing;
pub(crate) mod font;
pub(crate) mod grid;
pub(crate) mod heading;
pub(crate) mod matrix;
pub(crate) mod range;
pub(crate) mod rendering;
pub(crate) mod series;
pub(crate) mod strips;
pub(crate) mod system_font;
pub(crate) mod tile;
