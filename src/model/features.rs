//! What the base made of a dataset: one block of numbers for each picture, with its label.
//!
//! Kept as one f32 tensor (N, H, W, C) on the base's device, so that a head trains on it without a
//! copy; handed out as an `ndarray` in the same order.

use std::fmt;
use std::path::PathBuf;

use ndarray::{Array1, Array2, Array4};
use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::files::tensors;
use crate::machine::random::hash_of;
use crate::model::provenance::Provenance;
use crate::network::base::Base;
use crate::pictures::dataset::Dataset;
use crate::pictures::labels::Labels;
use crate::pictures::resize::Interpolation;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::notebook::Bundle;

/// Stored outputs of a base with their labels.
#[doc(alias("embeddings", "bottleneck"))]
pub struct Features {
    pub(super) tensor: Tensor,
    pub(super) labels: Labels,
    /// The pictures; none for numbers of one's own, and in files of earlier versions.
    pub(super) files: Vec<PathBuf>,
    pub(super) classes: Vec<String>,
    pub(super) base: String,
    /// What they were made with; numbers of one's own do not tell.
    pub(super) provenance: Option<Provenance>,
    pub(super) notes: Vec<String>,
    /// What tells the pictures from others, or numbers of one's own. Files of earlier versions have none.
    pub(super) digest: Option<String>,
}

impl Features {
    pub(crate) fn new(
        tensor: Tensor,
        dataset: &Dataset,
        base: &str,
        notes: Vec<String>,
        provenance: Provenance,
    ) -> Self {
        Self {
            provenance: Some(provenance),
            tensor,
            labels: dataset.all_labels().clone(),
            files: dataset.files().to_vec(),
            classes: dataset.classes().to_vec(),
            base: base.to_owned(),
            notes,
            digest: Some(dataset.digest()),
        }
    }

    /// Features from numbers of one's own: `values` (N, H, W, C), one label for each picture.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the counts differ, [`Error::Argument`] if a label has no class or a value is not
    /// finite.
    pub fn from_array(values: &Array4<f32>, labels: &[usize], classes: &[&str]) -> Result<Self> {
        Self::of_array(values, Labels::of_classes(labels.to_vec()), classes)
    }

    /// The same with labels or numbers: `targets` (N, names), 1 where a label holds and 0 where not, or the numbers.
    ///
    /// ```
    /// use evcxr_transfer::{Features, Fit, Progress, Target, ndarray::{Array2, Array4}, train_head};
    /// let values = Array4::from_shape_fn((8, 1, 1, 2), |(n, _, _, c)| (n * (c + 1)) as f32 / 8.0);
    /// let ages = Array2::from_shape_fn((8, 1), |(n, _)| 2.0 * n as f32);
    /// let features = Features::from_arrays(&values, Target::Numbers, &ages, &["age"])?;
    /// let fit = Fit::default().epochs(60).learning_rate(0.01).progress(Progress::quiet());
    /// let (head, history) = train_head(&features, &features, &fit)?;
    /// assert!(history.last().unwrap().val_mae < history.epochs[0].val_mae);
    /// assert_eq!(head.predict(&features)?.dim(), (8, 1)); // ages
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Features::from_array`]; [`Error::Argument`] for [`Target::Class`], whose labels are no array, and for a
    /// label that is neither 0 nor 1.
    pub fn from_arrays(
        values: &Array4<f32>,
        target: Target,
        targets: &Array2<f32>,
        names: &[&str],
    ) -> Result<Self> {
        if target == Target::Class {
            return Err(Error::Argument {
                argument: "target",
                value: "Class".into(),
                expected: "give the number of each picture's class to `Features::from_array`"
                    .into(),
            });
        }
        let rows = targets.outer_iter().map(|row| row.to_vec()).collect();
        Self::of_array(values, Labels::of_rows(target, rows), names)
    }

    fn of_array(values: &Array4<f32>, labels: Labels, classes: &[&str]) -> Result<Self> {
        let size = values.shape().iter().map(|&n| n as i64).collect::<Vec<_>>();
        let flat = values.iter().copied().collect::<Vec<f32>>();
        let tensor = Tensor::f_from_slice(&flat)
            .and_then(|tensor| tensor.f_reshape(&size))
            .map_err(Error::compute("reading an array"))?;
        let features = Self {
            tensor,
            digest: Some(digest_of(values, &labels)),
            labels,
            files: Vec::new(),
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            base: "an array".into(),
            provenance: None,
            notes: Vec::new(),
        };
        features.check()?;
        match tensors::not_finite(&features.tensor)
            .map_err(Error::compute("looking at features"))?
        {
            0 => Ok(features),
            count => Err(Error::Argument {
                argument: "values",
                value: format!("an array with {count} values that are no finite numbers"),
                expected: "a head can learn from finite numbers only".into(),
            }),
        }
    }

    /// Refuses labels that do not fit pictures and names.
    pub(super) fn check(&self) -> Result<()> {
        self.labels.check(self.len(), self.classes.len())
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.shape()[0]
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// (N, H, W, C): (2000, 4, 4, 512) for the lesson's training pictures.
    pub fn shape(&self) -> Vec<usize> {
        tensors::shape(&self.tensor)
    }

    /// The number of values for one picture, 8,192 in the lesson: what a head takes.
    pub fn width(&self) -> usize {
        self.shape()[1..].iter().product()
    }

    /// The features as an array (N, H, W, C), a copy.
    ///
    /// # Errors
    /// [`Error::Compute`] if the copy does not fit into memory.
    pub fn array(&self) -> Result<Array4<f32>> {
        let doing = "copying features to an array";
        let size: [usize; 4] =
            self.shape()
                .try_into()
                .map_err(|shape: Vec<usize>| Error::Mismatch {
                    what: "features".into(),
                    expected: "the four dimensions (N, H, W, C)".into(),
                    found: format!("{shape:?}"),
                    remedy: "Take `tensor()` for outputs of a base with its top".into(),
                })?;
        let flat = self
            .tensor
            .f_to_device(Device::Cpu)
            .and_then(|tensor| tensor.f_contiguous()?.f_view(-1))
            .and_then(|tensor| Vec::<f32>::try_from(&tensor))
            .map_err(Error::compute(doing))?;
        Array4::from_shape_vec(size, flat).map_err(|error| Error::Compute {
            doing: doing.into(),
            message: error.to_string(),
        })
    }

    /// The features as a tensor (N, H, W, C) on the device where they were made; no copy.
    pub fn tensor(&self) -> Tensor {
        self.tensor.shallow_clone()
    }

    /// The label of each picture, (N,): an index into `classes()`. None where they have labels or numbers, which
    /// [`Features::values`] has.
    pub fn labels(&self) -> Array1<usize> {
        Array1::from(self.labels.classes().to_vec())
    }

    /// What the pictures are labelled with.
    pub fn target(&self) -> Target {
        self.labels.target()
    }

    /// The numbers of each picture, (N, names): see [`Dataset::values`].
    pub fn values(&self) -> Array2<f32> {
        let shape = (self.len(), self.classes.len());
        Array2::from_shape_fn(shape, |(picture, name)| self.labels.value(picture, name))
    }

    /// The class names, or those of labels or numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The picture files that they were extracted from, in order; none for numbers of one's own.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What a reader of results should know: drawn pictures, seeded weights.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What they were made with, if that is known.
    pub(crate) fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// What tells the pictures from others, if that is known.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// How the pictures were resized, if that is known.
    pub(crate) fn interpolation(&self) -> Option<Interpolation> {
        self.provenance.as_ref().map(Provenance::interpolation)
    }

    /// Refuses another base than the one that they were extracted with, and features that no files belong to.
    pub(crate) fn check_made_by(&self, base: &Base) -> Result<()> {
        let known = self.provenance.as_ref().filter(|_| !self.files.is_empty());
        let Some(own) = known else {
            return Err(no_files("features"));
        };
        match own.difference(&Provenance::new(base, own.interpolation())?) {
            None => Ok(()),
            Some([own, found]) => Err(Error::Mismatch {
                what: "the base".into(),
                expected: format!("one whose features are {own}, as these are"),
                found: format!("one whose features are {found}"),
                remedy: "Take the base that the features were extracted with, or extract them anew"
                    .into(),
            }),
        }
    }

    /// The device that holds the tensor.
    pub(crate) fn device(&self) -> Device {
        self.tensor.device()
    }

    pub(crate) fn all_labels(&self) -> &Labels {
        &self.labels
    }
}

/// Pictures are asked for, and only numbers are there.
pub(crate) fn no_files(what: &str) -> Error {
    Error::Mismatch {
        what: what.into(),
        expected: "some that were extracted from picture files".into(),
        found: "numbers whose pictures nobody knows".into(),
        remedy:
            "Take `base.extract_features(..)?`; files of earlier versions do not name the pictures"
                .into(),
    }
}

/// A digest of labels and values; of each picture's only the first, which differ between any two.
fn digest_of(values: &Array4<f32>, labels: &Labels) -> String {
    const VALUES: usize = 64;
    let bytes_of = |picture: usize| match labels.rows().get(picture) {
        Some(row) => row.iter().flat_map(|value| value.to_le_bytes()).collect(),
        None => match labels.classes().get(picture) {
            Some(&class) => (class as u64).to_le_bytes().to_vec(),
            None => Vec::new(),
        },
    };
    let rows = values.outer_iter().enumerate().flat_map(|(picture, row)| {
        let some = row
            .iter()
            .take(VALUES)
            .flat_map(|value| value.to_le_bytes());
        let some = some.collect::<Vec<_>>();
        bytes_of(picture).into_iter().chain(some)
    });
    format!("{:016x}", hash_of(rows))
}

displayed!(
    Features,
    "Shows shape, labels and classes under a notebook cell.",
    |features| Bundle::text(&features.to_string())
);

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self
            .shape()
            .iter()
            .map(|n| n.to_string())
            .collect::<Vec<_>>();
        write!(
            f,
            "Features ({}) from {}, labels ({},{}), {} {:?}",
            sizes.join(", "),
            self.base,
            self.labels.len(),
            match self.target() {
                Target::Class => String::new(),
                _ => format!(" {}", self.classes.len()),
            },
            self.target().nouns(),
            self.classes
        )?;
        for note in &self.notes {
            write!(f, "\nNote: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Features({:?}, classes {:?})",
            self.shape(),
            self.classes
        )
    }
}
