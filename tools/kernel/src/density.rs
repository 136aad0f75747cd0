//! How large a page shows a picture.
//!
//! The crate's figures have two pixels a point, and say so as PNG files can (their `pHYs` chunk), so that
//! they are sharp on fine screens. Jupyter does not read that; it takes the width in points from a result's
//! metadata, as it does for matplotlib's `retina` figures, and evcxr sends none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Pixels per metre of a picture that has one pixel a point: 96 per inch, which is 25.4 mm.
const PIXELS_PER_METRE: f64 = 96.0 / 0.0254;

/// Adds to a result's metadata how wide its picture is, where the picture is finer than the page; whether it
/// did.
pub fn tell_width(content: &mut Value) -> bool {
    let width = content["data"]["image/png"].as_str().and_then(points);
    let Some(width) = width else {
        return false;
    };
    if !content["metadata"].is_object() {
        content["metadata"] = json!({});
    }
    content["metadata"]["image/png"] = json!({ "width": width });
    true
}

/// The width in points of a PNG file in base64, if it is finer than one pixel a point and says so in the
/// first chunk after its header.
fn points(picture: &str) -> Option<u64> {
    // Signature 8, header 25, `pHYs` 21 bytes, which are 72 letters.
    let head = STANDARD.decode(picture.get(..72)?).ok()?;
    let number = |place: usize| {
        Some(u32::from_be_bytes(
            head.get(place..place + 4)?.try_into().ok()?,
        ))
    };
    let is_metres = head.get(49) == Some(&1);
    if head.get(1..4)? != b"PNG" || head.get(37..41)? != b"pHYs" || !is_metres {
        return None;
    }
    let (pixels, density) = (f64::from(number(16)?), f64::from(number(41)?));
    let scale = (density / PIXELS_PER_METRE).round();
    (scale >= 2.0).then(|| (pixels / scale).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a PNG file of 1800 pixels at this many pixels per metre.
    fn picture(density: u32) -> String {
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

    #[test]
    fn a_fine_picture_gets_its_width_in_points() {
        let mut content = json!({"data": {"image/png": picture(7559)}, "metadata": {}});
        assert!(tell_width(&mut content));
        assert_eq!(content["metadata"], json!({"image/png": {"width": 900}}));
        let mut content = json!({"data": {"image/png": picture(7559)}});
        assert!(tell_width(&mut content), "without metadata too");
    }

    #[test]
    fn other_results_stay_as_they_are() {
        for data in [
            json!({"image/png": picture(3780)}),
            json!({"image/png": "iVBORw0KGgo"}),
            json!({"image/png": "ä".repeat(100)}),
            json!({"image/png": STANDARD.encode([0; 100])}),
            json!({"text/plain": "1"}),
        ] {
            let mut content = json!({"data": data});
            let before = content.clone();
            assert!(!tell_width(&mut content));
            assert_eq!(content, before);
        }
    }
}
