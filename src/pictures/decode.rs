//! A picture file's bytes to pixels, as Pillow's `Image.open(...).convert("RGB")` gives them.
//!
//! The format is told from the content. Layout: (H, W, 3), RGB bytes. `photo` makes a
//! [`crate::Photo`] of what comes out and names the file in what goes wrong.

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use libjpeg_turbo_rs::decode::pipeline::Decoder;
use libjpeg_turbo_rs::{DecodeLimits, DecodeWarning, PixelFormat};

/// Pillow refuses larger pictures as decompression bombs (twice its `MAX_IMAGE_PIXELS`).
pub(crate) const MOST_PIXELS: u64 = 178_956_970;

/// Width, height and (height, width, 3) bytes.
type Pixels = (usize, usize, Vec<u8>);

/// What a file is, by its first bytes.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// A picture that [`decode`] takes.
    Known(&'static str),
    /// A picture in a format that it does not know.
    Other(&'static str),
    /// No picture.
    None,
}

/// What these bytes are the beginning of.
pub(crate) fn kind_of(encoded: &[u8]) -> Kind {
    // Phones' formats are boxes, the first of which names the brand.
    if let Some([b'f', b't', b'y', b'p', brand @ ..]) = encoded.get(4..12) {
        return match brand {
            b"avif" | b"avis" => Kind::Other("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1" => {
                Kind::Other("HEIC")
            }
            _ => Kind::None,
        };
    }
    match image::guess_format(encoded) {
        Ok(ImageFormat::Jpeg) => Kind::Known("JPEG"),
        Ok(ImageFormat::Png) => Kind::Known("PNG"),
        Ok(ImageFormat::Bmp) => Kind::Known("BMP"),
        Ok(ImageFormat::Tiff) => Kind::Known("TIFF"),
        Ok(ImageFormat::Gif) => Kind::Known("GIF"),
        Ok(ImageFormat::WebP) => Kind::Known("WebP"),
        Ok(ImageFormat::Pnm) => Kind::Known("PPM"),
        _ => Kind::None,
    }
}

/// Decodes a picture of any known format; the error says in words why it cannot be used.
pub(crate) fn decode(encoded: &[u8]) -> Result<Pixels, String> {
    if encoded.is_empty() {
        return Err("the file is empty".into());
    }
    // Decoders have panicked on damaged files before (fuzzing found four such JPEGs); one bad picture
    // must not end a run.
    let decode = || match encoded {
        [0xff, 0xd8, ..] => decode_jpeg(encoded),
        _ => decode_other(encoded),
    };
    std::panic::catch_unwind(decode)
        .unwrap_or_else(|_| Err("the file is damaged: its decoder gave up".into()))
}

/// JPEG by a port of libjpeg-turbo, since only that decodes as Pillow does: the `image` crate's
/// decoder differs in a fifth of the lesson's pixels, by up to 19.
fn decode_jpeg(encoded: &[u8]) -> Result<Pixels, String> {
    let mut decoder = Decoder::new(encoded).map_err(|error| error.to_string())?;
    let limits = DecodeLimits {
        max_pixels: MOST_PIXELS,
        ..DecodeLimits::default()
    };
    decoder.set_limits(limits);
    // Damaged or missing entropy data is passed over, as libjpeg does with a warning. What Pillow
    // does not accept is a file that stops before its end marker.
    decoder.set_lenient(true);
    if !has_end_marker(encoded) {
        return Err("the file is truncated".into());
    }
    let components = &decoder.header().components;
    let is_cmyk = components.len() == 4;
    // The decoder's upsampling leaves out the fourth component, and panics for want of samples.
    let sampling = |index: usize| {
        let part = &components[index];
        (part.horizontal_sampling, part.vertical_sampling)
    };
    if is_cmyk && sampling(3) != sampling(0) {
        return Err(
            "a CMYK picture with subsampled black cannot be decoded; save it as RGB".into(),
        );
    }
    decoder.set_output_format(if is_cmyk {
        PixelFormat::Cmyk
    } else {
        PixelFormat::Rgb
    });
    let image = decoder.decode_image().map_err(|error| error.to_string())?;
    for warning in &image.warnings {
        // Then the pixels are only a grey stand-in.
        if let DecodeWarning::UnsupportedRecovered { detail } = warning {
            return Err(format!("this kind of JPEG cannot be decoded: {detail}"));
        }
    }
    let bytes = if is_cmyk {
        rgb_of_cmyk(&image.data)
    } else {
        image.data
    };
    Ok((image.width, image.height, bytes))
}

/// Whether the end marker is reached by walking from segment to segment. A search for its two bytes
/// would also find the end of a thumbnail in the header or of what a phone appends to the picture.
fn has_end_marker(encoded: &[u8]) -> bool {
    let mut rest = encoded.get(2..).unwrap_or_default();
    loop {
        let Some(place) = rest.windows(2).position(|pair| {
            // 00 after ff is a plain ff in the entropy data, d0 to d7 are restarts, ff is padding.
            pair[0] == 0xff && !matches!(pair[1], 0x00 | 0x01 | 0xd0..=0xd7 | 0xff)
        }) else {
            return false;
        };
        if rest[place + 1] == 0xd9 {
            return true;
        }
        let segment = &rest[place + 2..];
        let [high, low, ..] = *segment else {
            return false;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = segment.get(length..).unwrap_or_default();
    }
}

/// Pillow's conversion (src/libImaging/Convert.c). The bytes come inverted, as Adobe stores them.
fn rgb_of_cmyk(inverted: &[u8]) -> Vec<u8> {
    let pixel = |inks: &[u8]| {
        let white = u32::from(inks[3]);
        let part = |inverted: u8| {
            // x / 255, rounded, in integers.
            let product = (255 - u32::from(inverted)) * white + 128;
            (white - (((product >> 8) + product) >> 8)) as u8
        };
        [part(inks[0]), part(inks[1]), part(inks[2])]
    };
    inverted.chunks_exact(4).flat_map(pixel).collect()
}

/// Every other format by the `image` crate. Alpha is dropped, not blended, as in Pillow.
fn decode_other(encoded: &[u8]) -> Result<Pixels, String> {
    let mut reader = ImageReader::new(std::io::Cursor::new(encoded))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err(match kind_of(encoded) {
            Kind::Other(format) => {
                format!("this is a {format} picture, which cannot be decoded: export it as JPEG")
            }
            _ => "this is not a picture in a known format".into(),
        });
    }
    let mut limits = Limits::default();
    // Eight bytes a pixel: RGB with alpha in 16 bits.
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!(
            "it claims {width} x {height} pixels, more than {MOST_PIXELS}"
        ));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    Ok((width as usize, height as usize, rgb_of(image)))
}

/// The bytes of Pillow's `convert("RGB")`.
fn rgb_of(image: DynamicImage) -> Vec<u8> {
    // Pillow keeps the upper byte of 16 bits of colour, where the `image` crate rounds; 16 bits of
    // grey it takes as they are and clips them, so that most of such a picture becomes white.
    let upper = |value: u16| (value >> 8) as u8;
    match image {
        DynamicImage::ImageLuma16(grey) => grey
            .into_raw()
            .into_iter()
            .flat_map(|value| [value.min(255) as u8; 3])
            .collect(),
        DynamicImage::ImageLumaA16(grey) => grey
            .pixels()
            .flat_map(|pixel| [upper(pixel.0[0]); 3])
            .collect(),
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => image
            .into_rgb16()
            .into_raw()
            .into_iter()
            .map(upper)
            .collect(),
        _ => image.into_rgb8().into_raw(),
    }
}
