//! [`plot_lines`]: curves of any numbers in one chart.

use ndarray::{Axis, Ix2};

use crate::error::{Error, Result};
use crate::quick_looks::titles::in_brackets;
use crate::quick_looks::values::Values;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::Series;
use crate::show::figure::Figure;

/// Longer lines are drawn by the smallest and the largest value of each of half as many stretches: more
/// points than a figure has pixels cannot be seen.
const MOST_POINTS: usize = 4_000;

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
        let array = values.into().array()?;
        let shape = in_brackets(array.shape());
        let table = match array.ndim() {
            1 => array.insert_axis(Axis(1)),
            _ => array,
        };
        let table = table
            .into_dimensionality::<Ix2>()
            .map_err(|_| Error::Argument {
                argument: "lines",
                value: format!("{name:?} of shape {shape}"),
                expected: "a line is (n,), several are (n, k)".into(),
            })?;
        for (number, column) in table.columns().into_iter().enumerate() {
            let is_alone = table.ncols() == 1;
            series.push(Series {
                name: if is_alone {
                    name.to_owned()
                } else {
                    format!("{name} {number}")
                },
                points: thinned(column.iter().copied()),
                colour: series.len(),
                ..Series::default()
            });
        }
    }
    let names = lines.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let panel = Panel {
        x_label: "number".into(),
        y_label: "value".into(),
        series,
        ..Panel::default()
    };
    Ok(Figure::lines(&names.join(" and "), vec![panel]))
}

/// The points of a line; of a long one the lowest and the highest of each stretch, in their order.
fn thinned(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let points = (0..)
        .map(f64::from)
        .zip(values)
        .collect::<Vec<(f64, f64)>>();
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let ends = points.chunks(stretch).flat_map(|stretch| {
        // Gaps stay gaps, and are counted for the legend.
        let (finite, gaps): (Vec<_>, Vec<_>) =
            stretch.iter().partition(|point| point.1.is_finite());
        let order = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [finite.iter().min_by(order), finite.iter().max_by(order)];
        let ends = ends.into_iter().flatten().copied();
        let mut ends = ends.chain(gaps).collect::<Vec<_>>();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_keep_the_ends_of_each_stretch_in_order() {
        let points = thinned((0..10_000).map(|k| f64::from(k % 100)));
        assert!(points.len() <= MOST_POINTS, "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(thinned([1.0, 2.0].into_iter()), [(0.0, 1.0), (1.0, 2.0)]);
    }
}
