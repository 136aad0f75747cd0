//! Occlusion maps: which parts of a picture an answer needs, found by covering them one after another.
//!
//! A grey square slides over the picture (Zeiler and Fergus 2014, "Visualizing and Understanding
//! Convolutional Networks", section 4.2), and for each place the model says how probable the class is
//! still. No gradient is needed, only patience: each place is a pass through the whole network.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, Head, Occlusion, Precision, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
//! let picture = "data/samples/train/cats/cat.0.jpg";
//! let map = model.occlusion_map(picture, Occlusion::patch(16).class("cats"))?;
//! assert_eq!(map.array().dim(), (48, 48));
//! assert_eq!(map.class(), "cats");
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::inside::overlay::{self, laid_over, side_by_side};
use crate::inside::scorer::Scorer;
use crate::inside::squares::Squares;
use crate::machine::arrays::numbers_of;
use crate::machine::fitting_batch::FittingBatch;
use crate::model::classifier::Classifier;
use crate::model::probabilities::{most_probable, percent};
use crate::network::base::Base;
use crate::pictures::photo::Photo;
use crate::pictures::photo_source::PhotoSource;
use crate::show::display::displayed;
use crate::show::figure::{Figure, titled};
use crate::show::table::significant;

/// How long a square's side is by default: a fifth of the picture's.
const PARTS: usize = 5;

/// The square that covers a picture, and the class that is watched.
///
/// [`Occlusion::default`]: a fifth of the picture's side, moved by half of itself, for the class that
/// the model takes the picture for. At 150 pixels these are 81 squares of 30 x 30, so many passes through
/// the network: 8 s on two cores in f32.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Occlusion {
    patch: Option<usize>,
    stride: Option<usize>,
    class: Option<String>,
}

impl Occlusion {
    /// A square of `side` x `side` pixels of the picture as the network takes it. A small one finds small
    /// things, a large one things that only count as a whole.
    pub fn patch(side: usize) -> Self {
        Self {
            patch: Some(side),
            ..Self::default()
        }
    }

    /// Moves the square by so many pixels at a time, from 1 to its side; half its side by default.
    pub fn stride(mut self, pixels: usize) -> Self {
        self.stride = Some(pixels);
        self
    }

    /// Watches this class instead.
    pub fn class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// Side and stride for pictures of `size` pixels.
    fn sides(&self, size: usize) -> Result<(usize, usize)> {
        let patch = self.patch.unwrap_or((size / PARTS).max(1));
        check_between("patch", patch, size, "the picture's side")?;
        let stride = self.stride.unwrap_or((patch / 2).max(1));
        check_between("stride", stride, patch, "the square's side")?;
        Ok((patch, stride))
    }
}

/// Refuses a number of pixels outside 1 to `most`, which is `what`.
fn check_between(argument: &'static str, value: usize, most: usize, what: &str) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Argument {
        argument,
        value: value.to_string(),
        expected: format!("it must be from 1 to {most} pixels, {what}"),
    })
}

/// How much of a class's probability is lost where a picture is covered.
#[derive(Clone)]
pub struct OcclusionMap {
    photo: Photo,
    /// (H, W) of the picture as the network takes it.
    losses: Array2<f32>,
    class: String,
    probability: f64,
    patch: usize,
    squares: usize,
    notes: Vec<String>,
}

impl OcclusionMap {
    /// The probability that is lost at each pixel of the picture as the network takes it, (H, W), within
    /// -1 to 1: the mean over all squares that cover the pixel. 0.43 means that the class is 0.43 less
    /// probable then; below 0 it is more probable without the place.
    pub fn array(&self) -> Array2<f32> {
        self.losses.clone()
    }

    /// The class that it is about.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The probability that the model gives this class if nothing is covered, 0 to 1.
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// The side of the square in pixels of the picture as the network takes it.
    pub fn patch(&self) -> usize {
        self.patch
    }

    /// How many squares were tried.
    pub fn num_squares(&self) -> usize {
        self.squares
    }

    /// The largest value of the map.
    fn most(&self) -> f32 {
        let all = self.losses.iter().copied();
        all.fold(f32::NEG_INFINITY, f32::max)
    }

    /// The picture at its own size with the map over it, from dark blue (covering the place costs nothing,
    /// or helps) to yellow (it costs most).
    ///
    /// # Errors
    /// [`Error::Compute`] if there is no memory for it.
    pub fn overlay(&self) -> Result<Photo> {
        let most = self.most();
        let share = |loss: &f32| {
            let share = loss / most;
            if most > 0.0 { share.max(0.0) } else { 0.0 }
        };
        laid_over(&self.photo, &self.losses.map(share))
    }

    /// The picture, and beside it the same with the map over it.
    ///
    /// # Errors
    /// As [`OcclusionMap::overlay`].
    pub fn plot(&self) -> Result<Figure> {
        let answer = format!("for {}: {}", self.class, percent(self.probability));
        let label = format!("{answer}\n{}", self.cost());
        let title = format!("Occlusion by squares of {0} x {0} pixels", self.patch);
        let title = titled(&title, &self.notes);
        Ok(side_by_side(&title, &self.photo, self.overlay()?, label))
    }

    fn cost(&self) -> String {
        match f64::from(self.most()) {
            most if most > 0.0 => format!("covered: up to {} less", significant(most)),
            _ => "covered: nowhere less".into(),
        }
    }
}

displayed!(
    OcclusionMap,
    "Shows the picture and the map under a notebook cell.",
    |map| overlay::bundle(map.plot())
);

impl fmt::Display for OcclusionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "occlusion of {} by {} squares of {2} x {2} pixels for {3}, {4}; {5}",
            self.photo.name(),
            self.squares,
            self.patch,
            self.class,
            percent(self.probability),
            self.cost()
        )
    }
}

impl fmt::Debug for OcclusionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OcclusionMap({self})")
    }
}

impl Classifier {
    /// Which parts of a picture (a path or a [`Photo`]) the answer needs: a grey square (127 of 255)
    /// covers one place after another, and the map says how much of the class's probability is lost.
    ///
    /// Squares begin at the upper left corner; the last of a row and the last row are cut at the picture's
    /// edge where the stride does not lead there.
    ///
    /// # Errors
    /// [`Error::Argument`] if the square is larger than the picture, the stride larger than the square,
    /// or the model does not know the class; [`Error::File`] or [`Error::Picture`] if the picture cannot
    /// be read; [`Error::OutOfMemory`] the batch size to try; [`Error::Stopped`] if the work was asked to
    /// stop.
    pub fn occlusion_map(
        &self,
        picture: impl Into<PhotoSource>,
        occlusion: Occlusion,
    ) -> Result<OcclusionMap> {
        occlusion_map(&Scorer::Classifier(self), picture.into(), &occlusion)
    }
}

impl Base {
    /// The same for a network with its top. A class is asked for by its name as [`Base::classify`] gives
    /// it, or by its number: "class 281".
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has no top, otherwise as [`Classifier::occlusion_map`].
    pub fn occlusion_map(
        &self,
        picture: impl Into<PhotoSource>,
        occlusion: Occlusion,
    ) -> Result<OcclusionMap> {
        let scorer = Scorer::with_top(self, "occlusion_map")?;
        occlusion_map(&scorer, picture.into(), &occlusion)
    }
}

fn occlusion_map(
    scorer: &Scorer<'_>,
    picture: PhotoSource,
    occlusion: &Occlusion,
) -> Result<OcclusionMap> {
    let base = scorer.base();
    let (patch, stride) = occlusion.sides(base.size())?;
    let wanted = scorer.class_number(occlusion.class.as_deref())?;
    let photo = picture.photo()?;
    let pixels = scorer.pixels(&photo)?;
    let _no_grad = tch::no_grad_guard();
    let at_once = base.pictures_at_once();
    let refused = || Error::batch("covering a picture", at_once);
    let whole = scorer
        .probabilities(&pixels)
        .and_then(|row| numbers_of::<f64>(&row))
        .map_err(refused())?;
    let class = wanted.unwrap_or_else(|| most_probable(&whole));
    let squares = Squares::new(base.size(), patch, stride);
    let count = squares.places.len();
    let mut left = Vec::with_capacity(count);
    let progress = base.shown();
    let task = progress.task("covering a picture", "squares", Some(count));
    let mut task = task.shown_at_once();
    let mut fitting = FittingBatch::new(at_once);
    for some in squares.places.chunks(at_once) {
        progress.check("covering a picture")?;
        let answers = squares.covered(&pixels, some).and_then(|pictures| {
            let rows = fitting.run(&pictures, &|pictures| scorer.probabilities(pictures))?;
            numbers_of::<f64>(&rows.f_select(1, class as i64)?)
        });
        left.extend(answers.map_err(refused())?);
        task.done(left.len());
    }
    task.finish();
    let losses = left.iter().map(|left| whole[class] - left);
    Ok(OcclusionMap {
        losses: squares.averaged(losses),
        photo,
        class: scorer.class_name(class),
        probability: whole[class],
        patch,
        squares: count,
        notes: base.origin().notes.clone(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn sides_have_defaults_and_limits() {
        assert_eq!(Occlusion::default().sides(150).unwrap(), (30, 15));
        assert_eq!(Occlusion::default().sides(224).unwrap(), (44, 22));
        assert_eq!(Occlusion::patch(1).sides(32).unwrap(), (1, 1));
        assert_eq!(Occlusion::patch(9).stride(9).sides(32).unwrap(), (9, 9));
        for wrong in [
            Occlusion::patch(0),
            Occlusion::patch(33),
            Occlusion::patch(8).stride(0),
            Occlusion::patch(8).stride(9),
        ] {
            assert!(matches!(wrong.sides(32), Err(Error::Argument { .. })));
        }
    }
}
