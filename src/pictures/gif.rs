//! GIF as Pillow reads it: the first frame, in its place on a canvas of the colour that it does without.

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use crate::pictures::pixels::{MOST_PIXELS, Pixels, check_size};

/// Decodes the first frame; the error says in words why there is none.
///
/// What the frame leaves free has its transparent colour, or else the first of its colours. A frame that sticks
/// out makes the canvas larger.
pub(crate) fn decode_gif(encoded: &[u8]) -> Result<Pixels, String> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(
        std::num::NonZeroU64::new(MOST_PIXELS).unwrap_or(std::num::NonZeroU64::MIN),
    ));
    let damaged = |error: gif::DecodingError| match error {
        gif::DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file is truncated".to_owned()
        }
        _ => "the GIF file is damaged".to_owned(),
    };
    let mut decoder = options.read_info(encoded).map_err(damaged)?;
    let canvas = (decoder.width(), decoder.height());
    let shared = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(damaged)?;
    let frame = frame.ok_or("there is no picture in the GIF file")?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    let width = usize::from(canvas.0).max(left + across);
    let height = usize::from(canvas.1).max(top + down);
    check_size(width as u64, height as u64)?;
    let palette = frame.palette.as_ref().or(shared.as_ref());
    let colour = |index: u8| {
        let place = 3 * usize::from(index);
        match palette.and_then(|colours| colours.get(place..place + 3)) {
            Some(colour) => [colour[0], colour[1], colour[2]],
            // A number without a colour is a grey.
            None => [index; 3],
        }
    };
    let free = colour(frame.transparent.unwrap_or(0));
    let mut pixels = free.repeat(width * height);
    for (row, indices) in frame.buffer.chunks(across.max(1)).take(down).enumerate() {
        let begin = ((top + row) * width + left) * 3;
        let places = pixels[begin..].chunks_exact_mut(3);
        for (place, &index) in places.zip(indices) {
            place.copy_from_slice(&colour(index));
        }
    }
    Ok((width, height, pixels))
}
