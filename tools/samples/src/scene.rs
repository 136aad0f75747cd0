//! What is behind the animal: a studio, a meadow, leaves, or a room as `room.rs` draws it.
//!
//! The kind of place and its two colours are chosen once for a cat and a dog together; where each
//! flower or leaf goes is up to the single picture.
//!
//! ```text
//! let scene = Scene::choose(&mut shared);
//! scene.draw(&mut canvas, &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::random::Random;
use crate::shapes::{curve, ellipse, rectangle};

#[derive(Clone, Copy)]
enum Place {
    Studio,
    Meadow,
    Sofa,
    Wallpaper,
    Leaves,
    Window,
}

/// A background.
pub struct Scene {
    place: Place,
    /// Walls and the studio's paper.
    pub wall: Colour,
    /// Sofa, pattern, curtains and flowers.
    pub accent: Colour,
}

impl Scene {
    /// Any place in any colours.
    pub fn choose(random: &mut Random) -> Self {
        let place = random.pick([
            Place::Studio,
            Place::Meadow,
            Place::Sofa,
            Place::Wallpaper,
            Place::Leaves,
            Place::Window,
        ]);
        let wall = random.pick([
            Colour(0.80, 0.87, 0.84),
            Colour(0.93, 0.85, 0.72),
            Colour(0.72, 0.80, 0.90),
            Colour(0.89, 0.76, 0.74),
            Colour(0.52, 0.60, 0.66),
            Colour(0.78, 0.76, 0.86),
        ]);
        let accent = random.pick([
            Colour(0.72, 0.32, 0.30),
            Colour(0.25, 0.48, 0.55),
            Colour(0.45, 0.55, 0.33),
            Colour(0.85, 0.65, 0.28),
            Colour(0.48, 0.36, 0.55),
            Colour(0.32, 0.37, 0.50),
        ]);
        Self {
            place,
            wall,
            accent,
        }
    }

    /// Fills the whole canvas.
    pub fn draw(&self, canvas: &mut Canvas, random: &mut Random) {
        match self.place {
            Place::Studio => self.studio(canvas, random),
            Place::Meadow => self.meadow(canvas, random),
            Place::Sofa => self.sofa(canvas, random),
            Place::Wallpaper => self.wallpaper(canvas, random),
            Place::Leaves => self.leaves(canvas, random),
            Place::Window => self.window(canvas, random),
        }
        canvas.blur(1);
    }

    fn studio(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let all = rectangle(0.0, 0.0, width, height);
        let (top, bottom) = (
            self.accent.mix(self.wall, 0.25),
            self.accent.mix(Colour::BLACK, 0.35),
        );
        canvas.fill_gradient(&all, (0.0, 0.0, top), (0.0, height, bottom));
        let centre = (
            width * random.between(0.2, 0.8),
            height * random.between(0.2, 0.6),
        );
        canvas.glow(&all, centre, width.max(height) * 0.7, self.wall, 0.9);
    }

    fn meadow(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let horizon = height * random.between(0.35, 0.6);
        let sky = Colour(0.48, 0.70, 0.90);
        let all = rectangle(0.0, 0.0, width, height);
        canvas.fill_gradient(
            &all,
            (0.0, 0.0, sky),
            (0.0, horizon, sky.mix(Colour::WHITE, 0.7)),
        );
        for _ in 0..3 {
            let (x, y) = (
                width * random.between(0.0, 1.0),
                horizon * random.between(0.1, 0.7),
            );
            for puff in 0..4 {
                let x = x + (puff as f32 - 1.5) * width * 0.06;
                let radius = width * random.between(0.04, 0.07);
                canvas.fill(&ellipse(x, y, radius, radius * 0.6), Colour::WHITE, 0.6);
            }
        }
        let hill = Colour(0.45, 0.60, 0.45);
        let crest = width * random.between(0.1, 0.9);
        canvas.fill(
            &ellipse(crest, horizon, width * 0.6, height * 0.16),
            hill,
            1.0,
        );
        let (far, near) = (Colour(0.60, 0.74, 0.36), Colour(0.27, 0.48, 0.20));
        let ground = rectangle(0.0, horizon, width, height);
        canvas.fill_gradient(&ground, (0.0, horizon, far), (0.0, height, near));
        for blade in 0..150 {
            // From the back to the front, longer on the way.
            let depth = blade as f32 / 150.0;
            let (x, y) = (
                width * random.between(0.0, 1.0),
                horizon + (height - horizon) * depth,
            );
            let tip = (x + random.between(-4.0, 4.0), y - 3.0 - 9.0 * depth);
            let colour = far.mix(near, random.between(0.0, 1.3));
            canvas.line(
                &curve(&[(x, y + 4.0), (x, y), tip]),
                1.0 + depth,
                colour,
                0.8,
            );
            if blade % 14 == 0 {
                let petals = ellipse(tip.0, tip.1, 1.5 + 2.0 * depth, 1.5 + 2.0 * depth);
                canvas.fill(&petals, self.accent.mix(Colour::WHITE, 0.3), 1.0);
            }
        }
    }

    fn leaves(&self, canvas: &mut Canvas, random: &mut Random) {
        let (width, height) = canvas.size();
        let (dark, light) = (Colour(0.13, 0.26, 0.16), Colour(0.52, 0.66, 0.34));
        canvas.fill_gradient(
            &rectangle(0.0, 0.0, width, height),
            (0.0, 0.0, light),
            (0.0, height, dark),
        );
        for _ in 0..70 {
            let (x, y) = (
                width * random.between(0.0, 1.0),
                height * random.between(0.0, 1.0),
            );
            let radius = random.between(6.0, 17.0);
            let colour = if random.chance(0.15) {
                self.accent.mix(self.wall, 0.4)
            } else {
                dark.mix(light, random.between(0.0, 1.2))
            };
            canvas.fill(
                &ellipse(x, y, radius, radius),
                colour,
                random.between(0.3, 0.75),
            );
        }
        canvas.blur(2);
    }
}
