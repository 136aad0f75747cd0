//! JPEG, alone or inside of a TIFF, pixel for pixel as Pillow decodes it.

use libjpeg_turbo_rs::decode::pipeline::Decoder;
use libjpeg_turbo_rs::{DecodeLimits, DecodeWarning, PixelFormat};

use crate::pictures::pixels::{MOST_PIXELS, Pixels};

/// JPEG in RGB. The bytes of inks come inverted, as Adobe stores them.
pub(crate) fn decode_jpeg(encoded: &[u8]) -> Result<Pixels, String> {
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
    // libjpeg's default: what is missing of a progressive picture's later scans is smoothed over.
    decoder.set_block_smoothing(true);
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
