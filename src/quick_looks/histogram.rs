//! [`histogram`]: how often values lie where.
//!
//! ```
//! use evcxr_transfer::histogram;
//! let figure = histogram(&[0.1, 0.2, 0.2, 0.9], 8)?.axes("loss", "how many");
//! # assert!(figure.to_string().contains("4 values"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::quick_looks::titles::{in_brackets, short};
use crate::quick_looks::values::Values;
use crate::show::draw::chart::Panel;
use crate::show::draw::range::Range;
use crate::show::draw::series::Mark;
use crate::show::draw::series::Series;
use crate::show::figure::Figure;
use crate::show::table::grouped;

/// How often values lie where: their range in `bins` equal parts, of which each holds its left edge, and
/// the last one both. Values of any shape; the title says how many, their mean and standard deviation.
///
/// NumPy: `np.histogram(values, bins)`; matplotlib: `plt.hist`.
///
/// # Errors
/// [`Error::Argument`] if `bins` is not 1 to 1,000, or for a tensor of other than real numbers,
/// [`Error::Compute`] if a tensor cannot be read.
#[doc(alias = "hist")]
pub fn histogram(values: impl Into<Values>, bins: usize) -> Result<Figure> {
    if !(1..=1000).contains(&bins) {
        return Err(Error::Argument {
            argument: "bins",
            value: bins.to_string(),
            expected: "it must be 1 to 1,000".into(),
        });
    }
    let array = values.into().array()?;
    let finite = array.iter().copied().filter(|value| value.is_finite());
    let finite = finite.collect::<Vec<_>>();
    let (edges, counts) = counted(&finite, bins);
    let width = edges[1] - edges[0];
    let centres = edges.iter().map(|edge| edge + width / 2.0);
    let bars = Series {
        points: centres
            .zip(counts.iter().map(|&count| count as f64))
            .collect(),
        mark: Mark::Bars(width),
        ..Series::default()
    };
    let panel = Panel {
        x_label: "value".into(),
        y_label: "how many".into(),
        series: if finite.is_empty() {
            Vec::new()
        } else {
            vec![bars]
        },
        ..Panel::default()
    };
    let count = grouped(array.len());
    let mut title = match array.len() {
        1 => "1 value".to_owned(),
        _ => format!("{count} values"),
    };
    if array.ndim() != 1 {
        title += &format!(" {}", in_brackets(array.shape()));
    }
    if !finite.is_empty() {
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        let squares = finite.iter().map(|value| (value - mean).powi(2));
        let deviation = (squares.sum::<f64>() / finite.len() as f64).sqrt();
        title += &format!(
            ": mean {}, standard deviation {}",
            short(mean),
            short(deviation)
        );
    }
    match array.len() - finite.len() {
        0 => {}
        gaps => title += &format!("; {gaps} not finite"),
    }
    Ok(Figure::lines(&title, vec![panel]))
}

/// The left edges of the bins, and one more; how many values each holds.
fn counted(finite: &[f64], bins: usize) -> (Vec<f64>, Vec<usize>) {
    let Range { mut low, mut high } = Range::of(finite.iter().copied());
    if low == high {
        // As NumPy does it.
        (low, high) = (low - 0.5, high + 0.5);
    }
    let width = (high - low) / bins as f64;
    let edges = (0..=bins)
        .map(|k| low + k as f64 * width)
        .collect::<Vec<_>>();
    let mut counts = vec![0; bins];
    for &value in finite {
        let mut bin = (((value - low) / width) as usize).min(bins - 1);
        // Rounding may have led past an edge.
        if value < edges[bin] {
            bin -= 1;
        } else if bin + 1 < bins && value >= edges[bin + 1] {
            bin += 1;
        }
        counts[bin] += 1;
    }
    (edges, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_as_numpy_counts_them() {
        // np.histogram(values, bins)[0] of NumPy 2.4.6.
        let squares = (0..500).map(|k| f64::from(k * k % 97) / 10.0);
        let squares = squares.collect::<Vec<_>>();
        let expected = [81, 41, 42, 51, 31, 51, 51, 41, 41, 70];
        assert_eq!(counted(&squares, 10).1, expected);
        // Values on the edges of the bins, give or take the last bit.
        let steps = (0..31).map(|k| 0.1 * f64::from(k)).collect::<Vec<_>>();
        assert_eq!(counted(&steps, 10).1, [3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        let (edges, counts) = counted(&[5.0; 3], 4);
        assert_eq!(edges, [4.5, 4.75, 5.0, 5.25, 5.5]);
        assert_eq!(counts, [0, 0, 3, 0]);
    }
}
