//! [`Augment`]: which transforms are drawn at random for training pictures, as Keras' `ImageDataGenerator`.
//!
//! Training pictures pass through here between `dataset` and `base`: (N, H, W, 3), bytes or f32 from
//! 0 to 255, come out as f32 of the same shape and range, not rounded. The formulas are those of
//! Keras 3 (keras/src/legacy/preprocessing/image.py) and of scipy.ndimage.affine_transform with
//! order 1; tests/library/augment.rs compares with both.
//!
//! A picture is turned, shifted, sheared and zoomed around its centre in one step, then mirrored,
//! then made darker or brighter.
//!
//! ```
//! use evcxr_transfer::{Augment, Tensor};
//! let augment = Augment::none().rotation(40.0).horizontal_flip();
//! let pixels = Tensor::from_slice(&[128u8; 2 * 4 * 5 * 3]).view([2, 4, 5, 3]);
//! let transforms = augment.transforms(2, (4, 5), 0)?;
//! let augmented = augment.apply(&pixels, &transforms)?;
//! assert_eq!(augmented.size(), [2, 4, 5, 3]);
//! # Ok::<(), evcxr_transfer::Error>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pictures::fill::Fill;
use crate::show::display::displayed;
use crate::show::table::Table;

/// What is drawn at random for each picture, with the names of Keras' `ImageDataGenerator`.
///
/// ```
/// use evcxr_transfer::Augment;
/// let mine = Augment::none().rotation(15.0).zoom(0.1).horizontal_flip();
/// assert_eq!(mine.to_string(), "rotation 15°, zoom 0.1, horizontal flip");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[doc(alias("ImageDataGenerator", "aug_transforms", "transforms"))]
pub struct Augment {
    pub(super) rotation: f64,
    pub(super) width_shift: f64,
    pub(super) height_shift: f64,
    pub(super) shear: f64,
    pub(super) zoom: (f64, f64),
    pub(super) horizontal_flip: bool,
    pub(super) vertical_flip: bool,
    pub(super) brightness: Option<(f64, f64)>,
    pub(super) fill: Fill,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            rotation: 0.0,
            width_shift: 0.0,
            height_shift: 0.0,
            shear: 0.0,
            zoom: (1.0, 1.0),
            horizontal_flip: false,
            vertical_flip: false,
            brightness: None,
            fill: Fill::Nearest,
        }
    }
}

impl Augment {
    /// The lesson's choice: rotation 40 degrees, width and height shift 0.2, shear 0.2 (which Keras
    /// takes in degrees, so that it hardly shows), zoom 0.2, horizontal flip, fill nearest.
    pub fn lesson() -> Self {
        Self::none()
            .rotation(40.0)
            .width_shift(0.2)
            .height_shift(0.2)
            .shear(0.2)
            .zoom(0.2)
            .horizontal_flip()
    }

    /// Pictures as they are: where an augmentation of one's own starts.
    pub fn none() -> Self {
        Self::default()
    }

    /// Turns by up to this many degrees either way (Keras' `rotation_range`).
    #[doc(alias("RandomRotation", "rotation_range"))]
    pub fn rotation(mut self, degrees: f64) -> Self {
        self.rotation = degrees;
        self
    }

    /// Shifts by up to this much either way (Keras' `width_shift_range` as a float): below 1 a
    /// share of the width, from 1 on pixels.
    ///
    /// Keras swaps the axes after drawing, so that this moves pictures up and down; so it does
    /// here. With the same height shift, on square pictures, there is no difference.
    #[doc(alias("RandomTranslation", "width_shift_range"))]
    pub fn width_shift(mut self, range: f64) -> Self {
        self.width_shift = range;
        self
    }

    /// Shifts by up to this much either way (Keras' `height_shift_range` as a float): below 1 a
    /// share of the height, from 1 on pixels. As in Keras it moves pictures to the left and right.
    pub fn height_shift(mut self, range: f64) -> Self {
        self.height_shift = range;
        self
    }

    /// Shears by up to this many degrees either way (Keras' `shear_range`).
    pub fn shear(mut self, degrees: f64) -> Self {
        self.shear = degrees;
        self
    }

    /// Zooms by 1 - `range` to 1 + `range`, drawn for each axis by itself (Keras' `zoom_range`).
    /// Below 1 the picture grows.
    #[doc(alias = "RandomZoom")]
    pub fn zoom(self, range: f64) -> Self {
        self.zoom_range(1.0 - range, 1.0 + range)
    }

    /// Zooms by `low` to `high`, drawn for each axis by itself (Keras' `zoom_range` as a pair).
    pub fn zoom_range(mut self, low: f64, high: f64) -> Self {
        self.zoom = (low, high);
        self
    }

    /// Swaps left and right in half of the pictures.
    #[doc(alias("RandomFlip", "RandomHorizontalFlip"))]
    pub fn horizontal_flip(mut self) -> Self {
        self.horizontal_flip = true;
        self
    }

    /// Swaps top and bottom in half of the pictures.
    pub fn vertical_flip(mut self) -> Self {
        self.vertical_flip = true;
        self
    }

    /// Multiplies by `low` to `high`, 1 leaving the picture as it is (Keras' `brightness_range`).
    /// As in Keras values become whole numbers by this, cut off, not rounded.
    #[doc(alias("RandomBrightness", "ColorJitter"))]
    pub fn brightness(mut self, low: f64, high: f64) -> Self {
        self.brightness = Some((low, high));
        self
    }

    /// Sets what places get that the moved picture leaves empty.
    pub fn fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// Whether every picture stays as it is.
    pub fn is_none(&self) -> bool {
        let fill = self.fill;
        *self == Self::none().fill(fill)
    }

    /// Whether the options make sense; every call that augments asks this first.
    ///
    /// # Errors
    /// [`Error::Argument`] names the option that does not: a range that is negative or no finite
    /// number, a zoom that begins at 0 or below (a `zoom` of 1 or more), a zoom or brightness whose
    /// low end is above its high end, a fill value outside 0 to 255.
    pub fn check(&self) -> Result<()> {
        let refuse = |argument, value: String, expected: &str| {
            Err(Error::Argument {
                argument,
                value,
                expected: expected.into(),
            })
        };
        for (argument, value) in [
            ("rotation", self.rotation),
            ("width_shift", self.width_shift),
            ("height_shift", self.height_shift),
            ("shear", self.shear),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(argument, value.to_string(), "it must be 0 or more");
            }
        }
        let (low, high) = self.zoom;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            let expected = "it must begin above 0 and not end below its beginning; `zoom(z)` \
                            stands for 1 - z to 1 + z";
            return refuse("zoom", format!("{low} to {high}"), expected);
        }
        if let Some((low, high)) = self.brightness
            && !(low >= 0.0 && low <= high && high.is_finite())
        {
            let expected = "it must begin at 0 or above and not end below its beginning";
            return refuse("brightness", format!("{low} to {high}"), expected);
        }
        match self.fill {
            Fill::Constant(value) if !(0.0..=255.0).contains(&value) => {
                refuse("fill", self.fill.to_string(), "it must be 0 to 255")
            }
            _ => Ok(()),
        }
    }

    /// The options and their values.
    pub fn table(&self) -> Table {
        let turn = |degrees: f64| match degrees {
            0.0 => "no".into(),
            _ => format!("-{degrees} to {degrees} degrees"),
        };
        let shift = |range: f64, side: &str| match range {
            0.0 => "no".into(),
            share if share < 1.0 => format!("-{share} to {share} of the {side}"),
            pixels => format!("-{pixels} to {pixels} pixels"),
        };
        let factor = |range: Option<(f64, f64)>| {
            range.map_or("no".into(), |(low, high)| format!("{low} to {high}"))
        };
        let flip = |on: bool| if on { "half of the pictures" } else { "no" };
        let zoom = Some(self.zoom).filter(|&zoom| zoom != (1.0, 1.0));
        Table::new("Augment", &["option", "value"])
            .row(["rotation", &turn(self.rotation)])
            .row(["width_shift", &shift(self.width_shift, "width")])
            .row(["height_shift", &shift(self.height_shift, "height")])
            .row(["shear", &turn(self.shear)])
            .row(["zoom", &factor(zoom)])
            .row(["horizontal_flip", flip(self.horizontal_flip)])
            .row(["vertical_flip", flip(self.vertical_flip)])
            .row(["brightness", &factor(self.brightness)])
            .row(["fill", &self.fill.to_string()])
    }
}

displayed!(
    Augment,
    "Shows the options under a notebook cell.",
    |augment| augment.table().bundle()
);

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.rotation != 0.0 {
            parts.push(format!("rotation {}°", self.rotation));
        }
        match (self.width_shift, self.height_shift) {
            (0.0, 0.0) => {}
            (width, height) if width == height => parts.push(format!("shifts {width}")),
            (width, 0.0) => parts.push(format!("width shift {width}")),
            (0.0, height) => parts.push(format!("height shift {height}")),
            (width, height) => parts.push(format!("shifts {width} and {height}")),
        }
        if self.shear != 0.0 {
            parts.push(format!("shear {}°", self.shear));
        }
        match self.zoom {
            (1.0, 1.0) => {}
            // As it was given: 1.2 - 1 is 0.19999999999999996.
            (low, high) if low + high == 2.0 => {
                parts.push(format!("zoom {}", ((high - 1.0) * 1e6).round() / 1e6));
            }
            (low, high) => parts.push(format!("zoom {low} to {high}")),
        }
        for (on, name) in [
            (self.horizontal_flip, "horizontal flip"),
            (self.vertical_flip, "vertical flip"),
        ] {
            if on {
                parts.push(name.to_owned());
            }
        }
        if let Some((low, high)) = self.brightness {
            parts.push(format!("brightness {low} to {high}"));
        }
        if parts.is_empty() {
            return f.write_str("no augmentation");
        }
        if self.fill != Fill::Nearest {
            parts.push(format!("fill {}", self.fill));
        }
        f.write_str(&parts.join(", "))
    }
}
