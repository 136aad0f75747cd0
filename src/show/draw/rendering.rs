//! How a [`Drawing`] becomes PNG and SVG, by way of plotters.

use std::borrow::Cow;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontTransform, RGBColor};
use plotters_bitmap::BitMapBackend;
use plotters_svg::SVGBackend;

use crate::error::{Error, Result};
use crate::show::draw::colour::Colour;
use crate::show::draw::drawing::{Align, Drawing, Shape};
use crate::show::draw::font::{Font, is_lacking, register_fonts, spelled};
use crate::show::draw::system_font::SystemFont;
use crate::show::encoded::Encoded;

/// plotters' coordinates are whole numbers and its thick lines have hard edges. Drawn at twice
/// the size and shrunk, edges become smooth; in SVG the finer grid keeps curves from jumping.
const OVERSAMPLING: u32 = 2;

/// Pixels per inch: twice a page's 96.
const DPI: u16 = 192;

impl Drawing {
    /// The drawing as the bytes of a PNG file, `width` x `height` pixels, RGB, which says that a point has
    /// two of them.
    pub(crate) fn to_png(&self) -> Result<Vec<u8>> {
        png(&self.image()?).map(with_density)
    }

    /// The same picture as PNG, or as JPEG where that is much smaller.
    pub(crate) fn to_encoded(&self) -> Result<Encoded> {
        let image = self.image()?;
        let png = png(&image).map(with_density)?;
        let size = (image.width() as usize, image.height() as usize);
        Ok(Encoded::smaller(png, &image, size, DPI))
    }

    /// The drawing in pixels.
    fn image(&self) -> Result<RgbImage> {
        let lacking = self
            .lacking_texts()
            .flat_map(str::chars)
            .collect::<Vec<_>>();
        let system = match lacking.is_empty() {
            true => None,
            false => SystemFont::with(&lacking),
        };
        let drawing = match system {
            Some(_) => Cow::Borrowed(self),
            None => self.spelled()?,
        };
        let (width, height) = drawing.fine_size();
        let mut fine = RgbImage::new(width, height);
        let area = BitMapBackend::with_buffer(&mut fine, (width, height)).into_drawing_area();
        drawing.paint(&area, true)?;
        drop(area);
        if let Some(system) = system {
            drawing.set_lacking_texts(&system, &mut fine);
        }
        let mut image = imageops::thumbnail(&fine, drawing.width, drawing.height);
        for shape in &drawing.shapes {
            if let Shape::Picture { left, top, picture } = shape {
                imageops::replace(&mut image, picture, i64::from(*left), i64::from(*top));
            }
        }
        Ok(image)
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

    /// The texts with signs that the built-in font has no shape for.
    fn lacking_texts(&self) -> impl Iterator<Item = &str> {
        self.shapes.iter().filter_map(|shape| match shape {
            Shape::Text { text, .. } if is_lacking(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Sets those texts, which plotters passes over, in another font.
    fn set_lacking_texts(&self, system: &SystemFont, fine: &mut RgbImage) {
        let scale = f64::from(OVERSAMPLING);
        for shape in &self.shapes {
            if let Shape::Text {
                text,
                at,
                align,
                font,
            } = shape
                && is_lacking(text)
            {
                let at = (at.0 * scale, at.1 * scale);
                system.set(fine, text, at, *align, *font, scale);
            }
        }
    }

    /// The same in signs that the font has, with a line below that says so where some were replaced. An SVG needs
    /// none of this: the page that shows it has fonts of its own.
    fn spelled(&self) -> Result<Cow<'_, Self>> {
        const LINE: u32 = 44;
        let font = Font::new(22.0);
        if self.lacking_texts().next().is_none() {
            return Ok(Cow::Borrowed(self));
        }
        let mut drawing = self.clone();
        for shape in &mut drawing.shapes {
            if let Shape::Text { text, .. } = shape {
                *text = spelled(text).into_owned();
            }
        }
        let note = "In brackets: Unicode numbers of signs that the font lacks, [732B] for U+732B";
        let note = font.fit(note, f64::from(self.width) - 32.0)?;
        let middle = f64::from(self.height) + f64::from(LINE) / 2.0 - 6.0;
        drawing.text(&note, (16.0, middle), Align::Left, font);
        drawing.height += LINE;
        Ok(Cow::Owned(drawing))
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
        area.fill(&RGBColor(255, 255, 255)).map_err(Error::figure)?;
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
                            .map_err(Error::figure)?;
                        continue;
                    }
                    // plotters turns a thick path into one polygon, which gets holes where a
                    // curve turns sharply; single pieces with round joints do not.
                    for (&from, &to) in points.iter().zip(points.iter().skip(1)) {
                        area.draw(&PathElement::new(vec![from, to], style))
                            .map_err(Error::figure)?;
                    }
                    for &joint in points.iter().skip(1).take(points.len().saturating_sub(2)) {
                        // Rounded down: a joint thicker than the line would look like a mark.
                        let radius = (width * scale / 2.0 - 0.5) as i32;
                        let dot = Circle::new(joint, radius, style.filled());
                        area.draw(&dot).map_err(Error::figure)?;
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
                    area.draw(&Rectangle::new(corners, style))
                        .map_err(Error::figure)?;
                }
                Shape::Dot { at, radius, colour } => {
                    let style = colour_of(*colour).filled();
                    area.draw(&Circle::new(point(*at), fine(*radius), style))
                        .map_err(Error::figure)?;
                }
                Shape::Polygon { points, colour } => {
                    let points: Vec<(i32, i32)> = points.iter().copied().map(point).collect();
                    let style = colour_of(*colour).filled();
                    area.draw(&Polygon::new(points, style))
                        .map_err(Error::figure)?;
                }
                // Another font sets it.
                Shape::Text { text, .. } if pixels && is_lacking(text) => {}
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
                        .map_err(Error::figure)?;
                }
                Shape::Picture { .. } => {}
            }
        }
        area.present().map_err(Error::figure)
    }
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
        .map_err(Error::figure)?;
    Ok(bytes.into_inner())
}

/// The same PNG file with a word on how fine it is, for our kernel and for whoever prints it; `image` does
/// not write any.
fn with_density(mut png: Vec<u8>) -> Vec<u8> {
    /// [`DPI`] pixels per inch are 7,559 per metre (0x1d87), in both directions; with length
    /// and checksum, as the PNG specification has it (chunk `pHYs`).
    const CHUNK: [u8; 21] = *b"\0\0\0\x09pHYs\0\0\x1d\x87\0\0\x1d\x87\x01\x8f\xe5\xf1\x65";
    // Signature and header, which every PNG file begins with.
    const BEFORE: usize = 33;
    if png.len() > BEFORE {
        png.splice(BEFORE..BEFORE, CHUNK);
    }
    png
}

fn colour_of((red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn signs_that_the_font_lacks_are_spelled_and_a_line_says_so() {
        let drawing = |name: &str| {
            let mut drawing = Drawing::new(900, 200);
            drawing.text(name, (40.0, 60.0), Align::Left, Font::new(36.0));
            drawing
        };
        assert!(matches!(drawing("cats").spelled(), Ok(Cow::Borrowed(_))));
        let name = drawing("猫");
        let spelled = name.spelled().unwrap();
        let texts = spelled.shapes.iter().filter_map(|shape| match shape {
            Shape::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let texts = texts.collect::<Vec<_>>();
        assert_eq!(texts[0], "[732B]");
        assert!(texts[1].starts_with("In brackets"), "{texts:?}");
        assert_eq!(spelled.height, 244);
    }

    #[test]
    fn names_in_any_script_are_told_apart() {
        let drawn = |name: &str| {
            let mut drawing = Drawing::new(900, 200);
            let font = Font::new(36.0);
            let (left, middle) = (format!("{name} 97.3 %"), 60.0);
            drawing.text(&left, (40.0, middle), Align::Left, font);
            drawing.text("Hx cats 97.3 %", (450.0, middle), Align::Left, font);
            drawing.text(name, (20.0, 150.0), Align::Centre, font.bold().upwards());
            drawing.to_png().unwrap()
        };
        // By a font of the machine's, or by their numbers: never as the same empty boxes.
        let names = ["猫", "犬", "cats", "猫と犬の写真"].map(drawn);
        for (number, name) in names.iter().enumerate() {
            assert!(!names[..number].contains(name));
        }
    }
}
