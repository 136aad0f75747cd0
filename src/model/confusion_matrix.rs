//! Which classes are taken for which: the counts behind a report's scores.

use ndarray::{Array2, Axis};

use crate::model::probabilities::{most_probable, percent};
use crate::model::report::Report;
use crate::pictures::target::Target;
use crate::show::draw::matrix::Matrix;
use crate::show::figure::{Figure, titled};
use crate::show::table::{Table, counted};

/// What can be said of a label, and where [`Report::label_tables`] counts it: whether it holds, whether it was taken to.
const OUTCOMES: [(&str, [usize; 2]); 4] = [
    ("true positive", [1, 1]),
    ("false negative", [1, 0]),
    ("false positive", [0, 1]),
    ("true negative", [0, 0]),
];

impl Report {
    /// How many pictures of each class (a row) were taken for each class (a column), in the order of the
    /// class names. (0, 0) for labels, which have [`Report::label_tables`], and numbers.
    pub fn confusion(&self) -> Array2<usize> {
        self.confusion_by(most_probable)
    }

    /// The same with another way to make a class of a picture's probabilities.
    pub(super) fn confusion_by(&self, class_of: impl Fn(&[f64]) -> usize) -> Array2<usize> {
        let many = match self.target() {
            Target::Class => self.classes.len(),
            Target::Labels | Target::Numbers => 0,
        };
        let mut counts = Array2::zeros([many, many]);
        for (&label, row) in self.labels.classes().iter().zip(&self.probabilities) {
            counts[[label, class_of(row)]] += 1;
        }
        counts
    }

    /// The same report whose confusion matrices have shares in place of counts: each row adds up to 1, or is 0
    /// where the class has no picture. A copy: a cell that gives its report away would lose what it shows.
    ///
    /// scikit-learn: `confusion_matrix(labels, predictions, normalize="true")`.
    ///
    /// ```
    /// # use evcxr_transfer::{Base, Classifier, Data, Device, Head, Precision, Weights};
    /// # let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32)?;
    /// # let data = Data::open("data/samples")?.take(4, 4);
    /// # let model = Classifier::new(&base, Head::dense(8), data.train.classes())?;
    /// let report = model.report(&data.validation)?.normalised();
    /// let table = report.confusion_matrix();
    /// # assert!(table.to_string().contains("0.0000") || table.to_string().contains("0.5000"));
    /// # Ok::<(), evcxr_transfer::Error>(())
    /// ```
    #[doc(alias = "normalize")]
    pub fn normalised(&self) -> Self {
        Self {
            is_normalised: true,
            ..self.clone()
        }
    }

    /// What the matrices show: counts, or shares of a row. Of labels each has a row of its own.
    fn shown(&self) -> Array2<f64> {
        let counts = match self.target() {
            Target::Class | Target::Numbers => self.confusion(),
            Target::Labels => {
                let tables = self.label_tables();
                Array2::from_shape_fn((tables.len(), OUTCOMES.len()), |(label, outcome)| {
                    tables[label][OUTCOMES[outcome].1]
                })
            }
        };
        let counts = counts.map(|&count| count as f64);
        if !self.is_normalised {
            return counts;
        }
        let of_row = counts.sum_axis(Axis(1)).insert_axis(Axis(1));
        counts / of_row.map(|count| count.max(1.0))
    }

    /// What the columns of the matrices are called.
    fn columns(&self) -> Vec<String> {
        match self.target() {
            Target::Class => self.classes.clone(),
            Target::Labels => OUTCOMES.map(|(name, _)| name.to_owned()).to_vec(),
            Target::Numbers => Vec::new(),
        }
    }

    /// The confusion matrix as a table: the true class in rows, the predicted one in columns; counts, or shares of a
    /// row after [`Report::normalised`]. Of labels each has a row: for how many pictures it was found, missed, or taken to hold wrongly.
    pub fn confusion_matrix(&self) -> Table {
        let (target, names) = (self.target(), self.columns());
        let mut columns = vec![match target {
            Target::Labels => "label",
            Target::Class | Target::Numbers => "true \\ predicted",
        }];
        columns.extend(names.iter().map(String::as_str));
        let numbers = (1..columns.len()).collect::<Vec<_>>();
        let mut table = Table::new(self.title(), &columns).right_aligned(&numbers);
        for (class, row) in self.classes.iter().zip(self.shown().rows()) {
            let mut cells = vec![class.clone()];
            cells.extend(row.iter().map(|value| match self.is_normalised {
                true => format!("{value:.4}"),
                false => format!("{value}"),
            }));
            table.push(cells);
        }
        if target == Target::Numbers {
            table = table.note("There is no confusion matrix of numbers: take `report.table()`");
        }
        self.noted(table)
    }

    fn title(&self) -> &'static str {
        match (self.target(), self.is_normalised) {
            (Target::Labels, true) => "Confusion of each label, shares",
            (Target::Labels, false) => "Confusion of each label",
            (_, true) => "Confusion matrix, shares of each true class",
            (_, false) => "Confusion matrix",
        }
    }

    /// The confusion matrix in colours, for many classes: a row for each true class, a column for the predicted
    /// one; counts, or shares of a row after [`Report::normalised`]. Of labels each has a row, as in [`Report::confusion_matrix`];
    /// of numbers it is [`Report::plot_predicted`].
    ///
    /// scikit-learn: `ConfusionMatrixDisplay.from_predictions(labels, predictions)`.
    #[doc(alias("ConfusionMatrixDisplay", "heatmap"))]
    pub fn plot_confusion_matrix(&self) -> Figure {
        if let Ok(numbers) = self.plot_predicted() {
            return numbers;
        }
        let (x_label, y_label) = match self.target() {
            Target::Labels => ("what was said of it", "label"),
            Target::Class | Target::Numbers => ("predicted", "true"),
        };
        let matrix = Matrix {
            values: self.shown(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            names: [self.classes.clone(), self.columns()],
        };
        let pictures = counted(self.len(), "picture");
        let title = format!("{} of {pictures}", self.title());
        Figure::matrix(&titled(&title, &self.notes), matrix)
    }

    /// The `n` pairs of classes that are confused most often: the true class, the one that it was predicted to be,
    /// how often, and the share of the true class's pictures.
    ///
    /// fastai: `interp.most_confused()`.
    pub fn most_confused(&self, n: usize) -> Table {
        let counts = self.confusion();
        let mut pairs = counts
            .indexed_iter()
            .filter(|((label, guess), count)| label != guess && **count > 0)
            .collect::<Vec<_>>();
        // Stable: equals stay in the order of the classes.
        pairs.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let columns = ["true", "predicted", "pictures", "share of the class"];
        let mut table = Table::new("Most confused", &columns).right_aligned(&[2, 3]);
        for &((label, guess), &count) in pairs.iter().take(n) {
            let all = counts.row(label).sum();
            table.push([
                self.classes[label].clone(),
                self.classes[guess].clone(),
                count.to_string(),
                percent(count as f64 / all as f64),
            ]);
        }
        let left = pairs.len().saturating_sub(n);
        if left > 0 {
            table = table.note(&format!("... and {left} more"));
        }
        self.noted(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_row_add_up_to_1_and_pairs_are_ranked() {
        let row = |class: usize| {
            let mut row = vec![0.1; 3];
            row[class] = 0.8;
            row
        };
        // Three of a, all taken for b; four of b, one right, three taken for c; none of c.
        let guesses = [1, 1, 1, 1, 2, 2, 0];
        let report = Report::of(
            &["a", "b", "c"],
            &[0, 0, 0, 1, 1, 1, 1],
            guesses.map(row).to_vec(),
        );
        let counts = ndarray::arr2(&[[0, 3, 0], [1, 1, 2], [0, 0, 0]]);
        assert_eq!(report.confusion(), counts);
        let shares = report.normalised();
        let expected = ndarray::arr2(&[[0.0, 1.0, 0.0], [0.25, 0.25, 0.5], [0.0; 3]]);
        assert_eq!(shares.shown(), expected);
        let text = report.confusion_matrix().to_csv();
        assert!(
            text.starts_with("true \\ predicted,a,b,c\na,0,3,0\n"),
            "{text}"
        );
        let text = shares.confusion_matrix().to_csv();
        assert!(text.contains("b,0.2500,0.2500,0.5000"), "{text}");
        let text = report.most_confused(2).to_csv();
        let lines = text.lines().skip(1).collect::<Vec<_>>();
        assert_eq!(lines, ["a,b,3,100.0 %", "b,c,2,50.0 %"]);
        assert!(
            report
                .most_confused(2)
                .to_string()
                .contains("... and 1 more")
        );
    }
}
