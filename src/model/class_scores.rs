//! How well each class is told from the others: precision, recall, F1.

use ndarray::Array2;

use crate::show::table::Table;

/// Precision, recall and F1 of one class, each 0 to 1; nothing where it would divide by zero.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassScores {
    /// The class.
    pub class: String,
    /// The share of its pictures among those that were taken for it.
    pub precision: Option<f64>,
    /// The share of its pictures that were taken for it.
    pub recall: Option<f64>,
    /// The harmonic mean of both.
    pub f1: Option<f64>,
    /// How many pictures it has.
    pub pictures: usize,
}

/// The scores from a confusion matrix, classes in rows, what their pictures were taken for in columns.
pub(crate) fn of(classes: &[String], counts: &Array2<usize>) -> Vec<ClassScores> {
    let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
    let of_class = |(class, name): (usize, &String)| {
        let right = counts[[class, class]];
        let taken = counts.column(class).sum();
        let pictures = counts.row(class).sum();
        ClassScores {
            class: name.clone(),
            precision: share(right, taken),
            recall: share(right, pictures),
            // 2 p r / (p + r), without dividing twice.
            f1: share(2 * right, taken + pictures),
            pictures,
        }
    };
    classes.iter().enumerate().map(of_class).collect()
}

/// The scores of labels from a table for each: without it and with it in rows, what its pictures were taken for in columns.
pub(crate) fn of_labels(labels: &[String], tables: &[Array2<usize>]) -> Vec<ClassScores> {
    let both = [String::new(), String::new()];
    let of_label = |(name, counts): (&String, &Array2<usize>)| {
        let holding = of(&both, counts).pop();
        holding.map(|scores| ClassScores {
            class: name.clone(),
            ..scores
        })
    };
    labels.iter().zip(tables).filter_map(of_label).collect()
}

/// A row for each class.
pub(crate) fn table(all: Vec<ClassScores>) -> Table {
    let columns = ["class", "precision", "recall", "F1", "pictures"];
    let mut table = Table::new("Report", &columns).right_aligned(&[1, 2, 3, 4]);
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    for scores in all {
        table.push([
            scores.class,
            number(scores.precision),
            number(scores.recall),
            number(scores.f1),
            scores.pictures.to_string(),
        ]);
    }
    table
}
