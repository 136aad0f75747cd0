//! [`Pca`]: the features of many pictures as points on a plane, so that one sees how the classes lie.
//!
//! Principal component analysis (Pearson 1901, Hotelling 1933): the two directions along which the
//! features differ most. scikit-learn: `PCA(n_components=2).fit_transform(features)`.
//!
//! ```
//! use evcxr_transfer::{Base, Data, Device, Precision, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let data = Data::open("data/samples")?;
//! let features = base.extract_features(&data.train.take(10))?;
//! let map = features.pca()?;
//! assert_eq!(map.array().dim(), (10, 2));
//! let figure = map.plot(); // a mark for each picture, coloured by class
//! # assert!(figure.to_png().is_ok());
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array2;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::arrays::numbers_of;
use crate::machine::scalar::scalar;
use crate::model::features::Features;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};
use crate::show::figure::{Figure, titled};

/// The directions come from so many pictures at most: the time grows with the third power of their number,
/// 5 to 13 s for 2,000 on two cores.
const MOST: usize = 2_000;

/// Pictures as points on the plane on which their features lie widest apart.
#[derive(Clone)]
pub struct Pca {
    /// (N, 2)
    points: Array2<f32>,
    /// Of the features' variance, what each of the two directions has.
    explained: [f64; 2],
    labels: Vec<usize>,
    classes: Vec<String>,
    notes: Vec<String>,
}

impl Pca {
    /// The points, (N, 2): along the first direction, which has most of the variance, and the second; the
    /// mean of all pictures is (0, 0). A copy.
    pub fn array(&self) -> Array2<f32> {
        self.points.clone()
    }

    /// The share of the features' variance that each of the two directions has, 0 to 1.
    pub fn explained_variance_ratio(&self) -> [f64; 2] {
        self.explained
    }

    /// A mark for each picture, in the colour and shape of its class.
    pub fn plot(&self) -> Figure {
        let series = self.classes.iter().enumerate().map(|(class, name)| {
            let rows = self.points.outer_iter().zip(&self.labels);
            let of_class = rows.filter(|(_, label)| **label == class);
            Series {
                name: name.clone(),
                points: of_class
                    .map(|(point, _)| (f64::from(point[0]), f64::from(point[1])))
                    .collect(),
                mark: Mark::Points,
                colour: class,
            }
        });
        let label = |number: usize, share: f64| {
            format!(
                "component {number} ({:.1} % of the variance)",
                100.0 * share
            )
        };
        let panel = Panel {
            x_label: label(1, self.explained[0]),
            y_label: label(2, self.explained[1]),
            series: series.collect(),
            ..Panel::default()
        };
        Figure::lines(&titled(&self.to_string(), &self.notes), vec![panel]).size(900, 850)
    }
}

displayed!(Pca, "Shows the plot under a notebook cell.", |pca| pca
    .plot()
    .bundle());

impl fmt::Display for Pca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pictures, _) = self.points.dim();
        write!(f, "Principal components of {pictures} pictures' features")
    }
}

impl fmt::Debug for Pca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pca({self})")
    }
}

impl Features {
    /// The pictures as points on the plane on which their features lie widest apart.
    ///
    /// The directions have no natural sign; here the largest value along each is above 0. Of more than 2,000
    /// pictures they are those of 2,000, evenly spaced. 2,000 pictures take 5 to 13 s on two cores.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than three pictures, [`Error::Mismatch`] for numbers that are not finite,
    /// [`Error::Compute`] if memory does not suffice.
    pub fn pca(&self) -> Result<Pca> {
        if self.len() < 3 {
            return Err(Error::Argument {
                argument: "features",
                value: format!("of {} pictures", self.len()),
                expected: "three at least span a plane".into(),
            });
        }
        let _no_grad = tch::no_grad_guard();
        let are_finite = self
            .tensor()
            .f_isfinite()
            .and_then(|finite| finite.f_all()?.f_int64_value(&[]))
            .map_err(Error::compute("looking at features"))?;
        if are_finite == 0 || self.width() == 0 {
            return Err(Error::Mismatch {
                what: "features".into(),
                expected: "finite numbers".into(),
                found: format!("some that are not, or none, in {:?}", self.shape()),
                remedy: "Look at `features.array()?`; weights that have diverged give such numbers"
                    .into(),
            });
        }
        let (points, explained) = plane(&self.tensor(), MOST)
            .map_err(Error::compute("finding the principal components"))?;
        let (labels, classes) = match self.target() {
            Target::Class => (
                self.all_labels().classes().to_vec(),
                self.classes().to_vec(),
            ),
            // No picture has one class: all look alike.
            Target::Labels | Target::Numbers => (vec![0; self.len()], vec!["pictures".into()]),
        };
        Ok(Pca {
            points,
            explained,
            labels,
            classes,
            notes: self.notes().to_vec(),
        })
    }
}

/// (N, ...) to (N, 2), with the shares of the variance; the directions come from `most` rows at most.
fn plane(features: &Tensor, most: usize) -> std::result::Result<(Array2<f32>, [f64; 2]), TchError> {
    let rows = features.f_to_device(Device::Cpu)?.f_flatten(1, -1)?;
    let rows = rows.f_to_kind(Kind::Float)?;
    let count = rows.size2()?.0 as usize;
    let taken = count.min(most);
    // Evenly spaced, so that every class has its share: files are ordered by class.
    let numbers = (0..taken).map(|k| (k * count / taken.max(1)) as i64);
    let numbers = Tensor::f_from_slice(&numbers.collect::<Vec<_>>())?;
    let some = rows.f_index_select(0, &numbers)?;
    let mean = some.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
    let some = some.f_sub(&mean)?;
    let (pictures, width) = some.size2()?;
    // The products of the rows with each other, or of the columns, whichever is the smaller square, have the
    // same eigenvalues: 2,000 x 2,000 in place of a decomposition of 2,000 x 8,192.
    let by_rows = pictures <= width;
    let turned = some.f_transpose(0, 1)?;
    let products = if by_rows {
        some.f_matmul(&turned)?
    } else {
        turned.f_matmul(&some)?
    };
    let products = products.f_to_kind(Kind::Double)?;
    let total = products.f_trace()?.f_double_value(&[])?;
    // Rising: the largest two are the last.
    let (values, vectors) = products.f_linalg_eigh("L")?;
    let last = values.size1()? - 1;
    let mut points = Array2::zeros((count, 2));
    let mut explained = [0.0; 2];
    for (number, share) in explained.iter_mut().enumerate() {
        let place = last - number as i64;
        // Features of a single number have no second direction.
        if place < 0 {
            continue;
        }
        let value = values.f_double_value(&[place])?.max(0.0);
        *share = if total > 0.0 { value / total } else { 0.0 };
        let vector = vectors.f_select(1, place)?;
        let along = if by_rows && taken == count {
            vector.f_mul(&scalar(value.sqrt())?)?
        } else if value == 0.0 {
            Tensor::f_zeros([count as i64], (Kind::Double, Device::Cpu))?
        } else {
            let direction = vector.f_to_kind(Kind::Float)?;
            let direction = match by_rows {
                true => turned.f_mv(&direction)?.f_div(&scalar(value.sqrt())?)?,
                false => direction,
            };
            rows.f_sub(&mean)?
                .f_mv(&direction)?
                .f_to_kind(Kind::Double)?
        };
        let along = numbers_of::<f64>(&along)?;
        let largest = along.iter().fold(
            0.0_f64,
            |most, &v| if v.abs() > most.abs() { v } else { most },
        );
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for (row, value) in along.into_iter().enumerate() {
            points[[row, number]] = (sign * value) as f32;
        }
    }
    Ok((points, explained))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_a_picture_are_only_turned() {
        // More rows than columns: the other way to the same components (tests/library/quick_looks.rs has the one).
        let rows = [
            [1.0, 2.0],
            [4.0, 0.5],
            [-2.0, 3.0],
            [0.0, 0.0],
            [5.0, -7.0_f32],
        ];
        let (points, explained) = plane(&Tensor::from_slice2(&rows), MOST).unwrap();
        assert!(
            (explained[0] + explained[1] - 1.0).abs() < 1e-6,
            "{explained:?}"
        );
        assert!(explained[0] > explained[1]);
        let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        for (k, a) in rows.iter().enumerate() {
            for (l, b) in rows.iter().enumerate() {
                let [p, q] = [k, l].map(|n| [points[[n, 0]], points[[n, 1]]]);
                // f32 holds numbers of this size to 5e-7.
                assert!((distance(*a, *b) - distance(p, q)).abs() < 1e-5, "{k} {l}");
            }
        }
    }

    #[test]
    fn directions_from_a_part_place_all_pictures() {
        // All lie on one line, which any two of them tell; fewer numbers than pictures, and more.
        for width in [2_i64, 40] {
            let along = Tensor::arange(9, (Kind::Float, Device::Cpu)).view([9, 1]);
            let rows = along * Tensor::ones([1, width], (Kind::Float, Device::Cpu));
            let (all, _) = plane(&rows, 9).unwrap();
            let (some, explained) = plane(&rows, 3).unwrap();
            assert!(explained[0] > 0.999_999, "{explained:?}");
            for row in 1..9 {
                let steps = [&all, &some].map(|points| (points[[row, 0]] - points[[0, 0]]).abs());
                // Up to 51, of which f32 holds 4e-6.
                assert!((steps[0] - steps[1]).abs() < 1e-4, "{row}: {steps:?}");
            }
        }
    }

    #[test]
    fn a_single_number_has_one_direction() {
        let rows = Tensor::arange(4, (Kind::Float, Device::Cpu)).view([4, 1]);
        let (points, explained) = plane(&rows, MOST).unwrap();
        assert_eq!(explained, [1.0, 0.0]);
        assert!(points.column(1).iter().all(|&value| value == 0.0));
    }

    #[test]
    fn equal_pictures_are_one_point() {
        let (points, explained) =
            plane(&Tensor::ones([4, 3], (Kind::Float, Device::Cpu)), MOST).unwrap();
        assert!(points.iter().all(|value| value.abs() < 1e-6) && explained == [0.0; 2]);
    }
}
