//! A picture file's bytes to pixels, as Pillow's `Image.open(...).convert("RGB")` gives them.
//!
//! The format is told from the content. Layout: (H, W, 3), RGB bytes. `photo` makes a
//! [`crate::Photo`] of what comes out and names the file in what goes wrong.

use image::{
    DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits,
};
use libjpeg_turbo_rs::decode::pipeline::Decoder;
use libjpeg_turbo_rs::{DecodeLimits, DecodeWarning, PixelFormat};

use crate::pictures::depth::{bits_of_bmp, cut_off, largest_of_map, of_map};
use crate::pictures::gif::decode_gif;
use crate::pictures::tiff::decode_tiff;

/// Pillow refuses larger pictures as decompression bombs (twice its `MAX_IMAGE_PIXELS`).
pub(crate) const MOST_PIXELS: u64 = 178_956_970;

/// Width, height and (height, width, 3) bytes.
pub(crate) type Pixels = (usize, usize, Vec<u8>);

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
    std::panic::catch_unwind(decode)
        .unwrap_or_else(|_| Err("the file is damaged: its decoder gave up".into()))
}

/// Refuses pictures of more pixels than Pillow takes.
pub(crate) fn check_size(width: u64, height: u64) -> Result<(), String> {
    match width.saturating_mul(height) {
        0 => Err("it has no pixels".into()),
        1..=MOST_PIXELS => Ok(()),
        _ => Err(format!(
            "it claims {width} x {height} pixels, more than {MOST_PIXELS}"
        )),
    }
}

/// JPEG in RGB. The bytes of inks come inverted, as Adobe stores them.
fn decode_jpeg(encoded: &[u8]) -> Result<Pixels, String> {
    let decoder = Decoder::new(encoded).map_err(|error| error.to_string())?;
    if decoder.header().components.len() != 4 {
        return jpeg_as(encoded, PixelFormat::Rgb);
    }
    let (width, height, inks) = jpeg_as(encoded, PixelFormat::Cmyk)?;
    let inks = inks.chunks_exact(4);
    let rgb = inks
        .flat_map(|inks| rgb_of_inks([inks[0], inks[1], inks[2], inks[3]].map(|ink| 255 - ink)));
    Ok((width, height, rgb.collect()))
}

/// JPEG by a port of libjpeg-turbo, since only that decodes as Pillow does: the `image` crate's
/// decoder differs in a fifth of the lesson's pixels, by up to 19.
pub(crate) fn jpeg_as(encoded: &[u8], format: PixelFormat) -> Result<Pixels, String> {
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
    // The decoder's upsampling leaves out the fourth component, and panics for want of samples.
    let sampling = |index: usize| {
        let part = &components[index];
        (part.horizontal_sampling, part.vertical_sampling)
    };
    if components.len() == 4 && sampling(3) != sampling(0) {
        return Err(
            "a CMYK picture with subsampled black cannot be decoded; save it as RGB".into(),
        );
    }
    decoder.set_output_format(format);
    let image = decoder.decode_image().map_err(|error| error.to_string())?;
    for warning in &image.warnings {
        // Then the pixels are only a grey stand-in.
        if let DecodeWarning::UnsupportedRecovered { detail } = warning {
            return Err(format!("this kind of JPEG cannot be decoded: {detail}"));
        }
    }
    Ok((image.width, image.height, image.data))
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

/// Pillow's conversion of cyan, magenta, yellow and black (src/libImaging/Convert.c).
pub(crate) fn rgb_of_inks(inks: [u8; 4]) -> [u8; 3] {
    let white = 255 - u32::from(inks[3]);
    let part = |ink: u8| {
        // x / 255, rounded, in integers.
        let product = u32::from(ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    };
    [part(inks[0]), part(inks[1]), part(inks[2])]
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
        return Err("this is not a picture in a known format".into());
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
