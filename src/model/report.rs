//! What a classifier gets right and wrong on labelled pictures: confusion matrix, scores of the classes,
//! the worst mistakes, the ROC curve.
//!
//! ```
//! use evcxr_transfer::{Base, Classifier, Data, Device, Head, Precision, Weights};
//! # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
//! let data = Data::open("data/samples")?.take(4, 4);
//! let model = Classifier::new(&base, Head::dense(8), data.train.classes())?;
//! let report = model.report(&data.validation)?;
//! assert_eq!(report.confusion().sum(), 4);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;
use std::path::PathBuf;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::model::class_scores::{self, ClassScores};
use crate::model::classifier::Classifier;
use crate::model::probabilities::{most_probable, percent};
use crate::model::roc_curve::RocCurve;
use crate::pictures::dataset::Dataset;
use crate::pictures::folder::name_of;
use crate::pictures::photo::Photo;
use crate::show::display::displayed;
use crate::show::draw::grid;
use crate::show::draw::matrix::Matrix;
use crate::show::draw::tile::Tile;
use crate::show::figure::{Figure, titled};
use crate::show::table::Table;

/// A classifier's answers on labelled pictures.
#[derive(Clone)]
pub struct Report {
    classes: Vec<String>,
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    /// One row a picture, one value a class.
    probabilities: Vec<Vec<f64>>,
    notes: Vec<String>,
}

impl Report {
    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The share of pictures whose class is right, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        let right = self.confusion().diag().sum();
        right as f64 / self.len().max(1) as f64
    }

    /// How many pictures of each class (a row) were taken for each class (a column), in the order of the
    /// class names.
    pub fn confusion(&self) -> Array2<usize> {
        let classes = self.classes.len();
        let mut counts = Array2::zeros([classes, classes]);
        for (&label, row) in self.labels.iter().zip(&self.probabilities) {
            counts[[label, most_probable(row)]] += 1;
        }
        counts
    }

    /// The confusion matrix: what a picture is in rows, what it was taken for in columns.
    pub fn confusion_matrix(&self) -> Table {
        let mut columns = vec!["is \\ taken for"];
        columns.extend(self.classes.iter().map(String::as_str));
        let numbers = (1..columns.len()).collect::<Vec<_>>();
        let mut table = Table::new("Confusion matrix", &columns).right_aligned(&numbers);
        for (class, counts) in self.classes.iter().zip(self.confusion().rows()) {
            let mut cells = vec![class.clone()];
            cells.extend(counts.iter().map(usize::to_string));
            table.push(cells);
        }
        self.noted(table)
    }

    /// The confusion matrix in colours, for many classes: a row for each class, a column for what its pictures
    /// were taken for.
    ///
    /// scikit-learn: `ConfusionMatrixDisplay.from_predictions(labels, predictions)`.
    pub fn plot_confusion_matrix(&self) -> Figure {
        let matrix = Matrix {
            values: self.confusion().map(|&count| count as f64),
            x_label: "taken for".into(),
            y_label: "is".into(),
            names: self.classes.clone(),
        };
        let title = format!("Confusion of {} pictures", self.len());
        Figure::matrix(&titled(&title, &self.notes), matrix)
    }

    /// Precision, recall and F1 of each class, in the order of the class names.
    pub fn scores(&self) -> Vec<ClassScores> {
        class_scores::of(&self.classes, &self.confusion())
    }

    /// The scores as a table, with the accuracy below.
    pub fn table(&self) -> Table {
        let accuracy = format!("Accuracy: {:.4}", self.accuracy());
        self.noted(class_scores::table(self.scores()).note(&accuracy))
    }

    fn noted(&self, table: Table) -> Table {
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }

    /// The pictures that are taken for another class, the surest mistakes first: the file, its class, what
    /// it was taken for and the probability of that.
    pub fn mistakes(&self) -> Vec<(PathBuf, String, String, f64)> {
        let of = |number: usize| {
            let guess = most_probable(&self.probabilities[number]);
            (
                self.files[number].clone(),
                self.classes[self.labels[number]].clone(),
                self.classes[guess].clone(),
                self.probabilities[number][guess],
            )
        };
        self.most_wrong_numbers().into_iter().map(of).collect()
    }

    fn is_wrong(&self, number: usize) -> bool {
        most_probable(&self.probabilities[number]) != self.labels[number]
    }

    fn most_wrong_numbers(&self) -> Vec<usize> {
        let mut wrong = (0..self.len())
            .filter(|&number| self.is_wrong(number))
            .collect::<Vec<_>>();
        let sureness = |number: usize| {
            let row = &self.probabilities[number];
            row[most_probable(row)]
        };
        // Stable: equals stay in the order of the files.
        wrong.sort_by(|&a, &b| sureness(b).total_cmp(&sureness(a)));
        wrong
    }

    /// A grid of the `n` surest mistakes, 100 at most, each with what it was taken for, the probability of that, what it
    /// is and its file.
    ///
    /// # Errors
    /// [`Error::Picture`] or [`Error::File`] if one of them cannot be read any more.
    #[doc(alias = "plot_top_losses")]
    pub fn most_wrong(&self, n: usize) -> Result<Figure> {
        let wrong = self.most_wrong_numbers();
        let (n, count, notes) = grid::count(n, wrong.len(), "mistakes");
        let title = format!("{count}, on {} pictures", self.len());
        self.grid(&title, notes, &wrong[..n])
    }

    /// A grid of `n` pictures, 100 at most, spread over the dataset, each with what it was taken for and what it is; the
    /// wrong ones have a frame and a cross.
    ///
    /// # Errors
    /// As [`Report::most_wrong`].
    pub fn show(&self, n: usize) -> Result<Figure> {
        let (n, count, notes) = grid::count(n, self.len(), "predictions");
        // Evenly spaced, so that every class has its share: files are ordered by class.
        let numbers = (0..n)
            .map(|k| k * self.len() / n.max(1))
            .collect::<Vec<_>>();
        self.grid(&count, notes, &numbers)
    }

    fn grid(&self, title: &str, mut notes: Vec<String>, numbers: &[usize]) -> Result<Figure> {
        let mut tiles = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let row = &self.probabilities[number];
            let guess = most_probable(row);
            let label = format!(
                "{}: {}\nis {}\n{}",
                self.classes[guess],
                percent(row[guess]),
                self.classes[self.labels[number]],
                name_of(&self.files[number])
            );
            let tile = Tile::new(Photo::open(&self.files[number])?, label);
            tiles.push(tile.highlighted(self.is_wrong(number)));
        }
        notes.extend(self.notes.iter().cloned());
        let title = titled(title, &notes);
        Ok(Figure::photos(&title, tiles, grid::columns(numbers.len())))
    }

    /// The area under the ROC curve, for two classes: the share of pairs, one picture of each class, in
    /// which the one of the second class has the higher probability of it; equals count half.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there are other than two classes, or no picture of one.
    #[doc(alias = "roc_auc_score")]
    pub fn area_under_curve(&self) -> Result<f64> {
        Ok(self.roc()?.area())
    }

    /// The ROC curve for two classes: of all thresholds for the probability of the second class, how many
    /// of its pictures are found, by how many of the first class are taken for it.
    ///
    /// # Errors
    /// As [`Report::area_under_curve`].
    pub fn roc_curve(&self) -> Result<Figure> {
        let panel = self.roc()?.panel(&self.classes[0], &self.classes[1]);
        Ok(Figure::lines(
            &titled("ROC curve", &self.notes),
            vec![panel],
        ))
    }

    fn roc(&self) -> Result<RocCurve> {
        let wrong = || Error::Mismatch {
            what: "a ROC curve".into(),
            expected: "two classes with pictures of both".into(),
            found: format!("{} pictures of {:?}", self.len(), self.classes),
            remedy: "Take the confusion matrix".into(),
        };
        if self.classes.len() != 2 {
            return Err(wrong());
        }
        let rows = self.probabilities.iter().map(|row| row[1]);
        let is_second = self.labels.iter().map(|&label| label == 1);
        RocCurve::new(rows.zip(is_second).collect()).ok_or_else(wrong)
    }
}

displayed!(
    Report,
    "Shows the scores under a notebook cell.",
    |report| report.table().bundle()
);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pictures, {} wrong, accuracy {:.4}",
            self.len(),
            self.most_wrong_numbers().len(),
            self.accuracy()
        )
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report({self})")
    }
}

impl Classifier {
    /// What the model gets right and wrong on labelled pictures.
    ///
    /// # Errors
    /// As [`Classifier::evaluate`].
    #[doc(alias("classification_report", "ClassificationInterpretation"))]
    pub fn report(&self, dataset: &Dataset) -> Result<Report> {
        self.check_evaluable(dataset)?;
        let mut notes = dataset.notes().to_vec();
        notes.extend(self.base().origin().notes.iter().cloned());
        Ok(Report {
            classes: self.classes().to_vec(),
            files: dataset.files().to_vec(),
            labels: dataset.labels().to_vec(),
            probabilities: self.probabilities(dataset)?,
            notes,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    fn report(labels: &[usize], second: &[f64]) -> Report {
        Report {
            classes: vec!["cats".into(), "dogs".into()],
            files: (0..labels.len())
                .map(|n| format!("{n}.jpg").into())
                .collect(),
            labels: labels.to_vec(),
            probabilities: second.iter().map(|&p| vec![1.0 - p, p]).collect(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn counts_and_scores_by_hand() {
        // Cats: 0.1 right, 0.6 and 0.9 wrong. Dogs: 0.8 right, 0.4 wrong, 0.7 right.
        let report = report(&[0, 0, 0, 1, 1, 1], &[0.1, 0.6, 0.9, 0.8, 0.4, 0.7]);
        assert_eq!(report.confusion(), ndarray::arr2(&[[1, 2], [1, 2]]));
        assert_eq!(report.accuracy(), 0.5);
        let [cats, dogs] = <[ClassScores; 2]>::try_from(report.scores()).unwrap();
        assert_eq!((cats.precision, cats.recall), (Some(0.5), Some(1.0 / 3.0)));
        assert_eq!((dogs.precision, dogs.recall), (Some(0.5), Some(2.0 / 3.0)));
        // 2 x 2 / (4 taken + 3 there).
        assert_eq!(dogs.f1, Some(4.0 / 7.0));
        let mistakes = report.mistakes();
        let names = mistakes.iter().map(|(file, ..)| file.to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["2.jpg", "1.jpg", "4.jpg"]);
        assert_eq!(mistakes[0].1, "cats");
        assert_eq!(mistakes[0].2, "dogs");
    }
}
