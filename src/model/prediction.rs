//! Telling the class of one picture.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
//! let prediction = model.predict("data/samples/train/cats/cat.0.jpg")?;
//! assert_eq!(prediction.probabilities().len(), 2);
//! assert_eq!(prediction.top(1)[0].0, prediction.class());
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use crate::error::{Error, Result};
use crate::machine::arrays::numbers_of;
use crate::model::classifier::Classifier;
use crate::model::probabilities::{answer, check_numbers, full_answer, most_probable, percent};
use crate::network::base::Base;
use crate::pictures::photo::Photo;
use crate::pictures::photo_source::PhotoSource;
use crate::pictures::resize::Interpolation;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::training::fit;

/// What a model takes a picture for.
#[derive(Clone)]
pub struct Prediction {
    photo: Photo,
    target: Target,
    classes: Vec<String>,
    probabilities: Vec<f64>,
    notes: Vec<String>,
}

impl Prediction {
    /// The most probable class or label; of numbers the name of the largest.
    pub fn class(&self) -> &str {
        &self.classes[most_probable(&self.probabilities)]
    }

    /// Its probability, 0 to 1; of numbers the largest itself.
    pub fn probability(&self) -> f64 {
        self.probabilities[most_probable(&self.probabilities)]
    }

    /// The labels with a probability above one half, in the order of the model's; the most probable class where it
    /// answers classes, and none where it answers numbers.
    pub fn labels(&self) -> Vec<String> {
        let all = self.classes.iter().zip(&self.probabilities);
        match self.target {
            Target::Class => vec![self.class().to_owned()],
            Target::Labels => all
                .filter(|(_, probability)| **probability > 0.5)
                .map(|(label, _)| label.clone())
                .collect(),
            Target::Numbers => Vec::new(),
        }
    }

    /// Each class (or label) with its probability, each number with its value, in the order of the model's classes; those of
    /// [`Base::classify`] from the most probable on.
    pub fn probabilities(&self) -> Vec<(String, f64)> {
        let probabilities = self.probabilities.iter().copied();
        self.classes.iter().cloned().zip(probabilities).collect()
    }

    /// The `k` most probable classes, the most probable first; all of them if there are fewer.
    ///
    /// PyTorch: `probabilities.topk(k)`.
    #[doc(alias("topk", "top_k"))]
    pub fn top(&self, k: usize) -> Vec<(String, f64)> {
        let mut ranked = self.probabilities();
        // Stable: equals stay in the order of the classes.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(k);
        ranked
    }

    /// The picture, at its own size.
    pub fn photo(&self) -> &Photo {
        &self.photo
    }

    /// The class, the labels, or the numbers.
    fn words(&self) -> String {
        answer(self.target, &self.classes, &self.probabilities)
    }

    /// The picture with its most probable classes, ten at most.
    pub fn plot(&self) -> Figure {
        let ranked = self.top(10);
        let lines = ranked.iter().map(|(class, value)| match self.target {
            Target::Numbers => full_answer(self.target, std::slice::from_ref(class), &[*value]),
            _ => format!("{class}: {}", percent(*value)),
        });
        let tile = Tile::new(self.photo.clone(), lines.collect::<Vec<_>>().join("\n"));
        let title = format!("{}: {}", self.photo.name(), self.words());
        Figure::grid(&titled(&title, &self.notes), vec![tile], 1)
    }
}

displayed!(
    Prediction,
    "Shows the picture with its classes under a notebook cell.",
    |prediction| prediction.plot().bundle()
);

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.photo.name(), self.words())?;
        if self.target == Target::Class {
            write!(f, ", {}", percent(self.probability()))?;
        }
        for note in &self.notes {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prediction({self})")
    }
}

impl Classifier {
    /// The class of one picture (its labels, its numbers): a path, or a [`Photo`].
    ///
    /// Keras: `model.predict(...)` on one picture, with `load_img` before it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Picture`] if the picture cannot be read.
    pub fn predict(&self, picture: impl Into<PhotoSource>) -> Result<Prediction> {
        let photo = picture.into().photo()?;
        let pixels = photo.to_tensor(self.base.size(), self.interpolation)?;
        let _no_grad = tch::no_grad_guard();
        let probabilities = self
            .logits(&pixels)
            .and_then(|logits| numbers_of(&self.target().answers(&logits)?))
            .map_err(Error::compute("predicting a class"))?;
        Ok(Prediction {
            photo,
            target: self.target(),
            classes: self.classes().to_vec(),
            probabilities,
            notes: self.base().origin().notes.clone(),
        })
    }
}

impl Base {
    /// What a network with its top takes a picture (a path or a [`Photo`]) for: the `n` most probable of
    /// ImageNet's 1,000 classes.
    ///
    /// Keras: `decode_predictions(model.predict(...), top=5)`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the base has no top, [`Error::Argument`] if `n` is 0, [`Error::File`] or
    /// [`Error::Picture`] if the picture cannot be read.
    #[doc(alias = "decode_predictions")]
    pub fn classify(&self, picture: impl Into<PhotoSource>, n: usize) -> Result<Prediction> {
        self.check_has_top("predict")?;
        fit::check_positive("n", n)?;
        let photo = picture.into().photo()?;
        let pixels = photo.to_tensor(self.size(), Interpolation::Nearest)?;
        let _no_grad = tch::no_grad_guard();
        let row = self
            .forward_pixels(&pixels)
            .and_then(|row| numbers_of::<f64>(&row))
            .map_err(Error::batch("classifying a picture", 1))?;
        check_numbers(&row)?;
        let mut ranked = row.into_iter().enumerate().collect::<Vec<_>>();
        // Stable: equals stay in the order of the classes.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(n);
        Ok(Prediction {
            photo,
            target: Target::Class,
            classes: ranked
                .iter()
                .map(|&(number, _)| self.class_name(number))
                .collect(),
            probabilities: ranked
                .into_iter()
                .map(|(_, probability)| probability)
                .collect(),
            notes: self.origin().notes.clone(),
        })
    }
}
