//! Drawings as lists of simple shapes, and how they become PNG and SVG: the only file of the
//! crate that knows plotters.
//!
//! `chart` and `grid` lay shapes out on a [`Drawing`], in pixels of the finished picture with
//! (0, 0) at the top left; `figure` saves and shows what comes out here.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::DrawingBackend;
use plotters::style::colors::colormaps::{ColorMap as _, ViridisRGB};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor};
use plotters_bitmap::BitMapBackend;
use plotters_svg::SVGBackend;

use crate::error::{Error, Result};
use crate::show::notebook::one_line;

pub(crate) type Colour = (u8, u8, u8);
pub(crate) const BLACK: Colour = (34, 34, 34);
pub(crate) const GREY: Colour = (224, 224, 224);
pub(crate) const WHITE: Colour = (255, 255, 255);
/// The colours of Okabe and Ito, which colour-blind readers can tell apart, without the yellow
/// that a white ground swallows.
pub(crate) const COLOURS: [Colour; 7] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (0, 0, 0),
];

/// A colour for a number from 0 to 1: viridis, matplotlib's own choice, which grows lighter evenly and
/// is read by colour-blind people too.
pub(crate) fn viridis(share: f32) -> Colour {
    let RGBColor(red, green, blue) = ViridisRGB.get_color(share.clamp(0.0, 1.0));
    (red, green, blue)
}

/// plotters' coordinates are whole numbers and its thick lines have hard edges. Drawn at twice
/// the size and shrunk, edges become smooth; in SVG the finer grid keeps curves from jumping.
const OVERSAMPLING: u32 = 2;

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

/// How a text is set: the font's height in pixels, weight, and whether it reads upwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Font {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) upwards: bool,
    pub(crate) colour: Colour,
}

impl Font {
    pub(crate) fn new(size: f64) -> Self {
        Self {
            size,
            bold: false,
            upwards: false,
            colour: BLACK,
        }
    }

    pub(crate) fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(crate) fn upwards(mut self) -> Self {
        self.upwards = true;
        self
    }

    /// The width of a text in pixels.
    pub(crate) fn width(self, text: &str) -> Result<f64> {
        register_fonts()?;
        let (width, _) = self.plotters(1.0).box_size(text).map_err(failed)?;
        Ok(f64::from(width))
    }

    /// The text in lines no wider than `width` pixels, broken at spaces; at most `most` of them, the last
    /// one shortened if need be.
    pub(crate) fn wrap(self, text: &str, width: f64, most: usize) -> Result<Vec<String>> {
        let mut lines: Vec<String> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if lines.len() + 1 >= most {
                lines.push(self.fit(rest, width)?);
                break;
            }
            let spaces = rest.match_indices(' ').map(|(place, _)| place);
            let mut end = None;
            for place in spaces.chain([rest.len()]) {
                if self.width(&rest[..place])? > width {
                    break;
                }
                end = Some(place);
            }
            // A word that is wider than a line is shortened there.
            let end = end.or_else(|| rest.find(' ')).unwrap_or(rest.len());
            lines.push(self.fit(&rest[..end], width)?);
            rest = rest[end..].trim_start();
        }
        Ok(lines)
    }

    /// The text, with its end replaced by an ellipsis where it is wider than `width` pixels.
    pub(crate) fn fit(self, text: &str, width: f64) -> Result<String> {
        if self.width(text)? <= width {
            return Ok(text.to_owned());
        }
        let characters: Vec<char> = text.chars().collect();
        let (mut fits, mut too_long) = (0, characters.len());
        while too_long - fits > 1 {
            let middle = (fits + too_long) / 2;
            let shortened = shortened(&characters, middle);
            if self.width(&shortened)? <= width {
                fits = middle
            } else {
                too_long = middle
            }
        }
        Ok(shortened(&characters, fits))
    }

    fn plotters(self, scale: f64) -> FontDesc<'static> {
        let style = if self.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        FontDesc::new(FontFamily::SansSerif, self.size * scale, style)
    }
}

fn shortened(characters: &[char], keep: usize) -> String {
    let kept: String = characters.iter().take(keep).collect();
    format!("{}…", kept.trim_end())
}

/// Shapes on a white ground of `width` x `height` pixels.
#[derive(Clone, Debug)]
pub(crate) struct Drawing {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) shapes: Vec<Shape>,
}

impl Drawing {
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

    /// The drawing as the bytes of a PNG file, `width` x `height` pixels, RGB, which says that a point has
    /// two of them.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>> {
        let (width, height) = self.fine_size();
        let mut fine = RgbImage::new(width, height);
        let area = BitMapBackend::with_buffer(&mut fine, (width, height)).into_drawing_area();
        self.paint(&area, true)?;
        drop(area);
        let mut image = imageops::thumbnail(&fine, self.width, self.height);
        for shape in &self.shapes {
            if let Shape::Picture { left, top, picture } = shape {
                imageops::replace(&mut image, picture, i64::from(*left), i64::from(*top));
            }
        }
        png(&image).map(with_density)
    }

    /// The drawing as the text of an SVG file; pictures in it are embedded as PNG.
    pub(crate) fn to_svg(&self) -> Result<String> {
        let (width, height) = self.fine_size();
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        self.paint(&area, false)?;
        drop(area);
        // The fine grid stays in the view box only; the reader gets the size of the PNG.
        let mut svg = svg.replacen(
            &format!("width=\"{width}\" height=\"{height}\""),
            &format!("width=\"{}\" height=\"{}\"", self.width, self.height),
            1,
        );
        // plotters-svg writes pictures with a media type that browsers refuse, so they are put
        // in here, before the closing tag.
        let mut images = String::new();
        for shape in &self.shapes {
            if let Shape::Picture { left, top, picture } = shape {
                let (width, height) = picture.dimensions();
                let [x, y, width, height] = [*left, *top, width, height].map(|v| v * OVERSAMPLING);
                let data = STANDARD.encode(png(picture)?);
                images.push_str(&format!(
                    "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
                     href=\"data:image/png;base64,{data}\"/>\n"
                ));
            }
        }
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        svg.insert_str(end, &images);
        Ok(svg)
    }

    fn fine_size(&self) -> (u32, u32) {
        (self.width * OVERSAMPLING, self.height * OVERSAMPLING)
    }

    /// Draws everything but the pictures. `pixels` tells the bitmap from the SVG.
    fn paint<B>(&self, area: &DrawingArea<B, Shift>, pixels: bool) -> Result<()>
    where
        B: DrawingBackend,
    {
        register_fonts()?;
        area.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        let scale = f64::from(OVERSAMPLING);
        let fine = |value: f64| (value * scale).round() as i32;
        let point = |(x, y): (f64, f64)| (fine(x), fine(y));
        for shape in &self.shapes {
            match shape {
                Shape::Line {
                    points,
                    width,
                    colour,
                } => {
                    let points: Vec<(i32, i32)> = points.iter().copied().map(point).collect();
                    let style = colour_of(*colour).stroke_width(fine(*width).max(1) as u32);
                    if !pixels || width * scale < 3.0 {
                        area.draw(&PathElement::new(points, style))
                            .map_err(failed)?;
                        continue;
                    }
                    // plotters turns a thick path into one polygon, which gets holes where a
                    // curve turns sharply; single pieces with round joints do not.
                    for (&from, &to) in points.iter().zip(points.iter().skip(1)) {
                        area.draw(&PathElement::new(vec![from, to], style))
                            .map_err(failed)?;
                    }
                    for &joint in points.iter().skip(1).take(points.len().saturating_sub(2)) {
                        // Rounded down: a joint thicker than the line would look like a mark.
                        let radius = (width * scale / 2.0 - 0.5) as i32;
                        let dot = Circle::new(joint, radius, style.filled());
                        area.draw(&dot).map_err(failed)?;
                    }
                }
                Shape::Box {
                    left,
                    top,
                    right,
                    bottom,
                    colour,
                } => {
                    let corners = [(fine(*left), fine(*top)), (fine(*right), fine(*bottom))];
                    let style = colour_of(*colour).filled();
                    area.draw(&Rectangle::new(corners, style)).map_err(failed)?;
                }
                Shape::Dot { at, radius, colour } => {
                    let style = colour_of(*colour).filled();
                    area.draw(&Circle::new(point(*at), fine(*radius), style))
                        .map_err(failed)?;
                }
                Shape::Polygon { points, colour } => {
                    let points: Vec<(i32, i32)> = points.iter().copied().map(point).collect();
                    let style = colour_of(*colour).filled();
                    area.draw(&Polygon::new(points, style)).map_err(failed)?;
                }
                Shape::Text {
                    text,
                    at,
                    align,
                    font,
                } => {
                    let side = match align {
                        Align::Left => HPos::Left,
                        Align::Centre => HPos::Center,
                        Align::Right => HPos::Right,
                    };
                    let mut desc = font.plotters(scale);
                    if font.upwards {
                        desc = desc.transform(FontTransform::Rotate270);
                    }
                    let colour = colour_of(font.colour);
                    let style = plotters::style::TextStyle::from(desc)
                        .color(&colour)
                        .pos(Pos::new(side, VPos::Center));
                    // plotters centres the line with its accents and descenders; the letters,
                    // which the eye goes by, then stand a sixth of their size too high.
                    let lower = if pixels && !font.upwards {
                        font.size / 6.0
                    } else {
                        0.0
                    };
                    let at = point((at.0, at.1 + lower));
                    area.draw(&Text::new(text.as_str(), at, style))
                        .map_err(failed)?;
                }
                Shape::Picture { .. } => {}
            }
        }
        area.present().map_err(failed)
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

/// The bytes of a PNG file.
fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(
            image,
            image.width(),
            image.height(),
            image::ExtendedColorType::Rgb8,
        )
        .map_err(failed)?;
    Ok(bytes.into_inner())
}

/// The same PNG file with a word on how fine it is, for our kernel and for whoever prints it; `image` does
/// not write any.
fn with_density(mut png: Vec<u8>) -> Vec<u8> {
    /// 192 pixels per inch, twice a page's 96, are 7,559 per metre (0x1d87), in both directions; with length
    /// and checksum, as the PNG specification has it (chunk `pHYs`).
    const CHUNK: [u8; 21] = *b"\0\0\0\x09pHYs\0\0\x1d\x87\0\0\x1d\x87\x01\x8f\xe5\xf1\x65";
    // Signature and header, which every PNG file begins with.
    const BEFORE: usize = 33;
    if png.len() > BEFORE {
        png.splice(BEFORE..BEFORE, CHUNK);
    }
    png
}

/// Gives plotters the same font on every machine. plotters keeps its fonts in a static, which
/// starts afresh in every cell; so this is done for each drawing.
fn register_fonts() -> Result<()> {
    let fonts = [
        (FontStyle::Normal, dejavu::sans::regular()),
        (FontStyle::Bold, dejavu::sans::bold()),
    ];
    for (style, bytes) in fonts {
        plotters::style::register_font("sans-serif", style, bytes)
            .map_err(|_| failed("the built-in font cannot be read"))?;
    }
    Ok(())
}

fn colour_of((red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

fn failed(problem: impl std::fmt::Display) -> Error {
    Error::Figure {
        problem: problem.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
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

    #[test]
    fn long_text_is_cut_with_an_ellipsis_and_fits() {
        let font = Font::new(26.0);
        let cut = font
            .fit("a_rather_long_file_name_of_a_picture.jpg", 200.0)
            .unwrap();
        assert!(cut.ends_with('…') && cut.starts_with("a_rather"), "{cut}");
        assert!(font.width(&cut).unwrap() <= 200.0);
        assert_eq!(font.fit("cat", 200.0).unwrap(), "cat");
        assert_eq!(font.fit("cat", 1.0).unwrap(), "…");
    }
}
