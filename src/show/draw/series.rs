//! A [`Series`]: one line, cloud or row of bars of a chart, and the marks that it is drawn with.

use crate::show::draw::axis::drawable;
use crate::show::draw::colour::{COLOURS, Colour, WHITE};
use crate::show::draw::drawing::{Drawing, Shape, dashes};

/// The width of a line.
const LINE: f64 = 4.5;
/// The width of a line that parts others.
const THIN: f64 = 2.5;

/// Longer lines are drawn by the smallest and the largest value of each of half as many stretches: more
/// points than a figure has pixels cannot be seen.
const MOST_POINTS: usize = 4_000;

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mark {
    /// A line from point to point.
    #[default]
    Line,
    /// The same, dashed.
    Dashed,
    /// The same, thin: what varies from point to point.
    Thin,
    /// A thin dashed line: where one part of a chart ends and the next begins.
    Seam,
    /// A mark at each point, of another shape for each colour.
    Points,
    /// A bar of this width, in units of x, around each x from 0 to y.
    Bars(f64),
}

/// One line, cloud or row of bars of a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The name in the legend; without one it is not in it.
    pub(crate) name: String,
    /// (x, y); where a value is not finite the line has a gap.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) mark: Mark,
    /// Index into the colours; starts again after the last.
    pub(crate) colour: usize,
}

impl Series {
    /// The stretches without gaps, of what has a place on the axes.
    pub(crate) fn runs(&self, has_place: impl Fn((f64, f64)) -> bool) -> Vec<Vec<(f64, f64)>> {
        self.points
            .split(|&point| !drawable(point) || !has_place(point))
            .filter(|run| !run.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }

    /// The points that the axes must reach to.
    pub(crate) fn corners(&self) -> Vec<(f64, f64)> {
        let Mark::Bars(width) = self.mark else {
            return self.points.clone();
        };
        let drawn = self.points.iter().filter(|&&point| drawable(point));
        drawn
            .flat_map(|&(x, y)| [(x - width / 2.0, 0.0), (x + width / 2.0, y)])
            .collect()
    }

    pub(crate) fn legend_name(&self) -> String {
        if self.name.is_empty() {
            return String::new();
        }
        match self
            .points
            .iter()
            .filter(|&&point| !drawable(point))
            .count()
        {
            0 => self.name.clone(),
            1 => format!("{} (1 value is not finite)", self.name),
            gaps => format!("{} ({gaps} values are not finite)", self.name),
        }
    }
}

/// Draws a line through the points, dashed if the series is.
pub(crate) fn stroke(points: &[(f64, f64)], mark: Mark, colour: Colour, drawing: &mut Drawing) {
    if points.len() < 2 {
        return;
    }
    let (pieces, width) = match mark {
        Mark::Dashed => (dashes(points, 17.0, 11.0), LINE),
        Mark::Seam => (dashes(points, 9.0, 7.0), THIN),
        Mark::Thin => (vec![points.to_vec()], THIN),
        _ => (vec![points.to_vec()], LINE),
    };
    for piece in pieces {
        drawing.line(piece, width, colour);
    }
}

/// A disc, square, triangle or diamond with a white edge, so that readers who see no colours can tell the
/// series apart, and each mark from those below it.
pub(crate) fn mark(at: (f64, f64), radius: f64, number: usize, drawing: &mut Drawing) {
    for (radius, colour) in [
        (radius + 1.5, WHITE),
        (radius, COLOURS[number % COLOURS.len()]),
    ] {
        let corners: &[(f64, f64)] = match number % 4 {
            1 => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            2 => &[(0.0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
            3 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            _ => &[],
        };
        drawing.shapes.push(match corners {
            [] => Shape::Dot { at, radius, colour },
            corners => {
                let corner = |&(x, y): &(f64, f64)| (at.0 + x * radius, at.1 + y * radius);
                Shape::Polygon {
                    points: corners.iter().map(corner).collect(),
                    colour,
                }
            }
        });
    }
}

/// The points of a line; of a long one the lowest and the highest of each stretch, in their order.
pub(crate) fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let ends = points.chunks(stretch).flat_map(|stretch| {
        let numbered = stretch.iter().copied().enumerate();
        // Gaps stay gaps, and are counted for the legend.
        let (finite, gaps): (Vec<_>, Vec<_>) = numbered.partition(|(_, point)| point.1.is_finite());
        let order = |a: &&(usize, (f64, f64)), b: &&(usize, (f64, f64))| a.1.1.total_cmp(&b.1.1);
        let ends = [finite.iter().min_by(order), finite.iter().max_by(order)];
        let ends = ends.into_iter().flatten().copied();
        let mut ends = ends.chain(gaps).collect::<Vec<_>>();
        ends.sort_by_key(|(number, _)| *number);
        ends.into_iter().map(|(_, point)| point)
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_keep_the_ends_of_each_stretch_in_order() {
        let numbered = |values: &[f64]| (0..).map(f64::from).zip(values.iter().copied()).collect();
        let values = (0..10_000).map(|k| f64::from(k % 100));
        let points = thinned(numbered(&values.collect::<Vec<_>>()));
        assert!(points.len() <= MOST_POINTS, "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(thinned(numbered(&[1.0, 2.0])), [(0.0, 1.0), (1.0, 2.0)]);
    }
}
