//! Quick looks: pictures, curves, histograms and coloured matrices of any numbers, one line each.
//!
//! They take what a cell has at hand, see [`Values`](crate::Values), and give a [`Figure`].
//!
//! ```
//! use evcxr_transfer::ndarray::Array;
//! use evcxr_transfer::{heatmap, histogram, plot_lines, show_images};
//! let pictures = Array::from_shape_fn((6, 8, 8, 3), |(n, y, x, c)| (n + y + x + c) as f32 / 23.0);
//! let figure = show_images(&pictures)?;
//! let losses = [0.69, 0.55, 0.41];
//! let figure = plot_lines(&[("loss", &losses)])?.title("Training").axes("epoch", "loss");
//! let figure = histogram(&pictures, 20)?;
//! let figure = heatmap(&Array::from_shape_fn((3, 4), |(row, column)| row * column))?;
//! # assert!(figure.to_string().starts_with("Figure: 3 x 4 values from 0 to 6, "));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use ndarray::{ArrayD, ArrayView3, Axis, Ix2, Ix4};

use crate::error::{Error, Result};
use crate::pictures::photo::Photo;
use crate::quick_looks::values::Values;
use crate::show::draw::chart::Panel;
use crate::show::draw::grid;
use crate::show::draw::matrix::Matrix;
use crate::show::draw::series::{Mark, Series};
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};

/// Longer lines are drawn by the smallest and the largest value of each of half as many stretches: more
/// points than a figure has pixels cannot be seen.
const MOST_POINTS: usize = 4_000;

/// Sides of a matrix beyond this would take gigabytes while they are drawn.
const LONGEST_SIDE: usize = 10_000;

/// Pictures to look at: an array or tensor of them, or [`Photo`]s.
///
/// Made from either where pictures are asked for: `show_images(&tensor)`.
#[derive(Clone, Debug)]
pub enum Images {
    /// Numbers, shaped as [`show_images`] says.
    Values(Values),
    /// Photos with their names.
    Photos(Vec<Photo>),
}

impl<T: Into<Values>> From<T> for Images {
    fn from(values: T) -> Self {
        Self::Values(values.into())
    }
}

impl From<&Photo> for Images {
    fn from(photo: &Photo) -> Self {
        Self::Photos(vec![photo.clone()])
    }
}

impl From<Vec<Photo>> for Images {
    fn from(photos: Vec<Photo>) -> Self {
        Self::Photos(photos)
    }
}

impl From<&Vec<Photo>> for Images {
    fn from(photos: &Vec<Photo>) -> Self {
        Self::Photos(photos.clone())
    }
}

impl From<&[Photo]> for Images {
    fn from(photos: &[Photo]) -> Self {
        Self::Photos(photos.to_vec())
    }
}

/// A grid of pictures, each with its number or name; of more than 100 that many, evenly spaced.
///
/// Shapes: (N, H, W, 3) and (N, H, W, 1), as Keras has them; [N, 3, H, W] and [N, 1, H, W], as PyTorch has
/// them; one picture (H, W, 3), (H, W, 1) or [3, H, W]; any other (N, H, W), and (H, W), in grey. Values: 0 to 1 if all that are shown lie there,
/// else 0 to 255 if they do, else from the smallest (black) to the largest (white); what is not finite is
/// black. The title says which.
///
/// matplotlib: `plt.imshow` in a loop over `plt.subplot`; fastai: `show_images`.
///
/// # Errors
/// [`Error::Argument`] for another shape, no picture at all or a tensor of other than real numbers,
/// [`Error::Compute`] if a tensor cannot be read.
pub fn show_images(images: impl Into<Images>) -> Result<Figure> {
    let values = match images.into() {
        Images::Values(values) => values,
        Images::Photos(photos) => {
            if photos.is_empty() {
                return Err(Error::Argument {
                    argument: "images",
                    value: "an empty list".into(),
                    expected: "it must hold a photo at least".into(),
                });
            }
            let (n, count, notes) = grid::count(photos.len(), photos.len(), "pictures");
            let tiles = spread(n, photos.len()).map(|number| {
                let photo = &photos[number];
                Tile::new(photo.clone(), photo.name())
            });
            return Ok(Figure::photos(
                &titled(&count, &notes),
                tiles.collect(),
                grid::columns(n),
            ));
        }
    };
    let shape = values.shape();
    let all = number_of_pictures(&shape);
    let (n, count, notes) = grid::count(all, all, "pictures");
    let numbers = spread(n, all).collect::<Vec<_>>();
    // Thousands of pictures would take gigabytes as f64.
    let values = if n < all {
        values.rows(&numbers)?
    } else {
        values
    };
    let pictures = pictures_of(values.array()?)?;
    let range = Range::of(&pictures);
    let mut tiles = Vec::with_capacity(n);
    for (number, picture) in numbers.iter().zip(&pictures) {
        let photo = range.photo(&number.to_string(), picture.view())?;
        let label = if all > 1 {
            photo.name().to_owned()
        } else {
            String::new()
        };
        tiles.push(Tile::new(photo, label));
    }
    let title = format!("{count}, {}, {}", in_brackets(&shape), range.words);
    Ok(Figure::photos(
        &titled(&title, &notes),
        tiles,
        grid::columns(n),
    ))
}

/// `n` of the numbers below `all`, evenly spaced.
fn spread(n: usize, all: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |k| k * all / n.max(1))
}

/// "(60, 4, 4, 512)".
fn in_brackets(shape: &[usize]) -> String {
    let sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>();
    match sizes.as_slice() {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.join(", ")),
    }
}

/// How many pictures an array of this shape holds, if it holds any.
fn number_of_pictures(shape: &[usize]) -> usize {
    match *shape {
        [3, _, _] | [_, _, 1 | 3] => 1,
        [pictures, _, _] | [pictures, _, _, _] => pictures,
        _ => 1,
    }
}

/// Single pictures, each (H, W, 1 or 3).
fn pictures_of(values: ArrayD<f64>) -> Result<Vec<ndarray::Array3<f64>>> {
    let shape = values.shape().to_vec();
    let refused = || {
        Error::Argument {
        argument: "images",
        value: format!("an array of shape {}", in_brackets(&shape)),
        expected:
            "it must be (N, H, W, 3), (N, H, W, 1), (H, W, 3), (H, W, 1), (N, H, W) or (H, W), or PyTorch's \
                   [N, 3, H, W], [N, 1, H, W] or [3, H, W], without a size of 0"
                .into(),
    }
    };
    let is_colours = |size: usize| size == 3 || size == 1;
    let batch = match *shape.as_slice() {
        [_, _] => values.insert_axis(Axis(0)).insert_axis(Axis(3)),
        // Three grey pictures are likelier to be one in colours, and so is a last size of 1.
        [_, _, 3 | 1] => values.insert_axis(Axis(0)),
        [3, _, _] => values
            .permuted_axes([1, 2, 0].as_slice())
            .insert_axis(Axis(0)),
        [_, _, _] => values.insert_axis(Axis(3)),
        [_, _, _, last] if is_colours(last) => values,
        [_, first, _, _] if is_colours(first) => values.permuted_axes([0, 2, 3, 1].as_slice()),
        _ => return Err(refused()),
    };
    let batch = batch.into_dimensionality::<Ix4>().map_err(|_| refused())?;
    if batch.is_empty() {
        return Err(refused());
    }
    Ok(batch
        .outer_iter()
        .map(|picture| picture.to_owned())
        .collect())
}

/// Which values are black and white, and how to say it.
struct Range {
    low: f64,
    high: f64,
    words: String,
}

impl Range {
    fn of(pictures: &[ndarray::Array3<f64>]) -> Self {
        let (low, high) = bounds(pictures.iter().flatten().copied());
        let (black, white) = match (low, high) {
            (0.0.., ..=1.0) => (0.0, 1.0),
            (0.0.., ..=255.0) => (0.0, 255.0),
            _ => (low, high),
        };
        Self {
            low: black,
            high: white,
            words: format!("black {} to white {}", short(black), short(white)),
        }
    }

    fn photo(&self, name: &str, picture: ArrayView3<f64>) -> Result<Photo> {
        let (height, width, colours) = picture.dim();
        let byte = |value: f64| {
            let share = (value - self.low) / (self.high - self.low);
            // NaN becomes 0, as does a share where all values are the same.
            let share = if value.is_finite() { share } else { 0.0 };
            (share * 255.0).round().clamp(0.0, 255.0) as u8
        };
        let bytes = picture.iter().flat_map(|&value| {
            let times = if colours == 1 { 3 } else { 1 };
            std::iter::repeat_n(byte(value), times)
        });
        Photo::from_pixels(name, width, height, bytes.collect())
    }
}

/// The smallest and the largest of the finite numbers; 0 and 0 if there is none.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high { (0.0, 0.0) } else { (low, high) }
}

/// A number for a title: "6", "0.0312", "1.2e-7".
fn short(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e6 => format!("{value}"),
        1e-3..1e5 => {
            let digits = 2 - value.abs().log10().floor() as i32;
            let text = format!("{value:.0$}", digits.clamp(0, 6) as usize);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => format!("{value:.1e}"),
    }
}

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

/// How often values lie where: their range in `bins` equal parts, of which each holds its left edge, and
/// the last one both. Values of any shape; the title says how many, their mean and standard deviation.
///
/// NumPy: `np.histogram(values, bins)`; matplotlib: `plt.hist`.
///
/// # Errors
/// [`Error::Argument`] if `bins` is not 1 to 1,000, or for a tensor of other than real numbers,
/// [`Error::Compute`] if a tensor cannot be read.
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
    let count = crate::show::table::grouped(array.len());
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
    let (mut low, mut high) = bounds(finite.iter().copied());
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

/// A matrix (rows, columns) as coloured cells, from dark blue (the smallest) to yellow (the largest), with a
/// bar that tells the numbers; what is not finite is grey. Up to 400 cells have their numbers written in
/// them where they fit. Dimensions of size 1 are left out.
///
/// matplotlib: `plt.imshow(values); plt.colorbar()`; seaborn: `heatmap(values, annot=True)`.
///
/// # Errors
/// [`Error::Argument`] if the values have other than two dimensions, a side of 0 or more than 10,000, or are
/// no real numbers, [`Error::Compute`] if a tensor cannot be read.
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
    let (low, high) = bounds(values.iter().copied());
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
        names: Vec::new(),
    };
    Ok(Figure::matrix(&title, matrix))
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

    #[test]
    fn long_lines_keep_the_ends_of_each_stretch_in_order() {
        let points = thinned((0..10_000).map(|k| f64::from(k % 100)));
        assert!(points.len() <= MOST_POINTS, "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(thinned([1.0, 2.0].into_iter()), [(0.0, 1.0), (1.0, 2.0)]);
    }

    #[test]
    fn numbers_in_titles_are_short() {
        let texts = [0.0, 6.0, -3.0, 0.5, 0.81649, 123.456, 1.2e-7, 5e9].map(short);
        let expected = ["0", "6", "-3", "0.5", "0.816", "123", "1.2e-7", "5.0e9"];
        assert_eq!(texts, expected);
    }
}
