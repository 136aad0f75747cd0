//! [`Nearest`]: the pictures whose features are most like those of one, so that one sees what a network holds for
//! alike.
//!
//! ```
//! use evcxr_transfer::{Base, Data, Device, Precision, Progress, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! # let base = base.progress(Progress::quiet());
//! let data = Data::open("data/samples")?;
//! let features = base.extract_features(&data.train.take(10))?;
//! let nearest = features.nearest(&base, "data/samples/train/cats/cat.0.jpg", 3)?;
//! assert_eq!(nearest.files()[0], data.train.files()[0]); // the picture itself
//! let figure = nearest.plot()?; // a grid: the picture, then the others with their classes
//! # assert!(figure.to_string().contains("4 pictures"));
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::PathBuf;

use tch::{Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::machine::arrays::numbers_of;
use crate::model::features::Features;
use crate::network::base::Base;
use crate::pictures::folder::name_of;
use crate::pictures::photo::Photo;
use crate::pictures::photo_source::PhotoSource;
use crate::pictures::resize::Interpolation;
use crate::show::display::displayed;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::notebook::Bundle;
use crate::show::table::counted;
use crate::training::fit::check_positive;

/// The pictures that are most like one, the most similar first.
#[derive(Clone)]
pub struct Nearest {
    photo: Photo,
    files: Vec<PathBuf>,
    classes: Vec<String>,
    similarities: Vec<f64>,
    notes: Vec<String>,
}

impl Nearest {
    /// Their files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The class of each.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How similar each is: the cosine of the angle between both pictures' features, 1 for the same direction, 0 for a
    /// right angle.
    pub fn similarities(&self) -> &[f64] {
        &self.similarities
    }

    /// A grid: the picture, then those that are like it, each with its class, similarity and file.
    ///
    /// # Errors
    /// [`Error::Picture`] or [`Error::File`] if one of them cannot be read any more.
    pub fn plot(&self) -> Result<Figure> {
        let mut tiles = vec![Tile::new(self.photo.clone(), self.photo.name())];
        let others = self.files.iter().zip(&self.classes).zip(&self.similarities);
        for ((file, class), similarity) in others.take(grid::MOST_PHOTOS - 1) {
            let label = format!("{class}\nsimilarity {similarity:.3}\n{}", name_of(file));
            tiles.push(Tile::new(Photo::open(file)?, label));
        }
        let columns = if tiles.len() <= 6 { tiles.len() } else { 6 };
        Ok(Figure::photos(
            &titled(&self.to_string(), &self.notes),
            tiles,
            columns,
        ))
    }
}

displayed!(
    Nearest,
    "Shows the grid under a notebook cell, or why it cannot be drawn.",
    |nearest| match nearest.plot() {
        Ok(figure) => figure.bundle(),
        Err(error) => Bundle::text(&format!("{nearest}: {error}")),
    }
);

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = counted(self.files.len(), "picture");
        write!(f, "{count} most like {}", self.photo.name())
    }
}

impl fmt::Debug for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nearest({self})")
    }
}

impl Features {
    /// The `n` pictures whose features are most like those that `base` makes of a picture, a path or a
    /// [`Photo`]; all of them if there are fewer. A picture that is among them comes first.
    ///
    /// scikit-learn: `NearestNeighbors(n_neighbors=n, metric="cosine")`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the features are of another base, or of numbers whose files nobody knows;
    /// [`Error::Argument`] if `n` is 0; [`Error::File`] or [`Error::Picture`] if the picture cannot be read.
    #[doc(alias("NearestNeighbors", "similar", "kneighbors"))]
    pub fn nearest(
        &self,
        base: &Base,
        picture: impl Into<PhotoSource>,
        n: usize,
    ) -> Result<Nearest> {
        check_positive("n", n)?;
        self.check_made_by(base)?;
        let photo = picture.into().photo()?;
        let how = self.interpolation().unwrap_or(Interpolation::Nearest);
        let pixels = photo.to_tensor(base.size(), how)?;
        let _no_grad = tch::no_grad_guard();
        let similarities = base
            .forward_pixels(&pixels)
            .and_then(|one| similarities(&self.tensor(), &one))
            .map_err(Error::batch("comparing a picture with others", 1))?;
        let mut ranked = similarities.into_iter().enumerate().collect::<Vec<_>>();
        // Stable: equals stay in the order of the files.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(n);
        Ok(Nearest {
            photo,
            files: ranked
                .iter()
                .map(|(k, _)| self.files()[*k].clone())
                .collect(),
            classes: ranked
                .iter()
                .map(|(k, _)| self.all_labels().words(self.classes(), *k))
                .collect(),
            similarities: ranked.iter().map(|(_, similarity)| *similarity).collect(),
            notes: self.notes().to_vec(),
        })
    }
}

/// The cosine between each row of `all` and `one`, both (N, ...) of any kind.
fn similarities(all: &Tensor, one: &Tensor) -> std::result::Result<Vec<f64>, TchError> {
    let flat = |x: &Tensor| x.f_flatten(1, -1)?.f_to_kind(Kind::Float);
    let one = flat(&one.f_to_device(all.device())?)?;
    numbers_of(&Tensor::f_cosine_similarity(&flat(all)?, &one, 1, 1e-12)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_the_cosine_of_the_angle() {
        let all = Tensor::from_slice2(&[[2.0f32, 0.0], [0.0, 5.0], [1.0, 1.0], [-3.0, 0.0]]);
        let one = Tensor::from_slice2(&[[1.0f32, 0.0]]);
        let found = similarities(&all, &one).unwrap();
        for (found, expected) in found.iter().zip([1.0, 0.0, 0.5_f64.sqrt(), -1.0]) {
            // f32 has seven digits.
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
