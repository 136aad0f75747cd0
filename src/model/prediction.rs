//! Telling the class of pictures: one by one, or a whole folder.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
//! let prediction = model.predict("data/samples/train/cats/cat.0.jpg")?;
//! assert_eq!(prediction.probabilities().len(), 2);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::model::classifier::Classifier;
use crate::network::base::Base;
use crate::pictures::dataset::Dataset;
use crate::pictures::photo::{Interpolation, Photo, Picture};
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::Table;
use crate::training::loss;

/// What a model takes a picture for.
#[derive(Clone)]
pub struct Prediction {
    photo: Photo,
    classes: Vec<String>,
    probabilities: Vec<f64>,
    notes: Vec<String>,
}

impl Prediction {
    /// The most probable class.
    pub fn class(&self) -> &str {
        &self.classes[most_probable(&self.probabilities)]
    }

    /// Its probability, 0 to 1.
    pub fn probability(&self) -> f64 {
        self.probabilities[most_probable(&self.probabilities)]
    }

    /// Each class with its probability, in the order of the model's classes; those of
    /// [`Base::classify`] from the most probable on.
    pub fn probabilities(&self) -> Vec<(String, f64)> {
        let probabilities = self.probabilities.iter().copied();
        self.classes.iter().cloned().zip(probabilities).collect()
    }

    /// The picture, at its own size.
    pub fn photo(&self) -> &Photo {
        &self.photo
    }

    /// The picture with its most probable classes, ten at most.
    pub fn plot(&self) -> Figure {
        let mut ranked = self.probabilities();
        // Stable: equals stay in the order of the classes.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let lines = ranked.iter().take(10);
        let lines = lines.map(|(class, probability)| format!("{class}: {}", percent(*probability)));
        let tile = Tile::new(self.photo.clone(), lines.collect::<Vec<_>>().join("\n"));
        let title = format!("{}: {}", self.photo.name(), self.class());
        Figure::grid(&titled(&title, &self.notes), vec![tile], 1)
    }

    /// Shows the picture with its classes under a notebook cell.
    pub fn evcxr_display(&self) {
        self.plot().evcxr_display();
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, {}",
            self.photo.name(),
            self.class(),
            percent(self.probability())
        )?;
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

/// What a model takes the pictures of a folder for.
#[derive(Clone)]
pub struct Predictions {
    folder: PathBuf,
    files: Vec<PathBuf>,
    classes: Vec<String>,
    probabilities: Vec<Vec<f64>>,
    unreadable: Vec<(PathBuf, String)>,
    notes: Vec<String>,
}

impl Predictions {
    /// The number of pictures that have a prediction.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The picture files, sorted.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The most probable class of each picture, with its probability.
    pub fn classes(&self) -> Vec<(String, f64)> {
        let best = |row: &Vec<f64>| {
            let class = most_probable(row);
            (self.classes[class].clone(), row[class])
        };
        self.probabilities.iter().map(best).collect()
    }

    /// The pictures of the folder that cannot be decoded, each with the reason.
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// Each picture with its class, the probability of it, and that of every class.
    pub fn table(&self) -> Table {
        let mut columns = vec!["picture", "class", "probability"];
        // With two classes the other one's follows.
        let all = self.classes.len() > 2;
        if all {
            columns.extend(self.classes.iter().map(String::as_str));
        }
        let numbers = (2..columns.len()).collect::<Vec<_>>();
        let mut table = Table::new(&self.to_string(), &columns).right_aligned(&numbers);
        let best = self.classes();
        for ((file, (class, probability)), row) in
            self.files.iter().zip(best).zip(&self.probabilities)
        {
            let name = file.strip_prefix(&self.folder).unwrap_or(file);
            let mut cells = vec![
                name.display().to_string(),
                class,
                format!("{probability:.4}"),
            ];
            if all {
                cells.extend(row.iter().map(|probability| format!("{probability:.4}")));
            }
            table.push(cells);
        }
        for (path, problem) in &self.unreadable {
            table = table.note(&format!("Cannot be read: {} ({problem})", path.display()));
        }
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// A grid of the first `n` pictures with their classes, 100 at most.
    ///
    /// # Errors
    /// [`Error::Picture`] if one of them cannot be decoded any more.
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, mut notes) = grid::count(n, self.len(), "predictions");
        notes.extend(self.notes.iter().cloned());
        let mut tiles = Vec::with_capacity(n);
        for (file, (class, probability)) in self.files.iter().zip(self.classes()).take(n) {
            let photo = Photo::open(file)?;
            let label = format!("{class}: {}\n{}", percent(probability), photo.name());
            tiles.push(Tile::new(photo, label));
        }
        Ok(Figure::photos(
            &titled(&count, &notes),
            tiles,
            grid::columns(n),
        ))
    }

    /// Shows the table under a notebook cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Display for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} predictions", self.len())?;
        for (number, class) in self.classes.iter().enumerate() {
            let rows = self.probabilities.iter();
            let count = rows.filter(|row| most_probable(row) == number).count();
            write!(f, ", {count} {class}")?;
        }
        match self.unreadable.len() {
            0 => Ok(()),
            n => write!(f, ", {n} unreadable"),
        }
    }
}

impl fmt::Debug for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predictions({self})")
    }
}

impl Classifier {
    /// The class of one picture: a path, or a [`Photo`].
    ///
    /// Keras: `model.predict(...)` on one picture, with `load_img` before it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Picture`] if the picture cannot be read.
    pub fn predict(&self, picture: impl Into<Picture>) -> Result<Prediction> {
        let photo = picture.into().photo()?;
        let pixels = photo.to_tensor(self.base.size(), self.interpolation)?;
        let _no_grad = tch::no_grad_guard();
        let probabilities = self
            .logits(&pixels)
            .and_then(|logits| rows_of(&logits))
            .map_err(Error::compute("predicting a class"))?;
        Ok(Prediction {
            photo,
            classes: self.classes().to_vec(),
            probabilities: probabilities.into_iter().flatten().collect(),
            notes: self.base().origin().notes.clone(),
        })
    }

    /// The classes of all pictures in a folder and in the folders inside it, sorted by name. Pictures
    /// that cannot be decoded are listed, not counted.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be read, [`Error::Dataset`] if it has no picture that can
    /// be decoded, [`Error::Stopped`] if the work was asked to stop.
    pub fn predict_folder(&self, folder: impl AsRef<Path>) -> Result<Predictions> {
        let all = Dataset::unlabelled(folder.as_ref())?.interpolation(self.interpolation);
        let unreadable = all.find_unreadable(self.base.shown())?;
        let readable = all.without(&unreadable)?;
        let _no_grad = tch::no_grad_guard();
        let mut probabilities = Vec::with_capacity(readable.len());
        self.for_each_logits(&readable, "predicting", |_, logits| {
            probabilities.extend(rows_of(&logits)?);
            Ok(())
        })?;
        Ok(Predictions {
            folder: folder.as_ref().to_owned(),
            files: readable.files().to_vec(),
            classes: self.classes().to_vec(),
            probabilities,
            unreadable,
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
    pub fn classify(&self, picture: impl Into<Picture>, n: usize) -> Result<Prediction> {
        self.check_has_top("predict")?;
        crate::training::fit::check_positive("n", n)?;
        let photo = picture.into().photo()?;
        let pixels = photo.to_tensor(self.size(), Interpolation::Nearest)?;
        let _no_grad = tch::no_grad_guard();
        let row = self
            .forward_pixels(&pixels)
            .and_then(|row| {
                let row = row.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
                Vec::<f64>::try_from(&row.f_view(-1)?)
            })
            .map_err(Error::batch("classifying a picture", 1))?;
        let mut ranked = row.into_iter().enumerate().collect::<Vec<_>>();
        // Stable: equals stay in the order of the classes.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(n);
        Ok(Prediction {
            photo,
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

/// Logits to one row of probabilities a picture.
pub(crate) fn rows_of(logits: &Tensor) -> std::result::Result<Vec<Vec<f64>>, tch::TchError> {
    let probabilities = loss::probabilities(logits)?;
    let classes = probabilities.size()[1] as usize;
    let flat = probabilities
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Double)?
        .f_contiguous()?
        .f_view(-1)?;
    let flat = Vec::<f64>::try_from(&flat)?;
    Ok(flat.chunks_exact(classes).map(<[f64]>::to_vec).collect())
}

/// The place of the largest; the first of equals.
pub(crate) fn most_probable(probabilities: &[f64]) -> usize {
    let all = probabilities.iter().enumerate();
    all.reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map_or(0, |(place, _)| place)
}

/// `97.3 %`.
pub(crate) fn percent(probability: f64) -> String {
    format!("{:.1} %", 100.0 * probability)
}
