//! The colours of figures.

use plotters::style::RGBColor;
use plotters::style::colors::colormaps::{ColorMap as _, ViridisRGB};

/// Red, green and blue, 0 to 255.
pub(crate) type Colour = (u8, u8, u8);
pub(crate) const BLACK: Colour = (34, 34, 34);
pub(crate) const GREY: Colour = (224, 224, 224);
pub(crate) const WHITE: Colour = (255, 255, 255);
/// The colours of Okabe and Ito, which colour-blind readers can tell apart, without the yellow
/// that a white ground swallows.
pub(crate) const COLOURS: [Colour; 7] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (0, 0, 0),
];

/// A colour for a number from 0 to 1: viridis, matplotlib's own choice, which grows lighter evenly and
/// is read by colour-blind people too. What is no number has the colour of 0.
pub(crate) fn viridis(share: f32) -> Colour {
    // plotters would panic on what is no number.
    let share = if share.is_nan() { 0.0 } else { share };
    let RGBColor(red, green, blue) = ViridisRGB.get_color(share.clamp(0.0, 1.0));
    (red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_and_none_has_a_colour() {
        let (low, high) = (viridis(0.0), viridis(1.0));
        assert_ne!(low, high);
        assert_eq!([f32::NAN, f32::NEG_INFINITY, -1.0].map(viridis), [low; 3]);
        assert_eq!([f32::INFINITY, 7.0].map(viridis), [high; 2]);
    }
}
