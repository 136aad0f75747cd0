//! One whole picture: what the cat and the dog of a number share, where the animal sits, its body.
//!
//! `cat.7` and `dog.7` have the same size, place, coat and light. So neither colour nor file size
//! tells the classes apart, and a classifier has to look at the shape of ears, muzzle and eyes.
//!
//! ```text
//! let plan = Plan::choose(&mut Random::new(seed, number));
//! let jpeg_pixels = plan.picture(Animal::Cat, &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::coat::Coat;
use crate::random::Random;
use crate::scene::Scene;
use crate::shapes::{Points, blob, curve, ellipse, rectangle, symmetric};
use crate::{cat, dog};

/// The two classes.
#[derive(Clone, Copy, PartialEq)]
pub enum Animal {
    /// Pointed ears, short face, slit pupils, whiskers.
    Cat,
    /// Hanging ears, long muzzle, big nose.
    Dog,
}

/// What the cat and the dog with the same number have in common.
pub struct Plan {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    scene: Scene,
    coat: Coat,
    collar: Option<Colour>,
    brightness: f32,
    warmth: f32,
    grain: f32,
}

impl Plan {
    /// Any plan; landscape and portrait are equally likely.
    pub fn choose(random: &mut Random) -> Self {
        let long = 176 + random.below(55) as u32;
        let short = 158 + random.below(20) as u32;
        let (width, height) = if random.chance(0.5) {
            (long, short)
        } else {
            (short, long)
        };
        Self {
            width,
            height,
            scene: Scene::choose(random),
            coat: Coat::choose(random),
            collar: random.chance(0.4).then(|| {
                random.pick([
                    Colour(0.8, 0.16, 0.18),
                    Colour(0.13, 0.38, 0.68),
                    Colour(0.1, 0.55, 0.42),
                ])
            }),
            brightness: random.between(0.93, 1.06),
            warmth: random.between(-0.05, 0.07),
            grain: random.between(0.2, 1.0),
        }
    }

    /// The picture as RGB bytes, row by row; `None` when the plan has no pixels.
    pub fn picture(&self, animal: Animal, random: &mut Random) -> Option<Vec<u8>> {
        let mut canvas = Canvas::new(self.width, self.height)?;
        self.scene.draw(&mut canvas, random);

        let (width, height) = canvas.size();
        let scale = width.min(height) * random.between(0.27, 0.315);
        // Room for ears above, whiskers beside and a tongue below, so that no face is cut off.
        let x = width * 0.5 + (width * 0.5 - scale * 1.4) * random.between(-0.5, 0.5);
        let y = random.between(
            scale * 1.5,
            (height - scale * 1.35).min(scale * 1.5 + height * 0.1),
        );
        let tilt = random.between(-13.0, 13.0);
        let (turn, nod) = (random.between(-0.13, 0.13), random.between(-0.05, 0.06));

        // The body leans less than the head.
        canvas.place(x, y, scale, tilt * 0.25);
        self.body(&mut canvas, animal, random);
        canvas.place(x, y, scale, tilt);
        match animal {
            Animal::Cat => cat::head(&mut canvas, &self.coat, (turn, nod), random),
            Animal::Dog => dog::head(&mut canvas, &self.coat, (turn, nod), random),
        }
        canvas.place(0.0, 0.0, 1.0, 0.0);
        light(&mut canvas, random);
        Some(canvas.finish(random, self.brightness, self.warmth, self.grain))
    }

    fn body(&self, canvas: &mut Canvas, animal: Animal, random: &mut Random) {
        let side = random.side();
        let (tail, thickness) = match animal {
            Animal::Cat => (
                [
                    (0.9, 3.3),
                    (1.9, 3.0),
                    (1.95, 2.0),
                    (1.55, 1.3),
                    (1.75, 0.9),
                ],
                0.27,
            ),
            Animal::Dog => (
                [(0.9, 3.3), (1.5, 2.9), (1.8, 2.4), (1.9, 2.0), (1.85, 1.7)],
                0.3,
            ),
        };
        let tail: Points = tail.map(|(x, y)| (x * side, y)).to_vec();
        canvas.line(&curve(&tail), thickness + 0.05, self.coat.dark, 1.0);
        canvas.line(
            &curve(&tail),
            thickness,
            self.coat.base.mix(self.coat.dark, 0.3),
            1.0,
        );

        let (neck, shoulder) = match animal {
            Animal::Cat => (0.55, 0.86),
            Animal::Dog => (0.6, 1.06),
        };
        let outline = symmetric(&[
            (0.0, 0.2),
            (neck, 0.5),
            (shoulder, 1.35),
            (shoulder * 1.18, 2.4),
            (shoulder * 1.4, 3.2),
            (shoulder * 1.15, 3.75),
            (0.0, 3.8),
        ]);
        canvas.fill(&ellipse(0.0, 3.75, 1.7, 0.25), Colour::BLACK, 0.3);
        self.coat.cover(canvas, &outline, self.coat.base, random);
        self.coat.mark_body(canvas, &outline, random);

        let chest = blob(&symmetric(&[
            (0.0, 0.7),
            (0.4, 0.9),
            (0.42, 1.5),
            (0.2, 2.1),
            (0.0, 2.25),
        ]));
        canvas.fill(&chest, self.coat.light, 0.8);
        let crease = self.coat.base.mix(Colour::BLACK, 0.55);
        canvas.line(&curve(&[(0.0, 2.3), (0.0, 3.7)]), 0.06, crease, 0.7);
        for side in [-1.0, 1.0] {
            canvas.line(
                &curve(&[(side * 0.62, 2.0), (side * 0.56, 2.8), (side * 0.6, 3.5)]),
                0.05,
                crease,
                0.6,
            );
            canvas.fill(&ellipse(side * 0.33, 3.62, 0.34, 0.2), self.coat.light, 1.0);
        }
        // The head's shadow on the chest keeps the two apart when they have one colour.
        canvas.glow(
            &ellipse(0.0, 0.75, 0.85, 0.75),
            (0.0, 0.7),
            0.85,
            Colour::BLACK,
            0.5,
        );
        if let Some(colour) = self.collar {
            let y = if animal == Animal::Cat { 1.0 } else { 1.22 };
            let band = curve(&[
                (-shoulder * 0.82, y - 0.14),
                (0.0, y + 0.06),
                (shoulder * 0.82, y - 0.14),
            ]);
            canvas.line(&band, 0.15, colour, 1.0);
            canvas.fill(
                &ellipse(0.0, y + 0.17, 0.1, 0.1),
                Colour(0.95, 0.8, 0.35),
                1.0,
            );
        }
    }
}

/// Light from one side, shade on the other.
fn light(canvas: &mut Canvas, random: &mut Random) {
    let (width, height) = canvas.size();
    let all = rectangle(0.0, 0.0, width, height);
    let (lit, shaded) = if random.chance(0.5) {
        (0.0, width)
    } else {
        (width, 0.0)
    };
    let reach = width.max(height);
    canvas.glow(
        &all,
        (lit, height * random.between(0.0, 0.5)),
        reach,
        Colour(1.0, 0.95, 0.82),
        random.between(0.05, 0.2),
    );
    canvas.glow(
        &all,
        (shaded, height),
        reach,
        Colour(0.05, 0.05, 0.15),
        random.between(0.1, 0.25),
    );
}
