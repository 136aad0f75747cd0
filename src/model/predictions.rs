//! Telling the class of all pictures in a folder.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Device, Head, Precision, Progress, Weights};
//! # let base = Base::vgg16(48, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! # let base = base.progress(Progress::quiet());
//! let model = Classifier::new(&base, Head::dense(16), &["cats", "dogs"])?;
//! let predictions = model.predict_folder("data/samples/validation/cats")?;
//! assert_eq!(predictions.len(), 15);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::model::classifier::Classifier;
use crate::model::probabilities::{answer, full_answer, most_probable, table_of};
use crate::pictures::dataset::Dataset;
use crate::pictures::left_out;
use crate::pictures::photo::Photo;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::draw::grid;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::{Table, counted};

/// What a model takes the pictures of a folder for.
#[derive(Clone)]
pub struct Predictions {
    folder: PathBuf,
    files: Vec<PathBuf>,
    target: Target,
    classes: Vec<String>,
    probabilities: Vec<Vec<f64>>,
    unreadable: Vec<(PathBuf, String)>,
    left_out: Vec<(PathBuf, String)>,
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

    /// The most probable class or label of each picture, with its probability.
    pub fn classes(&self) -> Vec<(String, f64)> {
        let best = |row: &Vec<f64>| {
            let class = most_probable(row);
            (self.classes[class].clone(), row[class])
        };
        self.probabilities.iter().map(best).collect()
    }

    /// The probability of each of the model's classes for each picture, or its numbers, (N, classes): a copy.
    #[doc(alias = "predict_proba")]
    pub fn probabilities(&self) -> Array2<f64> {
        table_of(&self.probabilities, self.classes.len())
    }

    /// The pictures of the folder that cannot be decoded, each with the reason.
    pub fn unreadable(&self) -> &[(PathBuf, String)] {
        &self.unreadable
    }

    /// The files of the folder that are no pictures, or in a format that is not decoded, each with the reason.
    pub fn left_out(&self) -> &[(PathBuf, String)] {
        &self.left_out
    }

    /// Each picture with its class, the probability of it, and that of every class; with its labels and the probability of
    /// each; or with its numbers.
    pub fn table(&self) -> Table {
        let mut columns = match self.target {
            Target::Class => vec!["picture", "class", "probability"],
            Target::Labels => vec!["picture", "labels"],
            Target::Numbers => vec!["picture"],
        };
        let first_number = columns.len() - usize::from(self.target == Target::Class);
        // With two classes the other one's follows.
        let all = self.target != Target::Class || self.classes.len() > 2;
        if all {
            columns.extend(self.classes.iter().map(String::as_str));
        }
        let numbers = (first_number..columns.len()).collect::<Vec<_>>();
        let mut table = Table::new(&self.to_string(), &columns).right_aligned(&numbers);
        let best = self.classes();
        for ((file, (_, probability)), row) in self.files.iter().zip(best).zip(&self.probabilities)
        {
            let words = answer(self.target, &self.classes, row);
            let name = file.strip_prefix(&self.folder).unwrap_or(file);
            let mut cells = vec![name.display().to_string()];
            match self.target {
                Target::Class => cells.extend([words, format!("{probability:.4}")]),
                Target::Labels => cells.push(words),
                Target::Numbers => {}
            }
            if all {
                cells.extend(row.iter().map(|probability| format!("{probability:.4}")));
            }
            table.push(cells);
        }
        for (path, problem) in &self.unreadable {
            table = table.note(&format!("Cannot be read: {} ({problem})", path.display()));
        }
        if let Some(line) = left_out::line(&self.left_out, &self.folder) {
            table = table.note(&line);
        }
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// A grid of `n` pictures, spread over all, with their classes; 100 at most.
    ///
    /// # Errors
    /// [`Error::Picture`] if one of them cannot be decoded any more.
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, mut notes) = grid::count(n, self.len(), "predictions");
        notes.extend(self.notes.iter().cloned());
        let mut tiles = Vec::with_capacity(n);
        for number in grid::spread(n, self.len()) {
            let photo = Photo::open(&self.files[number])?;
            let words = full_answer(self.target, &self.classes, &self.probabilities[number]);
            let label = format!("{words}\n{}", photo.name());
            tiles.push(Tile::new(photo, label));
        }
        Ok(Figure::photos(
            &titled(&count, &notes),
            tiles,
            grid::columns(n),
        ))
    }
}

displayed!(
    Predictions,
    "Shows the table under a notebook cell.",
    |predictions| predictions.table().bundle()
);

impl fmt::Display for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", counted(self.len(), "prediction"))?;
        for (number, class) in self.classes.iter().enumerate() {
            let counts = |row: &&Vec<f64>| match self.target {
                Target::Class => most_probable(row) == number,
                _ => row[number] > 0.5,
            };
            match self.target {
                Target::Numbers => write!(f, ", {class}")?,
                _ => write!(
                    f,
                    ", {} {class}",
                    self.probabilities.iter().filter(counts).count()
                )?,
            }
        }
        for (count, what) in [
            (self.unreadable.len(), "unreadable"),
            (self.left_out.len(), "left out"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predictions({self})")
    }
}

impl Classifier {
    /// The classes of all pictures in a folder and in the folders inside it, sorted by name. Pictures
    /// that cannot be decoded are listed, not counted, and so is what lies beside them.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be read, [`Error::Dataset`] if it has no picture that can
    /// be decoded, [`Error::Stopped`] if the work was asked to stop.
    pub fn predict_folder(&self, folder: impl AsRef<Path>) -> Result<Predictions> {
        let all = Dataset::unlabelled(folder.as_ref())?.interpolation(self.interpolation);
        // Most folders have no picture that cannot be read, so that each is decoded once.
        let mut unreadable = Vec::new();
        let mut readable = all.without(&unreadable)?;
        let probabilities = match self.probabilities(&readable) {
            Err(Error::Pictures {
                unreadable: found, ..
            }) => {
                readable = all.without(&found)?;
                unreadable = found;
                self.probabilities(&readable)?
            }
            answer => answer?,
        };
        Ok(Predictions {
            folder: folder.as_ref().to_owned(),
            files: readable.files().to_vec(),
            target: self.target(),
            classes: self.classes().to_vec(),
            probabilities,
            unreadable,
            left_out: all.left_out().to_vec(),
            notes: self.base().origin().notes.clone(),
        })
    }
}
