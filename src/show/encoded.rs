//! A picture as a notebook's page gets it: PNG, or JPEG where that is much smaller.
//!
//! A notebook keeps the pictures that it shows, as text: with PNG alone, a lesson's photographs and feature maps are
//! megabytes that every reader downloads and every change stores anew. What a cell saves is untouched by this.

use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};

/// Hardly to be told from the original beside it. Letters below the pictures have to stay clean too, so that
/// colours are as fine as light and dark (4:4:4).
const QUALITY: u8 = 90;

/// The bytes of a picture file, and what kind of file it is.
pub(crate) struct Encoded {
    pub(crate) mime: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Encoded {
    /// A PNG file, for what is lines and letters.
    pub(crate) fn png(bytes: Vec<u8>) -> Self {
        Self {
            mime: "image/png",
            bytes,
        }
    }

    /// The smaller one: this PNG file, or the same picture of `pixels` (H, W, 3) as JPEG if that takes less than half
    /// the room, as photographs do and few colours in large areas do not. `dpi` pixels per inch: 96 where a point of
    /// the page has one pixel, 192 where it has two.
    pub(crate) fn smaller(
        png: Vec<u8>,
        pixels: &[u8],
        (width, height): (usize, usize),
        dpi: u16,
    ) -> Self {
        const INCHES: u8 = 1;
        let encoder = Encoder::new(pixels, width, height, PixelFormat::Rgb)
            .quality(QUALITY)
            .subsampling(Subsampling::S444)
            .optimize_huffman(true)
            .density(INCHES, dpi, dpi);
        // JPEG has sides of 65,535 pixels at most; PNG has more.
        match encoder.encode() {
            Ok(jpeg) if jpeg.len() < png.len() / 2 => Self {
                mime: "image/jpeg",
                bytes: jpeg,
            },
            _ => Self::png(png),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use image::{ImageFormat, RgbImage};

    use super::*;

    fn encoded(image: &RgbImage) -> Encoded {
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let size = (image.width() as usize, image.height() as usize);
        Encoded::smaller(png.into_inner(), image.as_raw(), size, 192)
    }

    /// What no row repeats, as in a photograph: light that falls off, and grain.
    fn grainy(width: u32) -> RgbImage {
        let mut state = 1_u32;
        RgbImage::from_fn(width, 150, |x, y| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (state >> 28) as u8;
            image::Rgb([(x % 200) as u8 + grain, y as u8 + grain, 90 + grain])
        })
    }

    #[test]
    fn a_photograph_is_a_jpeg_that_looks_the_same() {
        let photograph = grainy(200);
        let jpeg = encoded(&photograph);
        assert_eq!(jpeg.mime, "image/jpeg");
        // Read by the library that browsers' own decoder stands behind.
        let read = libjpeg_turbo_rs::decompress(&jpeg.bytes).unwrap();
        assert_eq!((read.width, read.height), (200, 150));
        let pairs = photograph.as_raw().iter().zip(&read.data);
        let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // The coarsest step of quality 90 is 24 of 2,040 for one of 64 waves of a block, and grain is in many at once.
        assert!(worst <= 24, "{worst}");
    }

    #[test]
    fn few_colours_in_large_areas_stay_png() {
        let squares = RgbImage::from_fn(200, 150, |x, y| match (x / 50 + y / 50) % 2 {
            0 => image::Rgb([0, 0, 0]),
            _ => image::Rgb([255, 255, 0]),
        });
        let png = encoded(&squares);
        assert_eq!(png.mime, "image/png");
        assert_eq!(
            image::load_from_memory(&png.bytes).unwrap().to_rgb8(),
            squares
        );
    }

    #[test]
    fn a_picture_that_is_too_wide_for_jpeg_stays_png() {
        assert_eq!(encoded(&grainy(65_536)).mime, "image/png");
    }
}
