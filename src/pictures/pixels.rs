//! A picture's pixels as decoders hand them over, and how many there may be.

/// Pillow refuses larger pictures as decompression bombs (twice its `MAX_IMAGE_PIXELS`).
pub(crate) const MOST_PIXELS: u64 = 178_956_970;

/// Width, height and (height, width, 3) bytes.
pub(crate) type Pixels = (usize, usize, Vec<u8>);

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
