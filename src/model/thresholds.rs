//! Two classes and the probability from which on a picture counts as one of the second: ROC curve, precision and
//! recall.

use crate::error::{Error, Result};
use crate::model::class_scores::{self, ClassScores};
use crate::model::precision_recall;
use crate::model::report::Report;
use crate::model::roc_curve::RocCurve;
use crate::pictures::target::Target;
use crate::show::figure::{Figure, titled};
use crate::show::table::counted;

impl Report {
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

    /// Precision and recall of the second class of two, by the threshold from which on its probability counts: which
    /// one to choose where one kind of mistake costs more than the other. [`Report::scores_at`] has the numbers.
    ///
    /// # Errors
    /// As [`Report::area_under_curve`].
    #[doc(alias("PrecisionRecallDisplay", "precision_recall_curve", "threshold"))]
    pub fn precision_recall(&self) -> Result<Figure> {
        let panel = precision_recall::panel(self.second()?, &self.classes[1]);
        Ok(Figure::lines(
            &titled("Precision and recall by threshold", &self.notes),
            vec![panel],
        ))
    }

    /// Precision, recall and F1 of both classes if a picture is taken for the second class from this probability
    /// of it on, in place of one half.
    ///
    /// # Errors
    /// [`Error::Argument`] if the threshold is not 0 to 1, [`Error::Mismatch`] if there are other than two classes.
    pub fn scores_at(&self, threshold: f64) -> Result<Vec<ClassScores>> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::Argument {
                argument: "threshold",
                value: threshold.to_string(),
                expected: "it must be a probability, 0 to 1".into(),
            });
        }
        if self.classes.len() != 2 || self.target() != Target::Class {
            return Err(self.not_two());
        }
        let counts = self.confusion_by(|row| usize::from(row[1] >= threshold));
        Ok(class_scores::of(&self.classes, &counts))
    }

    fn roc(&self) -> Result<RocCurve> {
        RocCurve::new(self.second()?).ok_or_else(|| self.not_two())
    }

    /// The probability of the second class of two for each picture, and whether it is of that class.
    fn second(&self) -> Result<Vec<(f64, bool)>> {
        let are_both = [0, 1]
            .iter()
            .all(|class| self.labels.classes().contains(class));
        if self.classes.len() != 2 || !are_both {
            return Err(self.not_two());
        }
        let rows = self.probabilities.iter().map(|row| row[1]);
        let is_second = self.labels.classes().iter().map(|&label| label == 1);
        Ok(rows.zip(is_second).collect())
    }

    fn not_two(&self) -> Error {
        Error::Mismatch {
            what: "a curve over thresholds".into(),
            expected: "two classes with pictures of both".into(),
            found: format!(
                "{} of the {} {:?}",
                counted(self.len(), "picture"),
                self.target().nouns(),
                self.classes
            ),
            remedy: match self.target() {
                Target::Class => "Take the confusion matrix".into(),
                Target::Labels | Target::Numbers => "Take `report.table()`".into(),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn a_higher_threshold_finds_fewer_and_errs_less() {
        let second = [0.1, 0.6, 0.9, 0.8, 0.4, 0.7];
        let rows = second.map(|p| vec![1.0 - p, p]);
        let report = Report::of(&["cats", "dogs"], &[0, 0, 0, 1, 1, 1], rows.to_vec());
        let dogs = |threshold: f64| {
            let scores = report.scores_at(threshold).unwrap();
            (scores[1].precision, scores[1].recall)
        };
        assert_eq!(dogs(0.5), (Some(0.5), Some(2.0 / 3.0)));
        assert_eq!(dogs(0.0), (Some(0.5), Some(1.0)));
        // 0.9 (a cat) and 0.8 (a dog): a picture at the threshold counts.
        assert_eq!(dogs(0.8), (Some(0.5), Some(1.0 / 3.0)));
        assert_eq!(dogs(0.95), (None, Some(0.0)));
        assert!(report.scores_at(f64::NAN).is_err());
        assert!(report.precision_recall().unwrap().to_svg().is_ok());
        let three = Report::of(&["a", "b", "c"], &[0], vec![vec![1.0, 0.0, 0.0]]);
        for error in [
            three.precision_recall().map(|_| ()),
            three.scores_at(0.5).map(|_| ()),
        ] {
            assert!(error.unwrap_err().to_string().contains("two classes"));
        }
    }
}
