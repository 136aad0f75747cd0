//! What a classifier, or a head, gets right and wrong on labelled pictures: the scores of the classes here,
//! `confusion_matrix`, `mistakes` and `thresholds` beside it.
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

use crate::error::Result;
use crate::model::class_scores::{self, ClassScores};
use crate::model::classifier::Classifier;
use crate::model::features::Features;
use crate::model::head_model::HeadModel;
use crate::model::number_scores;
use crate::model::probabilities::table_of;
use crate::pictures::dataset::Dataset;
use crate::pictures::labels::Labels;
use crate::pictures::target::Target;
use crate::show::display::displayed;
use crate::show::table::{Table, counted};

/// A model's answers on labelled pictures.
#[derive(Clone)]
pub struct Report {
    pub(super) classes: Vec<String>,
    /// The pictures; none if only their features are known.
    pub(super) files: Vec<PathBuf>,
    pub(super) labels: Labels,
    /// One row a picture, one value a name: probabilities, or numbers.
    pub(super) probabilities: Vec<Vec<f64>>,
    pub(super) notes: Vec<String>,
    /// Whether confusion matrices have shares of a row.
    pub(super) is_normalised: bool,
}

impl Report {
    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the model answers.
    pub fn target(&self) -> Target {
        self.labels.target()
    }

    /// The file of a picture, or its number where nobody knows the file.
    pub(super) fn file(&self, number: usize) -> PathBuf {
        let file = self.files.get(number).cloned();
        file.unwrap_or_else(|| format!("picture {number}").into())
    }

    /// The probability of each class for each picture, or its numbers, (N, classes), in the order of the pictures: a copy.
    #[doc(alias = "predict_proba")]
    pub fn probabilities(&self) -> Array2<f64> {
        table_of(&self.probabilities, self.classes.len())
    }

    /// The share of pictures whose class is right, or of labels that are, 0 to 1; not a number (NaN) where numbers are the
    /// answers, whose errors [`Report::number_scores`] has.
    pub fn accuracy(&self) -> f64 {
        match self.target() {
            Target::Class => {
                let right = self.confusion().diag().sum();
                right as f64 / self.len().max(1) as f64
            }
            Target::Labels => {
                let tables = self.label_tables();
                let right = tables.iter().map(|counts| counts.diag().sum());
                let all = self.len() * self.classes.len();
                right.sum::<usize>() as f64 / all.max(1) as f64
            }
            Target::Numbers => f64::NAN,
        }
    }

    /// Precision, recall and F1 of each class or label, in the order of the names; none where numbers are the answers.
    pub fn scores(&self) -> Vec<ClassScores> {
        match self.target() {
            Target::Class => class_scores::of(&self.classes, &self.confusion()),
            Target::Labels => class_scores::of_labels(&self.classes, &self.label_tables()),
            Target::Numbers => Vec::new(),
        }
    }

    /// For each label (without it or with it, taken to be without it or with it): how many pictures.
    ///
    /// scikit-learn: `multilabel_confusion_matrix(labels, predictions)`; none for classes and numbers.
    #[doc(alias = "multilabel_confusion_matrix")]
    pub fn label_tables(&self) -> Vec<Array2<usize>> {
        if self.target() != Target::Labels {
            return Vec::new();
        }
        let of_label = |label: usize| {
            let mut counts = Array2::zeros([2, 2]);
            for (picture, row) in self.probabilities.iter().enumerate() {
                let holds = usize::from(self.labels.counts(picture, label));
                counts[[holds, usize::from(row[label] > 0.5)]] += 1;
            }
            counts
        };
        (0..self.classes.len()).map(of_label).collect()
    }

    /// The scores as a table, with the accuracy below; of numbers their errors.
    pub fn table(&self) -> Table {
        let accuracy = match self.target() {
            Target::Class => format!("Accuracy: {:.4}", self.accuracy()),
            Target::Labels => format!("Binary accuracy: {:.4} of the labels", self.accuracy()),
            Target::Numbers => return self.noted(number_scores::table(self.number_scores())),
        };
        self.noted(class_scores::table(self.scores()).note(&accuracy))
    }

    pub(super) fn noted(&self, table: Table) -> Table {
        let notes = self.notes.iter();
        notes.fold(table, |table, note| table.note(&format!("Note: {note}")))
    }
}

displayed!(
    Report,
    "Shows the scores under a notebook cell.",
    |report| report.table().bundle()
);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pictures = counted(self.len(), "picture");
        if self.target() == Target::Numbers {
            write!(f, "{pictures}")?;
            let mut all = self.number_scores().into_iter();
            return all
                .try_for_each(|scores| write!(f, ", {}: MAE {:.4}", scores.name, scores.mae));
        }
        let wrong = self.most_wrong_numbers().len();
        write!(
            f,
            "{pictures}, {wrong} wrong, accuracy {:.4}",
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
            labels: dataset.all_labels().clone(),
            probabilities: self.probabilities(dataset)?,
            notes,
            is_normalised: false,
        })
    }
}

impl HeadModel {
    /// What the head gets right and wrong on labelled features: after part 1, with the pictures that they were
    /// extracted from.
    ///
    /// ```
    /// use evcxr_transfer::{Base, Data, Device, Fit, Precision, Progress, Weights, train_head};
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// # let base = base.progress(Progress::quiet());
    /// let data = Data::open("data/samples")?.take(4, 4);
    /// let (train, validation) = (base.extract_features(&data.train)?, base.extract_features(&data.validation)?);
    /// let fit = Fit::default().epochs(1).progress(Progress::quiet());
    /// let (head, _) = train_head(&train, &validation, &fit)?;
    /// let report = head.report(&validation)?;
    /// assert_eq!(report.len(), 4);
    /// let figure = report.show(4)?; // pictures with what they were taken for
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`HeadModel::predict`].
    #[doc(alias("classification_report", "ClassificationInterpretation"))]
    pub fn report(&self, features: &Features) -> Result<Report> {
        let probabilities = self.predict(features)?;
        let rows = probabilities.outer_iter();
        let rows = rows.map(|row| row.iter().map(|&value| f64::from(value)).collect());
        Ok(Report {
            classes: self.classes().to_vec(),
            files: features.files().to_vec(),
            labels: features.all_labels().clone(),
            probabilities: rows.collect(),
            notes: features.notes().to_vec(),
            is_normalised: false,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    impl Report {
        /// A report on pictures 0.jpg, 1.jpg, ...
        pub(crate) fn of(classes: &[&str], labels: &[usize], probabilities: Vec<Vec<f64>>) -> Self {
            let files = (0..labels.len()).map(|n| format!("{n}.jpg").into());
            Self {
                classes: classes.iter().map(|&class| class.to_owned()).collect(),
                files: files.collect(),
                labels: Labels::of_classes(labels.to_vec()),
                probabilities,
                notes: Vec::new(),
                is_normalised: false,
            }
        }
    }

    #[test]
    fn labels_are_scored_each_by_itself() {
        // Red: found, missed; square: found wrongly and rightly.
        let truth = vec![vec![1.0, 0.0], vec![1.0, 1.0], vec![0.0, 0.0]];
        let rows = vec![vec![0.9, 0.7], vec![0.4, 0.8], vec![0.1, 0.2]];
        let report = Report {
            labels: Labels::of_rows(Target::Labels, truth),
            ..Report::of(&["red", "square"], &[], rows)
        };
        // scikit-learn's order: [[true negatives, false positives], [false negatives, true positives]].
        let expected = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]].map(|counts| ndarray::arr2(&counts));
        assert_eq!(report.label_tables(), expected);
        let text = report.confusion_matrix().to_csv();
        let names = "true positive,false negative,false positive,true negative";
        assert_eq!(
            text,
            format!("label,{names}\nred,1,1,0,1\nsquare,1,0,1,1\n")
        );
        let shares = report.normalised().confusion_matrix().to_csv();
        assert!(
            shares.contains("red,0.3333,0.3333,0.0000,0.3333"),
            "{shares}"
        );
        let figure = report.plot_confusion_matrix().to_svg().unwrap();
        assert!(
            ["square", "false negative"]
                .iter()
                .all(|name| figure.contains(name))
        );
        let scores = report.scores();
        assert_eq!(
            (scores[0].precision, scores[0].recall),
            (Some(1.0), Some(0.5))
        );
        assert_eq!(
            (scores[1].precision, scores[1].recall),
            (Some(0.5), Some(1.0))
        );
        assert_eq!((scores[0].pictures, scores[1].pictures), (2, 1));
        assert_eq!(report.accuracy(), 4.0 / 6.0);
        let mistakes = report.mistakes();
        let words = mistakes
            .iter()
            .map(|(_, truth, guess, _)| format!("{truth} / {guess}"));
        // The surest wrong label first.
        let expected = ["red / red, square", "red, square / square"];
        assert_eq!(words.collect::<Vec<_>>(), expected);
        assert!(
            report
                .table()
                .to_string()
                .contains("Binary accuracy: 0.6667")
        );
        assert!(report.plot_predicted().is_err() && report.roc_curve().is_err());
    }

    #[test]
    fn counts_and_scores_by_hand() {
        // Cats: 0.1 right, 0.6 and 0.9 wrong. Dogs: 0.8 right, 0.4 wrong, 0.7 right.
        let second = [0.1, 0.6, 0.9, 0.8, 0.4, 0.7];
        let rows = second.map(|p| vec![1.0 - p, p]);
        let report = Report::of(&["cats", "dogs"], &[0, 0, 0, 1, 1, 1], rows.to_vec());
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
        let table = report.misclassified().to_csv();
        assert!(table.starts_with("picture,true,predicted,probability\n2.jpg,cats,dogs,0.9000\n"));
        assert_eq!(report.probabilities().dim(), (6, 2));
    }
}
