//! A picture file's bytes to pixels, as Pillow's `Image.open(...).convert("RGB")` gives them.
//!
//! The format is told from the content. Layout: (H, W, 3), RGB bytes. `photo` makes a
//! [`crate::Photo`] of what comes out and names the file in what goes wrong.

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
};

use crate::pictures::depth::{bits_of_bmp, cut_off, largest_of_map, of_map};
use crate::pictures::gif::decode_gif;
use crate::pictures::jpeg::decode_jpeg;
use crate::pictures::pixels::{MOST_PIXELS, Pixels, check_size};
use crate::pictures::tiff::decode_tiff;

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
        [b'G', b'I', b'F', b'8', ..] => decode_gif(encoded),
        // 43 is the large kind.
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
            decode_tiff(encoded)?.map_or_else(|| decode_other(encoded), Ok)
        }
        _ => decode_other(encoded),
    };
    let pixels = std::panic::catch_unwind(decode)
        .unwrap_or_else(|_| Err("the file is damaged: its decoder gave up".into()))?;
    match pixels {
        // A damaged JPEG may say so of its height.
        (width, height, _) if width == 0 || height == 0 => Err(format!(
            "the file is damaged: a picture of {width} x {height} has no pixels"
        )),
        pixels => Ok(pixels),
    }
}

/// Every other format by the `image` crate. Alpha is dropped, not blended, as in Pillow.
fn decode_other(encoded: &[u8]) -> Result<Pixels, String> {
    let mut reader = ImageReader::new(std::io::Cursor::new(encoded))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if let [b'I', b'I', 43, ..] | [b'M', b'M', 0, 43, ..] = encoded {
        // The large kind, which is not guessed.
        reader.set_format(ImageFormat::Tiff);
    }
    let Some(format) = reader.format() else {
        return Err(match kind_of(encoded) {
            Kind::Other(format) => {
                format!("this is a {format} picture, which cannot be decoded: export it as JPEG")
            }
            _ => "this is not a picture in a known format".into(),
        });
    };
    let mut limits = Limits::default();
    // Eight bytes a pixel: RGB with alpha in 16 bits.
    limits.max_alloc = Some(MOST_PIXELS * 8);
    reader.limits(limits);
    let unreadable = |error| in_words(format, &error);
    let decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    // The header of a PNG: 16 bits a value, without alpha.
    let is_grey = encoded.get(24..26) == Some(&[16, 0]);
    if let (true, DynamicImage::ImageLumaA16(grey)) = (is_grey, &image) {
        // A grey that counts as transparent: to Pillow it is one like the others.
        let values = grey.pixels().map(|pixel| pixel.0[0]).collect();
        let plain = ImageBuffer::from_raw(width, height, values);
        image = DynamicImage::ImageLuma16(plain.unwrap_or_default());
    }
    let largest = largest_of_map(encoded);
    let mut bytes = match image {
        DynamicImage::ImageRgb16(colours) if format == ImageFormat::Pnm => {
            let values = colours.into_raw().into_iter();
            values.map(|value| of_map(value, 65_535, largest)).collect()
        }
        image => rgb_of(image),
    };
    if largest < 255 {
        for byte in &mut bytes {
            *byte = of_map((*byte).into(), 255, largest);
        }
    }
    if let Some(most) = bits_of_bmp(encoded) {
        cut_off(&mut bytes, most);
    }
    Ok((width as usize, height as usize, bytes))
}

/// Why a picture cannot be decoded. What the decoders say of damage is made for those who write them.
fn in_words(format: ImageFormat, error: &ImageError) -> String {
    let name = format!("{format:?}").to_uppercase();
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file is truncated".into()
        }
        ImageError::Unsupported(_) => {
            format!("this kind of {name} cannot be decoded; save it as PNG or JPEG")
        }
        ImageError::Limits(_) => format!("it claims more than {MOST_PIXELS} pixels"),
        _ => format!("the {name} file is damaged"),
    }
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
