//! How large a page shows a picture.
//!
//! The crate's figures have two pixels a point, and say so as PNG files (their `pHYs` chunk) and JPEG files (their
//! JFIF header) can, so that they are sharp on fine screens. Jupyter does not read that; it takes the width in points
//! from a result's metadata, as it does for matplotlib's `retina` figures, and evcxr sends none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A page's pixels per inch, of 0.0254 m, where a picture has one pixel a point.
const PIXELS_PER_INCH: f64 = 96.0;

/// Letters of base64 in which each kind of file has said its size: 3 KB.
const HEAD: usize = 4096;

/// What the beginning of a file says of its picture.
struct Said {
    /// In pixels.
    width: u32,
    pixels_per_inch: f64,
}

/// Reads it off one kind of file.
type Reader = fn(&[u8]) -> Option<Said>;

const READERS: [(&str, Reader); 2] = [("image/png", png), ("image/jpeg", jpeg)];

/// Adds to a result's metadata how wide its picture is, where the picture is finer than the page; whether it
/// did.
pub fn tell_width(content: &mut Value) -> bool {
    let told = READERS.into_iter().find_map(|(kind, read)| {
        let width = points(content["data"][kind].as_str()?, read)?;
        Some((kind, width))
    });
    let Some((kind, width)) = told else {
        return false;
    };
    if !content["metadata"].is_object() {
        content["metadata"] = json!({});
    }
    content["metadata"][kind] = json!({ "width": width });
    true
}

/// The width in points of a picture file in base64, if it is finer than one pixel a point and says so.
fn points(picture: &str, read: Reader) -> Option<u64> {
    let head = picture.get(..HEAD.min(picture.len()))?;
    let said = read(&STANDARD.decode(head).ok()?)?;
    let scale = (said.pixels_per_inch / PIXELS_PER_INCH).round();
    (scale >= 2.0).then(|| (f64::from(said.width) / scale).round() as u64)
}

/// Of a PNG file that has `pHYs` behind its header, as the crate's have.
fn png(head: &[u8]) -> Option<Said> {
    let number = |place: usize| {
        Some(u32::from_be_bytes(
            head.get(place..place + 4)?.try_into().ok()?,
        ))
    };
    let is_metres = head.get(49) == Some(&1);
    if head.get(1..4)? != b"PNG" || head.get(37..41)? != b"pHYs" || !is_metres {
        return None;
    }
    Some(Said {
        width: number(16)?,
        pixels_per_inch: f64::from(number(41)?) * 0.0254,
    })
}

/// Of a JPEG file with JFIF's header.
fn jpeg(head: &[u8]) -> Option<Said> {
    let number = |place: usize| {
        Some(u16::from_be_bytes(
            head.get(place..place + 2)?.try_into().ok()?,
        ))
    };
    let is_inches = head.get(13) == Some(&1);
    if !head.starts_with(b"\xff\xd8\xff\xe0") || head.get(6..11)? != b"JFIF\0" || !is_inches {
        return None;
    }
    // Segment after segment, each with a mark and its length, up to the frame's: precision, height, width.
    let mut place = 2;
    while !matches!(number(place)?, 0xffc0..=0xffc2) {
        place += 2 + usize::from(number(place + 2)?);
    }
    Some(Said {
        width: number(place + 7)?.into(),
        pixels_per_inch: number(14)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a PNG file of 1800 pixels at this many pixels per metre.
    fn png_file(density: u32) -> String {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(1800_u32.to_be_bytes());
        bytes.extend(700_u32.to_be_bytes());
        bytes.extend([8, 2, 0, 0, 0, 1, 2, 3, 4]);
        bytes.extend(b"\0\0\0\x09pHYs");
        bytes.extend(density.to_be_bytes());
        bytes.extend(density.to_be_bytes());
        bytes.extend([1, 5, 6, 7, 8]);
        STANDARD.encode(bytes)
    }

    /// The beginning of a JPEG file of 1000 x 700 pixels at this many pixels per inch (unit 1) or centimetre (2).
    fn jpeg_file(unit: u8, density: u16) -> String {
        let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01".to_vec();
        bytes.push(unit);
        bytes.extend(density.to_be_bytes());
        bytes.extend(density.to_be_bytes());
        bytes.extend([0, 0]);
        // A table in between, of 65 bytes.
        bytes.extend(b"\xff\xdb\0\x43");
        bytes.extend([0; 65]);
        bytes.extend(b"\xff\xc0\0\x11\x08");
        bytes.extend(700_u16.to_be_bytes());
        bytes.extend(1000_u16.to_be_bytes());
        bytes.resize(4000, 0);
        STANDARD.encode(bytes)
    }

    #[test]
    fn a_fine_picture_gets_its_width_in_points() {
        for (kind, picture, width) in [
            ("image/png", png_file(7559), 900),
            ("image/jpeg", jpeg_file(1, 192), 500),
        ] {
            let mut content = json!({"data": {kind: picture}, "metadata": {}});
            assert!(tell_width(&mut content), "{kind}");
            assert_eq!(content["metadata"], json!({kind: {"width": width}}));
            let mut content = json!({"data": {kind: picture}});
            assert!(tell_width(&mut content), "without metadata too");
        }
    }

    #[test]
    fn other_results_stay_as_they_are() {
        for data in [
            json!({"image/png": png_file(3780)}),
            json!({"image/png": "iVBORw0KGgo"}),
            json!({"image/png": "ä".repeat(100)}),
            json!({"image/png": "ä".repeat(4000)}),
            json!({"image/png": STANDARD.encode([0; 100])}),
            json!({"image/jpeg": jpeg_file(1, 96)}),
            json!({"image/jpeg": jpeg_file(2, 192)}),
            json!({"image/jpeg": jpeg_file(1, 192)[..40].to_owned()}),
            json!({"image/jpeg": STANDARD.encode([0xff; 100])}),
            json!({"text/plain": "1"}),
        ] {
            let mut content = json!({"data": data});
            let before = content.clone();
            assert!(!tell_width(&mut content));
            assert_eq!(content, before);
        }
    }
}
