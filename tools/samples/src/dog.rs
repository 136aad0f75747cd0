//! A dog's head: hanging ears, a long muzzle, a big nose, round eyes and at times a tongue.
//!
//! ```text
//! dog::head(&mut canvas, &coat, (turn, nod), &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::coat::Coat;
use crate::random::Random;
use crate::shapes::{blob, curve, ellipse, sided, symmetric};

/// Draws the head around the origin, looking aside and down by `gaze`.
pub fn head(canvas: &mut Canvas, coat: &Coat, gaze: (f32, f32), random: &mut Random) {
    let width = random.between(0.72, 0.8);
    let outline = symmetric(&[
        (0.0, -0.88),
        (0.42, -0.82),
        (width, -0.42),
        (width, 0.1),
        (0.58, 0.5),
        (0.48, 0.88),
        (0.25, 1.06),
        (0.0, 1.1),
    ]);
    coat.cover(canvas, &outline, coat.base, random);
    coat.mark_head(canvas, &outline, random);

    canvas.shift(gaze.0, gaze.1);
    muzzle(canvas, coat, random);
    let iris = random.pick([
        Colour(0.36, 0.2, 0.1),
        Colour(0.6, 0.36, 0.14),
        Colour(0.25, 0.16, 0.1),
        Colour(0.4, 0.6, 0.78),
    ]);
    for side in [-1.0, 1.0] {
        eye(canvas, coat, side, iris);
    }
    canvas.shift(-gaze.0, -gaze.1);

    let (length, flare) = (random.between(0.6, 1.15), random.between(0.9, 1.12));
    for side in [-1.0, 1.0] {
        let ear = [
            (0.36, -0.8),
            (0.7, -0.86),
            (1.02 * flare, -0.45),
            (1.14 * flare, -0.6 + 0.7 * length),
            (1.0 * flare, -0.6 + 1.15 * length),
            (0.8, -0.6 + length),
            (0.68, -0.25),
        ];
        coat.cover(
            canvas,
            &sided(&ear, side),
            coat.base.mix(coat.dark, 0.6),
            random,
        );
        let fold = curve(&sided(&[(0.4, -0.76), (0.64, -0.5), (0.71, -0.1)], side));
        canvas.line(&fold, 0.06, Colour::BLACK, 0.35);
    }
}

fn eye(canvas: &mut Canvas, coat: &Coat, side: f32, iris: Colour) {
    let (x, y) = (side * 0.34, -0.2);
    canvas.fill(&ellipse(x, y, 0.19, 0.18), Colour::BLACK, 1.0);
    canvas.fill(
        &ellipse(x, y + 0.01, 0.15, 0.14),
        Colour(0.93, 0.91, 0.88),
        1.0,
    );
    canvas.fill(&ellipse(x, y, 0.13, 0.135), iris, 1.0);
    canvas.fill(&ellipse(x, y, 0.075, 0.075), Colour::BLACK, 1.0);
    canvas.fill(
        &ellipse(x + 0.06, y - 0.06, 0.045, 0.045),
        Colour::WHITE,
        0.95,
    );
    let brow = curve(&[
        (side * 0.2, -0.44),
        (side * 0.34, -0.5),
        (side * 0.48, -0.44),
    ]);
    canvas.line(&brow, 0.09, coat.light.mix(coat.base, 0.3), 0.9);
}

fn muzzle(canvas: &mut Canvas, coat: &Coat, random: &mut Random) {
    let line = Colour(0.16, 0.09, 0.09);
    if random.chance(0.5) {
        let length = random.between(1.12, 1.26);
        canvas.fill(&ellipse(0.0, 0.9, 0.27, 0.17), line, 1.0);
        let tongue = blob(&[
            (-0.16, 0.8),
            (0.16, 0.8),
            (0.18, 1.05),
            (0.0, length),
            (-0.18, 1.05),
        ]);
        canvas.fill(&tongue, Colour(0.9, 0.45, 0.48), 1.0);
        canvas.line(
            &curve(&[(0.0, 0.85), (0.0, length - 0.1)]),
            0.03,
            Colour(0.7, 0.28, 0.33),
            0.9,
        );
    } else {
        canvas.fill(
            &ellipse(0.0, 0.88, 0.24, 0.17),
            coat.light.mix(Colour::BLACK, 0.1),
            1.0,
        );
    }
    let snout = symmetric(&[
        (0.0, 0.0),
        (0.22, 0.06),
        (0.36, 0.35),
        (0.47, 0.66),
        (0.34, 0.88),
        (0.1, 0.84),
        (0.0, 0.78),
    ]);
    canvas.glow(
        &ellipse(0.0, 0.52, 0.66, 0.62),
        (0.0, 0.55),
        0.62,
        Colour::BLACK,
        0.45,
    );
    coat.cover(canvas, &snout, coat.light, random);
    for side in [-1.0, 1.0] {
        let lip = curve(&[
            (0.0, 0.55),
            (side * 0.02, 0.74),
            (side * 0.14, 0.86),
            (side * 0.34, 0.86),
            (side * 0.45, 0.7),
        ]);
        canvas.line(&lip, 0.045, line, 0.95);
        for (x, y) in [(0.2, 0.62), (0.28, 0.7), (0.29, 0.58)] {
            canvas.fill(&ellipse(side * x, y, 0.022, 0.022), line, 0.7);
        }
    }
    let nose = blob(&symmetric(&[
        (0.0, 0.2),
        (0.18, 0.21),
        (0.25, 0.32),
        (0.17, 0.46),
        (0.0, 0.53),
    ]));
    canvas.fill_gradient(
        &nose,
        (0.0, 0.2, Colour(0.26, 0.22, 0.23)),
        (0.0, 0.5, Colour::BLACK),
    );
    for side in [-1.0, 1.0] {
        canvas.fill(
            &ellipse(side * 0.1, 0.4, 0.05, 0.035),
            Colour(0.01, 0.01, 0.01),
            1.0,
        );
    }
    canvas.fill(&ellipse(-0.06, 0.26, 0.08, 0.03), Colour::WHITE, 0.55);
}
