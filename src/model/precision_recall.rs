//! Precision and recall of the second of two classes, by the threshold of its probability.

use crate::show::draw::chart::Panel;
use crate::show::draw::series::{Mark, Series};

/// Both curves, from the probability of the second class for each picture, and whether it is of that class.
pub(crate) fn panel(pictures: Vec<(f64, bool)>, second: &str) -> Panel {
    let all = curves(pictures);
    let curve = |name: &str, value: fn(&Point) -> f64, mark: Mark, colour: usize| Series {
        name: name.into(),
        points: all
            .iter()
            .map(|point| (point.threshold, value(point)))
            .collect(),
        mark,
        colour,
    };
    Panel {
        x_label: format!("threshold for the probability of {second}"),
        y_label: "share".into(),
        series: vec![
            curve("precision", |point| point.precision, Mark::Line, 0),
            curve("recall", |point| point.recall, Mark::Dashed, 1),
        ],
        y_range: Some((0.0, 1.0)),
        ..Panel::default()
    }
}

#[derive(Debug, PartialEq)]
struct Point {
    threshold: f64,
    precision: f64,
    recall: f64,
}

/// A point for each probability that occurs, as the threshold: rising.
fn curves(mut pictures: Vec<(f64, bool)>) -> Vec<Point> {
    pictures.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = pictures.iter().filter(|(_, is_second)| *is_second).count();
    let (mut taken, mut found) = (0, 0);
    let mut points = Vec::new();
    for equals in pictures.chunk_by(|a, b| a.0 == b.0) {
        taken += equals.len();
        found += equals.iter().filter(|(_, is_second)| *is_second).count();
        points.push(Point {
            threshold: equals[0].0,
            precision: found as f64 / taken as f64,
            recall: found as f64 / all.max(1) as f64,
        });
    }
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curves_are_scikit_learns() {
        // scikit-learn's own example: precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) gives
        // precision 0.5, 0.667, 0.5, 1 and recall 1, 1, 0.5, 0.5 at the thresholds 0.1, 0.35, 0.4, 0.8.
        let points = curves(vec![(0.1, false), (0.4, false), (0.35, true), (0.8, true)]);
        let found = points.iter().map(|p| (p.threshold, p.precision, p.recall));
        let expected = [
            (0.1, 0.5, 1.0),
            (0.35, 2.0 / 3.0, 1.0),
            (0.4, 0.5, 0.5),
            (0.8, 1.0, 0.5),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}
