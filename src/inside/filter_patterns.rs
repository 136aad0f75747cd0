//! What excites a filter most: pictures made by activation maximization.
//!
//! ```
//! use evcxr_transfer::{Base, Device, Precision, Progress, Weights};
//! let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! # let base = base.progress(Progress::quiet());
//! let patterns = base.filter_patterns("block2_conv1", &[0, 1, 5])?;
//! assert_eq!(patterns.array().dim(), (3, 48, 48, 3));
//! let (before, after) = patterns.activations()[0];
//! assert!(after >= before);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use ndarray::{Array4, ArrayView3, Axis};

use crate::error::{Error, Result};
use crate::inside::activation_maximization::ActivationMaximization;
use crate::machine::arrays::array_of;
use crate::network::base::Base;
use crate::network::operation::LayerKind;
use crate::pictures::photo::Photo;
use crate::show::display::displayed;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::{counted, significant};

/// How many patterns stand side by side at most: so few that there is room for the numbers below each.
const COLUMNS: usize = 5;

/// Pictures that excite some filters of a layer, one for each.
#[derive(Clone)]
pub struct FilterPatterns {
    layer: String,
    filters: Vec<usize>,
    /// (N, H, W, 3), as the ascent left them.
    pixels: Array4<f32>,
    activations: Vec<(f64, f64)>,
    steps: usize,
    notes: Vec<String>,
}

impl FilterPatterns {
    /// The name of the layer.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The numbers of the filters, as they were asked for.
    pub fn filters(&self) -> &[usize] {
        &self.filters
    }

    /// How many steps were taken: fewer than asked for if the work was stopped.
    pub fn num_steps(&self) -> usize {
        self.steps
    }

    /// The pixels as the ascent left them, (N, H, W, 3), RGB around 0 to 255 but not held within; a copy.
    pub fn array(&self) -> Array4<f32> {
        self.pixels.clone()
    }

    /// For each filter the mean of its map, over the noise and over its pattern; 0 where the filter finds
    /// nothing. What is climbed is the value before a convolution's ReLU, so that the pattern of a filter
    /// that the noise does not reach grows too; a pooling's map of zeros says nowhere which way is up.
    pub fn activations(&self) -> &[(f64, f64)] {
        &self.activations
    }

    /// The patterns as they are shown: each picture's pixels less their mean, over their standard
    /// deviation (plus 1e-5), times 0.1, plus 0.5, cut at 0 and 1, as bytes.
    pub fn pictures(&self) -> Vec<Photo> {
        let each = self.pixels.axis_iter(Axis(0)).zip(&self.filters);
        each.filter_map(|(pixels, filter)| {
            let (height, width, _) = pixels.dim();
            let name = format!("{} filter {filter}", self.layer);
            // As many bytes as the sides say: there is no error to lose.
            Photo::from_pixels(&name, width, height, as_bytes(&pixels)).ok()
        })
        .collect()
    }

    /// The patterns side by side, each with its filter's mean activation before and after; the first 100, and
    /// of more than 24 the filters' numbers alone.
    pub fn plot(&self) -> Figure {
        let pictures = self.pictures();
        let labelled = pictures.into_iter().zip(&self.filters);
        let labelled = labelled.zip(&self.activations);
        let (shown, count, mut notes) =
            grid::count(self.filters.len(), self.filters.len(), "filters");
        notes.extend(self.notes.iter().cloned());
        let tiles = labelled.map(|((photo, filter), (before, after))| {
            let (before, after) = (significant(*before), significant(*after));
            Tile::new(photo, format!("filter {filter}\n{before} → {after}"))
        });
        let tiles = tiles.take(shown).collect::<Vec<_>>();
        let steps = counted(self.steps, "step");
        let title = format!(
            "What excites {count} of {}; mean activation before → after {steps}",
            self.layer
        );
        // Eight are two rows of four rather than one of five and one of three.
        let rows = tiles.len().div_ceil(COLUMNS).max(1);
        let columns = tiles.len().div_ceil(rows).max(1);
        Figure::photos(&titled(&title, &notes), tiles, columns)
    }
}

displayed!(
    FilterPatterns,
    "Shows the patterns under a notebook cell.",
    |patterns| patterns.plot().bundle()
);

/// A picture's pixels with a mean of 0.5 and a deviation of 0.1, from 0 to 1, as bytes.
fn as_bytes(pixels: &ArrayView3<'_, f32>) -> Vec<u8> {
    let count = pixels.len().max(1) as f64;
    let values = || pixels.iter().map(|&value| f64::from(value));
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let shown = values().map(|value| (value - mean) / (variance.sqrt() + 1e-5) * 0.1 + 0.5);
    shown
        .map(|share| (share.clamp(0.0, 1.0) * 255.0).round() as u8)
        .collect()
}

impl fmt::Display for FilterPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, filters, _) = grid::count(self.filters.len(), self.filters.len(), "filters");
        write!(
            f,
            "patterns of {filters} of {} {:?}, {} steps",
            self.layer,
            self.pixels.shape(),
            self.steps
        )
    }
}

impl fmt::Debug for FilterPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterPatterns({self})")
    }
}

impl Base {
    /// What excites some filters of a layer most, by gradient ascent from noise:
    /// `base.filter_patterns("block3_conv1", &[0, 1, 2, 3])`. For more steps, another size or start see
    /// [`ActivationMaximization`]. Works for every convolution and pooling, and for a classifier's `model.base()`.
    ///
    /// Pixels go in as the base scales them. Keras' ImageNet weights know theirs from -128 to 128, where
    /// the lesson's 1/255 leaves a step little room: [`Base::scaling`] with
    /// [`Scaling::Caffe`](crate::Scaling::Caffe) comes closest to the article.
    ///
    /// Work that is asked to stop gives the patterns of the steps so far.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`] lists the layers; [`Error::Argument`] if the layer has no filter of such a
    /// number, if none is asked for, or if size or step size are no such; [`Error::OutOfMemory`] the
    /// batch size to try; [`Error::Stopped`] if it was asked to stop before the first step was done.
    pub fn filter_patterns(
        &self,
        what: impl Into<ActivationMaximization>,
        filters: &[usize],
    ) -> Result<FilterPatterns> {
        let what = what.into();
        let number = self.graph().find(&what.layer, |layer| {
            matches!(layer.kind, LayerKind::Conv2D | LayerKind::MaxPooling2D)
        })?;
        let climbed = what.climb(self, number, filters)?;
        let mut notes = self.origin().notes.clone();
        if climbed.steps < what.steps {
            notes.push(format!("stopped, {} were asked for", what.steps));
        }
        Ok(FilterPatterns {
            layer: self.layers()[number].name.clone(),
            filters: filters.to_vec(),
            pixels: array_of(&climbed.pixels).map_err(Error::compute("reading patterns"))?,
            activations: climbed.activations,
            steps: climbed.steps,
            notes,
        })
    }
}
