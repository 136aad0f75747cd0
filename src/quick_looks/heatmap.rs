//! [`heatmap`]: a matrix as coloured cells.
//!
//! ```
//! use evcxr_transfer::{heatmap, ndarray::Array};
//! let figure = heatmap(&Array::from_shape_fn((3, 4), |(row, column)| row * column))?;
//! # assert!(figure.to_string().starts_with("Figure: 3 x 4 values from 0 to 6, "));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use ndarray::{Axis, Ix2};

use crate::error::{Error, Result};
use crate::quick_looks::titles::{in_brackets, short};
use crate::quick_looks::values::Values;
use crate::show::draw::matrix::Matrix;
use crate::show::draw::range::Range;
use crate::show::figure::Figure;

/// Sides of a matrix beyond this would take gigabytes while they are drawn.
const LONGEST_SIDE: usize = 10_000;

/// A matrix (rows, columns) as coloured cells, from dark blue (the smallest) to yellow (the largest), with a
/// bar that tells the numbers; what is not finite is grey. Up to 400 cells have their numbers written in
/// them where they fit. Dimensions of size 1 are left out.
///
/// matplotlib: `plt.imshow(values); plt.colorbar()`; seaborn: `heatmap(values, annot=True)`.
///
/// # Errors
/// [`Error::Argument`] if the values have other than two dimensions, a side of 0 or more than 10,000, or are
/// no real numbers, [`Error::Compute`] if a tensor cannot be read.
#[doc(alias("imshow", "matshow"))]
pub fn heatmap(values: impl Into<Values>) -> Result<Figure> {
    let mut array = values.into().array()?;
    let shape = in_brackets(array.shape());
    while let Some(axis) = array.shape().iter().position(|&size| size == 1) {
        if array.ndim() <= 2 {
            break;
        }
        array = array.index_axis_move(Axis(axis), 0);
    }
    let refused = || Error::Argument {
        argument: "values",
        value: format!("an array of shape {shape}"),
        expected: "it must be (rows, columns), each from 1 to 10,000".into(),
    };
    let values = array.into_dimensionality::<Ix2>().map_err(|_| refused())?;
    let (rows, columns) = values.dim();
    if rows.min(columns) == 0 || rows.max(columns) > LONGEST_SIDE {
        return Err(refused());
    }
    let Range { low, high } = Range::of(values.iter().copied());
    let title = match values.iter().any(|value| value.is_finite()) {
        true => format!(
            "{rows} x {columns} values from {} to {}",
            short(low),
            short(high)
        ),
        false => format!("{rows} x {columns} values, none of them finite"),
    };
    let matrix = Matrix {
        values,
        x_label: "column".into(),
        y_label: "row".into(),
        names: [Vec::new(), Vec::new()],
    };
    Ok(Figure::matrix(&title, matrix))
}
