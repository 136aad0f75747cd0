//! A sheet to draw on: colours, fills, clipping, and the last touches of light and grain.
//!
//! Scenes draw in pixels. Animals draw in units of half a head with the origin between the eyes
//! and the mouth, after [`Canvas::place`] has said where that is in the picture; y points down.
//!
//! ```text
//! let mut canvas = Canvas::new(200, 160)?;
//! canvas.fill(&ellipse(100.0, 80.0, 30.0, 20.0), Colour(0.9, 0.6, 0.3), 1.0);
//! ```

use crate::random::Random;
use tiny_skia::{
    FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Mask, Paint, Path, Pixmap, Point,
    RadialGradient, SpreadMode, Stroke, Transform,
};

/// Red, green and blue between 0 and 1.
#[derive(Clone, Copy)]
pub struct Colour(pub f32, pub f32, pub f32);

impl Colour {
    /// White, the usual partner of [`Colour::mix`].
    pub const WHITE: Colour = Colour(1.0, 1.0, 1.0);
    /// A soft black; pure black looks like a hole in a drawing.
    pub const BLACK: Colour = Colour(0.06, 0.05, 0.06);

    /// This colour with `amount` (0 to 1) of the other one stirred in.
    pub fn mix(self, other: Colour, amount: f32) -> Colour {
        let blend = |a: f32, b: f32| a + (b - a) * amount;
        Colour(
            blend(self.0, other.0),
            blend(self.1, other.1),
            blend(self.2, other.2),
        )
    }

    fn with_opacity(self, opacity: f32) -> tiny_skia::Color {
        let clamp = |v: f32| v.clamp(0.0, 1.0);
        tiny_skia::Color::from_rgba(clamp(self.0), clamp(self.1), clamp(self.2), clamp(opacity))
            .unwrap_or(tiny_skia::Color::BLACK)
    }
}

/// The picture under construction.
pub struct Canvas {
    pixels: Pixmap,
    placing: Transform,
    clip: Option<Mask>,
}

impl Canvas {
    /// A blank sheet of so many pixels; `None` when a side is 0 or absurdly long.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let pixels = Pixmap::new(width, height)?;
        Some(Self {
            pixels,
            placing: Transform::identity(),
            clip: None,
        })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (f32, f32) {
        (self.pixels.width() as f32, self.pixels.height() as f32)
    }

    /// From now on (0, 0) lies at (`x`, `y`), one unit is `scale` pixels, and all is turned by
    /// `degrees`.
    pub fn place(&mut self, x: f32, y: f32, scale: f32, degrees: f32) {
        self.placing = Transform::from_translate(x, y)
            .pre_scale(scale, scale)
            .pre_rotate(degrees);
    }

    /// Moves the origin by so many units; with the negative amounts, back again.
    pub fn shift(&mut self, x: f32, y: f32) {
        self.placing = self.placing.pre_translate(x, y);
    }

    /// Paints inside the shape only, until [`Canvas::unclip`].
    pub fn clip(&mut self, shape: &Option<Path>) {
        let mask = Mask::new(self.pixels.width(), self.pixels.height());
        if let (Some(path), Some(mut mask)) = (shape, mask) {
            mask.fill_path(path, FillRule::Winding, true, self.placing);
            self.clip = Some(mask);
        }
    }

    /// Paints everywhere again.
    pub fn unclip(&mut self) {
        self.clip = None;
    }

    /// Fills a shape; opacity 1 covers what lies below.
    pub fn fill(&mut self, shape: &Option<Path>, colour: Colour, opacity: f32) {
        let mut paint = Paint::default();
        paint.set_color(colour.with_opacity(opacity));
        self.paint(shape, &paint);
    }

    /// Fills a shape with a gradient from one point and colour to another.
    pub fn fill_gradient(
        &mut self,
        shape: &Option<Path>,
        from: (f32, f32, Colour),
        to: (f32, f32, Colour),
    ) {
        let stops = vec![
            GradientStop::new(0.0, from.2.with_opacity(1.0)),
            GradientStop::new(1.0, to.2.with_opacity(1.0)),
        ];
        let (start, end) = (Point::from_xy(from.0, from.1), Point::from_xy(to.0, to.1));
        let shader = LinearGradient::new(start, end, stops, SpreadMode::Pad, Transform::identity());
        if let Some(shader) = shader {
            self.paint(
                shape,
                &Paint {
                    shader,
                    ..Paint::default()
                },
            );
        }
    }

    /// A round glow that is `opacity` strong at the centre and nothing at `radius`.
    pub fn glow(
        &mut self,
        shape: &Option<Path>,
        centre: (f32, f32),
        radius: f32,
        colour: Colour,
        opacity: f32,
    ) {
        let stops = vec![
            GradientStop::new(0.0, colour.with_opacity(opacity)),
            GradientStop::new(1.0, colour.with_opacity(0.0)),
        ];
        let centre = Point::from_xy(centre.0, centre.1);
        let shader = RadialGradient::new(
            centre,
            0.0,
            centre,
            radius,
            stops,
            SpreadMode::Pad,
            Transform::identity(),
        );
        if let Some(shader) = shader {
            self.paint(
                shape,
                &Paint {
                    shader,
                    ..Paint::default()
                },
            );
        }
    }

    /// Draws along a curve with round ends.
    pub fn line(&mut self, shape: &Option<Path>, width: f32, colour: Colour, opacity: f32) {
        let Some(path) = shape else { return };
        let mut paint = Paint::default();
        paint.set_color(colour.with_opacity(opacity));
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.pixels
            .stroke_path(path, &paint, &stroke, self.placing, self.clip.as_ref());
    }

    fn paint(&mut self, shape: &Option<Path>, paint: &Paint) {
        if let Some(path) = shape {
            self.pixels.fill_path(
                path,
                paint,
                FillRule::Winding,
                self.placing,
                self.clip.as_ref(),
            );
        }
    }

    /// Softens all that is drawn so far, like a background out of focus.
    pub fn blur(&mut self, radius: usize) {
        let (width, height) = (self.pixels.width() as usize, self.pixels.height() as usize);
        // Two box blurs each way come close to a Gaussian one.
        for _ in 0..2 {
            let data = self.pixels.data_mut();
            for row in 0..height {
                blur_run(data, row * width, 1, width, radius);
            }
            for column in 0..width {
                blur_run(data, column, width, height, radius);
            }
        }
    }

    /// The finished picture as RGB bytes, row by row: `brightness` times what was drawn, with a
    /// warm (positive) or cool (negative) tint and `grain` levels of noise.
    pub fn finish(&self, random: &mut Random, brightness: f32, warmth: f32, grain: f32) -> Vec<u8> {
        let tint = [1.0 + warmth, 1.0, 1.0 - warmth];
        let mut bytes = Vec::with_capacity(self.pixels.data().len() / 4 * 3);
        for pixel in self.pixels.data().chunks_exact(4) {
            // The same noise on all three channels: coloured grain costs much more as JPEG.
            let noise = grain * (random.between(-1.0, 1.0) + random.between(-1.0, 1.0));
            for (value, tint) in pixel.iter().zip(tint) {
                bytes.push(
                    (f32::from(*value) * brightness * tint + noise)
                        .round()
                        .clamp(0.0, 255.0) as u8,
                );
            }
        }
        bytes
    }
}

/// Box blur along one row or column of RGBA pixels: `count` pixels from `start`, `step` apart.
fn blur_run(data: &mut [u8], start: usize, step: usize, count: usize, radius: usize) {
    let old: Vec<[u8; 4]> = (0..count)
        .map(|i| {
            let at = (start + i * step) * 4;
            [data[at], data[at + 1], data[at + 2], data[at + 3]]
        })
        .collect();
    for i in 0..count {
        let window = &old[i.saturating_sub(radius)..(i + radius + 1).min(count)];
        let at = (start + i * step) * 4;
        for channel in 0..4 {
            let sum: usize = window.iter().map(|p| usize::from(p[channel])).sum();
            data[at + channel] = (sum / window.len()) as u8;
        }
    }
}
