//! Outlines: smooth curves through a few points, mirrored halves, ellipses, polygons.
//!
//! A shape is an `Option<Path>`, `None` when it has no extent; the canvas then paints nothing.
//!
//! ```text
//! let snout = symmetric(&[(0.0, 0.0), (0.3, 0.4), (0.0, 0.8)]);
//! canvas.fill(&blob(&snout), colour, 1.0);
//! ```

use tiny_skia::{Path, PathBuilder, Rect};

/// A point list; most shapes are smooth curves through a few of them.
pub type Points = Vec<(f32, f32)>;

/// The right half of an outline, from top to bottom, completed by its mirror image.
pub fn symmetric(half: &[(f32, f32)]) -> Points {
    let mirrored = half
        .iter()
        .rev()
        .filter(|p| p.0 != 0.0)
        .map(|&(x, y)| (-x, y));
    half.iter().copied().chain(mirrored).collect()
}

/// An outline with every x multiplied by `side`: -1 is the mirror image.
pub fn sided(points: &[(f32, f32)], side: f32) -> Points {
    points.iter().map(|&(x, y)| (x * side, y)).collect()
}

/// The closed smooth curve through the points.
pub fn blob(points: &[(f32, f32)]) -> Option<Path> {
    smooth(points, true)
}

/// The open smooth curve through the points.
pub fn curve(points: &[(f32, f32)]) -> Option<Path> {
    smooth(points, false)
}

/// A Catmull-Rom spline as Bézier pieces: the handle at a point is a sixth of the way between its
/// two neighbours.
fn smooth(points: &[(f32, f32)], closed: bool) -> Option<Path> {
    let count = points.len() as isize;
    let at = |i: isize| {
        let i = if closed {
            i.rem_euclid(count.max(1))
        } else {
            i.clamp(0, count - 1)
        };
        points[i as usize]
    };
    let mut path = PathBuilder::new();
    let &(x, y) = points.first()?;
    path.move_to(x, y);
    for i in 0..if closed { count } else { count - 1 } {
        let (before, from, to, after) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        path.cubic_to(
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1,
        );
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// Points on the closed smooth curve through `points`, `pieces` for each stretch.
pub fn trace(points: &[(f32, f32)], pieces: usize) -> Points {
    let count = points.len();
    let mut traced = Points::new();
    for i in 0..count {
        let at = |k: usize| points[(i + count + k - 1) % count];
        let (p0, p1, p2, p3) = (at(0), at(1), at(2), at(3));
        for piece in 0..pieces {
            let t = piece as f32 / pieces as f32;
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                let bend = (2.0 * a - 5.0 * b + 4.0 * c - d) * t + (3.0 * (b - c) + d - a) * t * t;
                b + 0.5 * t * (c - a + bend)
            };
            traced.push((mix(p0.0, p1.0, p2.0, p3.0), mix(p0.1, p1.1, p2.1, p3.1)));
        }
    }
    traced
}

/// A polygon with sharp corners.
pub fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.move_to(x, y)
        } else {
            path.line_to(x, y)
        }
    }
    path.close();
    path.finish()
}

/// An ellipse around a centre.
pub fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry)?)
}

/// An upright rectangle.
pub fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> Option<Path> {
    Some(PathBuilder::from_rect(Rect::from_ltrb(
        left, top, right, bottom,
    )?))
}
