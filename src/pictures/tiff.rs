//! The kinds of TIFF that the `image` crate does not read, or not as Pillow does: palettes, few bits, alpha beside
//! grey, signed and floating point values, CMYK, JPEG inside.

use std::io::Cursor;

use libjpeg_turbo_rs::PixelFormat;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::pictures::jpeg::{jpeg_as, rgb_of_inks};
use crate::pictures::pixels::{MOST_PIXELS, Pixels, check_size};

/// What a file's pixels mean, by TIFF's own numbers.
const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const CMYK: u16 = 5;
const YCBCR: u16 = 6;

/// The compression that is JPEG.
const JPEG: u16 = 7;

/// What a file says of its pixels.
struct Kind {
    meaning: u16,
    bits: u16,
    samples: u16,
    /// 1 unsigned, 2 signed, 3 floating point.
    format: u16,
    compression: u16,
    /// Whether the channels lie side by side.
    is_chunky: bool,
    /// Whether colours are multiplied by their alpha.
    is_premultiplied: bool,
    is_tiled: bool,
}

/// Decodes a TIFF of one of these kinds; nothing for any other.
///
/// # Errors
/// In words, why it cannot be decoded.
pub(crate) fn decode_tiff(encoded: &[u8]) -> Result<Option<Pixels>, String> {
    let Ok(mut decoder) = open(encoded) else {
        return Ok(None);
    };
    let damaged = |_| "the TIFF file is damaged".to_owned();
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    check_size(width.into(), height.into())?;
    let kind = Kind::of(&mut decoder);
    if kind.compression == JPEG {
        return jpeg_inside(encoded, &mut decoder, &kind, (width, height));
    }
    if !kind.is_chunky || !kind.is_ours() {
        return Ok(None);
    }
    let colours = match kind.meaning {
        PALETTE => decoder.get_tag_u16_vec(Tag::ColorMap).map_err(damaged)?,
        _ => Vec::new(),
    };
    // The decoder refuses palettes, and inverts some depths alone: it reads all of them as plain grey.
    let plain = match kind.meaning {
        WHITE_IS_ZERO | PALETTE => as_plain_grey(encoded, &mut decoder),
        _ => None,
    };
    let plain = plain.as_deref().unwrap_or(encoded);
    let unreadable = |error: tiff::TiffError| match error {
        tiff::TiffError::IoError(_) => "the file is truncated".to_owned(),
        tiff::TiffError::UnsupportedError(_) => "this kind of TIFF cannot be decoded".to_owned(),
        _ => "the TIFF file is damaged".to_owned(),
    };
    let read = open(plain).and_then(|mut decoder| decoder.read_image());
    let values = kind.bytes(read.map_err(unreadable)?, width as usize);
    let (width, height) = (width as usize, height as usize);
    let stride = values.len() / (width * height).max(1);
    if stride == 0 {
        return Err("the TIFF file is damaged".into());
    }
    let pixels = values.chunks_exact(stride).take(width * height);
    let bytes: Vec<u8> = match kind.meaning {
        PALETTE => {
            let all = colours.len() / 3;
            let channel = |index: u8, number: usize| {
                let colour = colours.get(number * all + usize::from(index) % all.max(1));
                colour.map_or(0, |colour| (colour >> 8) as u8)
            };
            let colour = |pixel: &[u8]| [0, 1, 2].map(|number| channel(pixel[0], number));
            pixels.flat_map(colour).collect()
        }
        CMYK => pixels
            .flat_map(|inks| rgb_of_inks([inks[0], inks[1], inks[2], inks[3]]))
            .collect(),
        RGB => pixels.flat_map(unmultiplied).collect(),
        _ => pixels.flat_map(|pixel| [pixel[0]; 3]).collect(),
    };
    Ok(Some((width, height, bytes)))
}

fn open(encoded: &[u8]) -> tiff::TiffResult<Decoder<Cursor<&[u8]>>> {
    let mut limits = Limits::default();
    // Eight bytes a pixel, as for all pictures.
    limits.decoding_buffer_size = (MOST_PIXELS * 8) as usize;
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    Ok(Decoder::new(Cursor::new(encoded))?.with_limits(limits))
}

impl Kind {
    fn of(decoder: &mut Decoder<Cursor<&[u8]>>) -> Self {
        let mut first = |tag: Tag, usual: u16| {
            let found = decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten();
            found.and_then(|all| all.first().copied()).unwrap_or(usual)
        };
        let samples = first(Tag::SamplesPerPixel, 1);
        let meaning = first(Tag::PhotometricInterpretation, BLACK_IS_ZERO);
        Self {
            meaning,
            bits: first(Tag::BitsPerSample, 1),
            samples,
            format: first(Tag::SampleFormat, 1),
            compression: first(Tag::Compression, 1),
            is_chunky: samples == 1 || first(Tag::PlanarConfiguration, 1) == 1,
            is_premultiplied: meaning == RGB && first(Tag::ExtraSamples, 0) == 1,
            is_tiled: first(Tag::TileWidth, 0) > 0,
        }
    }

    /// Whether the `image` crate does not read it as Pillow does.
    fn is_ours(&self) -> bool {
        match (self.meaning, self.format, self.bits) {
            (PALETTE, 1, 1 | 2 | 4) => self.samples == 1,
            (PALETTE, 1, 8) => true,
            (CMYK, 1, 8 | 16) => self.samples >= 4,
            (RGB, 1, 8) => self.is_premultiplied && self.samples == 4,
            (WHITE_IS_ZERO | BLACK_IS_ZERO, _, _) if self.samples == 2 => {
                (self.format, self.bits) == (1, 8)
            }
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 1, 2 | 4) => true,
            (WHITE_IS_ZERO, 1, 16) => true,
            (BLACK_IS_ZERO, 1, 32) | (BLACK_IS_ZERO, 2, 8 | 16 | 32) => true,
            (BLACK_IS_ZERO, 3, 32) => true,
            _ => false,
        }
    }

    /// The values as bytes. Of 16 bits of colour Pillow takes the upper ones; single channels of more than eight
    /// it cuts at 0 and 255.
    fn bytes(&self, values: DecodingResult, width: usize) -> Vec<u8> {
        let clipped = |value: i64| value.clamp(0, 255) as u8;
        match values {
            DecodingResult::U8(packed) if self.bits < 8 => self.unpacked(&packed, width),
            DecodingResult::U8(bytes) if self.meaning == WHITE_IS_ZERO => {
                bytes.into_iter().map(|byte| 255 - byte).collect()
            }
            DecodingResult::U8(bytes) => bytes,
            DecodingResult::U16(values) if self.meaning == CMYK => {
                values.into_iter().map(|value| (value >> 8) as u8).collect()
            }
            DecodingResult::U16(values) => values.into_iter().map(|v| clipped(v.into())).collect(),
            // As signed numbers, too.
            DecodingResult::U32(values) => values
                .into_iter()
                .map(|v| clipped((v as i32).into()))
                .collect(),
            DecodingResult::I8(values) => values.into_iter().map(|value| value as u8).collect(),
            DecodingResult::I16(values) => values.into_iter().map(|v| clipped(v.into())).collect(),
            DecodingResult::I32(values) => values.into_iter().map(|v| clipped(v.into())).collect(),
            // Cut off after the point; what is no number is black.
            DecodingResult::F32(values) => values.into_iter().map(|value| value as u8).collect(),
            _ => Vec::new(),
        }
    }

    /// Values of one, two or four bits, each row from a new byte on: indices, or greys of the whole range.
    fn unpacked(&self, packed: &[u8], width: usize) -> Vec<u8> {
        let bits = usize::from(self.bits);
        let most = (1u16 << bits) - 1;
        let per_byte = 8 / bits;
        let value = |row: &[u8], place: usize| {
            let shift = 8 - bits * (place % per_byte + 1);
            let value = u16::from(row[place / per_byte]) >> shift & most;
            match self.meaning {
                PALETTE => value as u8,
                WHITE_IS_ZERO => ((most - value) * 255 / most) as u8,
                _ => (value * 255 / most) as u8,
            }
        };
        let rows = packed.chunks_exact(width.div_ceil(per_byte).max(1));
        rows.flat_map(|row| {
            (0..width)
                .map(move |place| value(row, place))
                .collect::<Vec<_>>()
        })
        .collect()
    }
}

/// Pillow's way back from colours that were multiplied by their alpha.
fn unmultiplied(pixel: &[u8]) -> [u8; 3] {
    let alpha = u32::from(pixel[3]);
    let colour = |value: u8| match alpha {
        0 => 0,
        alpha => (255 * u32::from(value) / alpha).min(255) as u8,
    };
    [colour(pixel[0]), colour(pixel[1]), colour(pixel[2])]
}

/// The same file, which says that its values are greys with black at 0; nothing where that is not found.
fn as_plain_grey(encoded: &[u8], decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<Vec<u8>> {
    /// The tag that tells what pixels mean.
    const MEANING: u16 = 262;
    /// A number of four bytes; the usual kind has two.
    const LONG: u16 = 4;
    let is_little = encoded.starts_with(b"II");
    let short = |place: usize| {
        let bytes = encoded.get(place..place + 2)?.try_into().ok()?;
        Some(match is_little {
            true => u16::from_le_bytes(bytes),
            false => u16::from_be_bytes(bytes),
        })
    };
    // The large kind of TIFF counts in eight bytes.
    let is_large = short(2)? == 43;
    let (count, entry, value) = if is_large { (8, 20, 12) } else { (2, 12, 8) };
    let directory = usize::try_from(decoder.ifd_pointer()?.0).ok()?;
    let entries = (0..usize::from(u16::MAX)).map(|number| directory + count + number * entry);
    let mut entries = entries.take_while(|place| place + entry <= encoded.len());
    let found = entries.find(|&place| short(place) == Some(MEANING))?;
    // Where its last two bytes are in the order of the file.
    let is_behind = !is_little && short(found + 2)? == LONG;
    let place = found + value + if is_behind { 2 } else { 0 };
    let grey = match is_little {
        true => BLACK_IS_ZERO.to_le_bytes(),
        false => BLACK_IS_ZERO.to_be_bytes(),
    };
    let mut changed = encoded.to_vec();
    changed.get_mut(place..place + 2)?.copy_from_slice(&grey);
    Some(changed)
}

/// Adobe's marker, which says that three components are red, green and blue: TIFF says so outside the JPEG.
const IS_RGB: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";

/// Decodes the JPEGs in strips by the decoder of all JPEGs; nothing for those in tiles.
fn jpeg_inside(
    encoded: &[u8],
    decoder: &mut Decoder<Cursor<&[u8]>>,
    kind: &Kind,
    (width, height): (u32, u32),
) -> Result<Option<Pixels>, String> {
    let format = match (kind.meaning, kind.samples) {
        (BLACK_IS_ZERO, 1) | (YCBCR | RGB, 3) => PixelFormat::Rgb,
        (CMYK, 4) => PixelFormat::Cmyk,
        _ => return Ok(None),
    };
    if kind.is_tiled || !kind.is_chunky {
        return Ok(None);
    }
    let damaged = || "the TIFF file is damaged".to_owned();
    let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets);
    let counts = decoder.get_tag_u64_vec(Tag::StripByteCounts);
    let (Ok(offsets), Ok(counts)) = (offsets, counts) else {
        return Err(damaged());
    };
    // The tables that all strips share, without the mark of their end.
    let tables = decoder.get_tag_u8_vec(Tag::JPEGTables).unwrap_or_default();
    let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(&tables);
    let tables = tables.strip_prefix(b"\xff\xd8").unwrap_or(tables);
    let marker = if kind.meaning == RGB { IS_RGB } else { &[] };
    let (width, height) = (width as usize, height as usize);
    let mut bytes = Vec::new();
    for (offset, count) in offsets.into_iter().zip(counts) {
        let (begin, count) = (offset as usize, count as usize);
        let strip = begin
            .checked_add(count)
            .and_then(|end| encoded.get(begin..end));
        let strip = strip.ok_or("the file is truncated")?;
        let strip = strip.strip_prefix(b"\xff\xd8").ok_or_else(damaged)?;
        let whole = [b"\xff\xd8", marker, tables, strip].concat();
        let (across, _, values) = jpeg_as(&whole, format)?;
        if across != width {
            return Err(damaged());
        }
        match format {
            PixelFormat::Cmyk => bytes.extend(
                values
                    .chunks_exact(4)
                    .flat_map(|inks| rgb_of_inks([inks[0], inks[1], inks[2], inks[3]])),
            ),
            _ => bytes.extend(values),
        }
    }
    let expected = width * height * 3;
    if bytes.len() < expected {
        return Err("the file is truncated".into());
    }
    bytes.truncate(expected);
    Ok(Some((width, height, bytes)))
}
