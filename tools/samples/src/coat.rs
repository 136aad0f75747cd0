//! Fur: its colours, its pattern and its texture, the same choices for cats and for dogs.
//!
//! ```text
//! let coat = Coat::choose(&mut shared);
//! coat.cover(&mut canvas, &head_outline, coat.base, &mut own);
//! coat.mark_head(&mut canvas, &head_outline, &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::random::Random;
use crate::shapes::{Points, blob, curve, ellipse, trace};

#[derive(Clone, Copy, PartialEq)]
enum Pattern {
    Plain,
    Stripes,
    Patches,
    Spots,
    Blaze,
}

/// The fur of one animal.
pub struct Coat {
    /// Most of the fur.
    pub base: Colour,
    /// Stripes, patches and ears.
    pub dark: Colour,
    /// Chest and muzzle.
    pub light: Colour,
    pattern: Pattern,
}

impl Coat {
    /// Any colours with any pattern.
    pub fn choose(random: &mut Random) -> Self {
        let (base, dark) = random.pick([
            (Colour(0.88, 0.58, 0.28), Colour(0.66, 0.35, 0.13)),
            (Colour(0.60, 0.60, 0.62), Colour(0.30, 0.30, 0.34)),
            (Colour(0.24, 0.22, 0.23), Colour(0.10, 0.09, 0.10)),
            (Colour(0.94, 0.91, 0.85), Colour(0.52, 0.38, 0.27)),
            (Colour(0.55, 0.40, 0.27), Colour(0.28, 0.18, 0.12)),
            (Colour(0.84, 0.72, 0.53), Colour(0.53, 0.38, 0.22)),
            (Colour(0.45, 0.50, 0.56), Colour(0.23, 0.26, 0.32)),
            (Colour(0.92, 0.90, 0.88), Colour(0.20, 0.18, 0.19)),
        ]);
        let pattern = random.pick([
            Pattern::Plain,
            Pattern::Stripes,
            Pattern::Patches,
            Pattern::Spots,
            Pattern::Blaze,
        ]);
        let light = base.mix(Colour(1.0, 0.97, 0.92), random.between(0.45, 0.85));
        Self {
            base,
            dark,
            light,
            pattern,
        }
    }

    /// Fills an outline with shaded, slightly tousled fur of the given colour.
    pub fn cover(
        &self,
        canvas: &mut Canvas,
        outline: &Points,
        colour: Colour,
        random: &mut Random,
    ) {
        let edge = trace(outline, 9);
        let (x, y) = centre(outline);
        for point in &edge {
            let (dx, dy) = (point.0 - x, point.1 - y);
            let length = (dx * dx + dy * dy).sqrt().max(0.01);
            let reach = random.between(0.0, 0.04) / length;
            let sway = random.between(-0.02, 0.05);
            let tuft = curve(&[*point, (point.0 + dx * reach, point.1 + dy * reach + sway)]);
            canvas.line(
                &tuft,
                0.04,
                colour.mix(self.dark, random.between(0.0, 0.3)),
                1.0,
            );
        }
        let (top, bottom) = extent(outline);
        let shape = blob(outline);
        let (lit, shaded) = (
            colour.mix(Colour::WHITE, 0.10),
            colour.mix(Colour::BLACK, 0.18),
        );
        canvas.fill_gradient(&shape, (-0.2, top, lit), (0.2, bottom, shaded));
        canvas.clip(&shape);
        for _ in 0..150 {
            let from = edge[random.below(edge.len())];
            // The root of the square spreads the hairs evenly over the area.
            let inward = random.between(0.0, 1.0).sqrt();
            let (hx, hy) = (x + (from.0 - x) * inward, y + (from.1 - y) * inward);
            let (dx, dy) = ((from.0 - x) * 0.12, (from.1 - y) * 0.06 + 0.06);
            let tone = if random.chance(0.5) {
                Colour::WHITE
            } else {
                Colour::BLACK
            };
            canvas.line(
                &curve(&[(hx, hy), (hx + dx, hy + dy)]),
                0.025,
                colour.mix(tone, 0.35),
                0.35,
            );
        }
        canvas.unclip();
    }

    /// Draws the pattern onto a head.
    pub fn mark_head(&self, canvas: &mut Canvas, outline: &Points, random: &mut Random) {
        let half = outline.iter().fold(0.0f32, |widest, p| widest.max(p.0));
        let (top, bottom) = extent(outline);
        canvas.clip(&blob(outline));
        match self.pattern {
            Pattern::Plain => {}
            Pattern::Stripes => {
                for (x, length) in [(-0.36, 0.26), (-0.13, 0.36), (0.13, 0.36), (0.36, 0.26)] {
                    let stripe = curve(&[
                        (x * 1.2, top - 0.05),
                        (x, top + 0.15),
                        (x * 0.8, top + length),
                    ]);
                    canvas.line(&stripe, random.between(0.07, 0.11), self.dark, 0.85);
                }
                for side in [-1.0, 1.0] {
                    for y in [0.0, 0.2, 0.4] {
                        let inner = half * random.between(0.62, 0.72);
                        let stripe = curve(&[
                            (side * (half + 0.05), y - 0.06),
                            (side * half * 0.8, y + 0.03),
                            (side * inner, y),
                        ]);
                        canvas.line(&stripe, random.between(0.06, 0.1), self.dark, 0.8);
                    }
                }
            }
            Pattern::Patches => {
                let side = random.side();
                self.patch(
                    canvas,
                    (side * half * 0.5, -0.2),
                    random.between(0.36, 0.46),
                    random,
                );
                self.patch(
                    canvas,
                    (-side * half * 0.7, top * random.between(0.5, 1.0)),
                    0.3,
                    random,
                );
                if random.chance(0.5) {
                    self.patch(canvas, (-side * half * 0.8, bottom * 0.5), 0.22, random);
                }
            }
            Pattern::Spots => {
                for _ in 0..16 {
                    let (x, y) = (
                        half * random.between(-1.0, 1.0),
                        random.between(top, bottom),
                    );
                    let radius = random.between(0.04, 0.1);
                    canvas.fill(
                        &ellipse(x, y, radius, radius * random.between(0.7, 1.1)),
                        self.dark,
                        0.85,
                    );
                }
            }
            Pattern::Blaze => {
                let blaze = blob(&[
                    (0.0, top - 0.1),
                    (0.1, top + 0.3),
                    (0.16, 0.1),
                    (0.5, 0.5),
                    (0.4, bottom),
                    (-0.4, bottom),
                    (-0.5, 0.5),
                    (-0.16, 0.1),
                    (-0.1, top + 0.3),
                ]);
                canvas.fill(&blaze, self.light, 0.95);
            }
        }
        canvas.unclip();
    }

    /// Draws the pattern onto a body.
    pub fn mark_body(&self, canvas: &mut Canvas, outline: &Points, random: &mut Random) {
        canvas.clip(&blob(outline));
        for row in 0..7 {
            let y = 1.0 + row as f32 * 0.38;
            for side in [-1.0, 1.0] {
                match self.pattern {
                    Pattern::Plain | Pattern::Blaze => {}
                    Pattern::Stripes => {
                        let inner = random.between(0.45, 0.7);
                        let stripe = curve(&[
                            (side * 1.7, y - 0.15),
                            (side * 1.0, y),
                            (side * inner, y + 0.05),
                        ]);
                        canvas.line(&stripe, random.between(0.09, 0.14), self.dark, 0.8);
                    }
                    Pattern::Patches if row % 3 == 1 => {
                        let x = side * random.between(0.6, 1.2);
                        self.patch(canvas, (x, y + random.between(-0.3, 0.3)), 0.4, random);
                    }
                    Pattern::Patches => {}
                    Pattern::Spots => {
                        for _ in 0..2 {
                            let (x, y) = (
                                side * random.between(0.1, 1.4),
                                y + random.between(-0.2, 0.2),
                            );
                            let radius = random.between(0.06, 0.13);
                            canvas.fill(&ellipse(x, y, radius, radius), self.dark, 0.85);
                        }
                    }
                }
            }
        }
        canvas.unclip();
    }

    fn patch(&self, canvas: &mut Canvas, at: (f32, f32), radius: f32, random: &mut Random) {
        let outline: Points = (0..8)
            .map(|corner| {
                let (sine, cosine) = (corner as f32 * std::f32::consts::FRAC_PI_4).sin_cos();
                let reach = radius * random.between(0.8, 1.15);
                (at.0 + reach * cosine, at.1 + reach * sine)
            })
            .collect();
        canvas.fill(&blob(&outline), self.dark, 0.9);
    }
}

fn centre(outline: &Points) -> (f32, f32) {
    let count = outline.len().max(1) as f32;
    let (x, y) = outline
        .iter()
        .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
    (x / count, y / count)
}

fn extent(outline: &Points) -> (f32, f32) {
    let top = outline.iter().fold(f32::MAX, |low, p| low.min(p.1));
    let bottom = outline.iter().fold(f32::MIN, |high, p| high.max(p.1));
    (top, bottom)
}
