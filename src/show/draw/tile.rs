//! A [`Tile`]: one picture of a grid with its label.

use image::{RgbImage, imageops};

use crate::error::{Error, Result};
use crate::show::notebook::one_line;

/// One picture of a grid.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) picture: RgbImage,
    /// Stands below the picture; may have several lines or none.
    pub(crate) label: String,
    /// Marked by a frame and a cross in the label, for wrong predictions.
    pub(crate) highlighted: bool,
}

impl Tile {
    /// A picture with what stands below it.
    pub(crate) fn new(picture: impl Into<RgbImage>, label: impl Into<String>) -> Self {
        Self {
            picture: picture.into(),
            label: label.into(),
            highlighted: false,
        }
    }

    /// The same tile, marked if `highlighted`.
    pub(crate) fn highlighted(self, highlighted: bool) -> Self {
        Self {
            highlighted,
            ..self
        }
    }

    /// The label line by line, with the cross of a highlighted tile.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.label.lines().map(one_line).collect();
        if self.highlighted {
            match lines.first_mut() {
                Some(first) => first.insert_str(0, "✗ "),
                None => lines.push("✗".to_owned()),
            }
        }
        lines
    }

    /// The picture's height over its width.
    pub(crate) fn proportion(&self) -> f64 {
        f64::from(self.picture.height()) / f64::from(self.picture.width().max(1))
    }

    /// The picture in its own proportions, as large as fits into `room`.
    pub(crate) fn fitted(&self, room: (f64, f64)) -> Result<RgbImage> {
        let (width, height) = self.picture.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::figure("a picture has no pixels"));
        }
        let factor = (room.0 / f64::from(width)).min(room.1 / f64::from(height));
        let side = |length: u32| ((f64::from(length) * factor).floor() as u32).max(1);
        // Filters are 3 x 3 pixels and late feature maps 4 x 4: much enlarged, pixels stay squares.
        // Otherwise the triangle filter, which also averages while shrinking.
        let filter = if factor >= 4.0 {
            imageops::FilterType::Nearest
        } else {
            imageops::FilterType::Triangle
        };
        let (width, height) = (side(width), side(height));
        Ok(imageops::resize(&self.picture, width, height, filter))
    }
}
