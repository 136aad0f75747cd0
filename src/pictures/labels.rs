//! What each picture of a set is labelled with: its class, its labels or its numbers.

use crate::error::{Error, Result};
use crate::pictures::target::Target;

/// The labels of pictures, in their order. Classes are numbers of names; labels are 1 where they hold and 0
/// where not; numbers are what they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Labels {
    target: Target,
    /// For [`Target::Class`] alone.
    classes: Vec<usize>,
    /// For the other two: a value for each name.
    rows: Vec<Vec<f32>>,
}

impl Labels {
    /// One class for each picture.
    pub(crate) fn of_classes(classes: Vec<usize>) -> Self {
        Self {
            target: Target::Class,
            classes,
            rows: Vec::new(),
        }
    }

    /// Labels or numbers: a row for each picture.
    pub(crate) fn of_rows(target: Target, rows: Vec<Vec<f32>>) -> Self {
        Self {
            target,
            classes: Vec::new(),
            rows,
        }
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// The number of pictures.
    pub(crate) fn len(&self) -> usize {
        self.classes.len().max(self.rows.len())
    }

    /// The class of each picture; none for labels and numbers.
    pub(crate) fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The labels or numbers of each picture; none for classes.
    pub(crate) fn rows(&self) -> &[Vec<f32>] {
        &self.rows
    }

    /// The value of name number `column` for a picture: 1 or 0 for classes too.
    pub(crate) fn value(&self, picture: usize, column: usize) -> f32 {
        match self.rows.get(picture) {
            Some(row) => row[column],
            None => f32::from(self.classes[picture] == column),
        }
    }

    /// Whether a picture counts as one of name number `column`; with numbers each does.
    pub(crate) fn counts(&self, picture: usize, column: usize) -> bool {
        self.target == Target::Numbers || self.value(picture, column) > 0.5
    }

    /// Those of some pictures.
    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        let classes = chosen.iter().filter_map(|&i| self.classes.get(i).copied());
        let rows = chosen.iter().filter_map(|&i| self.rows.get(i).cloned());
        Self {
            target: self.target,
            classes: classes.collect(),
            rows: rows.collect(),
        }
    }

    /// Adds those of more pictures, which are labelled with the same.
    pub(crate) fn extend(&mut self, more: &Self) {
        self.classes.extend(&more.classes);
        self.rows.extend_from_slice(&more.rows);
    }

    /// What a picture is labelled with, in words: "cats", "red, square", "age 3.5".
    pub(crate) fn words(&self, names: &[String], picture: usize) -> String {
        let Some(row) = self.rows.get(picture) else {
            let class = self.classes.get(picture);
            return class
                .and_then(|&class| names.get(class).cloned())
                .unwrap_or_default();
        };
        let row = row.iter().map(|&value| f64::from(value));
        words(self.target, names, &row.collect::<Vec<_>>())
    }

    /// The same without loss: what tells these labels from others.
    pub(crate) fn described(&self, names: &[String], picture: usize) -> String {
        match self.rows.get(picture) {
            None => self.words(names, picture),
            Some(row) => format!("{names:?} {row:?}"),
        }
    }

    /// Refuses other than one label for each of `pictures` pictures, and what does not fit the `names`: libtorch's loss
    /// would read outside its memory or stop the program otherwise.
    pub(crate) fn check(&self, pictures: usize, names: usize) -> Result<()> {
        if self.len() != pictures {
            return Err(Error::Mismatch {
                what: "labels".into(),
                expected: format!("{pictures}, one for each picture"),
                found: self.len().to_string(),
                remedy: "Pass one label for each picture".into(),
            });
        }
        let refused = |value: String, expected: String| {
            Err(Error::Argument {
                argument: "labels",
                value,
                expected,
            })
        };
        if let Some(label) = self.classes.iter().find(|&&label| label >= names) {
            let expected = format!("each must be below {names}, the number of classes");
            return refused(label.to_string(), expected);
        }
        if let Some(row) = self.rows.iter().find(|row| row.len() != names) {
            let expected = format!("there must be {names} for each picture, one for each name");
            return refused(format!("{row:?}"), expected);
        }
        let (is_allowed, expected): (fn(f32) -> bool, _) = match self.target {
            Target::Labels => (
                |value| value == 0.0 || value == 1.0,
                "each must be 0 or 1, whether the label holds",
            ),
            _ => (f32::is_finite, "each must be a finite number"),
        };
        match self
            .rows
            .iter()
            .flatten()
            .find(|value| !is_allowed(**value))
        {
            Some(value) => refused(value.to_string(), expected.into()),
            None => Ok(()),
        }
    }
}

/// Labels from one half on, or numbers, in words.
pub(crate) fn words(target: Target, names: &[String], row: &[f64]) -> String {
    let all = names.iter().zip(row);
    let words = match target {
        Target::Numbers => all
            .map(|(name, value)| format!("{name} {}", short(*value)))
            .collect(),
        _ => all
            .filter(|(_, value)| **value > 0.5)
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>(),
    };
    match words.as_slice() {
        [] => "no label".into(),
        words => words.join(", "),
    }
}

/// A number with four digits after the point at most.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn each_kind_is_told_in_words_and_counted() {
        let classes = Labels::of_classes(vec![1, 0]);
        let both = names(&["cats", "dogs"]);
        assert_eq!(classes.words(&both, 0), "dogs");
        assert_eq!((classes.value(0, 1), classes.value(0, 0)), (1.0, 0.0));
        let rows = vec![vec![1.0, 1.0], vec![0.0, 0.0]];
        let labels = Labels::of_rows(Target::Labels, rows);
        let both = names(&["red", "square"]);
        assert_eq!(labels.words(&both, 0), "red, square");
        assert_eq!(labels.words(&both, 1), "no label");
        assert!(labels.counts(0, 1) && !labels.counts(1, 1));
        let numbers = Labels::of_rows(Target::Numbers, vec![vec![3.5], vec![-2.0]]);
        assert_eq!(numbers.words(&names(&["age"]), 0), "age 3.5");
        assert_eq!(numbers.select(&[1]).words(&names(&["age"]), 0), "age -2");
        assert!(numbers.counts(1, 0));
    }

    #[test]
    fn labels_that_no_loss_can_take_are_refused() {
        let rows = |target, value| Labels::of_rows(target, vec![vec![value]]);
        for (labels, pictures, part) in [
            (Labels::of_classes(vec![2]), 1, "below 2"),
            (Labels::of_classes(vec![0]), 2, "one for each picture"),
            (rows(Target::Labels, 1.0), 1, "2 for each picture"),
        ] {
            let error = labels.check(pictures, 2).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(rows(Target::Labels, 0.5).check(1, 1).is_err());
        assert!(rows(Target::Numbers, f32::NAN).check(1, 1).is_err());
        assert!(rows(Target::Numbers, 0.5).check(1, 1).is_ok());
    }
}
