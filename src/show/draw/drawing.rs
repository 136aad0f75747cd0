//! A [`Drawing`]: a list of simple shapes, in pixels of the finished picture with (0, 0) at the top left.
//!
//! `chart`, `matrix` and `grid` lay shapes out on it; `rendering` makes PNG and SVG of it.

use image::RgbImage;

use crate::show::draw::colour::Colour;
use crate::show::draw::font::Font;
use crate::show::notebook::one_line;

/// Where a text stands relative to its point. Its middle is at the point's height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Centre,
    Right,
}

/// One thing to draw.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        width: f64,
        colour: Colour,
    },
    Box {
        left: f64,
        top: f64,
        right: f64,
        bottom: f64,
        colour: Colour,
    },
    Dot {
        at: (f64, f64),
        radius: f64,
        colour: Colour,
    },
    Polygon {
        points: Vec<(f64, f64)>,
        colour: Colour,
    },
    Text {
        text: String,
        at: (f64, f64),
        align: Align,
        font: Font,
    },
    /// A picture, pixel for pixel; pictures lie above all other shapes.
    Picture {
        left: u32,
        top: u32,
        picture: RgbImage,
    },
}

/// Shapes on a white ground of `width` x `height` pixels.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) shapes: Vec<Shape>,
}

impl Drawing {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            shapes: Vec::new(),
        }
    }

    pub(crate) fn line(&mut self, points: Vec<(f64, f64)>, width: f64, colour: Colour) {
        self.shapes.push(Shape::Line {
            points,
            width,
            colour,
        });
    }

    pub(crate) fn text(&mut self, text: &str, at: (f64, f64), align: Align, font: Font) {
        self.shapes.push(Shape::Text {
            // A control character would make the SVG unreadable as XML.
            text: one_line(text),
            at,
            align,
            font,
        });
    }

    /// Adds the shapes of another drawing, moved down.
    pub(crate) fn append(&mut self, other: Self, down: u32) {
        let y = f64::from(down);
        let moved = other.shapes.into_iter().map(|mut shape| {
            match &mut shape {
                Shape::Line { points, .. } | Shape::Polygon { points, .. } => {
                    points.iter_mut().for_each(|point| point.1 += y);
                }
                Shape::Dot { at, .. } | Shape::Text { at, .. } => at.1 += y,
                Shape::Box { top, bottom, .. } => {
                    *top += y;
                    *bottom += y;
                }
                Shape::Picture { top, .. } => *top += down,
            }
            shape
        });
        self.shapes.extend(moved);
    }
}

/// The pieces of a line that a dashed pen leaves on paper, `dash` pixels on and `gap` off.
pub(crate) fn dashes(points: &[(f64, f64)], dash: f64, gap: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::new();
    let (mut piece, mut left, mut down) = (points.first().map_or(vec![], |p| vec![*p]), dash, true);
    for (from, to) in points.iter().zip(points.iter().skip(1)) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let at = (from.0 + dx * gone / length, from.1 + dy * gone / length);
            if down {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            down = !down;
            left = if down { dash } else { gap };
        }
        left -= length - gone;
        if down {
            piece.push(*to);
        }
    }
    if down && piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_go_on_around_corners() {
        // 10 to the right, then 10 down; 8 on, 4 off: 0..8, 12..20 of 20 in all.
        let pieces = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)], 8.0, 4.0);
        assert_eq!(
            pieces,
            [[(0.0, 0.0), (8.0, 0.0)], [(10.0, 2.0), (10.0, 10.0)]]
        );
        let corner = dashes(&[(0.0, 0.0), (6.0, 0.0), (6.0, 9.0)], 8.0, 4.0);
        assert_eq!(corner[0], [(0.0, 0.0), (6.0, 0.0), (6.0, 2.0)]);
        assert_eq!(dashes(&[(1.0, 1.0), (1.0, 1.0)], 8.0, 4.0).len(), 1);
        assert!(dashes(&[], 8.0, 4.0).is_empty());
    }
}
