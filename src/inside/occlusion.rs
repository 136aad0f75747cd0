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

use ndarray::{Array2, s};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::inside::grad_cam::laid_over;
use crate::inside::network::Network;
use crate::model::classifier::Classifier;
use crate::model::prediction::{most_probable, percent};
use crate::network::base::{Base, in_halves};
use crate::pictures::photo::{Photo, Picture};
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::significant;

/// What covers the picture, in all three channels: the middle of 0 to 255, so that the square is as far
/// from black as from white.
const GREY: i64 = 127;

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
        let tiles = vec![
            Tile::new(self.photo.clone(), self.photo.name().to_owned()),
            Tile::new(self.overlay()?, format!("{answer}\n{}", self.cost())),
        ];
        let title = format!("Occlusion by squares of {0} x {0} pixels", self.patch);
        Ok(Figure::grid(&titled(&title, &self.notes), tiles, 2))
    }

    fn cost(&self) -> String {
        match f64::from(self.most()) {
            most if most > 0.0 => format!("covered: up to {} less", significant(most)),
            _ => "covered: nowhere less".into(),
        }
    }

    /// Shows the picture and the map under a notebook cell.
    pub fn evcxr_display(&self) {
        match self.plot() {
            Ok(figure) => figure.evcxr_display(),
            Err(error) => crate::show::notebook::Bundle::text(&error.to_string()).show(),
        }
    }
}

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
        picture: impl Into<Picture>,
        occlusion: Occlusion,
    ) -> Result<OcclusionMap> {
        occlusion_map(&Network::Model(self), picture.into(), &occlusion)
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
        picture: impl Into<Picture>,
        occlusion: Occlusion,
    ) -> Result<OcclusionMap> {
        let network = Network::whole(self, "occlusion_map")?;
        occlusion_map(&network, picture.into(), &occlusion)
    }
}

fn occlusion_map(
    network: &Network<'_>,
    picture: Picture,
    occlusion: &Occlusion,
) -> Result<OcclusionMap> {
    let base = network.base();
    let size = base.size();
    let (patch, stride) = occlusion.sides(size)?;
    let wanted = network.class_number(occlusion.class.as_deref())?;
    let photo = picture.photo()?;
    let pixels = network.pixels(&photo)?;
    let _no_grad = tch::no_grad_guard();
    let at_once = base.pictures_at_once();
    let refused = || Error::batch("covering a picture", at_once);
    let whole = network
        .probabilities(&pixels)
        .and_then(|row| numbers(&row))
        .map_err(refused())?;
    let class = wanted.unwrap_or_else(|| most_probable(&whole));
    let starts = starts(size, patch, stride);
    let places = starts.iter().flat_map(|&top| {
        let row = starts.iter();
        row.map(move |&left| (top, left))
    });
    let places = places.collect::<Vec<_>>();
    let mut left = Vec::with_capacity(places.len());
    let progress = base.shown();
    let mut task = progress.task("covering a picture", "squares", Some(places.len()));
    for some in places.chunks(at_once) {
        progress.check("covering a picture")?;
        let answers = covered(&pixels, some, patch).and_then(|pictures| {
            let rows = in_halves(&pictures, &|pictures| network.probabilities(pictures))?;
            numbers(&rows.f_select(1, class as i64)?)
        });
        left.extend(answers.map_err(refused())?);
        task.done(left.len());
    }
    task.finish();
    let losses = left.iter().map(|left| whole[class] - left);
    Ok(OcclusionMap {
        losses: averaged(&places, losses, patch, size),
        photo,
        class: network.class_name(class),
        probability: whole[class],
        patch,
        squares: places.len(),
        notes: base.origin().notes.clone(),
    })
}

/// Where squares begin along a side: from 0 on until one reaches the end.
fn starts(size: usize, patch: usize, stride: usize) -> Vec<usize> {
    let count = (size - patch).div_ceil(stride) + 1;
    (0..count).map(|number| number * stride).collect()
}

/// A copy of the picture (1, H, W, 3) for each place, (N, H, W, 3), with a square there.
fn covered(
    pixels: &Tensor,
    places: &[(usize, usize)],
    patch: usize,
) -> std::result::Result<Tensor, TchError> {
    let size = pixels.size()[1];
    let copies = pixels.f_repeat([places.len() as i64, 1, 1, 1])?;
    for (number, &(top, left)) in places.iter().enumerate() {
        let side = |start: usize| (patch as i64).min(size - start as i64);
        let _ = copies
            .f_select(0, number as i64)?
            .f_narrow(0, top as i64, side(top))?
            .f_narrow(1, left as i64, side(left))?
            .f_fill_(GREY)?;
    }
    Ok(copies)
}

/// For each pixel the mean of the losses of the squares that cover it.
fn averaged(
    places: &[(usize, usize)],
    losses: impl Iterator<Item = f64>,
    patch: usize,
    size: usize,
) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((size, size));
    let mut counts = Array2::<f64>::zeros((size, size));
    for (&(top, left), loss) in places.iter().zip(losses) {
        let (bottom, right) = ((top + patch).min(size), (left + patch).min(size));
        let square = s![top..bottom, left..right];
        sums.slice_mut(square).mapv_inplace(|sum| sum + loss);
        counts.slice_mut(square).mapv_inplace(|count| count + 1.0);
    }
    (sums / counts).mapv(|mean| mean as f32)
}

/// All values of a tensor.
fn numbers(tensor: &Tensor) -> std::result::Result<Vec<f64>, TchError> {
    let flat = tensor
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Double)?
        .f_contiguous()?
        .f_view(-1)?;
    Vec::<f64>::try_from(&flat)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn squares_reach_the_edge_and_the_last_may_hang_over_it() {
        assert_eq!(starts(150, 30, 15).len(), 9);
        assert_eq!(starts(10, 4, 4), [0, 4, 8]);
        assert_eq!(starts(10, 4, 3), [0, 3, 6]);
        assert_eq!(starts(7, 7, 1), [0]);
        assert_eq!(starts(3, 1, 1), [0, 1, 2]);
    }

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

    #[test]
    fn a_pixel_has_the_mean_of_the_squares_over_it() {
        // Three pixels, squares of 2 at 0 and 1 in both directions; the losses are 1, 2, 3 and 4.
        let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let map = averaged(&places, [1.0, 2.0, 3.0, 4.0].into_iter(), 2, 3);
        let expected = ndarray::array![[1.0, 1.5, 2.0], [2.0, 2.5, 3.0], [3.0, 3.5, 4.0]];
        assert_eq!(map, expected);
    }
}
