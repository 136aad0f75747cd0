//! Rooms behind the animal: a sofa, printed wallpaper, a window with curtains.
//!
//! ```text
//! scene.sofa(&mut canvas, &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::random::Random;
use crate::scene::Scene;
use crate::shapes::{blob, curve, ellipse, polygon, rectangle};

impl Scene {
    /// A sofa of two seats before a wall, at times with a picture on it.
    pub fn sofa(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let all = rectangle(0.0, 0.0, width, height);
        canvas.fill_gradient(
            &all,
            (0.0, 0.0, self.wall),
            (width, height, self.wall.mix(Colour::BLACK, 0.2)),
        );
        if random.chance(0.6) {
            let (x, y) = (
                width * random.between(0.1, 0.7),
                height * random.between(0.02, 0.1),
            );
            let (w, h) = (width * 0.22, height * 0.2);
            canvas.fill(
                &rectangle(x - 3.0, y - 3.0, x + w + 3.0, y + h + 3.0),
                Colour(0.45, 0.33, 0.24),
                1.0,
            );
            canvas.fill(
                &rectangle(x, y, x + w, y + h),
                Colour(0.95, 0.93, 0.88),
                1.0,
            );
            canvas.fill(
                &ellipse(x + w * 0.5, y + h * 0.55, w * 0.3, h * 0.28),
                self.accent,
                0.7,
            );
        }
        let top = height * random.between(0.3, 0.48);
        let light = self.accent.mix(Colour::WHITE, 0.15);
        let dark = self.accent.mix(Colour::BLACK, 0.35);
        let seam = width * random.between(0.25, 0.75);
        for (left, right) in [(-width, seam), (seam, width * 2.0)] {
            let back = blob(&[
                (left + 4.0, top + 12.0),
                (left + 16.0, top),
                (right - 16.0, top),
                (right - 3.0, top + 12.0),
                (right - 2.0, height),
                (right - 20.0, height * 1.5),
                (left + 20.0, height * 1.5),
                (left + 2.0, height),
            ]);
            canvas.fill_gradient(&back, (0.0, top, light), (0.0, height, dark));
            canvas.line(&back, 1.5, dark, 0.8);
        }
        let (x, y) = (width * random.pick([0.2, 0.8]), height * 0.72);
        let (w, h) = (width * 0.17, height * 0.2);
        let cushion = blob(&[
            (x - w, y - h),
            (x, y - h * 0.95),
            (x + w, y - h),
            (x + w * 0.94, y),
            (x + w, y + h),
            (x, y + h * 0.95),
            (x - w, y + h),
            (x - w * 0.94, y),
        ]);
        canvas.fill(&cushion, self.wall.mix(Colour::WHITE, 0.3), 1.0);
        canvas.line(&cushion, 1.5, self.wall.mix(Colour::BLACK, 0.4), 0.7);
    }

    /// A wall of stripes, dots or diamonds above a wooden floor.
    pub fn wallpaper(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let all = rectangle(0.0, 0.0, width, height);
        canvas.fill_gradient(
            &all,
            (0.0, 0.0, self.wall),
            (0.0, height, self.wall.mix(Colour::BLACK, 0.12)),
        );
        let step = random.between(18.0, 30.0);
        let print = self.wall.mix(self.accent, 0.4);
        let kind = random.below(3);
        for column in 0..(width / step) as usize + 2 {
            let x = column as f32 * step;
            if kind == 0 {
                canvas.fill(&rectangle(x, 0.0, x + step * 0.45, height), print, 1.0);
                continue;
            }
            for row in 0..(height / step) as usize + 2 {
                // Every other column is half a step lower.
                let y = (row as f32 + 0.5 * (column % 2) as f32) * step;
                let r = step * 0.2;
                let motif = if kind == 1 {
                    ellipse(x, y, r, r)
                } else {
                    polygon(&[(x, y - r * 1.5), (x + r, y), (x, y + r * 1.5), (x - r, y)])
                };
                canvas.fill(&motif, print, 1.0);
            }
        }
        let floor = height * random.between(0.78, 0.92);
        let wood = Colour(0.58, 0.42, 0.29);
        canvas.fill(&rectangle(0.0, floor, width, height), wood, 1.0);
        canvas.fill(
            &rectangle(0.0, floor - 9.0, width, floor),
            Colour(0.94, 0.92, 0.88),
            1.0,
        );
        for plank in 1..4 {
            let y = floor + (height - floor) * plank as f32 / 4.0;
            canvas.line(
                &curve(&[(0.0, y), (width, y)]),
                1.0,
                wood.mix(Colour::BLACK, 0.5),
                0.6,
            );
        }
    }

    /// A window by day or by night, between two curtains.
    pub fn window(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let wall = self.wall.mix(self.accent, 0.2);
        canvas.fill(&rectangle(0.0, 0.0, width, height), wall, 1.0);
        let (left, right) = (
            width * random.between(0.08, 0.25),
            width * random.between(0.75, 0.92),
        );
        let (top, sill) = (height * 0.06, height * random.between(0.68, 0.8));
        let sky = if random.chance(0.3) {
            Colour(0.16, 0.2, 0.38)
        } else {
            Colour(0.62, 0.80, 0.93)
        };
        let glass = rectangle(left, top, right, sill);
        canvas.fill_gradient(
            &glass,
            (0.0, top, sky),
            (0.0, sill, sky.mix(Colour(1.0, 0.85, 0.7), 0.6)),
        );
        let sun = (
            left + (right - left) * random.between(0.1, 0.9),
            height * 0.2,
        );
        canvas.fill(
            &ellipse(sun.0, sun.1, 10.0, 10.0),
            Colour(1.0, 0.95, 0.75),
            0.9,
        );
        let frame = Colour(0.96, 0.95, 0.92);
        canvas.line(&glass, 6.0, frame, 1.0);
        let middle = (left + right) * 0.5;
        canvas.line(&curve(&[(middle, top), (middle, sill)]), 4.0, frame, 1.0);
        canvas.fill(
            &rectangle(left - 12.0, sill - 2.0, right + 12.0, sill + 7.0),
            frame,
            1.0,
        );
        for (outer, inner) in [(0.0, left + 6.0), (width, right - 6.0)] {
            let curtain = blob(&[
                (outer, -20.0),
                (inner, -20.0),
                (inner, height * 0.4),
                ((outer + inner) * 0.5, height * 0.95),
                (outer, height),
            ]);
            canvas.fill(&curtain, self.accent, 1.0);
            for fold in [0.3, 0.6] {
                let x = outer + (inner - outer) * fold;
                let line = curve(&[
                    (x, 0.0),
                    (x, height * 0.5),
                    (outer + (inner - outer) * fold * 0.6, height),
                ]);
                canvas.line(&line, 2.0, self.accent.mix(Colour::BLACK, 0.4), 0.6);
            }
        }
    }
}
