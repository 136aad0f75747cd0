//! [`plot_lines`] and [`plot_xy`]: curves of any numbers in one chart.

use ndarray::{Array2, Axis, Ix2};

use crate::error::{Error, Result};
use crate::quick_looks::titles::in_brackets;
use crate::quick_looks::values::Values;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Series, thinned};
use crate::show::figure::Figure;

/// Curves in one chart, each by its name: values over their number, counted from 0. Values of two
/// dimensions (n, k) are k curves. Where a value is not finite there is a gap. Curves of different types,
/// a vector and a tensor, say, go in as [`Values`]: `[("a", Values::from(&vector)), ("b", Values::from(&tensor))]`.
///
/// matplotlib: `plt.plot(values, label=name); plt.legend()`.
///
/// ```
/// use evcxr_transfer::plot_lines;
/// let (training, validation) = (vec![0.6, 0.8, 0.9], vec![0.6, 0.7]);
/// let figure = plot_lines(&[("training", &training), ("validation", &validation)])?;
/// # assert!(figure.to_string().contains("training and validation"));
/// # Ok::<(), evcxr_transfer::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for values of other than one or two dimensions, or tensors of other than real
/// numbers, [`Error::Compute`] if a tensor cannot be read.
#[doc(alias = "plt.plot")]
pub fn plot_lines<V: Into<Values> + Clone>(lines: &[(&str, V)]) -> Result<Figure> {
    let mut series = Vec::new();
    for (name, values) in lines.iter().cloned() {
        let table = columns_of(name, values.into())?;
        for (number, column) in table.columns().into_iter().enumerate() {
            let is_alone = table.ncols() == 1;
            let name = match is_alone {
                true => name.to_owned(),
                false => format!("{name} {number}"),
            };
            let points = (0..).map(f64::from).zip(column.iter().copied());
            series.push(line(name, points.collect(), series.len()));
        }
    }
    let names = lines.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    Ok(chart(&names.join(" and "), "number", series))
}

/// Curves over x values of their own: for each its name, its x and its y, both (n,). Points are joined in their order;
/// where a value is not finite there is a gap. [`Figure::points`] makes marks of them, [`Figure::log_x`] and
/// [`Figure::log_y`] make the axes logarithmic.
///
/// matplotlib: `plt.plot(x, y, label=name); plt.legend()`; `plt.scatter(x, y)` with `.points()`.
///
/// ```
/// use evcxr_transfer::plot_xy;
/// let rates = vec![1e-5, 1e-4, 1e-3];
/// let losses = vec![0.7, 0.4, 0.9];
/// let figure = plot_xy(&[("loss", &rates, &losses)])?.log_x().axes("learning rate", "loss");
/// # assert!(figure.to_string().contains("loss"));
/// # Ok::<(), evcxr_transfer::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if x or y is not (n,) or both have not the same length, or for tensors of other than real
/// numbers, [`Error::Compute`] if a tensor cannot be read.
#[doc(alias("plt.plot", "scatter", "semilogx", "loglog"))]
pub fn plot_xy<X, Y>(lines: &[(&str, X, Y)]) -> Result<Figure>
where
    X: Into<Values> + Clone,
    Y: Into<Values> + Clone,
{
    let mut series = Vec::new();
    for (name, x, y) in lines.iter().cloned() {
        let (x, y) = (columns_of(name, x.into())?, columns_of(name, y.into())?);
        if x.dim() != y.dim() || x.ncols() != 1 {
            return Err(Error::Argument {
                argument: "lines",
                value: format!("{name:?} with {} x and {} y values", x.len(), y.len()),
                expected: "x and y must be (n,) both, of the same length".into(),
            });
        }
        let points = x.iter().copied().zip(y.iter().copied());
        series.push(line(name.to_owned(), points.collect(), series.len()));
    }
    let names = lines.iter().map(|(name, ..)| *name).collect::<Vec<_>>();
    Ok(chart(&names.join(" and "), "x", series))
}

/// (n, k): each column is a line.
fn columns_of(name: &str, values: Values) -> Result<Array2<f64>> {
    let array = values.array()?;
    let shape = in_brackets(array.shape());
    let table = match array.ndim() {
        1 => array.insert_axis(Axis(1)),
        _ => array,
    };
    let refused = |_| Error::Argument {
        argument: "lines",
        value: format!("{name:?} of shape {shape}"),
        expected: "a line is (n,), several are (n, k)".into(),
    };
    table.into_dimensionality::<Ix2>().map_err(refused)
}

fn line(name: String, points: Vec<(f64, f64)>, colour: usize) -> Series {
    Series {
        name,
        points: thinned(points),
        colour,
        ..Series::default()
    }
}

fn chart(title: &str, x_label: &str, series: Vec<Series>) -> Figure {
    let panel = Panel {
        x_label: x_label.into(),
        y_label: "value".into(),
        series,
        ..Panel::default()
    };
    Figure::lines(title, vec![panel])
}
