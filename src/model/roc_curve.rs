//! The ROC curve of two classes: what is found against what is taken for it wrongly.

use crate::show::draw::chart::Panel;
use crate::show::draw::series::Mark;
use crate::show::draw::series::Series;

/// For all thresholds of the probability of the second class, the share of its pictures that are found, by
/// the share of the first class's that are taken for it.
pub(crate) struct RocCurve {
    /// From (0, 0) to (1, 1).
    points: Vec<(f64, f64)>,
}

impl RocCurve {
    /// From the probability of the second class for each picture, and whether it is of that class; nothing if there
    /// are no pictures of one class.
    pub(crate) fn new(mut pictures: Vec<(f64, bool)>) -> Option<Self> {
        let second = pictures.iter().filter(|(_, is_second)| *is_second).count();
        let first = pictures.len() - second;
        if first == 0 || second == 0 {
            return None;
        }
        pictures.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut mistaken, mut found) = (0, 0);
        let share = |mistaken: usize, found: usize| {
            (mistaken as f64 / first as f64, found as f64 / second as f64)
        };
        let mut points = vec![share(0, 0)];
        for equals in pictures.chunk_by(|a, b| a.0 == b.0) {
            let right = equals.iter().filter(|(_, is_second)| *is_second).count();
            found += right;
            mistaken += equals.len() - right;
            points.push(share(mistaken, found));
        }
        Some(Self { points })
    }

    /// The area below it.
    pub(crate) fn area(&self) -> f64 {
        // Trapezoids: a step that goes up and right at once counts its equals half.
        let areas = self
            .points
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) * (pair[1].1 + pair[0].1) / 2.0);
        areas.sum()
    }

    /// The curve, and that of guessing beside it.
    pub(crate) fn panel(self, first: &str, second: &str) -> Panel {
        let curve = Series {
            name: format!("area under the curve {:.4}", self.area()),
            points: self.points,
            ..Series::default()
        };
        let chance = Series {
            name: "guessing: 0.5".into(),
            points: vec![(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)],
            mark: Mark::Dashed,
            colour: 1,
        };
        Panel {
            x_label: format!("share of {first} taken for {second}"),
            y_label: format!("share of {second} found"),
            series: vec![curve, chance],
            ..Panel::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order() {
        let area = |second: &[f64], is_second: &[bool]| {
            let pictures = second.iter().copied().zip(is_second.iter().copied());
            RocCurve::new(pictures.collect()).map(|curve| curve.area())
        };
        let (cat, dog) = (false, true);
        // Pairs (cat, dog): 0.1 below 0.4, 0.1 below 0.8, 0.5 above 0.4, 0.5 below 0.8: 3 of 4.
        let mixed = area(&[0.1, 0.5, 0.4, 0.8], &[cat, cat, dog, dog]);
        assert_eq!(mixed, Some(0.75));
        assert_eq!(area(&[0.1, 0.8], &[cat, dog]), Some(1.0));
        assert_eq!(area(&[0.8, 0.1], &[cat, dog]), Some(0.0));
        // All the same: each pair counts half.
        assert_eq!(area(&[0.3; 4], &[cat, dog, cat, dog]), Some(0.5));
        assert_eq!(area(&[0.1, 0.2], &[cat; 2]), None, "no dog to be found");
    }
}
