//! A cat's head: pointed ears, a short round face, slit pupils, a small nose and whiskers.
//!
//! ```text
//! cat::head(&mut canvas, &coat, (turn, nod), &mut own);
//! ```

use crate::canvas::{Canvas, Colour};
use crate::coat::Coat;
use crate::random::Random;
use crate::shapes::{blob, curve, ellipse, sided, symmetric};

/// Draws the head around the origin, looking aside and down by `gaze`.
pub fn head(canvas: &mut Canvas, coat: &Coat, gaze: (f32, f32), random: &mut Random) {
    let spread = random.between(-0.06, 0.08);
    let height = random.between(-1.34, -1.2);
    let pink = Colour(0.86, 0.58, 0.56);
    for side in [-1.0, 1.0] {
        // A point given twice makes a sharp corner.
        let tip = (0.84 + spread, height);
        let ear = [
            (0.95, -0.15),
            (0.99, -0.75),
            tip,
            tip,
            (0.45, -0.98),
            (0.13, -0.7),
            (0.5, -0.3),
        ];
        coat.cover(
            canvas,
            &sided(&ear, side),
            coat.base.mix(coat.dark, 0.35),
            random,
        );
        let tip = (0.81 + spread, height + 0.2);
        let inside = [
            (0.83, -0.3),
            (0.88, -0.75),
            tip,
            tip,
            (0.53, -0.86),
            (0.36, -0.62),
        ];
        canvas.fill(&blob(&sided(&inside, side)), pink.mix(coat.dark, 0.3), 1.0);
    }

    let cheek = random.between(0.93, 1.02);
    let outline = symmetric(&[
        (0.0, -0.78),
        (0.42, -0.75),
        (0.8, -0.44),
        (cheek, 0.08),
        (cheek * 0.92, 0.42),
        (0.52, 0.74),
        (0.0, 0.83),
    ]);
    coat.cover(canvas, &outline, coat.base, random);
    coat.mark_head(canvas, &outline, random);

    canvas.shift(gaze.0, gaze.1);
    muzzle(canvas, coat, random);
    let iris = random.pick([
        Colour(0.55, 0.72, 0.25),
        Colour(0.85, 0.72, 0.2),
        Colour(0.8, 0.5, 0.15),
        Colour(0.35, 0.62, 0.8),
    ]);
    let slit = random.between(0.045, 0.085);
    for side in [-1.0, 1.0] {
        eye(canvas, side, iris, slit);
    }
    canvas.shift(-gaze.0, -gaze.1);
}

fn eye(canvas: &mut Canvas, side: f32, iris: Colour, slit: f32) {
    let lids = [
        (0.17, 0.0),
        (0.27, -0.19),
        (0.46, -0.27),
        (0.67, -0.17),
        (0.6, 0.0),
        (0.43, 0.08),
        (0.28, 0.07),
    ];
    let shape = blob(&sided(&lids, side));
    canvas.line(&shape, 0.1, Colour::BLACK, 1.0);
    canvas.fill_gradient(
        &shape,
        (0.0, -0.25, iris.mix(Colour::BLACK, 0.25)),
        (0.0, 0.1, iris.mix(Colour::WHITE, 0.3)),
    );
    canvas.clip(&shape);
    canvas.fill(&ellipse(side * 0.42, -0.09, slit, 0.19), Colour::BLACK, 1.0);
    canvas.unclip();
    canvas.fill(
        &ellipse(side * 0.42 + 0.08, -0.16, 0.05, 0.05),
        Colour::WHITE,
        0.95,
    );
}

fn muzzle(canvas: &mut Canvas, coat: &Coat, random: &mut Random) {
    canvas.fill(&ellipse(0.0, 0.6, 0.2, 0.15), coat.light, 1.0);
    for side in [-1.0, 1.0] {
        canvas.glow(
            &ellipse(side * 0.18, 0.46, 0.27, 0.22),
            (side * 0.18, 0.47),
            0.27,
            Colour::BLACK,
            0.4,
        );
        canvas.fill(&ellipse(side * 0.17, 0.43, 0.23, 0.18), coat.light, 1.0);
    }
    let line = Colour(0.25, 0.14, 0.14);
    let nose = random.pick([
        Colour(0.85, 0.5, 0.5),
        Colour(0.7, 0.38, 0.36),
        Colour(0.3, 0.2, 0.2),
    ]);
    let triangle = blob(&[
        (-0.12, 0.22),
        (0.0, 0.2),
        (0.12, 0.22),
        (0.05, 0.3),
        (0.0, 0.34),
        (-0.05, 0.3),
    ]);
    canvas.fill(&triangle, nose, 1.0);
    canvas.line(&triangle, 0.025, line, 0.8);
    for side in [-1.0, 1.0] {
        let mouth = curve(&[
            (0.0, 0.34),
            (side * 0.02, 0.46),
            (side * 0.12, 0.54),
            (side * 0.24, 0.5),
        ]);
        canvas.line(&mouth, 0.035, line, 0.9);
        for (rise, end) in [(-0.02, 0.2), (0.04, 0.42), (0.1, 0.64)] {
            let bend = random.between(-0.05, 0.05);
            let reach = side * random.between(1.15, 1.32);
            let whisker = curve(&[
                (side * 0.26, 0.42 + rise),
                (side * 0.75, 0.36 + rise * 2.0),
                (reach, end + bend),
            ]);
            // A dark edge shows the whisker on light fur, the white one on dark fur.
            canvas.line(&whisker, 0.04, Colour::BLACK, 0.3);
            canvas.line(&whisker, 0.022, Colour::WHITE, 0.95);
        }
    }
}
