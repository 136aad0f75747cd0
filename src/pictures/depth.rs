//! Values of fewer or more than eight bits as Pillow makes bytes of them, where the `image` crate rounds in another
//! way: BMP of 16 bits a pixel, and portable maps (PPM, PGM) whose largest value is not 255.
//!
//! Both scalings keep all values apart, so that the file's own value follows from either.

/// How a BMP of 16 bits a pixel shares them among red, green and blue: the largest value of each.
pub(crate) fn bits_of_bmp(encoded: &[u8]) -> Option<[u32; 3]> {
    let number = |place: usize, bytes: usize| {
        let found = encoded.get(place..place + bytes)?;
        Some(
            found
                .iter()
                .rev()
                .fold(0, |all, &byte| all << 8 | u32::from(byte)),
        )
    };
    /// The masks are said in the file.
    const BITFIELDS: u32 = 3;
    if !encoded.starts_with(b"BM") || number(28, 2)? != 16 {
        return None;
    }
    if number(30, 4)? != BITFIELDS {
        return Some([31; 3]);
    }
    let most = |place: usize| Some((1 << number(place, 4)?.count_ones()) - 1);
    Some([most(54)?, most(58)?, most(62)?])
}

/// The bytes of a picture whose channels have values up to `most`, from those that were rounded: cut off.
pub(crate) fn cut_off(bytes: &mut [u8], most: [u32; 3]) {
    for pixel in bytes.chunks_exact_mut(3) {
        for (byte, most) in pixel.iter_mut().zip(most) {
            let value = (u32::from(*byte) * most + 127) / 255;
            *byte = (value * 255 / most.max(1)) as u8;
        }
    }
}

/// The largest value that a portable map says it has, 255 if it is one of black and white or none at all.
pub(crate) fn largest_of_map(encoded: &[u8]) -> u32 {
    let [b'P', b'2' | b'3' | b'5' | b'6', rest @ ..] = encoded else {
        return 255;
    };
    // Width, height and the largest value, between blanks and comments up to the line's end.
    let mut numbers: Vec<u32> = Vec::new();
    let mut digits = String::new();
    let mut in_comment = false;
    for &byte in rest {
        match byte {
            b'\n' | b'\r' if in_comment => in_comment = false,
            _ if in_comment => {}
            b'#' => in_comment = true,
            b'0'..=b'9' => {
                digits.push(char::from(byte));
                continue;
            }
            _ => {}
        }
        if !digits.is_empty() {
            numbers.push(digits.parse().unwrap_or(255));
            digits.clear();
        }
        if let [_, _, largest, ..] = numbers.as_slice() {
            return (*largest).clamp(1, 65_535);
        }
    }
    255
}

/// A value of a portable map as a byte, from what the `image` crate scaled it to, 0 to `scaled`: rounded, a half to
/// the even number, as Python does.
pub(crate) fn of_map(value: u16, scaled: u32, largest: u32) -> u8 {
    let own = (f64::from(value) * f64::from(largest) / f64::from(scaled)).round();
    (own / f64::from(largest) * 255.0)
        .round_ties_even()
        .min(255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_of_a_map_is_read_past_comments() {
        for (text, largest) in [
            (&b"P6\n61 43\n1023\nxyz"[..], 1023),
            (b"P5 # a 7 b\n#c\n61\t43 # 9\n100\n", 100),
            (b"P4\n61 43\n7 7 7", 255),
            (b"P6 1 1", 255),
            (b"BM", 255),
            (b"P3\n1 1\n99999999999\n", 255),
        ] {
            assert_eq!(largest_of_map(text), largest);
        }
    }
}
